"""Encoding with FFmpeg's libraries: audio becomes the bytes of a compressed file.

The file is made in memory, where the muxers can go back and fill in what they know only at the end; a file on its way to the disk
can only grow. It is smaller than the samples are. With `bitexact` neither times nor random numbers get into it: the same audio
gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from phonograph import cancellation
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph_nodes.convert import convert
from phonograph_nodes.validation import refuse_non_finite
from phonograph_nodes.writing.audio_sink import check_channels
from phonograph_nodes.writing.tags import TagName, stored

SampleFormat = Literal["s16", "s32", "s16p", "s32p", "flt", "fltp"]
"""FFmpeg's names. What has 32 bits holds 24: neither FLAC nor ALAC is written with more."""

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})

_BLOCK = 1 << 16  # samples handed over at a time
_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What a format is to FFmpeg, and what it can hold.

    Args:
        name: in messages. muxer, encoder: FFmpeg's names.
        sample_rates: in Hz, those that it has.
        max_channels: and `remedy`, what to do with more.
        needs_samples: whether there is no file of it without audio.
    """

    name: str
    muxer: str
    encoder: str
    sample_rates: range | tuple[int, ...]
    max_channels: int
    remedy: str = "mix them (audio.resample with channels: 1), or write sink.flac, which has up to 8, or sink.wav"
    needs_samples: bool = True


def encode(
    codec: Codec,
    chunk: AudioChunk,
    *,
    name: str,
    sample_format: SampleFormat,
    tags: Mapping[TagName, str],
    bit_rate: int | None = None,
    silence: int = 0,
    options: Mapping[str, str] = NO_OPTIONS,
    muxer_options: Mapping[str, str] = NO_OPTIONS,
) -> bytes:
    """The audio as a whole file.

    Integer formats are rounded to nearest and clipped to full scale, with 0 for NaN; the others are clipped, and must be finite.

    Args:
        name: how messages call the file.
        bit_rate: in bit/s.
        silence: samples of it to put before the audio.
        options, muxer_options: FFmpeg's, of the encoder and the muxer.

    Raises:
        AudioFormatError: the format cannot hold this audio; the message says what can be done.
    """
    _check(codec, chunk, name)
    if sample_format.startswith("flt"):
        refuse_non_finite(chunk.samples, name)
    file, rate = io.BytesIO(), int(chunk.sample_rate)
    layout, token = _LAYOUTS[chunk.num_channels - 1], cancellation.current()
    try:
        with av.open(file, "w", format=codec.muxer, options={"fflags": "+bitexact", **muxer_options}) as container:
            container.metadata.update({tag: stored(text).decode() for tag, text in tags.items()})
            stream = container.add_stream(codec.encoder, rate=rate, layout=layout, options=dict(options))
            assert isinstance(stream, AudioStream), f"{codec.encoder} is an audio encoder"
            context = stream.codec_context
            context.format = sample_format
            if bit_rate is not None:
                context.bit_rate = bit_rate
            for frame in _frames(chunk, sample_format, layout, silence):
                token.raise_if_cancelled()
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise AudioFormatError(f"{name}: it cannot be encoded as {codec.name}: {error.strerror}") from error
    return file.getvalue()


def _check(codec: Codec, chunk: AudioChunk, name: str) -> None:
    check_channels(chunk, name, codec.name, codec.max_channels, codec.remedy)
    if chunk.sample_rate not in codec.sample_rates:
        rates = codec.sample_rates
        known = f"{rates.start} to {rates.stop - 1}" if isinstance(rates, range) else ", ".join(map(str, sorted(rates)))
        raise AudioFormatError(
            f"{name}: its rate is {chunk.sample_rate!r} Hz; {codec.name} has {known} Hz; resample first (audio.resample)"
        )
    if codec.needs_samples and not chunk.num_samples:
        raise AudioFormatError(
            f"{name}: it has no samples; expected one at least in {codec.name}; "
            "leave such audio out (flow.filter with keep: duration > 0s), or write sink.wav"
        )


def _frames(chunk: AudioChunk, sample_format: SampleFormat, layout: str, silence: int) -> Iterator[AudioFrame]:
    rate, done = int(chunk.sample_rate), 0
    for samples in _blocks(chunk, silence):
        frame = AudioFrame.from_ndarray(_stored(samples, sample_format), format=sample_format, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, done, Fraction(1, rate)
        done += frame.samples
        yield frame


def _blocks(chunk: AudioChunk, silence: int) -> Iterator[NDArray[np.float32]]:
    if silence:
        yield np.zeros((chunk.num_channels, silence), np.float32)
    for start in range(0, chunk.num_samples, _BLOCK):
        yield chunk.samples[:, start : start + _BLOCK]


def _stored(samples: NDArray[np.float32], sample_format: SampleFormat) -> NDArray[Any]:
    """As FFmpeg takes it: packed formats in one row, planar ones in a row for each channel."""
    kind, planar = sample_format.removesuffix("p"), sample_format.endswith("p")
    if kind == "flt":
        samples = np.clip(samples, -1.0, 1.0)
        block = samples if planar else convert(samples, dtype="f32", layout="interleaved")
    else:
        block = convert(samples, dtype="i16" if kind == "s16" else "i24", layout=None if planar else "interleaved")
        if kind == "s32":  # rounded to 24 bits before it gets the lowest 8, which the encoder drops
            block = convert(block, dtype="i32", source="i24")
    return np.ascontiguousarray(block if planar else block.reshape(1, -1))
