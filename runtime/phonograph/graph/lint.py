"""Finds what is odd in a graph: parts that nobody reads or nothing can reach, settings that have no effect, shared places."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from phonograph.errors import Complaint, Position
from phonograph.graph.model import Graph, GraphNode, Link
from phonograph.graph.wiring import BoundNode
from phonograph.language.binding import bound_paths
from phonograph.language.units import duration_in_words
from phonograph.spec import Params, marks


def lint(graph: Graph) -> list[Complaint]:
    """What does not stop a run, and hardly is as meant, ordered by position."""
    checks = (
        _unread_nodes,
        _unread_outputs,
        _unreachable_nodes,
        _joins_of_ways,
        _silent_nodes,
        _unread_dead_letters,
        _endless_calls,
        _settings_without_effect,
    )
    return sorted((complaint for check in checks for complaint in check(graph)), key=lambda complaint: complaint.position)


def shared_paths(nodes: Iterable[BoundNode]) -> Iterator[Complaint]:
    """Sinks that write to one place.

    Two of one type would replace each other's files without a word, which is an error. Of different types, it is odd; but those
    that each write files below a folder name them differently, and get along.
    """
    owners: dict[str, list[tuple[BoundNode, bool]]] = {}
    for node in nodes:
        spec, params = node.spec, node.params
        if spec is None or params is None or spec.kind != "sink":
            continue
        for output in bound_paths(params, node.entry.params, "output"):
            is_folder = _is_folder(params, output.parameter)
            others = owners.setdefault(os.path.realpath(output.path), [])
            for other, other_is_folder in others:
                if other is node or other.spec is None:
                    continue
                found = (
                    f"parameter {output.parameter!r} of node {node.entry.id!r} is a path that node {other.entry.id!r} writes to"
                )
                if other.spec.type == spec.type:
                    yield Complaint("shared_output", output.written.position, found, f"a path of its own for each {spec.type}")
                elif not (is_folder and other_is_folder):
                    expected = f"a path of its own for {spec.type} and {other.spec.type}"
                    yield Complaint("shared_file", output.written.position, found, expected, severity="warning")
                else:
                    continue
                break
            others.append((node, is_folder))


def _is_folder(params: Params, parameter: str) -> bool:
    """Whether files with names of their own are written below the path, as `Meta(extra={"folder": True})` says."""
    name = re.split(r"[.\[]", parameter)[0]
    return bool(marks(type(params)).get(name, {}).get("folder"))


def _read_outside(graph: Graph) -> dict[str, set[str]]:
    """Node -> its ports that outputs name: the manifest's own, and those of sub-graphs, of which one use need not read all."""
    read: dict[str, set[str]] = {}
    for edge in graph.outputs.values():
        read.setdefault(edge.source, set()).add(edge.source_port)
    for subgraph in graph.manifest.subgraphs.values():
        for source, port in subgraph.outputs:
            if source in graph.nodes and (outputs := graph.nodes[source].ports[1]):
                read.setdefault(source, set()).add(port or outputs[0].name)
    return read


def _unread_nodes(graph: Graph) -> Iterator[Complaint]:
    """Said of the last node of a branch alone; those before it are unused for no other reason."""
    outside = _read_outside(graph)
    for node in graph.nodes.values():
        if node.spec.kind != "sink" and not node.outputs and node.id not in outside:
            found = f"nothing that node {node.id!r} ({node.spec.type}) makes reaches a sink or an output"
            subgraph, inside, name = node.id.rpartition("/")
            expected = f"'input: {node.id}' on a node that reads it, or no such node"
            if inside:
                expected = f"{name!r} among the 'outputs' of the sub-graph of node {subgraph!r}, or no such node"
            yield Complaint("unused_node", node.position, found, expected, severity="warning")


def _unread_outputs(graph: Graph) -> Iterator[Complaint]:
    outside = _read_outside(graph)
    for node in graph.nodes.values():
        read = outside.get(node.id, set()) | {port for link in node.outputs for port, _ in link.ports}
        if not node.spec.chooses or not read:
            continue
        for port in node.ports[1]:
            if port.name not in read:
                found = f"nobody reads output {port.name!r} of node {node.id!r} ({node.spec.type}), so its items go nowhere"
                expected = f"'input: {node.id}.{port.name}' on a node, or flow.filter to let items go"
                yield Complaint("unused_output", node.position, found, expected, severity="warning")


def _unreachable_nodes(graph: Graph) -> Iterator[Complaint]:
    """A node that takes two outputs at once of a node that gives one of them."""
    for node in graph.nodes.values():
        for link in node.inputs:
            ports = tuple(dict.fromkeys(port for port, _ in link.ports))
            source = graph.nodes.get(link.source)
            if source is not None and source.spec.chooses and len(ports) > 1:
                found = (
                    f"node {node.id!r} takes {' and '.join(ports)} of node {source.id!r}, and an item leaves by one of them alone"
                )
                yield Complaint("unreachable", node.position, found, "one of these outputs", severity="warning")


Choice = tuple[str, str]
"""A node that chooses, and the output by which it must have sent an item that comes to some place."""


