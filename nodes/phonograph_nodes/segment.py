"""Cutting audio into its segments."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.streaming import Piece, StreamingNode, Stretch
from phonograph_nodes.validation import Samples


class CutParams(Params, frozen=True):
    padding_ms: Annotated[
        float,
        msgspec.Meta(ge=0, description="audio kept before and after each segment, as far as there is any", extra={"unit": "ms"}),
    ] = 0.0
    max_segment_s: Annotated[
        float,
        msgspec.Meta(gt=0, description="audio of a stream that is kept for segments which have not ended", extra={"unit": "s"}),
    ] = 600.0


@node(
    "segment.cut",
    inputs={"audio": "audio[rate=r, channels=c]", "segments": "segments"},
    outputs={"audio": "audio[rate=r, channels=c]"},
    cardinality="1:N",
    run="inline",
    streaming="causal",
    latency_samples=None,
    sees_native_memory=True,
    attributes={"start_ms": "float", "end_ms": "float", "energy_db": "float", "confidence": "float", "duration": "float"},
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          vad: {type: vad.energy, input: mono, params: {min_silence_ms: 200, min_speech_ms: 90}}
          speech:
            type: segment.cut
            input: {audio: vad.audio, segments: vad.segments}
            params: {padding_ms: 50}
          files: {type: sink.wav, input: speech, params: {path: out}}
        """,
)
class Cut(StreamingNode[CutParams]):
    """Cut audio into one item for each of its segments.

    Each part has the attributes `start_ms` and `end_ms` (of the audio cut out, padding included), `duration` in seconds, and the
    segment's `energy_db` and `confidence`. Audio without segments gives no part. With padding, neighbours may share audio.

    In a stream, a part comes out once its segment is known and its audio is there. Audio is kept from where segments may still
    begin, which `vad.energy` says in the attribute `settled_ms`, and at most `max_segment_s` of it. Each part says
    `discontinuity`, so that what comes behind takes it for a signal of its own.
    """

    def whole(self, item: Item) -> list[Item]:
        chunk: AudioChunk = item.payload["audio"]
        segments: tuple[Segment, ...] = item.payload["segments"]
        return [self._part(item, chunk, number, segment) for number, segment in enumerate(segments)]

    def stretch(self, item: Item) -> Stretch:
        return _Kept(self.params, item)

    def _part(self, item: Item, chunk: AudioChunk, number: int, segment: Segment) -> Item:
        start, end = _places(segment, self.params.padding_ms, chunk.sample_rate)
        start, end = _clamped(start, 0, chunk.num_samples), _clamped(end, 0, chunk.num_samples)
        if start >= end:
            raise BadInputError(
                f"segment {number} is {segment.start_ms:g} to {segment.end_ms:g} ms, "
                f"but the audio has {chunk.duration_s * 1000:g} ms; expected segments of this audio, at least a sample long"
            )
        part = AudioChunk(chunk.samples[:, start:end].copy(), chunk.sample_rate)
        return item.child(number, {"audio": part}, _described(part, start, segment), start_sample=start)


class _Kept(Stretch):
    """A stretch of audio, kept as long as a segment may still need it. Places are samples of the stream."""

    def __init__(self, params: CutParams, item: Item) -> None:
        self._rate = item.payload["audio"].sample_rate
        self._padding_ms, self._max_kept = params.padding_ms, round(params.max_segment_s * self._rate)
        self._begin = self._origin = self._end = item.start_sample  # the stretch begins, what is kept begins and ends
        self._chunks: deque[Samples] = deque()
        self._waiting: deque[Segment] = deque()  # for the end of their padding

    def push(self, item: Item) -> Sequence[Piece]:
        samples: Samples = item.payload["audio"].samples
        self._chunks.append(samples)
        self._end += samples.shape[1]
        self._waiting.extend(item.payload["segments"])
        pieces = self._parts(is_last=False)
        self._let_go(item.attributes.get("settled_ms"))
        return pieces

    def end(self) -> Sequence[Piece]:
        return self._parts(is_last=True)

    def _parts(self, *, is_last: bool) -> Sequence[Piece]:
        pieces: list[Piece] = []
        while self._waiting:
            segment = self._waiting[0]
            start, end = _places(segment, self._padding_ms, self._rate)
            if end > self._end and not is_last:
                break
            self._waiting.popleft()
            start, end = max(start, self._begin), min(end, self._end)
            if not self._origin <= start < end:
                raise BadInputError(self._missing(segment))
            part = AudioChunk(self._between(start, end), self._rate)
            pieces.append(Piece({"audio": part}, start, _described(part, start, segment), is_apart=True))
        return pieces

    def _between(self, start: int, end: int) -> Samples:
        found, place = [], self._origin
        for chunk in self._chunks:
            found.append(chunk[:, max(start - place, 0) : max(end - place, 0)])
            place += chunk.shape[1]
        return np.concatenate(found, axis=1)

    def _missing(self, segment: Segment) -> str:
        kept = [place * 1000.0 / self._rate for place in (self._origin, self._end)]
        return (
            f"a segment is {segment.start_ms:g} to {segment.end_ms:g} ms of the stream, but audio is kept from {kept[0]:g} to "
            f"{kept[1]:g} ms; expected segments of this audio, at least a sample long; raise max_segment_s when they are longer"
        )

    def _let_go(self, settled_ms: float | None) -> None:
        """Drop chunks that no segment will need."""
        needed_from = self._end - self._max_kept
        if settled_ms is not None:
            first_ms = min([settled_ms, *(segment.start_ms for segment in self._waiting)])
            needed_from = max(needed_from, _place(first_ms - self._padding_ms, self._rate) - 1)
        while self._chunks and self._origin + self._chunks[0].shape[1] <= needed_from:
            self._origin += self._chunks.popleft().shape[1]


def _described(part: AudioChunk, start: int, segment: Segment) -> dict[str, float]:
    """The attributes of a part that begins at a sample."""
    return {
        "start_ms": start * 1000.0 / part.sample_rate,
        "end_ms": (start + part.num_samples) * 1000.0 / part.sample_rate,
        "energy_db": segment.energy_db,
        "confidence": segment.confidence,
        "duration": part.duration_s,
    }


def _places(segment: Segment, padding_ms: float, sample_rate: int) -> tuple[int, int]:
    """Where the segment begins and ends, padding included."""
    return _place(segment.start_ms - padding_ms, sample_rate), _place(segment.end_ms + padding_ms, sample_rate)


def _place(time_ms: float, sample_rate: int) -> int:
    return round(time_ms * sample_rate / 1000.0)


def _clamped(place: int, low: int, high: int) -> int:
    return min(max(place, low), high)
