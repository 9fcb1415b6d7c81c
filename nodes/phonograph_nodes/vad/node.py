"""The node vad.energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.streaming import Piece, StreamingNode, Stretch
from phonograph_nodes.vad.energy import energy_vad
from phonograph_nodes.vad.found import VadFrames, VadUpdate
from phonograph_nodes.vad.settings import FLOOR_WINDOW_MS, LONGEST_MS, linear_threshold
from phonograph_nodes.vad.stream import EnergyVadStream


class EnergyVadParams(Params, frozen=True):
    frame_ms: Annotated[float, msgspec.Meta(ge=1, le=1000, description="length of a frame", extra={"unit": "ms"})] = 30.0
    threshold: Annotated[
        Annotated[float, msgspec.Meta(ge=1e-6, le=1)] | None,
        msgspec.Meta(description="linear RMS from which a frame is speech; 0.02 when absent, or 0.001 with margin_db"),
    ] = None
    threshold_db: Annotated[
        Annotated[float, msgspec.Meta(ge=-120, le=0)] | None,
        msgspec.Meta(description="the same as a level, instead of threshold", extra={"unit": "dBFS"}),
    ] = None
    margin_db: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=60)] | None,
        msgspec.Meta(
            description="speech also lies so far above the noise floor, which is tracked; the threshold is fixed when absent",
            extra={"unit": "dB"},
        ),
    ] = None
    floor_window_ms: Annotated[
        float,
        msgspec.Meta(
            ge=100, le=60_000, description="the noise floor is the lowest level of so long, with margin_db", extra={"unit": "ms"}
        ),
    ] = FLOOR_WINDOW_MS
    min_silence_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_MS, description="shorter silences within speech count as speech", extra={"unit": "ms"}),
    ] = 0.0
    min_speech_ms: Annotated[
        float, msgspec.Meta(ge=0, le=LONGEST_MS, description="shorter speech is dropped", extra={"unit": "ms"})
    ] = 0.0
    hangover_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_MS, description="how long speech goes on after its last loud frame", extra={"unit": "ms"}),
    ] = 0.0
    pad_before_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_MS, description="how much earlier segments begin than their speech", extra={"unit": "ms"}),
    ] = 0.0
    pad_after_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_MS, description="how much later segments end than their speech", extra={"unit": "ms"}),
    ] = 0.0

    def __post_init__(self) -> None:
        linear_threshold(self.threshold, self.threshold_db)


@node(
    "vad.energy",
    inputs={"audio": "audio[rate=r, channels=1]"},
    outputs={"audio": "audio[rate=r, channels=1]", "segments": "segments", "frames": "features[bins=1]"},
    streaming="causal",
    latency_samples=None,
    sees_native_memory=True,
    attributes={"speech_ratio": "float", "num_segments": "int", "settled_ms": "float"},
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          vad: {type: vad.energy, input: mono, params: {margin_db: 9, min_silence_ms: 200, min_speech_ms: 90}}
          rows: {type: sink.jsonl, input: vad.segments, params: {path: out/segments.jsonl}}
        """,
)
class EnergyVadNode(StreamingNode[EnergyVadParams]):
    """Find the stretches of audio whose level reaches a threshold.

    Hands the audio on unchanged, with the attributes `speech_ratio` and `num_segments`; gives the segments, and as `frames`
    the RMS of each frame as float32 of shape (num_frames, 1). For speech only, see `segment.cut`; for speech in loud noise,
    `vad.silero`.

    With `margin_db` the threshold of a frame is the larger of `threshold` and the noise floor times 10^(margin_db / 20), where
    the floor is the lowest level of the last `floor_window_ms`. A segment's `confidence` is P / (P + T^2) for its mean power P
    and the threshold T: 0.5 at the threshold, 0.91 at 10 dB above it.

    In a stream, audio comes out once it is decided whether it is speech: after a frame, with `min_speech_ms` and
    `min_silence_ms` about so much later. An item then has the frames and the `speech_ratio` of its audio, the segments that have
    ended, in milliseconds of the stream, and the attribute `settled_ms`: segments that end later begin there at the earliest.
    """

    def whole(self, item: Item) -> Item:
        chunk = item.audio
        found = energy_vad(chunk.samples, sample_rate=chunk.sample_rate, **msgspec.structs.asdict(self.params))
        return item.with_payload(
            {"audio": chunk, "segments": found.segments, "frames": found.frames.rms[:, np.newaxis]},
            {"speech_ratio": found.speech_ratio, "num_segments": len(found.segments)},
        )

    def stretch(self, item: Item) -> Stretch:
        return _Watched(self.params, item)


class _Watched(Stretch):
    """A stretch of audio, which is held until it is decided."""

    def __init__(self, params: EnergyVadParams, item: Item) -> None:
        self._rate, self._start = item.audio.sample_rate, item.start_sample
        self._stream = EnergyVadStream(sample_rate=self._rate, **msgspec.structs.asdict(params))
        self._pad_before_ms = params.pad_before_ms
        self._held = item.audio.samples[:, :0]
        self._num_given: int | None = None
        self._speaks_from: float | None = None  # where the speech began whose segment has not ended, in samples of the stretch

    def push(self, item: Item) -> Sequence[Piece]:
        update = self._stream.push(item.audio.samples)
        self._held = np.concatenate([self._held, item.audio.samples], axis=1)
        return self._given(update) if len(update.frames.rms) or update.segments else ()

    def end(self) -> Sequence[Piece]:
        update = self._stream.flush()
        return self._given(update) if self._num_given is None or len(update.frames.rms) or update.segments else ()

    def _given(self, update: VadUpdate) -> Sequence[Piece]:
        frames, start = update.frames, self._num_given or 0
        num_decided = frames.end - start
        chunk = AudioChunk(self._held[:, :num_decided].copy(), self._rate)
        self._held = self._held[:, num_decided:].copy()
        self._num_given = frames.end
        self._follow(update)
        settled = frames.end if self._speaks_from is None else self._speaks_from
        attributes = {
            "speech_ratio": _num_speech(frames) / num_decided if num_decided else 0.0,
            "num_segments": len(update.segments),
            "settled_ms": max((self._start + settled) * 1000.0 / self._rate - self._pad_before_ms, 0.0),
        }
        payload = {"audio": chunk, "segments": self._placed(update.segments), "frames": frames.rms[:, np.newaxis]}
        return (Piece(payload, self._start + start, attributes),)

    def _follow(self, update: VadUpdate) -> None:
        """Keep where the speech began that goes on."""
        frames = update.frames
        starts = frames.start + np.flatnonzero(frames.speech) * float(frames.frame_length)
        if update.segments:
            ended = update.segments[-1].end_ms * self._rate / 1000.0 - 0.5  # rounded to milliseconds and back
            starts = starts[starts >= ended]
            if self._speaks_from is not None and self._speaks_from < ended:
                self._speaks_from = None
        if self._speaks_from is None and len(starts):
            self._speaks_from = float(starts[0])

    def _placed(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Segments of the stretch, in times of the stream."""
        if not self._start:
            return segments
        offset = self._start * 1000.0 / self._rate
        return tuple(msgspec.structs.replace(one, start_ms=one.start_ms + offset, end_ms=one.end_ms + offset) for one in segments)


def _num_speech(frames: VadFrames) -> int:
    """Samples in speech frames; the last frame of a stretch may have fewer than the others."""
    missing = frames.start + len(frames.speech) * frames.frame_length - frames.end
    return int(np.count_nonzero(frames.speech)) * frames.frame_length - (missing if frames.speech[-1:].any() else 0)
