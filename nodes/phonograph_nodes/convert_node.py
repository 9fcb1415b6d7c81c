"""The node `audio.convert`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.convert import convert, convert_counted, mix_to_mono


class ConvertParams(Params, frozen=True):
    dtype: Annotated[
        Literal["u8", "i16", "i24", "i32", "alaw", "mulaw"],
        msgspec.Meta(description="sample format whose precision and range the audio gets"),
    ] = "i16"
    channels: Annotated[Literal[1] | None, msgspec.Meta(description="1 mixes all channels into one; unchanged when absent")] = (
        None
    )
    weights: Annotated[
        tuple[float, ...] | None,
        msgspec.Meta(description="factor of each channel in the mix, for `channels: 1`; equal ones of sum 1 when absent"),
    ] = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.channels is None:
            raise ValueError("weights are given and channels is not; expected `channels: 1`, which mixes")
        if self.weights is not None and not all(map(math.isfinite, self.weights)):
            raise ValueError(f"weights are {list(self.weights)}; expected finite numbers")


@node(
    "audio.convert",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate=r, channels=c]"},
    streaming="causal",
    sees_native_memory=True,
    attributes={"sample_format": "str", "num_nan": "int", "channels": "int"},
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.convert, params: {dtype: i24}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Convert(Node[ConvertParams]):
    """Give audio the precision and range of an integer sample format, so that it can be written in it without further loss.

    The audio stays float32, clamped to the format's range, with 0 for NaN. Sets the attributes `sample_format`, which `sink.wav`
    follows, `num_nan`, the number of such NaN, and `channels` of what comes out.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk, params = item.audio, self.params
        samples = chunk.samples if params.channels is None else mix_to_mono(chunk.samples, weights=params.weights)
        stored = convert_counted(samples, dtype=params.dtype)
        back = convert(stored.samples, dtype="f32", source=params.dtype)
        attributes = {"sample_format": params.dtype, "num_nan": stored.num_nan, "channels": len(back)}
        return item.with_payload({"audio": AudioChunk(back, chunk.sample_rate)}, attributes)
