"""Cuts the part of a graph that a test case runs: the nodes between two, with the open ends where items come in and leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.graph.model import Graph, GraphNode, Link
from phonograph.graph.order import reach
from phonograph.porttype import PortType

INPUTS = "inputs"
"""Stands for what comes into a sub-graph from outside, where the id of a node would stand."""

# What is fed to ports that an inserted node hands on for others than the node that is tested.
_NEUTRAL: Mapping[str, object] = {
    "audio": AudioChunk(np.zeros((1, 0), np.float32), 16000),
    "features": np.zeros((0, 0), np.float32),
    "text": "",
    "bytes": b"",
    "segments": (),
    "record": MappingProxyType({}),
    "any": "",
}


class PartError(Exception):
    """There is no such part. `found` and `expected` are those of a complaint."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Door:
    """Where items come in.

    Args:
        id: of the node that stands there instead of the one that the manifest has.
        ports: input of the case -> what that node calls it. Several inputs come through one door when one node feeds them.
        neutral: payloads of ports that nobody looks at.
    """

    id: str
    ports: Mapping[str, str]
    neutral: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a graph.

    Args:
        end: the last node.
        nodes: in order, with links between them, and from doors, alone.
        doors: none where the part begins with a source.
        inputs: what a case gives: port -> family. outputs: what it may expect: port of the last node -> family. Both are `any`
            where nothing is known before an item is there.
        gathers: an item of the case need not have all inputs, for the first node takes them from several others.
    """

    end: GraphNode
    nodes: tuple[GraphNode, ...]
    doors: tuple[Door, ...]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    gathers: bool


def part_between(graph: Graph, start: str, end: str) -> Part:
    """The part from `start`, a node or `inputs`, to the node `end`, with the conversions that stand in front of `start`.

    Raises:
        PartError: no way leads from one to the other, or what is on it needs other nodes as well.
    """
    feeds = {node_id: [link.target for link in node.leaving] for node_id, node in graph.nodes.items()}
    fed_by = {node_id: [link.source for link in node.inputs] for node_id, node in graph.nodes.items()}
    if start == INPUTS:
        first = [node_id for node_id, sources in fed_by.items() if INPUTS in sources]
        behind = reach(first, feeds)
    else:
        behind = reach([start], feeds)
    ahead = reach([end], fed_by)
    between = {node_id for node_id in graph.nodes if node_id in behind and node_id in ahead}
    if end not in between:
        raise PartError(f"no way leads from {start!r} to {end!r}", _remedy(graph, start, end, feeds))
    entrance = _Entrance(graph, between)
    nodes = [entrance.enter(graph.nodes[node_id], start) for node_id in graph.nodes if node_id in between]
    return Part(
        end=graph.nodes[end],
        nodes=_linked((*entrance.conversions, *nodes)),
        doors=tuple(entrance.doors),
        inputs=MappingProxyType(entrance.inputs),
        outputs=MappingProxyType({port.name: _given(graph, end, port.name) for port in graph.nodes[end].ports[1]}),
        gathers=start != INPUTS and graph.nodes[start].spec.variadic,
    )


class _Entrance:
    """Puts doors where links lead into a part.

    Attributes:
        conversions: inserted nodes that belong to the part because they stand between a door and its first node.
    """

    def __init__(self, graph: Graph, between: set[str]) -> None:
        self.doors: list[Door] = []
        self.conversions: list[GraphNode] = []
        self.inputs: dict[str, str] = {}
        self._graph = graph
        self._between = between
        self._inserted = {conversion.node for conversion in graph.conversions}
        self._taken = set(between)

    def enter(self, node: GraphNode, start: str) -> GraphNode:
        """The node with those of its inputs that a part beginning at `start` has."""
        if node.id == start:
            return replace(node, inputs=tuple(self._through_door(link) for link in self._apart(node)))
        links = []
        for link in node.inputs:
            if link.source in self._between or (start == INPUTS and link.source == INPUTS):
                links.append(link)
            elif not (link.is_dead_letters or link.stands_in):
                found = f"{node.id!r}, on the way, also reads {self._before(link.source)!r}, which is not on it"
                raise PartError(found, "a case that begins before both, or at that node")
        if start == INPUTS:
            self._from_outside([link for link in links if link.source == INPUTS])
        return replace(node, inputs=tuple(links))

    def _before(self, node_id: str) -> str:
        """The node that the manifest has, where an inserted one stands."""
        while node_id in self._inserted:
            node_id = self._graph.nodes[node_id].inputs[0].source
        return node_id

    @staticmethod
    def _apart(node: GraphNode) -> Iterable[Link]:
        """The links into a node that bring different things; dead letters of several are one, so is what fallbacks give."""
        links = [link for link in node.inputs if not link.stands_in]
        return links[:1] if links and links[0].is_dead_letters and not node.spec.variadic else links

    def _from_outside(self, links: Iterable[Link]) -> None:
        names = {name: name for link in links for name, _ in link.ports}
        self.inputs.update({name: self._graph.inputs[name].family for name in names})
        ports = {**(self.doors[0].ports if self.doors else {}), **names}
        self.doors = [Door(INPUTS, MappingProxyType(ports), MappingProxyType({}))] if ports else []

    def _through_door(self, link: Link) -> Link:
        """The link into the first node, from a door, or from a conversion that a door leads to."""
        target = link.target
        sources = {port: source for source, port in link.ports}
        self.inputs.update({port: _taken(self._graph, target, port) for port in sources})
        last, chain = link, []
        while last.source in self._inserted:
            conversion = self._graph.nodes[last.source]
            sources = {port: _before_conversion(conversion, name) for port, name in sources.items()}
            chain.append(conversion)
            last = conversion.inputs[0]
        if not chain:
            door = self._door(last.source, {port: port for port in sources}, {})
            return replace(
                link, source=door, ports=tuple((port, port) for port in sources), is_dead_letters=False, is_fallback=False
            )
        by_name: dict[str, str] = {}
        for port, name in sources.items():
            by_name.setdefault(name, port)
        for port in sources.keys() - set(by_name.values()):  # one payload that the manifest converts for one of two inputs
            del self.inputs[port]
        neutral = {port.name: _NEUTRAL[port.type.family] for port in chain[-1].spec.inputs if port.name not in by_name}
        previous = self._door(last.source, {port: name for name, port in by_name.items()}, neutral)
        before = replace(last, source=previous, is_dead_letters=False)
        for conversion in reversed(chain):
            node_id = self._free(conversion.id)
            self.conversions.append(replace(conversion, id=node_id, inputs=(replace(before, target=node_id),)))
            upper = link if conversion is chain[0] else chain[chain.index(conversion) - 1].inputs[0]
            before = replace(upper, source=node_id)
        return before

    def _door(self, source: str, ports: Mapping[str, str], neutral: Mapping[str, object]) -> str:
        door = Door(self._free(source), MappingProxyType(dict(ports)), MappingProxyType(dict(neutral)))
        self.doors.append(door)
        return door.id

    def _free(self, wanted: str) -> str:
        node_id, number = wanted, 1
        while node_id in self._taken:
            number += 1
            node_id = f"{wanted}~{number}"
        self._taken.add(node_id)
        return node_id


def _before_conversion(conversion: GraphNode, output: str) -> str:
    """The input of an inserted node that an output of it comes from; the first is the one that is converted."""
    spec = conversion.spec
    return spec.inputs[0].name if output == spec.outputs[0].name else output


def _linked(nodes: tuple[GraphNode, ...]) -> tuple[GraphNode, ...]:
    """The nodes with outputs that are the inputs of the others, and no more."""
    links = [link for node in nodes for link in node.inputs]
    return tuple(
        replace(
            node,
            outputs=tuple(link for link in links if link.source == node.id and not (link.is_dead_letters or link.is_fallback)),
            fallback=tuple(link for link in links if link.source == node.id and link.is_fallback),
            dead_letters=tuple(link for link in links if link.source == node.id and link.is_dead_letters),
        )
        for node in nodes
    )


def _taken(graph: Graph, node_id: str, port: str) -> str:
    """The family of what comes to an input, as far as it is known."""
    for edge in graph.edges:
        if edge.target == node_id and edge.target_port == port:
            return edge.given.family if edge.given.family != "any" else edge.taken.family
    return "any"


def _given(graph: Graph, node_id: str, port: str) -> str:
    """The family of what an output gives, as far as it is known."""
    for edge in (*graph.edges, *graph.outputs.values()):
        if edge.source == node_id and edge.source_port == port:
            return edge.given.family
    inputs, outputs = graph.nodes[node_id].ports
    declared = next(one.type for one in outputs if one.name == port)
    return declared.family if declared.whole is None else _whole(graph, node_id, declared, [one.name for one in inputs])


def _whole(graph: Graph, node_id: str, declared: PortType, inputs: Iterable[str]) -> str:
    """The family of an output that hands on what came in by the inputs of the same type variable."""
    types = {port.name: port.type for port in graph.nodes[node_id].ports[0]}
    families = {_taken(graph, node_id, name) for name in inputs if types[name].whole == declared.whole}
    return families.pop() if len(families) == 1 else "any"


def _remedy(graph: Graph, start: str, end: str, feeds: Mapping[str, Iterable[str]]) -> str:
    if start != INPUTS and start in reach([end], feeds):
        return f"'from: {end}' and 'to: {start}'"
    ends = [node_id for node_id in reach([start], feeds) - {start} if node_id in graph.manifest.nodes]
    usable = [node_id for node_id in graph.manifest.nodes if node_id in ends and graph.nodes[node_id].spec.kind != "sink"]
    return f"one of {', '.join(usable[:8])} at its end" if usable else "another beginning"
