"""`flow.merge`: makes one stream of several."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from phonograph.flow.gather import Gather, Made, Opening, Part, Results, ports_alike
from phonograph.flow.lineup import Lineup
from phonograph.flow.tickets import Ticket
from phonograph.node import Params, Port, PortType, node
from phonograph.spec import Ports


class MergeParams(Params, frozen=True):
    order: Annotated[
        Literal["arrival", "source"],
        msgspec.Meta(
            description="`arrival`: as items come; `source`: as their records left the source, which keeps items waiting"
        ),
    ] = "arrival"


def _ports(params: MergeParams, connected: tuple[str, ...]) -> Ports:
    return ports_alike(connected), (Port("out", PortType.parse("any[type=t]")),)


@node(
    "flow.merge",
    outputs={"out": "any[type=t]"},
    cardinality="N:1",
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    variadic=True,
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          rate:
            type: flow.route
            input: audio
            params: {cases: {narrow: attributes.sample_rate < 16000}, otherwise: wide}
          widened: {type: audio.resample, input: rate.narrow, params: {sample_rate: 16000}}
          all: {type: flow.merge, input: {widened: widened, wide: rate.wide}, params: {order: source}}
          out: {type: sink.wav, input: all, params: {path: out}}
        """,
)
class Merge(Gather[MergeParams]):
    """Make one stream of several, whose items stay what they are.

    With `order: source` the items of each source come in the order in which it read their records, and the parts of a record in
    their own order. An item then waits until nothing of an earlier record is on its way any more.
    """

    def __init__(self, params: MergeParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._lineup = Lineup()

    @classmethod
    def opens(cls, params: Params) -> Opening:
        assert isinstance(params, MergeParams)
        return "sources" if params.order == "source" else "nowhere"

    def arrive(self, part: Part) -> Results:
        if self.params.order == "arrival":
            return [_passed(part)]
        refused = self._lineup.add(part)
        return [refused] if refused else []

    def closed(self, ticket: Ticket) -> Results:
        if self.params.order == "arrival":
            return []
        return [_passed(part) for _, parts in self._lineup.closed(ticket) for part in parts]

    def ended(self) -> Results:
        return [_passed(part) for part in self._lineup.rest()]


def _passed(part: Part) -> Made:
    return Made((part,), part.item.with_payload({"out": part.value}))
