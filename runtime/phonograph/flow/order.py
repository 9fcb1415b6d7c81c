"""`flow.order`: puts items back into the order in which the sources read their records."""

from __future__ import annotations

from typing import Annotated

import msgspec

from phonograph.flow.gather import Gather, Made, Part, Results
from phonograph.flow.lineup import Lineup
from phonograph.flow.tickets import MAX_OPEN, Ticket
from phonograph.node import Params, node


class OrderParams(Params, frozen=True):
    window: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="records of a source that may be on their way here at a time; with more, more workers go on while "
            "one record takes long, and more memory is held",
        ),
    ] = MAX_OPEN


@node(
    "flow.order",
    inputs={"item": "any[type=t]"},
    outputs={"item": "any[type=t]"},
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips, workers: 4}
          ordered: {type: flow.order, input: audio, params: {window: 32}}
          rows: {type: sink.jsonl, input: ordered, params: {path: out/clips.jsonl}}
        """,
)
class Order(Gather[OrderParams]):
    """Put items back into the order in which the sources read their records, the parts of a record into their own.

    Each source has an order of its own; an item made of several records stands where the earliest of them does. An item waits
    until nothing of an earlier record is on its way here any more, so what was filtered, failed or was dropped leaves no gap
    that would be waited for. `order: true` on a node puts this in front of it.
    """

    def __init__(self, params: OrderParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._lineup = Lineup()

    @classmethod
    def window(cls, params: Params) -> int:
        assert isinstance(params, OrderParams)
        return params.window

    def arrive(self, part: Part) -> Results:
        refused = self._lineup.add(part)
        return [refused] if refused else []

    def closed(self, ticket: Ticket) -> Results:
        return [Made((part,), part.item) for _, parts in self._lineup.closed(ticket) for part in parts]

    def ended(self) -> Results:
        return [Made((part,), part.item) for part in self._lineup.rest()]
