"""Nodes that stand in for others, as `fallback: NODE` of a breaker says.

A fallback has no inputs of its own: over one link it takes what the node could not take, as it came there. Whoever reads the node
reads the fallback too, over a link beside that from the node; so nothing stands between them, and each item comes over one of
the two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from phonograph.errors import Complaint, Position, listed, nearest
from phonograph.graph.model import Link
from phonograph.graph.wiring import BoundNode, Wire
from phonograph.language.fields import complain
from phonograph.porttype import PortType, agreement
from phonograph.spec import NodeSpec, Port


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """The fallbacks of one graph.

    Args:
        of: node -> the node that stands in for it, both ids. named: everything that was to stand in, rightly or not.
    """

    of: Mapping[str, str]
    named: Collection[str]

    def beside(self, link: Link, outputs: Callable[[str], Iterable[Port]]) -> Iterator[Link]:
        """The links over which what stands in for the source of a link gives the same to the same reader.

        Args:
            outputs: of a node, by its id.
        """
        while not (link.is_dead_letters or link.is_fallback) and (other := self.of.get(link.source)) is not None:
            names = paired(outputs(link.source), outputs(other))
            ports = tuple((names[source], target) for source, target in link.ports)
            link = replace(link, source=other, ports=ports, stands_in=True)
            yield link


def paired(ports: Iterable[Port], others: Iterable[Port]) -> dict[str, str]:
    """Ports -> those among others that are the same: of the same name, or on both sides the only one."""
    names, known = [port.name for port in ports], [port.name for port in others]
    if len(names) == len(known) == 1:
        return {names[0]: known[0]}
    return {name: name for name in names if name in known}


def find_fallbacks(
    nodes: Mapping[str, BoundNode], unread: Collection[str], subgraphs: Collection[str], complaints: list[Complaint]
) -> Fallbacks:
    """The fallbacks that nodes name. Those that cannot be are left out, with a complaint.

    Args:
        nodes: those that could be read. unread: ids of others. subgraphs: ids of nodes that stand for sub-graphs.
    """
    named = {node_id: str(name) for node_id, node in nodes.items() if (name := node.entry.breaker.get("fallback")) is not None}
    found: dict[str, str] = {}
    for node_id, other in named.items():
        position = nodes[node_id].entry.origins["breaker.fallback"]
        if other in unread:
            continue
        if other not in nodes:
            what = "a node, not a sub-graph: " if other in subgraphs else ""
            known = [one for one in nodes if one != node_id]
            expected = f"{what}one of {listed(sorted(known))}"
            complain(complaints, "unknown_reference", position, f"no node {other!r}", expected, nearest(other, known))
        elif not _has_place(nodes[node_id], position, complaints):
            continue
        elif other == node_id:
            complain(complaints, "cycle", position, f"node {node_id!r} is its own fallback", "another node")
        elif other in found.values():
            first = next(one for one, taken in found.items() if taken == other)
            what = f"node {other!r} stands in for {first!r} and for {node_id!r}"
            complain(complaints, "wrong_value", position, what, "a fallback of its own for each of them")
        elif (circle := _circle(node_id, other, found)) is not None:
            what = f"nodes stand in for each other in a circle: {' -> '.join(circle)}"
            complain(complaints, "cycle", position, what, "a last one that has no fallback")
        elif _stands_in(nodes[other], position, complaints):
            found[node_id] = other
    return Fallbacks(found, frozenset(named.values()))


def _circle(node_id: str, other: str, found: Mapping[str, str]) -> list[str] | None:
    """The way from a node over its fallback back to it, where there is one."""
    way = [node_id, other]
    while way[-1] in found:
        way.append(found[way[-1]])
        if way[-1] == node_id:
            return way
    return None


def _has_place(node: BoundNode, position: Position, complaints: list[Complaint]) -> bool:
    """Whether another node can stand in for one."""
    spec = node.spec
    what = None if spec is None else _unfit(spec)
    if spec is not None and what is not None:
        found = f"'fallback' on node {node.entry.id!r} ({spec.type}), {what}"
        complain(
            complaints, "wrong_value", position, found, "it on a node that takes items one by one and hands on what it makes"
        )
    return what is None


def _stands_in(node: BoundNode, position: Position, complaints: list[Complaint]) -> bool:
    """Whether a node can stand in for another."""
    entry, spec = node.entry, node.spec
    what = None if spec is None else _unfit(spec)
    expected = "a node that takes items one by one and hands on what it makes"
    if entry.inputs:
        what, expected = "which has an input of its own", "one without 'input', for it takes what comes to the other"
    elif entry.order:
        what, expected = "which has 'order: true'", "it on the nodes behind, for what comes here comes out of its order"
    if what is not None:
        type_name = f" ({spec.type})" if spec is not None else ""
        complain(complaints, "wrong_value", position, f"'fallback' is node {entry.id!r}{type_name}, {what}", expected)
    return what is None


def can_stand_in(spec: NodeSpec) -> bool:
    """Whether nodes of a type can be fallbacks, and so have no inputs."""
    return _unfit(spec) is None


def _unfit(spec: NodeSpec) -> str | None:
    if spec.kind != "transform":
        return f"a {spec.kind}"
    return "which gathers items" if spec.variadic or getattr(spec.factory, "gathers", False) else None


def wires_into(fallback: BoundNode, node: BoundNode, complaints: list[Complaint]) -> list[Wire]:
    """What a fallback takes of the node that it stands in for."""
    if fallback.ports is None or node.ports is None:
        return []
    position = node.entry.origins["breaker.fallback"]
    connected = {given.port for given in node.entry.inputs}
    if node.ports[0] and None in connected:
        connected.add(node.ports[0][0].name)
    # One that stands in for another itself has no inputs, and takes by all of its ports.
    taken = {port.name: port for port in node.ports[0] if not connected or port.name in connected}
    names = paired(fallback.ports[0], taken.values())
    what = f"node {node.entry.id!r}"
    missing = next((port for port in fallback.ports[0] if port.name not in names), None)
    if missing is not None and taken:
        found = f"the fallback {fallback.entry.id!r} of {what} takes {missing.name!r}, and {what} does not"
        complain(complaints, "missing_input", position, found, f"a fallback that takes {listed(taken)}")
    given = [port for port in node.ports[1] if port.name not in paired(node.ports[1], fallback.ports[1])]
    if given:
        found = f"the fallback {fallback.entry.id!r} of {what} gives no {given[0].name!r}, and {what} does"
        complain(
            complaints, "port_type", position, found, f"a fallback that gives {listed([port.name for port in node.ports[1]])}"
        )
    return [
        Wire(node.entry.id, taken[names[port.name]], fallback.entry.id, port, position, None, is_fallback=True)
        for port in fallback.ports[0]
        if port.name in names
    ]


def unlike(node: BoundNode, fallback: str, given: Mapping[str, PortType], instead: Mapping[str, PortType]) -> Iterator[Complaint]:
    """Outputs of a fallback that readers of the node could not take for those of the node.

    Args:
        given: what the node gives, by output. instead: the same of the fallback.
    """
    names = paired([Port(name, type_) for name, type_ in given.items()], [Port(name, type_) for name, type_ in instead.items()])
    for name, other in names.items():
        wanted, comes = given[name], instead[other]
        is_family = wanted.family in ("any", comes.family)
        if is_family and all(agreement(comes.axis(axis), value) == "proven" for axis, value in wanted.axes):  # type: ignore[arg-type]  # both bound
            continue
        found = f"{fallback}.{other} gives {comes}, and is to stand in for {node.entry.id}.{name}"
        expected = f"{wanted}, as that gives"
        yield Complaint("port_type", node.entry.origins["breaker.fallback"], found, expected)
