"""The ends of a part under test: the source of what a case gives, the doors that it enters by, the sinks that keep it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from phonograph.audio import AudioChunk
from phonograph.breaker import BreakerPolicy
from phonograph.cases.case import Case, GivenItem
from phonograph.cases.part import Door
from phonograph.errors import Position
from phonograph.graph.model import GraphNode, Link
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source
from phonograph.porttype import PortType
from phonograph.retry import RetryPolicy
from phonograph.sink import Part as StoredPart
from phonograph.sink import Sink, Writers, Written
from phonograph.spec import Kind, NodeSpec, Port

# No id of a manifest begins with `~`.
_FEED = "~feed"
_SINK = "~kept"
_ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Kept:
    """An item that left the last node. `port` is the output by which it left a node that chooses."""

    item: Item
    port: str | None


class FeedParams(Params, frozen=True):
    """`records` are (key, items) in order."""

    records: Any


class Feed(Source[FeedParams]):
    """Read what a case gives."""

    def read(self) -> Iterator[Record]:
        for key, items in self.params.records:
            yield Record(key=key, payload={_ITEMS: items})


class EntryParams(Params, frozen=True):
    door: Any


class Entry(Node[EntryParams]):
    """Stand where another node would give what a case gives instead."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        door: Door = self.params.door
        given: GivenItem
        for number, given in enumerate(item.payload[_ITEMS]):
            payload = {name: given.payload[port]() for port, name in door.ports.items() if port in given.payload}
            if not payload:
                continue
            attributes = {**_told_by_audio(payload.values()), **given.attributes}
            payload.update(door.neutral)
            if given.key == item.key:
                yield item.with_payload(payload, attributes)
                continue
            yield Item(
                key=given.key,
                ordinal=item.ordinal,
                payload=payload,
                parents=(item.key,),
                attributes=MappingProxyType(attributes),
                index=number,
            )


def _told_by_audio(payloads: Iterable[Any]) -> dict[str, Any]:
    """The attributes that audio has when it was decoded, so that routes by duration can be tested."""
    for chunk in payloads:
        if isinstance(chunk, AudioChunk):
            return {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
    return {}


class KeepParams(Params, frozen=True):
    kept: Any
    port: str | None


class Keep(Sink[KeepParams]):
    """Keep items in memory."""

    writers: Writers = "single_writer"  # type: ignore[misc]  # a class variable, as in Sink

    def stage(self, item: Item) -> StoredPart:
        return _Keeping(self.params.kept, Kept(item, self.params.port))


class _Keeping(StoredPart):
    def __init__(self, kept: list[Kept], entry: Kept) -> None:
        self._kept = kept
        self._entry = entry

    def commit(self) -> Written:
        self._kept.append(self._entry)
        return Written("", 0, "")

    def discard(self) -> None:
        pass


def closed(case: Case, kept: list[Kept]) -> dict[str, GraphNode]:
    """The nodes of a case's part between ends of its own.

    Args:
        kept: gets what leaves the last node.
    """
    part = case.part
    sinks = list(_sinks(case, kept))
    nodes: list[GraphNode] = []
    if part.doors:
        records: dict[str, list[GivenItem]] = {}
        for given in case.given:
            records.setdefault(given.record, []).append(given)
        ways = [Link(source=_FEED, target=door.id, ports=((_ITEMS, _ITEMS),), queue=None) for door in part.doors]
        feed = FeedParams(records=tuple(records.items()))
        nodes.append(end_node(_FEED, "source", Feed, feed, (), (_ITEMS,), outputs=tuple(ways)))
        nodes += [_entry(door, way, part.nodes) for door, way in zip(part.doors, ways, strict=True)]
    for node in part.nodes:
        leaving = tuple(sink.inputs[0] for sink in sinks) if node.id == part.end.id else ()
        nodes.append(_with_outputs(node, (*node.outputs, *leaving)))
    return {node.id: node for node in (*nodes, *sinks)}


def _entry(door: Door, way: Link, nodes: tuple[GraphNode, ...]) -> GraphNode:
    names = (*door.ports.values(), *door.neutral)
    leads_to = tuple(link for node in nodes for link in node.inputs if link.source == door.id)
    return end_node(door.id, "transform", Entry, EntryParams(door=door), (_ITEMS,), names, inputs=(way,), outputs=leads_to)


def _sinks(case: Case, kept: list[Kept]) -> Iterator[GraphNode]:
    """One sink for all that the case looks at; behind a node that chooses, one for each of its outputs."""
    end, outputs = case.part.end, case.part.outputs
    if end.spec.chooses:
        groups: Mapping[str | None, tuple[str, ...]] = {port: (port,) for port in outputs}
    else:
        named = {port: None for item in case.expected.items or () for port in item.payload}
        groups = {None: tuple(named) or (next(iter(outputs)),)}
    for port, ports in groups.items():
        node_id = _SINK if port is None else f"{_SINK}/{port}"
        link = Link(source=end.id, target=node_id, ports=tuple((name, name) for name in ports), queue=None)
        yield end_node(node_id, "sink", Keep, KeepParams(kept=kept, port=port), ports, (), inputs=(link,))


def _with_outputs(node: GraphNode, outputs: tuple[Link, ...]) -> GraphNode:
    """The node with these outputs, in a run with one worker for each part, so that the order of items is that of the case."""
    return replace(node, outputs=outputs, workers=None)


def end_node(
    node_id: str,
    kind: Kind,
    factory: type[Node[Any]],
    params: Params,
    inputs_named: tuple[str, ...],
    outputs_named: tuple[str, ...],
    *,
    inputs: tuple[Link, ...] = (),
    outputs: tuple[Link, ...] = (),
) -> GraphNode:
    """A node of a case's own, which takes and gives anything."""
    taken = tuple(Port(name, PortType("any")) for name in inputs_named)
    given = tuple(Port(name, PortType("any")) for name in outputs_named)
    spec = NodeSpec(
        type=f"case.{factory.__name__.lower()}",
        kind=kind,
        summary=(factory.__doc__ or "").partition("\n")[0],
        params=type(params),
        factory=factory,
        inputs=taken,
        outputs=given,
        cardinality="1:N" if kind == "transform" else "1:1",
        run="inline" if kind == "transform" else "thread",
    )
    return GraphNode(
        id=node_id,
        spec=spec,
        params=params,
        ports=(taken, given),
        inputs=inputs,
        outputs=outputs,
        retry=RetryPolicy(),
        breaker=BreakerPolicy(),
        on_error="dead_letter",
        workers=None,
        position=Position("", 1, 1),
    )
