"""`flow.filter`: lets items pass that an expression holds for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from phonograph.expressions import compiled, parse
from phonograph.item import Item
from phonograph.node import ExpressionText, Node, Params, node
from phonograph.streaming import Ways


class FilterParams(Params, frozen=True):
    keep: Annotated[ExpressionText, msgspec.Meta(description="the expression that holds for items which go on")]


@node(
    "flow.filter",
    inputs={"item": "any[type=t]"},
    outputs={"out": "any[type=t]"},
    cardinality="1:0..1",
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: flow.filter, params: {keep: duration >= 4s}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Filter(Node[FilterParams]):
    """Let items pass that an expression holds for; the others end as filtered.

    An expression compares `key`, `duration` (in seconds) or `attributes.NAME` with values, joined by `and`, `or`, `not` and
    parentheses: `duration >= 1.5s and not attributes.codec in ['mp3', 'aac']`. An item that lacks an attribute which is compared
    becomes a dead letter; `has attributes.NAME` asks first.

    Of a stream, each chunk is judged by itself. One that passes behind others that did not says `discontinuity`.
    """

    def open(self) -> None:
        self._holds = compiled(parse(self.params.keep))

    def start(self) -> Ways:
        return Ways()

    def process(self, item: Item, state: Ways | None) -> Item | None:
        passes = self._holds(item)
        if state is not None and item.session is not None:
            item = state.leave(item, "out" if passes else None)
        return item.with_payload({"out": item.payload["item"]}) if passes else None
