"""The node `audio.resample`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.streaming import Piece, StreamingNode, Stretch
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.resample.checks import MAX_RATE, MIN_RATE
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.stream import ResampleStream
from phonograph_nodes.resample.whole import resample
from phonograph_nodes.validation import Samples


class ResampleParams(Params, frozen=True):
    sample_rate: Annotated[
        Annotated[int, msgspec.Meta(ge=MIN_RATE, le=MAX_RATE)] | None,
        msgspec.Meta(description="rate of the result; null leaves it as it is", extra={"unit": "Hz"}),
    ] = 16_000
    channels: Annotated[
        Literal[1] | None, msgspec.Meta(description="1 mixes all channels with equal weights; unchanged when absent")
    ] = None
    quality: Annotated[
        Quality, msgspec.Meta(description="fast, high or best; a longer filter rejects more alias energy and takes more time")
    ] = "high"


@node(
    "audio.resample",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate={sample_rate|r}, channels={channels|c}]"},
    streaming="causal",
    latency_samples=None,
    converts={"rate": "sample_rate", "channels": "channels"},
    attributes={"duration": "float", "sample_rate": "int", "channels": "int"},
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 8000, channels: 1}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Resample(StreamingNode[ResampleParams]):
    """Change the sample rate, mixing to mono first where asked for.

    Audio that already has the rate and the channels is handed on as it is. Sets the attributes `duration` (s), `sample_rate` (Hz)
    and `channels` of what comes out.

    In a stream, samples come out as soon as a block of input is full: after 9 to 315 ms, 47 in the median of the ratios in use.
    """

    def whole(self, item: Item) -> Item:
        chunk = item.audio
        samples = self._mixed(chunk)
        rate = self.params.sample_rate or chunk.sample_rate
        if samples is chunk.samples and rate == chunk.sample_rate:
            return item.with_payload({"audio": chunk}, described(chunk))
        samples = resample(samples, in_rate=chunk.sample_rate, out_rate=rate, quality=self.params.quality)
        made = AudioChunk(samples, rate)
        if item.start_sample:  # of a part of a record
            item = msgspec.structs.replace(item, start_sample=_place_at(rate, item.start_sample, chunk.sample_rate))
        return item.with_payload({"audio": made}, described(made))

    def _mixed(self, chunk: AudioChunk) -> Samples:
        return chunk.samples if self.params.channels is None else mix_to_mono(chunk.samples)

    def stretch(self, item: Item) -> Stretch:
        chunk, rate = item.audio, self.params.sample_rate
        num_channels = self.params.channels or chunk.num_channels
        stream = ResampleStream(
            chunk.sample_rate, rate or chunk.sample_rate, num_channels=num_channels, quality=self.params.quality
        )
        return _Resampled(stream, self._mixed, item.start_sample)


class _Resampled(Stretch):
    """A stretch of audio at another rate."""

    def __init__(self, stream: ResampleStream, mixed: Callable[[AudioChunk], Samples], start: int) -> None:
        self._stream, self._mixed = stream, mixed
        self._start = _place_at(stream.out_rate, start, stream.in_rate)
        self._num_given: int | None = None

    def push(self, item: Item) -> Sequence[Piece]:
        chunk = item.audio
        samples = self._mixed(chunk)
        if self._stream.in_rate != self._stream.out_rate:
            samples = self._stream.push(samples)
            return self._given(AudioChunk(samples, self._stream.out_rate)) if samples.shape[1] else ()
        return self._given(chunk if samples is chunk.samples else AudioChunk(samples, chunk.sample_rate))

    def end(self) -> Sequence[Piece]:
        if self._num_given is not None and self._stream.in_rate == self._stream.out_rate:
            return ()
        rest = np.atleast_2d(self._stream.flush())
        return self._given(AudioChunk(rest, self._stream.out_rate)) if rest.shape[1] or self._num_given is None else ()

    def _given(self, made: AudioChunk) -> Sequence[Piece]:
        start = self._start + (self._num_given or 0)
        self._num_given = (self._num_given or 0) + made.num_samples
        return (Piece({"audio": made}, start, described(made)),)


def _place_at(out_rate: int, place: int, in_rate: int) -> int:
    """Where a sample is at another rate; in whole numbers, for streams that go on for weeks."""
    return (2 * place * out_rate + in_rate) // (2 * in_rate)


def described(chunk: AudioChunk) -> Mapping[str, Any]:
    """The attributes that say what audio is."""
    return {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
