"""The node `audio.resample`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.resample.checks import MAX_RATE, MIN_RATE
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.whole import resample


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
class Resample(Node[ResampleParams]):
    """Change the sample rate, mixing to mono first where asked for.

    Audio that already has the rate and the channels is handed on as it is. Sets the attributes `duration` (s), `sample_rate` (Hz)
    and `channels` of what comes out.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        samples = chunk.samples if self.params.channels is None else mix_to_mono(chunk.samples)
        rate = self.params.sample_rate or chunk.sample_rate
        if samples is chunk.samples and rate == chunk.sample_rate:
            return item.with_payload({"audio": chunk}, described(chunk))
        samples = resample(samples, in_rate=chunk.sample_rate, out_rate=rate, quality=self.params.quality)
        made = AudioChunk(samples, rate)
        return item.with_payload({"audio": made}, described(made))


def described(chunk: AudioChunk) -> Mapping[str, Any]:
    """The attributes that say what audio is."""
    return {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
