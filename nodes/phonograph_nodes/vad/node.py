"""The node vad.energy."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.vad.energy import energy_vad
from phonograph_nodes.vad.settings import FLOOR_WINDOW_MS, LONGEST_MS, linear_threshold


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
    sees_native_memory=True,
    attributes={"speech_ratio": "float", "num_segments": "int"},
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          vad: {type: vad.energy, input: mono, params: {margin_db: 9, min_silence_ms: 200, min_speech_ms: 90}}
          rows: {type: sink.jsonl, input: vad.segments, params: {path: out/segments.jsonl}}
        """,
)
class EnergyVadNode(Node[EnergyVadParams]):
    """Find the stretches of audio whose level reaches a threshold.

    Hands the audio on unchanged, with the attributes `speech_ratio` and `num_segments`; gives the segments, and as `frames`
    the RMS of each frame as float32 of shape (num_frames, 1). For speech only, see `segment.cut`; for speech in loud noise,
    `vad.silero`.

    With `margin_db` the threshold of a frame is the larger of `threshold` and the noise floor times 10^(margin_db / 20), where
    the floor is the lowest level of the last `floor_window_ms`. A segment's `confidence` is P / (P + T^2) for its mean power P
    and the threshold T: 0.5 at the threshold, 0.91 at 10 dB above it.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        found = energy_vad(chunk.samples, sample_rate=chunk.sample_rate, **msgspec.structs.asdict(self.params))
        return item.with_payload(
            {"audio": chunk, "segments": found.segments, "frames": found.frames.rms[:, np.newaxis]},
            {"speech_ratio": found.speech_ratio, "num_segments": len(found.segments)},
        )
