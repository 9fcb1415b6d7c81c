"""Finds where the tickets of gathering nodes open, and what can be reached from where."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from phonograph.flow.gather import gather_type
from phonograph.flow.tickets import Reach
from phonograph.graph.branches import Dominators
from phonograph.graph.model import Graph, GraphNode, Link


def openers(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Gathering node -> the nodes at which its tickets open."""
    dominators = Dominators({node.id: [link.source for link in node.inputs] for node in graph.nodes.values()})
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes.values():
        gather = gather_type(node)
        if gather is None:
            continue
        opening, split = gather.opens(node.params), None
        if opening == "split":
            split = dominators.nearest_common(link.source for link in node.inputs)
        if split is not None:
            found[node.id] = (split,)
        else:
            found[node.id] = () if opening == "nowhere" else _sources_of(graph, node)
    return found


def reaches(graph: Graph, openers: Mapping[str, Iterable[str]]) -> dict[str, dict[str, tuple[int, ...]]]:
    """For each node, the ports of gathering nodes that what enters it can reach with a ticket, its own not among them.

    Args:
        openers: of each gathering node that is counted for. What enters them has no ticket yet; so a long row of branches that
            part and meet takes no longer than its length.
    """
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    opened = {(opener, gather) for gather, opened_at in openers.items() for opener in opened_at}
    for node in reversed([*graph.nodes.values()]):
        reach = united(reach_over(link, graph, found[link.target], openers) for link in node.leaving)
        found[node.id] = {gather: ports for gather, ports in reach.items() if (node.id, gather) not in opened}
    return found


def reach_over(link: Link, graph: Graph, beyond: Reach, gathering: Container[str]) -> dict[str, tuple[int, ...]]:
    """What can be reached over a link, given what can be reached from its target."""
    reach = dict(beyond)
    if link.target in gathering:
        reach[link.target] = (port_of(link, graph.nodes[link.target]),)
    return reach


def united(reaches: Iterable[Reach]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for reach in reaches:
        for node, ports in reach.items():
            found[node] = tuple(sorted({*found.get(node, ()), *ports})) if node in found else ports
    return found


def port_of(link: Link, target: GraphNode) -> int:
    """The number of the port of a gathering node that a link leads to; of several ports that belong together, the first one's."""
    name = link.ports[0][1]
    return next(number for number, port in enumerate(target.ports[0]) if port.name == name)


def _sources_of(graph: Graph, node: GraphNode) -> tuple[str, ...]:
    before = {node.id}
    for other in reversed([*graph.nodes.values()]):
        if any(link.target in before for link in other.leaving):
            before.add(other.id)
    return tuple(other.id for other in graph.nodes.values() if other.id in before and other.spec.kind == "source")
