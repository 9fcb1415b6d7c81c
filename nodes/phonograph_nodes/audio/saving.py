"""Arrays to audio files, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, get_args

from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.sink import FilePart
from phonograph_nodes.writing.formats import FORMAT_OF_SUFFIX, AudioFormat, sink_for
from phonograph_nodes.writing.tags import NO_TAGS, TagName


def save(
    path: str | os.PathLike[str],
    samples: NDArray[Any],
    sample_rate: int,
    *,
    format: AudioFormat | None = None,
    sample_format: str | None = None,
    bit_rate: int | None = None,
    quality: float | None = None,
    compression_level: int | None = None,
    tags: Mapping[TagName, str] = NO_TAGS,
) -> None:
    """Write audio to a file, which appears whole under its name, in place of what stood there, or not at all.

    Args:
        path: where to; missing folders are made.
        samples: floating point in [-1, 1], shape (num_samples,) or (num_channels, num_samples).
        sample_rate: Hz. Nothing is resampled.
        format: "wav", "flac", "opus", "mp3", "aac" or "alac"; when None, what the path ends with says it (`.m4a` is AAC).
        sample_format: of WAV "pcm8", "pcm16" (the default), "pcm24", "pcm32", "float32", "float64", "alaw" or "mulaw"; of FLAC
            and ALAC "pcm16" (the default) or "pcm24". Integers are rounded to nearest and clipped to full scale.
        bit_rate: of Opus, MP3 and AAC, in bit/s, all channels.
        quality: of MP3 with a variable instead of a constant bit rate, from 0, the best, to 9.9, the smallest.
        compression_level: of FLAC, from 0, the fastest, to 12, the smallest; 5 by default.
        tags: title, artist, album, genre, date, track, comment, copyright.

    Raises:
        AudioFormatError: samples, rate or channels that the format cannot hold; the message names what can be done.
        OutputError: it cannot be stored. BadInputError: no file of this name can be made.
        ValueError: an option that the format does not have, or a value that it cannot have; no format is known.
    """
    name = os.fspath(path)
    _check_name(name)
    chosen = _format_of(name, format)
    given = {
        "sample_format": sample_format,
        "bit_rate": bit_rate,
        "quality": quality,
        "compression_level": compression_level,
    }
    params = {option: value for option, value in given.items() if value is not None}
    sink = sink_for(chosen, {**params, "tags": dict(tags), "path": name})
    item = Item(key=name, ordinal=0, payload={"audio": AudioChunk.of(samples, sample_rate)})
    FilePart(os.path.abspath(name), sink.prepare(item, name, sink.params.tags)).commit()


def _check_name(name: str) -> None:
    """Refuse what no file system can have as a name."""
    try:
        is_name = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair
        is_name = False
    if not is_name:
        raise BadInputError(f"{name!r}: no file of this name can be made; expected text without NUL and lone surrogates")


def _format_of(name: str, wanted: AudioFormat | None) -> AudioFormat:
    if wanted is not None:
        if wanted not in get_args(AudioFormat):
            raise ValueError(f"format is {wanted!r}; expected one of {', '.join(get_args(AudioFormat))}")
        return wanted
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in FORMAT_OF_SUFFIX:
        raise ValueError(f"path is {name!r}; expected a name that ends with {', '.join(FORMAT_OF_SUFFIX)}, or a format")
    return FORMAT_OF_SUFFIX[suffix]
