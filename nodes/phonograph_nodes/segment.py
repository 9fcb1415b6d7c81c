"""Cutting audio into its segments."""

from __future__ import annotations

from typing import Annotated

import msgspec

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph.node import Node, Params, node


class CutParams(Params, frozen=True):
    padding_ms: Annotated[
        float,
        msgspec.Meta(ge=0, description="audio kept before and after each segment, as far as there is any", extra={"unit": "ms"}),
    ] = 0.0


@node(
    "segment.cut",
    inputs={"audio": "audio[rate=r, channels=c]", "segments": "segments"},
    outputs={"audio": "audio[rate=r, channels=c]"},
    cardinality="1:N",
    run="inline",
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
class Cut(Node[CutParams]):
    """Cut audio into one item for each of its segments.

    Each part has the attributes `start_ms` and `end_ms` (of the audio cut out, padding included), `duration` in seconds, and the
    segment's `energy_db` and `confidence`. Audio without segments gives no part. With padding, neighbours may share audio.
    """

    def process(self, item: Item, state: None) -> list[Item]:
        chunk: AudioChunk = item.payload["audio"]
        segments: tuple[Segment, ...] = item.payload["segments"]
        return [self._part(item, chunk, number, segment) for number, segment in enumerate(segments)]

    def _part(self, item: Item, chunk: AudioChunk, number: int, segment: Segment) -> Item:
        start = self._sample_at(segment.start_ms - self.params.padding_ms, chunk)
        end = self._sample_at(segment.end_ms + self.params.padding_ms, chunk)
        if start >= end:
            raise BadInputError(
                f"segment {number} is {segment.start_ms:g} to {segment.end_ms:g} ms, "
                f"but the audio has {chunk.duration_s * 1000:g} ms; expected segments of this audio, at least a sample long"
            )
        part = AudioChunk(chunk.samples[:, start:end].copy(), chunk.sample_rate)
        attributes = {
            "start_ms": start * 1000.0 / chunk.sample_rate,
            "end_ms": end * 1000.0 / chunk.sample_rate,
            "energy_db": segment.energy_db,
            "confidence": segment.confidence,
            "duration": part.duration_s,
        }
        return item.child(number, {"audio": part}, attributes, start_sample=start)

    @staticmethod
    def _sample_at(time_ms: float, chunk: AudioChunk) -> int:
        return min(max(round(time_ms * chunk.sample_rate / 1000.0), 0), chunk.num_samples)
