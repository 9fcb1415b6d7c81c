"""Manifest and registry -> Graph: binds nodes to their types, checks the edges, finds an order in which data can flow."""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from phonograph.binding import BoundPath, bind, bound_paths, is_missing, nearest_paths
from phonograph.breaker import BreakerPolicy
from phonograph.entries import InputEntry, NodeEntry, QueueBounds
from phonograph.errors import Complaint, GraphError, ManifestError, Position, nearest
from phonograph.fields import complain
from phonograph.graph import Graph, GraphNode, Link
from phonograph.manifest import Manifest, read_manifest
from phonograph.registry import Registry, RegistryError
from phonograph.retry import RetryPolicy
from phonograph.spec import NodeSpec, Params, Port


def build_graph(manifest: Manifest, registry: Registry) -> Graph:
    """Check that the nodes of a manifest exist and fit together.

    Raises:
        GraphError: with every complaint at once.
    """
    builder = _Builder(manifest, registry, frozenset())
    graph = builder.build()
    if graph is not None:
        graph = builder.with_inputs_in_place(graph)
    if graph is None:
        raise GraphError(builder.complaints)
    return graph


def load_graph(path: str | os.PathLike[str], registry: Registry, *, params: Mapping[str, object] | None = None) -> Graph:
    """Read a manifest and build its graph.

    Raises:
        ManifestError: the text is wrong; complaints about the graph that can be told all the same are among them.
        GraphError: the text is right, and the graph is not.
    """
    reading = read_manifest(path, params=params)
    if reading.manifest is None:
        raise ManifestError(reading.complaints)
    builder = _Builder(reading.manifest, registry, reading.unread)
    graph = builder.build()
    if reading.complaints:
        raise ManifestError([*reading.complaints, *builder.complaints])
    if graph is not None:
        graph = builder.with_inputs_in_place(graph)
    if graph is None:
        raise GraphError(builder.complaints)
    return graph


