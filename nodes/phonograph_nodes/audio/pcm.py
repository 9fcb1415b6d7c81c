"""PCM in a file or in memory: converted from where it lies to where it is wanted.

The resampler reads mono and stereo of most formats by itself. Else, what lies in memory as the kernels read it is converted in
long pieces. What is read from a file, and what changes twice (bytes the other way round, signed bytes, float64), goes in pieces
that stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from phonograph.errors import AudioDecodeError, AudioTooLongError
from phonograph_nodes.audio.about import AudioInfo
from phonograph_nodes.audio.containers import PcmLayout, RawPcm, pcm_layout, raw_layout
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Faults, Limits, Samples, Watch
from phonograph_nodes.audio.stored import Content, unreadable
from phonograph_nodes.convert import convert, mix_to_mono
from phonograph_nodes.kernels import _convert
from phonograph_nodes.kernels._energy import stretch_levels

if TYPE_CHECKING:
    from phonograph_nodes.resample.blocks import Pcm

_TOLERANCE_S = 0.01  # some writers count the header as samples
_PIECE = 2**18  # values of all channels: as float32, a megabyte
_LONG_PIECE = 2**22  # between two looks at the limits

_DTYPES = {"i16": "i2", "i32": "i4", "f32": "f4", "f64": "f8"}  # of the encodings that NumPy has in both byte orders
_CODECS = {"u8": "u8", "i8": "s8", "alaw": "alaw", "mulaw": "mulaw"}  # FFmpeg's names after `pcm_`, where there is no byte order
_BITS = {"u8": 8, "i8": 8, "i16": 16, "i24": 24, "i32": 32}


def open_pcm(given: Given, limits: Limits) -> PcmReader | None:
    """A reader for WAV, RF64, BW64, Wave64, AIFF, AIFF-C, AU and NIST SPHERE files with PCM, floating point, A-law or mu-law.

    Returns:
        None for any other container or codec.

    Raises:
        AudioDecodeError: the header tells of no audio, or of some that nothing here decodes; there is no sample.
    """
    content = given.content()
    try:
        layout = pcm_layout(content, given.name)
    except OSError as error:
        raise unreadable(given.name, error) from error
    return None if layout is None else PcmReader(given, content, layout, limits)


def open_raw(given: Given, limits: Limits, raw: RawPcm) -> PcmReader:
    """A reader for samples without a header.

    Raises:
        AudioDecodeError: rate or channel count are none; there is no sample.
    """
    content = given.content()
    return PcmReader(given, content, raw_layout(content, given.name, raw), limits)


class PcmReader:
    """The samples of a file that lie in it as they are. See `Reader`."""

    def __init__(self, given: Given, content: Content, layout: PcmLayout, limits: Limits) -> None:
        self._given = given
        self._opened: Content | None = content
        self._layout = layout
        self._limits = limits
        self._info = _info(given.name, layout)
        self._faults = Faults(declared_s=_declared_s(layout))
        if not layout.num_samples:
            raise AudioDecodeError(given.name, "decode", "no sample came out, its audio stream is empty", remedy="get it again")

    @property
    def info(self) -> AudioInfo:
        return self._info

    @property
    def faults(self) -> Faults:
        return self._faults

    def read(self, first: int = 0, count: int | None = None, *, mono: bool = False) -> Samples:
        return self._read(*self._span(first, count), mono, Watch(self._given.name, self._limits))

    def blocks(self, num_samples: int, first: int = 0, count: int | None = None, *, mono: bool = False) -> Iterator[Samples]:
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}; expected 1 or more")
        first, end = self._span(first, count)
        self._refuse_more_than(math.inf, end - first, self._layout.num_channels)
        watch = Watch(self._given.name, self._limits)
        for start in range(first, end, num_samples):
            block = self._read(start, min(start + num_samples, end), mono, watch)
            with watch.paused():
                yield block

    def pcm(self, first: int = 0, count: int | None = None) -> Pcm | None:
        from phonograph_nodes.resample.blocks import PCM_FORMATS, Pcm, Place

        layout = self._layout
        if layout.encoding not in PCM_FORMATS or layout.num_channels > 2:
            return None
        first, end = self._span(first, count)
        count = end - first
        self._refuse_more_than(self._limits.max_bytes, count, 1)
        place = layout.first_byte + first * layout.stride
        if isinstance(self._content, memoryview):
            stored = np.frombuffer(self._content, np.uint8, count * layout.stride, place)
            return Pcm(stored, layout.encoding, layout.big_endian, layout.num_channels, count)
        return Pcm(Place(self._content.number, place), layout.encoding, layout.big_endian, layout.num_channels, count)

    def close(self) -> None:
        self._opened = None
        self._given.close()

    @property
    def _content(self) -> Content:
        if self._opened is None:
            raise ValueError(f"{self._given.name}: the reader is closed")
        return self._opened

    def _read(self, first: int, end: int, mono: bool, watch: Watch) -> Samples:
        channels = 1 if mono else self._layout.num_channels
        self._refuse_more_than(self._limits.max_bytes, end - first, channels)
        watch.check()
        try:
            out = np.empty((channels, end - first), np.float32)
            self._fill(first, out, mono, watch)
        except MemoryError as error:
            raise AudioDecodeError(self._given.name, "decode", "not enough memory for it", remedy="read it in blocks") from error
        except (EOFError, OSError) as error:
            raise unreadable(self._given.name, error) from error
        return out

    def _span(self, first: int, count: int | None) -> tuple[int, int]:
        """Where to begin and to end, as far as there are samples."""
        if first < 0 or (count is not None and count < 0):
            raise ValueError(f"first is {first}, count is {count}; expected 0 or more")
        length = self._layout.num_samples
        first = min(first, length)
        return first, length if count is None else min(first + count, length)

    def _refuse_more_than(self, max_bytes: float, count: int, num_channels: int) -> None:
        rate, limits = self._layout.sample_rate, self._limits
        limit = int(min(limits.max_duration_s * rate, max_bytes / (4 * num_channels)))
        if count > limit:
            raise AudioTooLongError(
                self._given.name,
                "decode",
                f"more than {limit / rate:g} s of audio in {num_channels} channels",
                f"at most {limits.max_duration_s:g} s and {limits.max_bytes / 2**30:g} GiB",
                "split the file, or raise max_duration_s",
            )

    def _fill(self, first: int, out: Samples, mono: bool, watch: Watch) -> None:
        layout = self._layout
        is_plain = not _is_swapped(layout) and layout.encoding not in ("i8", "f64")
        step = (_LONG_PIECE if is_plain and isinstance(self._content, memoryview) else _PIECE) // layout.num_channels
        scratch = _Scratch()
        for start in range(0, out.shape[1], step):
            watch.check()
            part = out[:, start : start + step]
            stored, source = self._readable(self._stored(first + start, part.shape[1], scratch), scratch)
            if source == "f32" and not _is_finite(stored):
                finite = np.isfinite(stored)
                self._faults.non_finite += stored.size - int(np.count_nonzero(finite))
                stored = np.where(finite, stored, np.float32(0))
            if len(part) > 1:
                _convert.deinterleave_rows(stored.reshape(-1).view(np.uint8), _convert.CODES[source], part)
            elif mono and layout.num_channels > 1:
                mix_to_mono(stored, source=source, layout="interleaved", out=part)
            else:
                convert(stored, dtype="f32", source=source, layout="planar", out=part)

    def _stored(self, first: int, count: int, scratch: _Scratch) -> NDArray[Any]:
        """Samples as they are stored, in NumPy's type where it has one: shape (num_samples, num_channels)."""
        layout = self._layout
        place, size = layout.first_byte + first * layout.stride, count * layout.stride
        if isinstance(self._content, memoryview):
            raw = np.frombuffer(self._content, np.uint8, size, place)
        else:
            raw = scratch.array("stored", (size,), np.uint8)
            self._content.read_into(raw, place)
        if layout.encoding == "i24":
            return raw.reshape(count, layout.num_channels, 3)
        dtype = np.dtype(_DTYPES.get(layout.encoding, "u1")).newbyteorder(">" if layout.big_endian else "<")
        return raw.view(dtype).reshape(count, layout.num_channels)

    def _readable(self, stored: NDArray[Any], scratch: _Scratch) -> tuple[NDArray[Any], str]:
        """In a format that `convert` reads, with its name; float64 as float32, since NaN and infinity are sought in that."""
        encoding = self._layout.encoding
        if encoding == "i8":
            return np.bitwise_xor(stored, np.uint8(0x80), out=scratch.array("turned", stored.shape, stored.dtype)), "u8"
        if _is_swapped(self._layout):
            turned = scratch.array("turned", stored.shape, stored.dtype.newbyteorder("<"))
            if encoding == "i24":
                for place in range(3):
                    turned[..., place] = stored[..., 2 - place]
            else:
                turned[...] = stored
            stored = turned
        if encoding == "f64":
            return convert(stored, dtype="f32", out=scratch.array("single", stored.shape, np.float32)), "f32"
        return stored, encoding