def _joins_of_ways(graph: Graph) -> Iterator[Complaint]:
    """Joins of two ways between which a node chooses, so that of no item both ever come."""
    if not any(node.spec.joins for node in graph.nodes.values()):
        return
    chosen: dict[str, frozenset[Choice]] = {}
    for node in graph.nodes.values():
        ways = [_chosen_before(link, graph, chosen) for link in node.inputs]
        if not node.spec.joins:
            # Of what is merged, an item came one of the ways; what is collected is no longer the items that were sent.
            chosen[node.id] = frozenset.intersection(*ways) if ways and _keeps_keys(node) else frozenset()
            continue
        chosen[node.id] = frozenset().union(*ways)
        outputs: dict[str, str] = {}
        for chooser, output in sorted(chosen[node.id]):
            other = outputs.setdefault(chooser, output)
            if other != output:
                found = (
                    f"no item comes to all inputs of node {node.id!r} ({node.spec.type}), for node {chooser!r} sends it one way"
                )
                expected = f"flow.merge, which takes what comes by {chooser}.{other} or {chooser}.{output}"
                yield Complaint("unreachable", node.position, found, expected, severity="warning")
                break


def _chosen_before(link: Link, graph: Graph, chosen: Mapping[str, frozenset[Choice]]) -> frozenset[Choice]:
    """What was chosen of every item that comes over a link."""
    source, before = graph.nodes.get(link.source), chosen.get(link.source, frozenset())
    if source is None or not source.spec.chooses or link.is_dead_letters or len(link.ports) > 1:
        return before
    return before | {(link.source, link.ports[0][0])}


def _keeps_keys(node: GraphNode) -> bool:
    """Whether what leaves a node has the key of something that came in, or one below it."""
    return node.spec.cardinality != "N:1" or node.spec.variadic


def _silent_nodes(graph: Graph) -> Iterator[Complaint]:
    """Readers of dead letters that nobody writes."""
    for node in graph.nodes.values():
        if not node.inputs or not all(link.is_dead_letters for link in node.inputs):
            continue
        sources = [graph.nodes[link.source] for link in node.inputs]
        if all(source.on_error == "skip" for source in sources if source.spec.kind != "source"):
            ids = ", ".join(source.id for source in sources)
            found = f"node {node.id!r} reads dead letters of {ids}, and 'on_error: skip' gives none"
            yield Complaint("unreachable", node.position, found, "'on_error: dead_letter' there", severity="warning")


def _unread_dead_letters(graph: Graph) -> Iterator[Complaint]:
    nodes = [node for node in graph.nodes.values() if node.spec.kind != "source" and node.on_error == "dead_letter"]
    if nodes and not graph.inputs and not any(node.dead_letters for node in graph.nodes.values()):
        found = "no node reads the dead letters, so they land in the run directory"
        expected = "'input: \"*.dead_letter\"' on a sink, to have them elsewhere"
        yield Complaint("unread_dead_letters", graph.manifest.position, found, expected, severity="note")


def _endless_calls(graph: Graph) -> Iterator[Complaint]:
    """Time-outs on nodes that run in the event loop. Of those for all nodes, what belongs to the engine itself is left out."""
    for node in graph.nodes.values():
        if not node.timeout.is_set or node.run != "inline":
            continue
        entry = graph.manifest.nodes.get(node.id)
        own = [key for key in ("timeout", "total_timeout") if entry is not None and key in entry.own]
        if own:
            found = f"{own[0]!r} on node {node.id!r} ({node.spec.type}), which runs in the event loop, where no call can be ended"
            position = graph.manifest.nodes[node.id].origins.get(own[0], node.position)
            expected = "it on nodes that run in threads, or 'run: thread' here"
            yield Complaint("inline", position, found, expected, severity="warning")
        elif not node.spec.type.startswith("flow.") and entry is not None:
            found = f"node {node.id!r} ({node.spec.type}) runs in the event loop, where time-outs do not hold"
            yield Complaint("inline", node.position, found, "'run: thread' there, if it may block", severity="note")


def _settings_without_effect(graph: Graph) -> Iterator[Complaint]:
    """What is said about failures and does not come true. What `defaults` say is told once, for all nodes that it is said for."""
    told: dict[Position, Complaint] = {}

    def tell(position: Position, found: str, expected: str) -> None:
        told.setdefault(position, Complaint("no_effect", position, found, expected, severity="warning"))

    for node in graph.nodes.values():
        entry = graph.manifest.nodes.get(node.id)
        if entry is None:
            continue
        if node.spec.kind == "source":
            for key in entry.own & {"retry", "breaker", "on_error", "error_rate"}:
                position = next(one for name, one in entry.origins.items() if name.partition(".")[0] == key)
                found = f"{key!r} on node {node.id!r} ({node.spec.type}), a source, which ends the run when it fails"
                tell(position, found, "it on the nodes that take what a source reads")
            continue
        retry, breaker = node.retry, node.breaker
        if retry.max_retries and retry.base_delay_s > retry.max_delay_s and "retry.base_delay" in entry.origins:
            base, longest = duration_in_words(retry.base_delay_s), duration_in_words(retry.max_delay_s)
            found = f"'base_delay' of {base} is cut down to the 'max_delay' of {longest}"
            tell(entry.origins["retry.base_delay"], found, f"'max_delay: {base}' or more beside it")
        is_said = [name for name in ("breaker.max_open", "breaker.reset_timeout") if name in entry.origins]
        if breaker.when_open == "wait" and breaker.max_open_s <= breaker.reset_timeout_s and is_said:
            longest, until = duration_in_words(breaker.max_open_s), duration_in_words(breaker.reset_timeout_s)
            found = (
                f"'max_open' of {longest} is over when the 'reset_timeout' of {until} is, so that what is held is shed untried"
            )
            tell(entry.origins[is_said[0]], found, "a longer 'max_open', or 'when_open: shed'")
    yield from told.values()