class _Builder:
    """One attempt at a graph. A node that has a complaint already is left out of the checks that build on it.

    Args:
        unread: ids that stand in the manifest and could not be read.
    """

    def __init__(self, manifest: Manifest, registry: Registry, unread: frozenset[str]) -> None:
        self.complaints: list[Complaint] = []
        self._manifest = manifest
        self._registry = registry
        self._unread = unread
        self._entries = manifest.nodes
        self._specs: dict[str, NodeSpec] = {}
        self._params: dict[str, Params] = {}
        self._links: dict[str, Link] = {}
        self._outputs: dict[str, tuple[Link, ...]] = {}
        self._circling: set[str] = set()  # ids of the nodes in cycles

    def build(self) -> Graph | None:
        """The graph; None when there are complaints."""
        for entry in self._entries.values():
            self._bind(entry)
        order = self._order()
        for entry in self._entries.values():
            self._connect(entry)
        self._check_kinds()
        self._check_outputs()
        for link in self._links.values():
            self._outputs[link.source] = (*self._outputs.get(link.source, ()), link)
        if self.complaints or self._unread or len(self._params) < len(self._entries):
            return None
        return Graph(
            name=self._manifest.name,
            nodes=MappingProxyType({node_id: self._node(self._entries[node_id]) for node_id in order}),
            error_rate=self._manifest.error_rate,
            manifest=self._manifest,
        )

    def with_inputs_in_place(self, graph: Graph) -> Graph | None:
        """The graph; None, and complaints, when a path that a node reads does not exist.

        Asked last: which files exist is no matter of the manifest, so a wrong manifest gets the same complaints everywhere.
        """
        for entry in self._entries.values():
            for found in bound_paths(self._params[entry.id], entry.params, "input"):
                if is_missing(found.path):
                    self._complain_missing(entry, found)
        return None if self.complaints else graph

    def _complain_missing(self, entry: NodeEntry, missing: BoundPath) -> None:
        """Say so where the path came from: in the node's parameters, or in those of the manifest."""
        what, position = f"parameter {missing.parameter!r} of node {entry.id!r}", missing.written.position
        origin = self._manifest.params.get(missing.written.came_from)
        if origin is not None:
            value = "the value given for" if origin.is_given else "the default of"
            what, position = f"{value} parameter {origin.name!r}, for node {entry.id!r},", origin.position
        found = f"{what} leads to {missing.path!r}, which does not exist"
        self._complain("missing_file", position, found, "a file, a folder or a glob", nearest_paths(missing.path))

    def _complain(self, code: str, position: Position, found: str, expected: str = "", candidates: tuple[str, ...] = ()) -> None:
        complain(self.complaints, code, position, found, expected, candidates)

    def _bind(self, entry: NodeEntry) -> None:
        """Find the type of a node; give its parameters their types."""
        try:
            spec = self._registry.get(entry.type)
        except RegistryError as error:
            self._complain(
                "type_unavailable", entry.type_position, " ".join(str(error).split()), "an installed package that loads"
            )
            return
        if spec is None:
            known = self._registry.types()
            expected = "an installed node type; `run-pipeline nodes` lists them" if known else "an installed node type; none is"
            for origin, reason in self._registry.broken():
                expected += f"; the entry point {origin}, which may declare it, {' '.join(reason.split())}"
            found = f"no node type {entry.type!r}"
            self._complain("unknown_type", entry.type_position, found, expected, nearest(entry.type, known))
            return
        self._specs[entry.id] = spec
        if entry.breaker.get("when_open") == "skip" and not _can_be_skipped(spec):
            found = f"'when_open: skip' on node {entry.id!r} ({spec.type})"
            expected = "it only on 1:1 nodes with one input and one output of the same family; 'wait' or 'shed' here"
            self._complain("wrong_value", entry.position, found, expected)
        bound = bind(
            spec.params,
            entry.params,
            what=f"node {entry.id!r} ({spec.type})",
            input_folder=self._manifest.input_folder,
            output_folder=self._manifest.output_folder,
            complaints=self.complaints,
        )
        if bound is not None:
            self._params[entry.id] = bound

    def _connect(self, entry: NodeEntry) -> None:
        """Check the inputs of a node; keep them as one link."""
        spec = self._specs.get(entry.id)
        if spec is not None and spec.kind == "source" and entry.inputs:
            found = f"node {entry.id!r} ({spec.type}) is a source and has an input"
            self._complain("port_direction", entry.inputs[0].position, found, "no 'input', for a source reads records itself")
            return
        pairs: list[tuple[str, str]] = []
        for given in entry.inputs:
            source_port = self._source_port(given)
            target_port = None if spec is None else self._target_port(entry, spec, given)
            if source_port is not None and target_port is not None:
                self._check_types(given, source_port, entry.id, target_port)
                pairs.append((source_port.name, target_port.name))
        sources = tuple(dict.fromkeys(given.source for given in entry.inputs))
        if len(sources) > 1:
            found = f"the inputs of node {entry.id!r} come from nodes {' and '.join(sources)}"
            self._complain("fan_in", entry.inputs[0].position, found, "one node")
        if spec is not None and spec.kind != "source":
            self._check_all_connected(entry, spec)
        if len(sources) == 1:
            self._links[entry.id] = Link(source=sources[0], target=entry.id, ports=tuple(pairs), queue=self._queue(entry))

    def _source_port(self, given: InputEntry) -> Port | None:
        """The output that an input names; None when it is not there, or not known."""
        if given.source not in self._entries:
            if given.source not in self._unread:
                known = (*self._entries, *self._unread)
                expected = f"one of {', '.join(sorted(known))}"
                self._complain(
                    "unknown_reference", given.position, f"no node {given.source!r}", expected, nearest(given.source, known)
                )
            return None
        spec = self._specs.get(given.source)
        if spec is None:
            return None
        if spec.kind == "sink" or not spec.outputs:
            found = f"node {given.source!r} ({spec.type}) has no outputs"
            expected = "a source or a transform; a sink ends its branch" if spec.kind == "sink" else "a node with outputs"
            self._complain("port_direction", given.position, found, expected)
            return None
        return self._port(spec.outputs, given.source_port, f"node {given.source!r} has no output", given.position)

    def _target_port(self, entry: NodeEntry, spec: NodeSpec, given: InputEntry) -> Port | None:
        if not spec.inputs:
            return None  # said once, by _check_all_connected
        return self._port(spec.inputs, given.port, f"node {entry.id!r} has no input", given.position)

    def _port(self, ports: tuple[Port, ...], name: str | None, lacks: str, position: Position) -> Port | None:
        if name is None:
            return ports[0]
        by_name = {port.name: port for port in ports}
        if name not in by_name:
            expected = f"one of {', '.join(by_name)}"
            self._complain("unknown_reference", position, f"{lacks} {name!r}", expected, nearest(name, by_name))
        return by_name.get(name)

    def _check_types(self, given: InputEntry, source: Port, target_id: str, target: Port) -> None:
        if target_id in self._circling and given.source in self._circling:
            return  # one of these edges has to go; which types the others must have is open until then
        if not target.type.accepts(source.type):
            found = f"{given.source}.{source.name} gives {source.type}"
            self._complain("port_type", given.position, found, f"{target.type}, which {target_id}.{target.name} takes")

    def _check_all_connected(self, entry: NodeEntry, spec: NodeSpec) -> None:
        if not spec.inputs:
            found = f"node {entry.id!r}: {spec.type} is a {spec.kind} and declares no input port"
            self._complain("missing_input", entry.position, found, "a node type that takes something")
            return
        connected = {given.port or spec.inputs[0].name for given in entry.inputs}
        for port in spec.inputs:
            if port.name not in connected:
                found = f"input {port.name!r} of node {entry.id!r} ({spec.type}) is not connected"
                self._complain("missing_input", entry.position, found, f"'input:' with an output of type {port.type}")

    def _queue(self, entry: NodeEntry) -> QueueBounds | None:
        """The one queue that all inputs of a node share."""
        given = [one for one in entry.inputs if one.queue is not None]
        if len({one.queue for one in given}) > 1:
            found = f"the inputs of node {entry.id!r} have different queues"
            self._complain("wrong_value", given[1].position, found, "one queue, for all of them come from one node")
        return given[0].queue if given else None

    def _check_kinds(self) -> None:
        """A graph begins somewhere and ends somewhere. Not judged while the kind of a node is unknown."""
        if self._unread or len(self._specs) < len(self._entries):
            return
        kinds: tuple[tuple[Literal["source", "sink"], str], ...] = (("source", "reads records"), ("sink", "stores results"))
        for kind, purpose in kinds:
            if all(spec.kind != kind for spec in self._specs.values()):
                found = f"no node is a {kind}"
                self._complain(f"no_{kind}", self._manifest.position, found, f"at least one node that {purpose}")

    def _check_outputs(self) -> None:
        """Two sinks of one type that write to one place would replace each other's files without a word."""
        owners: dict[tuple[str, str], str] = {}
        for entry in self._entries.values():
            spec, params = self._specs.get(entry.id), self._params.get(entry.id)
            if spec is None or params is None or spec.kind != "sink":
                continue
            for output in bound_paths(params, entry.params, "output"):
                owner = owners.setdefault((spec.type, os.path.realpath(output.path)), entry.id)
                if owner != entry.id:
                    found = f"parameter {output.parameter!r} of node {entry.id!r} is a path that node {owner!r} writes to"
                    self._complain("shared_output", output.written.position, found, f"a path of its own for each {spec.type}")

    def _order(self) -> list[str]:
        """Ids so that a node stands after the one that feeds it, in manifest order otherwise; nodes in a cycle are left out."""
        feeds: dict[str, list[str]] = {node_id: [] for node_id in self._entries}
        waiting: dict[str, set[str]] = {}
        for entry in self._entries.values():
            waiting[entry.id] = {given.source for given in entry.inputs if given.source in self._entries}
            for source in waiting[entry.id]:
                feeds[source].append(entry.id)
        place = {node_id: number for number, node_id in enumerate(self._entries)}
        ids = tuple(self._entries)
        ready = [place[node_id] for node_id in ids if not waiting[node_id]]
        order: list[str] = []
        while ready:
            node_id = ids[heapq.heappop(ready)]
            order.append(node_id)
            for target in feeds[node_id]:
                waiting[target].discard(node_id)
                if not waiting[target]:
                    heapq.heappush(ready, place[target])
        self._name_cycles({node_id: waiting[node_id] for node_id in ids if waiting[node_id]})
        return order

    def _name_cycles(self, waiting: Mapping[str, set[str]]) -> None:
        """Follow each node that still waits upstream until a node comes again."""
        seen: set[str] = set()
        for start in waiting:
            path: list[str] = []
            node_id = start
            while node_id not in seen:
                seen.add(node_id)
                path.append(node_id)
                node_id = min(waiting[node_id], key=lambda other: list(waiting).index(other))
            if node_id not in path:
                continue
            cycle = path[path.index(node_id) :][::-1]  # upstream, turned round: the way that data would flow
            self._circling.update(cycle)
            first = min(range(len(cycle)), key=lambda number: list(waiting).index(cycle[number]))
            cycle = [*cycle[first:], *cycle[:first]]
            found = f"nodes feed each other in a circle: {' -> '.join([*cycle, cycle[0]])}"
            self._complain("cycle", self._entries[cycle[0]].position, found, "one of these edges to come from elsewhere")

    def _node(self, entry: NodeEntry) -> GraphNode:
        spec = self._specs[entry.id]
        return GraphNode(
            id=entry.id,
            spec=spec,
            params=self._params[entry.id],
            inputs=(self._links[entry.id],) if entry.id in self._links else (),
            outputs=self._outputs.get(entry.id, ()),
            retry=RetryPolicy(**entry.retry, retryable=spec.retryable),
            breaker=replace(BreakerPolicy(), **entry.breaker),
            on_error=entry.on_error,
            workers=entry.workers,
            position=entry.position,
        )


def _can_be_skipped(spec: NodeSpec) -> bool:
    """Whether what enters the node can pass for what leaves it."""
    if spec.kind != "transform" or spec.cardinality != "1:1" or len(spec.inputs) != 1 or len(spec.outputs) != 1:
        return False
    return spec.inputs[0].type.family == spec.outputs[0].type.family
