"""The nodes of this package: a typed function, a class with parameters."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, node


@node("loudness.peak")
def peak(audio: AudioChunk, *, ceiling: float = 1.0) -> AudioChunk:
    """Scale audio so that its loudest sample is at the ceiling."""
    loudest = float(np.abs(audio.samples).max(initial=0.0))
    return audio if loudest == 0 else AudioChunk(audio.samples * np.float32(ceiling / loudest), audio.sample_rate)


class GateParams(Params, frozen=True):
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1, description="below it a clip is silence")] = 0.01


@node("loudness.gate", inputs="audio", outputs="audio", cardinality="1:0..1")
class Gate(Node[GateParams]):
    """Filter clips that are silent."""

    def process(self, item: Item, state: None) -> Item | None:
        return item if float(np.abs(item.audio.samples).max(initial=0.0)) >= self.params.threshold else None
