"""Manifest and registry -> Graph: binds nodes to their types, checks the edges, finds an order in which data can flow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from phonograph.errors import Complaint, GraphError, ManifestError, Position, in_words, nearest, one_line
from phonograph.expressions import AttributeTypes, check_all, united
from phonograph.graph.branches import strangers
from phonograph.graph.fallbacks import Fallbacks, find_fallbacks, wires_into
from phonograph.graph.isolation import obstacle, stays
from phonograph.graph.lint import lint, shared_paths
from phonograph.graph.model import Conversion, Edge, Graph, GraphNode, Link
from phonograph.graph.named_errors import UnknownErrorError, named_error
from phonograph.graph.nodes import asked_run, node_of, node_of_insertion, node_of_ordering, unfit_breaker
from phonograph.graph.order import flow_order
from phonograph.graph.registry import Registry, RegistryError
from phonograph.graph.unify import Unification
from phonograph.graph.wiring import INPUTS, UNNAMED, BoundNode, Wiring, links_of
from phonograph.language.binding import BoundPath, bind, bound_paths, is_glob, is_missing, nearest_paths, secrets_of
from phonograph.language.entries import InputEntry, NodeEntry
from phonograph.language.fields import complain
from phonograph.language.manifest import InputDeclaration, Manifest, read_manifest
from phonograph.porttype import PortType
from phonograph.redaction import redacted
from phonograph.spec import NodeSpec, Params, Port, Ports, expression_fields, has_open_attributes


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
        raise GraphError(builder.shown())
    return graph


def load_graph(
    path: str | os.PathLike[str],
    registry: Registry,
    *,
    params: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    inputs_in_place: bool = True,
) -> Graph:
    """Read a manifest and build its graph.

    Args:
        inputs_in_place: paths that nodes read must exist.

    Raises:
        ManifestError: the text is wrong; complaints about the graph that can be told all the same are among them.
        GraphError: the text is right, and the graph is not.
    """
    reading = read_manifest(path, params=params, overrides=overrides)
    if reading.manifest is None:
        raise ManifestError(reading.complaints)
    builder = _Builder(reading.manifest, registry, reading.unread)
    graph = builder.build()
    if reading.complaints:
        raise ManifestError([*reading.complaints, *builder.shown()])
    if graph is not None and inputs_in_place:
        graph = builder.with_inputs_in_place(graph)
    if graph is None:
        raise GraphError(builder.shown())
    return graph


class _Builder:
    """One attempt at a graph. A node that has a complaint already is left out of the checks that build on it.

    Args:
        unread: ids that stand in the manifest and could not be read.
    """

    def __init__(self, manifest: Manifest, registry: Registry, unread: frozenset[str]) -> None:
        self.complaints: list[Complaint] = []
        self.warnings: list[Complaint] = []
        self._manifest = manifest
        self._registry = registry.with_plugins(manifest.plugins, self.complaints) if manifest.plugins else registry
        self._unread = unread
        self._nodes: dict[str, BoundNode] = {}

    def shown(self) -> tuple[Complaint, ...]:
        """The complaints and the warnings that are known beside them, without the secrets in them."""
        bound = (node.params for node in self._nodes.values() if node.params is not None)
        return redacted([*self.complaints, *self.warnings], self._manifest.secrets | secrets_of(bound))

    def build(self) -> Graph | None:
        """The graph; None when there are complaints."""
        inputs = {declared.name: self._input_type(declared) for declared in self._manifest.inputs.values()}
        self._nodes = {entry.id: self._bind(entry) for entry in self._manifest.nodes.values()}
        fallbacks = find_fallbacks(self._nodes, self._unread, self._manifest.subgraphs, self.complaints)
        wiring = Wiring(self._nodes, inputs, self._unread, self.complaints, fallbacks.of, fallbacks.named)
        for node_id, other in fallbacks.of.items():
            wiring.wires[other] = wires_into(self._nodes[other], self._nodes[node_id], self.complaints)
        order, circles = flow_order(wiring.fed_by)
        for circle in circles:
            found = f"nodes feed each other in a circle: {' -> '.join([*circle, circle[0]])}"
            position = self._manifest.nodes[circle[0]].position
            self._complain("cycle", position, found, "one of these edges to come from elsewhere")
        self.complaints += strangers(self._nodes, wiring.entries, order)
        circling = {node_id for circle in circles for node_id in circle}
        ordered = {node_id: self._nodes[node_id] for node_id in (*order, *self._nodes)}  # those in circles last
        types = Unification(
            ordered, wiring.wires, self._registry, circling=circling, complaints=self.complaints, stand_ins=fallbacks.of
        )
        outputs = wiring.outputs(self._manifest)
        self._check_kinds()
        self._weigh(shared_paths(self._nodes.values()))
        self._check_expressions(ordered, wiring)
        if self.complaints or self._unread or any(node.params is None for node in self._nodes.values()):
            return None
        graph = self._graph(types, inputs, outputs, fallbacks)
        warnings = redacted([*self.warnings, *lint(graph)], graph.secrets)
        return replace(graph, warnings=tuple(sorted(warnings, key=lambda one: one.position)))

    def _graph(
        self,
        types: Unification,
        inputs: Mapping[str, PortType | None],
        outputs: Mapping[str, tuple[InputEntry, Port]],
        fallbacks: Fallbacks,
    ) -> Graph:
        into = {
            node_id: tuple(
                one
                for link in links_of(wires, variadic=node_id in self._nodes and self._nodes[node_id].is_variadic)
                for one in (link, *fallbacks.beside(link, self._outputs_of))
            )
            for node_id, wires in types.wires.items()
        }
        out_of: dict[str, list[Link]] = {node_id: [] for node_id in (*into, INPUTS)}
        for node_id in (*self._nodes, *types.insertions, *types.orderings):
            for link in into[node_id]:
                out_of[link.source].append(link)
        nodes: dict[str, GraphNode] = {}
        for node_id in types.wires:
            nodes[node_id] = replace(
                self._made(node_id, types),
                inputs=into[node_id],
                outputs=tuple(link for link in out_of[node_id] if not (link.is_dead_letters or link.is_fallback)),
                fallback=tuple(link for link in out_of[node_id] if link.is_fallback),
                dead_letters=tuple(link for link in out_of[node_id] if link.is_dead_letters),
                unproven=types.unproven.get(node_id, ()),
            )
        return Graph(
            name=self._manifest.name,
            nodes=MappingProxyType(nodes),
            limits=self._manifest.limits,
            manifest=self._manifest,
            inputs=MappingProxyType({name: declared for name, declared in inputs.items() if declared is not None}),
            outputs=MappingProxyType({name: _output(name, *named, types) for name, named in outputs.items()}),
            edges=tuple(types.edges(tuple(self._nodes))),
            conversions=(
                *(
                    Conversion(node=one.id, before=tuple(one.before), changes=one.changes, loses=one.loses)
                    for one in types.insertions.values()
                ),
                *(
                    Conversion(node=one.id, before=(one.before,), changes="order to that of the sources", loses="")
                    for one in types.orderings.values()
                ),
            ),
        )

    def _outputs_of(self, node_id: str) -> tuple[Port, ...]:
        ports = self._nodes[node_id].ports
        return () if ports is None else ports[1]

    def with_inputs_in_place(self, graph: Graph) -> Graph | None:
        """The graph, with warnings of globs that nothing matches; None, and complaints, when a path to be read does not exist.

        Asked last: which files exist is no matter of the manifest, so a wrong manifest gets the same complaints everywhere.
        """
        known = len(self.warnings)
        for node in self._nodes.values():
            for found in bound_paths(node.params, node.entry.params, "input") if node.params is not None else ():
                if is_missing(found.path):
                    self._complain_missing(node.entry, found)
        if self.complaints:
            return None
        warnings = [*graph.warnings, *redacted(self.warnings[known:], graph.secrets)]
        return replace(graph, warnings=tuple(sorted(warnings, key=lambda one: one.position)))

    def _complain_missing(self, entry: NodeEntry, missing: BoundPath) -> None:
        """Say so where the path came from: in the node's parameters, or in those of the manifest."""
        what, position = f"parameter {missing.parameter!r} of node {entry.id!r}", missing.written.position
        origin = self._manifest.params.get(missing.written.came_from)
        if origin is not None:
            value = "the value given for" if origin.is_given else "the default of"
            what, position = f"{value} parameter {origin.name!r}, for node {entry.id!r},", origin.position
        if is_glob(missing.path):  # files may come before the run does, so it may go on
            found = f"{what} is the glob {missing.path!r}, which nothing matches"
            self.warnings.append(Complaint("missing_file", position, found, "one that some file matches", severity="warning"))
            return
        found = f"{what} leads to {missing.path!r}, which does not exist"
        self._complain("missing_file", position, found, "a file, a folder or a glob", nearest_paths(missing.path))

    def _complain(self, code: str, position: Position, found: str, expected: str = "", candidates: tuple[str, ...] = ()) -> None:
        complain(self.complaints, code, position, found, expected, candidates)

    def _bind(self, entry: NodeEntry) -> BoundNode:
        """Find the type of a node; give its parameters their types, and its ports theirs."""
        unknown = BoundNode(entry, None, None, None)
        try:
            spec = self._registry.get(entry.type)
        except RegistryError as error:
            self._complain("type_unavailable", entry.type_position, one_line(error), "an installed package that loads")
            return unknown
        if spec is None:
            known = self._registry.types()
            close = nearest(entry.type, known)
            if self._registry.is_partial and not close:
                return unknown  # perhaps a type of the plug-in about which there is a complaint
            expected = "an installed node type; `run-pipeline nodes` lists them" if known else "an installed node type; none is"
            for origin, reason in self._registry.broken():
                expected += f"; the entry point {origin}, which may declare it, {one_line(reason)}"
            found = f"no node type {entry.type!r}"
            self._complain("unknown_type", entry.type_position, found, expected, close)
            return unknown
        self.complaints += unfit_breaker(entry, spec)
        params = None
        try:
            params = bind(
                spec.params,
                entry.params,
                what=f"node {entry.id!r} ({spec.type})",
                input_folder=self._manifest.input_folder,
                output_folder=self._manifest.output_folder,
                complaints=self.complaints,
            )
        except Exception as error:  # noqa: BLE001  # the code of a node type may raise anything
            self._complain_of_code(entry, spec, "parameters", error)
        self._check_process(entry, spec, params)
        self._check_timeouts(entry, spec)
        return BoundNode(entry, spec, params, self._ports(entry, spec, params), self._retryable(entry))

    def _check_process(self, entry: NodeEntry, spec: NodeSpec, params: Params | None) -> None:
        """Whether it can run where it is to run. What `defaults` say holds for the nodes that it can hold for."""
        what, run = f"node {entry.id!r} ({spec.type})", asked_run(entry, spec) or spec.run
        if entry.run == "process" and "run" in entry.own and (kind := stays(spec)):
            expected = "it on nodes between sources and sinks"
            self._complain("process", entry.origins["run"], f"'run: process' on {what}, {kind}", expected)
        elif run == "process" and params is not None and (why := obstacle(spec, params)):
            expected = "a class or function at the top of a module or plug-in file, with parameters that can be pickled"
            self._complain(
                "process", entry.origins.get("run", entry.position), f"{what} cannot run in a process: {why}", expected
            )
        elif run != "process" and "memory" in entry.own:
            expected = "it only beside 'run: process'; threads share the memory of this process"
            self._complain("process", entry.origins["memory"], f"'memory' on {what}", expected)

    def _retryable(self, entry: NodeEntry) -> tuple[type[Exception], ...]:
        """The errors that a node is tried again after, as its entry names them. Those in `defaults` are complained of once."""
        found: list[type[Exception]] = []
        for name in entry.retry.get("retryable", ()):
            try:
                found.append(named_error(name, [path for path, _ in self._manifest.plugins]))
            except UnknownErrorError as error:
                position = entry.origins["retry.retryable"]
                expected = "an exception that may heal, such as ConnectionError or PACKAGE.MODULE.NAME"
                complaint = Complaint("wrong_value", position, f"'retryable' names {name!r}: {error}", expected, error.candidates)
                if complaint not in self.complaints:
                    self.complaints.append(complaint)
        return tuple(found)

    def _check_timeouts(self, entry: NodeEntry, spec: NodeSpec) -> None:
        if spec.kind == "source" and "total_timeout" in entry.own:
            found = f"'total_timeout' on node {entry.id!r} ({spec.type}), a source, which is not tried again"
            self._complain(
                "wrong_value", entry.origins["total_timeout"], found, "'timeout', the longest it may take to read a record"
            )

    def _ports(self, entry: NodeEntry, spec: NodeSpec, params: Params | None) -> Ports | None:
        """The ports of one node; None when they depend on what could not be read."""
        if spec.ports_of is None and not spec.has_typed_parameters:
            return spec.inputs, spec.outputs
        if params is None:
            return None
        names = tuple(dict.fromkeys(given.port or UNNAMED for given in entry.inputs))
        try:
            inputs, outputs = (spec.inputs, spec.outputs) if spec.ports_of is None else spec.ports_of(params, names)
            return _filled(inputs, params), _filled(outputs, params)
        except ValueError as error:
            code = "missing_input" if spec.variadic and len(names) < 2 else "wrong_value"
            self._complain(code, entry.position, f"node {entry.id!r} ({spec.type}): {one_line(error)}")
        except Exception as error:  # noqa: BLE001  # the code of a node type may raise anything
            self._complain_of_code(entry, spec, "ports", error)
        return None

    def _input_type(self, declared: InputDeclaration) -> PortType | None:
        what = f"input {declared.name!r} of the manifest"
        try:
            parsed = PortType.parse(declared.type)
        except ValueError as error:
            self._complain("wrong_value", declared.position, f"{what}: {error}")
            return None
        if any(parsed.parameters()):
            self._complain(
                "wrong_value", declared.position, f"{what} is {parsed}", "values, for only a node has parameters to name"
            )
            return None
        return parsed

    def _check_kinds(self) -> None:
        """A graph begins somewhere and ends somewhere. Not judged while the kind of a node is unknown."""
        kinds = {node.spec.kind for node in self._nodes.values() if node.spec is not None}
        if self._unread or any(node.spec is None for node in self._nodes.values()):
            return
        if "source" not in kinds and not self._manifest.inputs:
            self._complain("no_source", self._manifest.position, "no node is a source", "at least one node that reads records")
        if "sink" not in kinds and not self._manifest.outputs:
            self._complain("no_sink", self._manifest.position, "no node is a sink", "at least one node that stores results")

    def _check_expressions(self, ordered: Mapping[str, BoundNode], wiring: Wiring) -> None:
        """Hold the expressions among the parameters of nodes against the attributes that nodes upstream set.

        Args:
            ordered: the nodes, each behind those that feed it.
        """
        asking = {one.entry.id for one in ordered.values() if one.params is not None and expression_fields(type(one.params))}
        known: dict[str, AttributeTypes] = {}  # behind each node
        opened: set[str] = set()  # nodes behind which items may have attributes that no node declares
        for node_id, node in ordered.items() if asking else ():
            before = wiring.fed_by[node_id]
            attributes = united(known.get(one, {}) for one in before)
            # What comes from outside, or out of nodes that nobody can tell anything about, may have any attribute.
            is_vague = any(given.source not in self._nodes for given in node.entry.inputs)
            is_open = is_vague or not (before.keys() <= known.keys() and opened.isdisjoint(before))
            if node_id in asking and node.params is not None and node.spec is not None:
                what = f"node {node_id!r} ({node.spec.type})"
                self._weigh(check_all(node.params, node.entry.params, attributes, is_open=is_open, what=what))
            known[node_id] = attributes if node.spec is None else united([attributes, node.spec.attributes])
            if is_open or self._opens(node):
                opened.add(node_id)

    def _opens(self, node: BoundNode) -> bool:
        """Whether a node may add attributes that its type does not name."""
        if node.spec is None:
            return True
        try:
            return has_open_attributes(node.spec, node.params)
        except Exception as error:  # noqa: BLE001  # the code of a node type may raise anything
            self._complain_of_code(node.entry, node.spec, "attributes", error)
            return True

    def _complain_of_code(self, entry: NodeEntry, spec: NodeSpec, what: str, error: Exception) -> None:
        found = f"the {what} of node {entry.id!r} ({spec.type}) cannot be told: {one_line(in_words(error))}"
        self._complain("type_unavailable", entry.type_position, found, "a node type whose code works")

    def _weigh(self, found: Iterable[Complaint]) -> None:
        """Tell what stops a run from what does not."""
        for complaint in found:
            (self.complaints if complaint.severity == "error" else self.warnings).append(complaint)

    def _made(self, node_id: str, types: Unification) -> GraphNode:
        """A node, of the manifest or inserted, without its links."""
        if node_id in types.insertions:
            insertion = types.insertions[node_id]
            return node_of_insertion(insertion, self._nodes[insertion.before[0]].entry)
        if node_id in types.orderings:
            one = types.orderings[node_id]
            return node_of_ordering(one, self._nodes[one.before].entry)
        return node_of(self._nodes[node_id])


def _output(name: str, given: InputEntry, port: Port, types: Unification) -> Edge:
    """One of the manifest's own outputs."""
    return Edge(
        source=given.source,
        source_port=port.name,
        target="outputs",
        target_port=name,
        given=types.given(given.source, port),
        taken=PortType("any"),
        position=given.position,
    )


def _filled(ports: tuple[Port, ...], params: Params) -> tuple[Port, ...]:
    return tuple(Port(port.name, port.type.filled(lambda name: getattr(params, name))) for port in ports)
