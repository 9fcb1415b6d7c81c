"""What a node is that makes one item of several: a pure state machine, told what comes and what can come no more.

The engine drives it in the event loop; a machine neither waits nor reads a clock. It answers each event with results: parts that
it made items of, and parts that are left over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

from phonograph.flow.tickets import MAX_OPEN, Ticket
from phonograph.graph.model import Graph, GraphNode
from phonograph.item import NO_ATTRIBUTES, Item
from phonograph.language.units import duration_in_words
from phonograph.node import Node, Params, ParamsT
from phonograph.porttype import PortType
from phonograph.spec import Port

Opening = Literal["nowhere", "split", "sources"]
"""Where the tickets of a gathering node open: where its branches part, or at every source that leads to it."""

_STEP = re.compile(r"(?:#|\+[a-z][a-z0-9_.-]*-)([0-9]+)$")
"""The last part of a key that a node made: of a child, `#0003`, or of a collection, `+batches-0003`."""

MAX_PARTS = 10_000
"""Items of one ticket, or of one port of a zip, that may wait: an hour of speech has some thousand segments."""


class Part:
    """An item where branches meet, or that is to be brought together with others of its session.

    Args:
        port: number of the port that it came to.
        ticket: the one that it came with; of several, the oldest; None for a node whose tickets open nowhere, and in a session.
        record: key of the record that it was made from.
        arrived: seconds, on the clock that `expired` is given.
    """

    __slots__ = ("_is_kept", "_ticket", "arrived", "item", "port", "record")

    def __init__(self, port: int, item: Item, ticket: Ticket | None, record: str, arrived: float) -> None:
        self.port = port
        self.item = item
        self.record = record
        self.arrived = arrived
        self._ticket = ticket
        self._is_kept = ticket is not None
        if ticket is not None:
            ticket.keep()

    @property
    def value(self) -> Any:
        """Its payload, which a node with one link for each port takes."""
        (value,) = self.item.payload.values()
        return value

    @property
    def origin(self) -> Mapping[str, Any]:
        """The attributes that its record had when it left the source, as far as that is known."""
        return self.item.attributes if self._ticket is None else self._ticket.attributes

    @property
    def ticket(self) -> Ticket:
        assert self._ticket is not None, "this node's tickets open nowhere"
        return self._ticket

    def let_go(self) -> None:
        """Its ticket may close without it. The engine does that for parts in results; a node for those that it keeps longer."""
        if self._is_kept:
            self._is_kept = False
            self.ticket.let_go()


class Made(NamedTuple):
    """An item, made of parts. The engine gives it the ordinal that it must have.

    `kept` are those of them of which more will be made, or that will be left over: each comes in a later result again.
    """

    parts: tuple[Part, ...]
    item: Item
    kept: tuple[Part, ...] = ()


class Left(NamedTuple):
    """A part that nothing will be made of. `reason` is None where that is no failure of its own: its partner was filtered."""

    part: Part
    reason: str | None


Results = list[Made | Left]


class Gather(Node[ParamsT]):
    """Base of the nodes that gather.

    One that has `start`, `process` and `flush` brings together what comes of a live session from chunk to chunk, as a node with
    state does. Another one brings together what comes of a single chunk.

    Attributes:
        ports: names of its inputs; set before the first event.
    """

    gathers: ClassVar[bool] = True
    stays: ClassVar[str] = "a node that only waits for items"
    ports: tuple[str, ...] = ()
    timeout_s: float | None = None
    opening: ClassVar[Opening] = "sources"

    @classmethod
    def opens(cls, params: Params) -> Opening:
        """Where its tickets open."""
        return cls.opening

    @classmethod
    def window(cls, params: Params) -> int:
        """How many tickets of an opener may be open at one time."""
        return MAX_OPEN

    @classmethod
    def mixes(cls, params: Params) -> bool:
        """Whether it makes one item of items of different records, and not only of parts of one."""
        return False

    def arrive(self, part: Part) -> Results:
        raise NotImplementedError(f"{type(self).__name__} has no arrive")

    def settled(self, ticket: Ticket, port: int) -> Results:
        """Nothing more of the ticket will come to the port."""
        return []

    def closed(self, ticket: Ticket) -> Results:
        """Nothing more of the ticket will come at all."""
        return []

    def port_ended(self, port: int) -> Results:
        """Nothing more will come to the port."""
        return []

    def due(self) -> float | None:
        """When `expired` wants to be called."""
        return None

    def expired(self, now: float) -> Results:
        return []

    def ended(self) -> Results:
        """Nothing more will come; nothing may be kept."""
        return []


def refuse_no_time(timeout_s: float | None) -> None:
    """Raises ValueError for a time-out in which nothing could come."""
    if timeout_s is not None and timeout_s <= 0:
        raise ValueError(f"'timeout' is {duration_in_words(timeout_s)}; expected more than 0s, or null to wait for ever")


def gather_type(node: GraphNode) -> type[Gather[Any]] | None:
    """The node's class when it gathers."""
    factory = node.spec.factory
    return factory if isinstance(factory, type) and issubclass(factory, Gather) else None


def mixes_records(graph: Graph) -> bool:
    """Whether what becomes of a record depends on which others there are."""
    return any((gather := gather_type(node)) is not None and gather.mixes(node.params) for node in graph.nodes.values())


def ports_alike(connected: tuple[str, ...]) -> tuple[Port, ...]:
    """A port for each input, all of one type."""
    return tuple(Port(name, PortType.parse("any[type=t]")) for name in connected)


def ports_of_their_own(connected: tuple[str, ...]) -> tuple[Port, ...]:
    """A port for each input, of whatever type comes there, and an output of its name.

    Raises:
        ValueError: fewer than two, or one that could not be read as an output.
    """
    if len(connected) < 2:
        raise ValueError("has one input; expected at least two: 'input: {one: NODE, other: NODE}'")
    if "dead_letter" in connected:
        raise ValueError("an input is called 'dead_letter', which every node has as an output; expected another name")
    return tuple(Port(name, PortType.parse(f"any[type=t{number}]")) for number, name in enumerate(connected))


def merged(parts: Iterable[Part]) -> Mapping[str, Any]:
    """The attributes of all parts; where two differ, the first one's."""
    given = [part.item.attributes for part in parts]
    if all(attributes is given[0] for attributes in given):
        return given[0]
    return MappingProxyType({name: value for attributes in reversed(given) for name, value in attributes.items()})


def shared(parts: Iterable[Part]) -> Mapping[str, Any]:
    """The attributes that all parts have as their records had them; what a single part was told of itself is not among them."""
    first, *others = (attributes for part in parts for attributes in (part.origin, part.item.attributes))
    agreed = {
        name: value
        for name, value in first.items()
        if all(name in other and (other[name] is value or _equal(other[name], value)) for other in others)
    }
    return MappingProxyType(agreed) if agreed else NO_ATTRIBUTES


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and isinstance(one, str | int | float | bool) and one == other


def child_order(key: str) -> tuple[int, ...]:
    """Sorts the keys of one record's children as their nodes emitted them, `#10000` behind `#9999`, and collections by number."""
    numbers: list[int] = []
    while (step := _STEP.search(key)) is not None:
        numbers.append(int(step[1]))
        key = key[: step.start()]
    return tuple(reversed(numbers))
