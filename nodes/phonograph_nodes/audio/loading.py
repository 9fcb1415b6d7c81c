"""Reading of whole files, or of a part of them, into arrays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.audio.about import AudioInfo
from phonograph_nodes.audio.decoder import AudioDecoder, DecoderOptions, check_times
from phonograph_nodes.audio.given import STANDARD_INPUT, AudioSource, Given
from phonograph_nodes.audio.opening import open_reader
from phonograph_nodes.audio.reader import Limits

if TYPE_CHECKING:
    from phonograph_nodes.audio.cache import Loaded
    from phonograph_nodes.audio.containers import RawPcm

FloatType = Literal["float32", "float64"] | type[np.float32] | type[np.float64]


def load(
    source: AudioSource,
    *,
    sr: int | None = 22050,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
    dtype: FloatType = "float32",
    cache: bool = False,
    **options: Unpack[DecoderOptions],
) -> tuple[NDArray[np.float32] | NDArray[np.float64], int]:
    """Read audio into an array, with librosa's shapes and defaults.

    Args:
        source: a path, `-` for standard input, the encoded bytes, or a binary file object.
        sr: sample rate of the result in Hz; None keeps the file's own.
        mono: mix all channels into one: their mean, unless `downmix` says otherwise.
        offset, duration: seconds; cut at the file's own rate, before resampling. Only this part is decoded.
        dtype: of the result.
        cache: keep the result in memory, and give it again as long as the file at this path has the same size and modification
            time; see `cache_info`, `set_cache_size`. The samples are read-only then, and shared.
        options: `downmix`, `stream`, `strict`, `keep_truncated`, `non_finite`, `raw`, `quality`, `limits`, as `AudioDecoder`.

    Returns:
        Samples, shape (num_samples,) for one channel, else (num_channels, num_samples), and their rate in Hz.
        Integer formats give [-1, 1); lossy codecs may overshoot a little, which is not clipped.

    Raises:
        AudioDecodeError, AudioFormatError: as `AudioDecoder` and its `decode`.
        ValueError: an offset or duration that is negative or not finite, another dtype, `cache` for what has no path.
    """
    if cache:
        return _cached(source, sr, mono, offset, duration, dtype, options)
    return _load(source, sr, mono, offset, duration, dtype, options)


def info(source: AudioSource, *, stream: int | str = 0, raw: RawPcm | None = None, limits: Limits | None = None) -> AudioInfo:
    """What a file says of its audio, without decoding it.

    Args:
        source, stream, raw, limits: as `AudioDecoder`.

    Raises:
        AudioDecodeError: it is no audio, or has no such stream.
    """
    limits = limits or Limits()
    with Given(source, max_bytes=limits.max_bytes) as given:
        reader = open_reader(given, limits, stream=stream, raw=raw)
        try:
            return reader.info
        finally:
            reader.close()


def _load(
    source: AudioSource,
    sr: int | None,
    mono: bool,
    offset: float,
    duration: float | None,
    dtype: FloatType,
    options: DecoderOptions,
) -> Loaded:
    check_times(offset, duration)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r}; expected 'float32' or 'float64'")
    with AudioDecoder(source, sr=sr, mono=mono, **options) as decoder:
        return decoder.decode(offset, duration).astype(dtype, copy=False), decoder.sample_rate


def _cached(
    source: AudioSource,
    sr: int | None,
    mono: bool,
    offset: float,
    duration: float | None,
    dtype: FloatType,
    options: DecoderOptions,
) -> Loaded:
    from phonograph_nodes.audio.cache import CACHE  # few programs need it

    try:
        status = os.stat(source)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        status = None
    key = (source, _version(status), sr, mono, offset, duration, dtype, *options.items())
    if status is not None and (kept := CACHE.find(key)) is not None:  # most often; so before anything else is looked at
        return kept
    if not (isinstance(source, str) or hasattr(source, "__fspath__")) or source == STANDARD_INPUT:
        raise ValueError(f"cache=True for {type(source).__name__} {source!r:.40}; expected the path of a file")
    path = cast("str | os.PathLike[str]", source)

    def make() -> tuple[Loaded, bool]:
        loaded = _load(path, sr, mono, offset, duration, dtype, options)
        return loaded, key[1] == _version(os.stat(path))

    return CACHE.get(key, make)


def _version(status: os.stat_result | None) -> tuple[int, ...]:
    """What changes when another file, or another content, lies at the path."""
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev) if status is not None else ()
