"""Finds where the branches of a graph part, and the nodes at which they cannot meet again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from phonograph.errors import Complaint, listed
from phonograph.graph.order import reach
from phonograph.graph.wiring import INPUTS, UNNAMED, BoundNode
from phonograph.language.entries import InputEntry

_ROOT = ""  # stands before every source


class Dominators:
    """For each node, the nodes through which everything passes that reaches it.

    The immediate dominator of a node is the nearest common one of the nodes that feed it, because they stand before it in the
    order: Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001), which takes one round where there are no
    cycles.

    Args:
        fed_by: id -> ids of the nodes that feed it, each node behind those that do.
    """

    def __init__(self, fed_by: Mapping[str, Iterable[str]]) -> None:
        self._immediate: dict[str, str] = {}
        self._depth = {_ROOT: 0}
        for node_id, sources in fed_by.items():
            above = self._meet(sources)
            self._immediate[node_id] = above
            self._depth[node_id] = self._depth[above] + 1

    def nearest_common(self, nodes: Iterable[str]) -> str | None:
        """The last node through which everything passes that reaches any of these; None when there is no such node."""
        return self._meet(nodes) or None

    def _meet(self, nodes: Iterable[str]) -> str:
        common: str | None = None
        for node in nodes:
            one, other = node if node in self._depth else _ROOT, common
            while other is not None and one != other:
                if self._depth[one] >= self._depth[other]:
                    one = self._immediate[one]
                else:
                    other = self._immediate[other]
            common = one
        return common or _ROOT


def strangers(
    nodes: Mapping[str, BoundNode], entries: Mapping[str, Sequence[InputEntry]], order: Iterable[str]
) -> Iterator[Complaint]:
    """Joins whose inputs are no branches of one node, so that no two of their items ever belong together.

    Args:
        entries: id -> its inputs, `*.dead_letter` replaced by those that it stands for.
        order: ids, each behind those that feed it; what stands in a circle, or behind one, is not among them.
    """
    # What comes from outside may all come from one place there, so it counts as one node.
    fed_by = {INPUTS: frozenset[str](), **{node_id: {given.source for given in entries[node_id]} for node_id in order}}
    joins = [node_id for node_id in fed_by if node_id in nodes and (spec := nodes[node_id].spec) is not None and spec.joins]
    if not joins:
        return
    dominators, vague = Dominators(fed_by), _of_unknown_origin(nodes, fed_by)
    for node_id in joins:
        given = entries[node_id]
        for number in range(2, len(given) + 1):
            if node_id not in vague and dominators.nearest_common(one.source for one in given[:number]) is None:
                yield _strange(nodes[node_id], given, given[number - 1], fed_by)
                break


def _of_unknown_origin(nodes: Mapping[str, BoundNode], fed_by: Mapping[str, Collection[str]]) -> set[str]:
    """Nodes to which something leads that cannot be told. What is wrong there has a complaint of its own."""
    vague: set[str] = set()
    for node_id, sources in fed_by.items():
        spec = nodes[node_id].spec if node_id in nodes else None
        begins = node_id == INPUTS or (spec is not None and spec.kind == "source")
        if not (begins or sources) or not all(one in fed_by for one in sources) or not vague.isdisjoint(sources):
            vague.add(node_id)
    return vague


def _strange(node: BoundNode, given: Sequence[InputEntry], at: InputEntry, fed_by: Mapping[str, Collection[str]]) -> Complaint:
    assert node.spec is not None
    by_port: dict[str, list[str]] = {}
    for one in given:
        by_port.setdefault(one.port or UNNAMED, []).append(one.source)
    origins = []
    for port, sources in by_port.items():
        before = reach(sources, fed_by)
        origins.append(f"{port} from {' and '.join(one for one in fed_by if one in before and not fed_by[one])}")
    found = f"the inputs of node {node.entry.id!r} ({node.spec.type}) do not begin at one node: {listed(origins)}"
    expected = "branches of one node, whose items have a key in common; flow.zip pairs the n-th items of different sources"
    return Complaint("no_common_ancestor", at.position, found, expected)
