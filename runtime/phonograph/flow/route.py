"""`flow.route`: sends each item one of several ways."""

from __future__ import annotations

from typing import Annotated

import msgspec

from phonograph.expressions import compiled, parse
from phonograph.item import Item
from phonograph.node import ExpressionText, Node, Params, Port, PortType, node
from phonograph.spec import Ports
from phonograph.streaming import Ways

_ANY = PortType.parse("any[type=t]")
OutputName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]*$")]


class RouteParams(Params, frozen=True):
    cases: Annotated[
        dict[OutputName, ExpressionText],
        msgspec.Meta(min_length=1, description="output -> expression; an item leaves by the first whose expression holds"),
    ]
    otherwise: Annotated[OutputName, msgspec.Meta(description="the output of items for which no case holds")]

    def __post_init__(self) -> None:
        if self.otherwise in self.cases:
            raise ValueError(f"otherwise is {self.otherwise!r}, which is a case as well; expected an output of its own")
        if "dead_letter" in (*self.cases, self.otherwise):
            raise ValueError("an output is called 'dead_letter', which every node has; expected another name")


def _ports(params: RouteParams, connected: tuple[str, ...]) -> Ports:
    return (Port("item", _ANY),), tuple(Port(name, _ANY) for name in (*params.cases, params.otherwise))


@node(
    "flow.route",
    inputs={"item": "any[type=t]"},
    outputs={"otherwise": "any[type=t]"},
    run="inline",
    sees_native_memory=True,
    streaming="causal",
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    chooses=True,
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          length:
            type: flow.route
            input: audio
            params:
              cases:
                short: duration < 4s
                middle: duration < 6s
              otherwise: long
          short: {type: sink.wav, input: length.short, params: {path: out/short}}
          middle: {type: sink.wav, input: length.middle, params: {path: out/middle}}
          long: {type: sink.wav, input: length.long, params: {path: out/long}}
        """,
)
class Route(Node[RouteParams]):
    """Send each item to one of several outputs, by what is known about it.

    The outputs are the cases, in the order of the manifest, and `otherwise`. An item leaves by the first case whose expression
    holds, unchanged, and by `otherwise` when none does, so no item is lost. An expression compares `key`, `duration` (in seconds)
    or `attributes.NAME` with values: `attributes.speech_ratio >= 0.1 and not attributes.codec in ['mp3', 'aac']`. An item that
    lacks an attribute which is compared becomes a dead letter; `has attributes.NAME` asks first.

    Of a stream, each chunk goes its way by itself. One that comes to an output behind others that went elsewhere says
    `discontinuity`.
    """

    def open(self) -> None:
        self._cases = [(name, compiled(parse(text))) for name, text in self.params.cases.items()]

    def start(self) -> Ways:
        return Ways()

    def process(self, item: Item, state: Ways | None) -> Item:
        name = next((name for name, holds in self._cases if holds(item)), self.params.otherwise)
        if state is not None and item.session is not None:
            item = state.leave(item, name)
        return item.with_payload({name: item.payload["item"]})