class _Scratch:
    """Arrays that serve one piece after the other: new ones would cost more than what is done in them."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        size = math.prod(shape)
        if use not in self._held or self._held[use].size < size:
            self._held[use] = np.empty(size, dtype)
        return self._held[use][:size].reshape(shape)


def _is_finite(samples: Samples) -> bool:
    """The level of all samples together is the fastest way to know; it takes no samples that lie across their places."""
    if not samples.flags.aligned:
        return bool(np.isfinite(samples).all())
    return stretch_levels(samples.reshape(-1), samples.size, np.empty(1), np.empty(1, np.float32))


def _is_swapped(layout: PcmLayout) -> bool:
    """The kernels take the lowest byte first."""
    return layout.big_endian and layout.encoding in ("i24", *_DTYPES)


def _declared_s(layout: PcmLayout) -> float | None:
    """The declared duration, when clearly less is there."""
    declared_s = (layout.declared_samples or 0) / layout.sample_rate
    return declared_s if declared_s - layout.num_samples / layout.sample_rate > _TOLERANCE_S else None


def _info(name: str, layout: PcmLayout) -> AudioInfo:
    codec = _CODECS.get(layout.encoding) or layout.encoding.replace("i", "s") + ("be" if layout.big_endian else "le")
    return AudioInfo(
        name=name,
        container=layout.container,
        codec=f"pcm_{codec}",
        sample_rate=layout.sample_rate,
        num_channels=layout.num_channels,
        channel_layout=layout.channel_layout,
        bits=_BITS.get(layout.encoding, 0),
        num_samples=layout.num_samples,
        duration_s=layout.num_samples / layout.sample_rate,
        bit_rate=layout.sample_rate * layout.stride * 8,
        language=layout.tags.get("language", ""),
        tags=layout.tags,
    )
