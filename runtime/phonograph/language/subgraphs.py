"""Reads the nodes of a manifest with its sub-graphs expanded.

`clean: {include: parts/clean.yaml}` becomes `clean/vad`, `clean/cut` and whatever else is in that file. Each manifest or
sub-graph is a level. Levels are read one inside the other, with every reference as it is written there; when all are read,
references through the inputs and outputs of sub-graphs are followed to the nodes that they lead to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from phonograph.errors import Complaint, Position, listed, nearest
from phonograph.language import fields, policies
from phonograph.language.about import check_subgraph
from phonograph.language.entries import EntryReader, IncludeEntry, InputDeclaration, InputEntry, NodeEntry, reference_to
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.include import Files, Source, named_paths, with_fragments
from phonograph.language.keys import SUBGRAPH
from phonograph.language.overrides import Override, overridden
from phonograph.language.parameters import ID, Parameter, read_parameters
from phonograph.language.policies import Policies, read_policies
from phonograph.language.references import Scope
from phonograph.language.yaml12 import Located
from phonograph.porttype import PortType

_DEAD_LETTER = "dead_letter"
_OWN_INPUTS = "inputs"


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A node that stood for a sub-graph.

    Args:
        file: the sub-graph's, as positions name it.
        params: its parameters, with the values that they have here.
        position: of the node.
        outputs: the node and port that each of its outputs comes from.
    """

    id: str
    file: str
    params: Mapping[str, Parameter]
    position: Position
    outputs: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A manifest or a sub-graph, read.

    Args:
        prefix: what the ids of its nodes begin with.
        names: ids of its nodes, whether or not they could be read.
        outputs: what each names; None where that could not be read.
        parameters: by name, those that could be read.
        nodes: with those of its sub-graphs in their places; None when there is nothing to go on with.
    """

    prefix: str
    names: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    nodes: tuple[NodeEntry, ...] | None
    inputs: Mapping[str, InputDeclaration]
    outputs: Mapping[str, InputEntry | None]


class LevelReader:
    """Reads the levels of one manifest.

    Args:
        environment_scope: what defaults of parameters may refer to.
        complaints: is added to.

    Attributes:
        unread: ids of nodes that could not be read. nowhere: what references name that is not there, and was complained of.
        subgraphs: by id. plugins: paths, as written.
        parameters: of all levels.
    """

    def __init__(self, files: Files, environment_scope: Scope, complaints: list[Complaint]) -> None:
        self.unread: set[str] = set()
        self.nowhere: set[str] = set()
        self.subgraphs: dict[str, Subgraph] = {}
        self.plugins: list[Located] = []
        self.parameters: list[Parameter] = []
        self._files = files
        self._environment_scope = environment_scope
        self._complaints = complaints
        self._said: set[tuple[str, Position, str]] = set()
        self._levels: dict[str, Level] = {}  # by prefix
        self._given: dict[str, dict[str, InputEntry]] = {}  # id of a node with a sub-graph -> what feeds the sub-graph's inputs

    def read(
        self,
        root: Fields,
        given: Mapping[str, object],
        source: Source,
        inside: Mapping[str, Sequence[Override]],
        *,
        node: IncludeEntry | None = None,
        before: Policies | None = None,
    ) -> Level:
        """One level and all below it.

        Args:
            root: its text. source: the file of it.
            given: values for its parameters.
            inside: overrides for its sub-graphs, by id.
            node: that includes it; None for the outermost. before: policies that hold around it.
        """
        prefix = "" if node is None else f"{node.id}/"
        start = replace(root.position, line=1, column=1)
        declared = root.get("params")
        parameters = read_parameters(
            declared,
            given,
            scope=self._environment_scope,
            start=start if declared is None else declared.position,
            complaints=self._complaints,
            node=None if node is None else (node.id, node.position),
        )
        readable = MappingProxyType({name: found for name, found in parameters.items() if found is not None})
        self.parameters.extend(readable.values())
        self.plugins.extend(named_paths(root.get("plugins"), "plugins", self._complaints))
        defaults = before or Policies()
        if (located := root.get("defaults")) is not None:
            found = Fields(located, what="'defaults'", allowed=policies.KEYS, complaints=self._complaints)
            defaults = read_policies(found, defaults, self._complaints, of_many=True)
        if node is not None:
            defaults = read_policies(node.fields, defaults, self._complaints, of_many=True)
            self.subgraphs[node.id] = Subgraph(node.id, source.file, readable, node.position)
        reader = EntryReader(replace(self._environment_scope, parameters=parameters), self._complaints, prefix)
        inputs = self._inputs(root.get("inputs"), is_outermost=node is None)
        entries = self._entries(root, reader, defaults, next(iter(inputs), None), is_outermost=node is None)
        level = Level(
            prefix=prefix,
            names=tuple(dict.fromkeys([*(entry.id for entry in entries or ()), *sorted(reader.unread)])),
            parameters=readable,
            nodes=None,
            inputs=inputs,
            outputs=self._outputs(root.get("outputs"), prefix),
        )
        self.unread |= reader.unread
        self._levels[prefix] = level
        if entries is None:
            return level
        nodes: list[NodeEntry] = []
        for entry in entries:
            if isinstance(entry, NodeEntry):
                nodes.append(entry)
            else:
                nodes.extend(self._expanded(entry, source, defaults, inside.get(entry.id.removeprefix(prefix), ())))
        self._levels[prefix] = replace(level, nodes=tuple(nodes))
        return self._levels[prefix]

    def resolved(self, nodes: Sequence[NodeEntry]) -> dict[str, NodeEntry]:
        """The nodes by id, with inputs that lead to nodes or to the outermost manifest's own inputs."""
        if not self._given:
            return {node.id: node for node in nodes}
        for level in self._levels.values():
            # Also those that nobody reads lead somewhere.
            ends = [self.followed(output) for output in level.outputs.values() if output is not None]
            if found := self.subgraphs.get(level.prefix.removesuffix("/")):
                self.subgraphs[found.id] = replace(found, outputs=tuple((end.source, end.source_port) for end in ends))
        return {node.id: replace(node, inputs=tuple(map(self.followed, node.inputs))) for node in nodes}

    def followed(self, given: InputEntry) -> InputEntry:
        """An input as it is where it leads; what leads nowhere is complained of."""
        here = given
        passed: dict[tuple[str, str | None], InputEntry] = {}
        while True:
            onward = self._next(here)
            if onward is None:
                self.nowhere.add(here.source)
                return replace(given, source=here.source, source_port=here.source_port)
            if onward is here:
                return replace(here, port=given.port, position=given.position)
            through = here.through
            if here.source.endswith(f"/{_OWN_INPUTS}") and here.source_port is not None:
                declared = self._levels[here.source.removesuffix(_OWN_INPUTS)].inputs[here.source_port]
                through = (*through, declared.type)
            here = replace(onward, queue=here.queue or onward.queue, batch=here.batch or onward.batch, through=through)
            key = (here.source, here.source_port)
            if key in passed:
                ways = list(passed)
                self._complain_circle([passed[way] for way in ways[ways.index(key) :]])
                return replace(given, source=here.source, source_port=here.source_port)
            passed[key] = here

    def _complain_circle(self, ways: Sequence[InputEntry]) -> None:
        """Name a circle of sub-graphs that hand on what they get, the same whichever of its nodes it is met at."""
        first = min(range(len(ways)), key=lambda number: ways[number].position)
        ordered = [*ways[first:], *ways[:first]]
        names = [one.source for one in ordered if not one.source.endswith(f"/{_OWN_INPUTS}")][::-1]
        found = f"sub-graphs hand on what they get from each other, in a circle: {' -> '.join([*names, names[0]])}"
        self._once("cycle", ordered[0].position, found, "one of these edges to come from elsewhere")
        self.nowhere.update(one.source for one in ways)

    def _next(self, given: InputEntry) -> InputEntry | None:
        """One step on from an input: itself when it has arrived, None when there is no way."""
        folder, slash, name = given.source.rpartition("/")
        if name == "*":
            return given
        if name == _OWN_INPUTS:
            return given if not slash else self._through_input(given, folder)
        if given.source in self.subgraphs:
            if given.source_port == _DEAD_LETTER:
                return replace(given, source=f"{given.source}/*")
            return self._through_output(given, self._levels[f"{given.source}/"])
        level = self._levels[folder + slash]
        if level.nodes is None:
            return None  # about which there is a complaint
        if given.source in level.names or given.source in self.unread or not (slash or self._given):
            return given
        known = [one.removeprefix(level.prefix) for one in level.names]
        expected = f"one of {listed(sorted(known))}"
        self._once("unknown_reference", given.position, f"no node {name!r}", expected, nearest(name, known))
        return None

    def _through_input(self, given: InputEntry, node_id: str) -> InputEntry | None:
        known = self._levels[f"{node_id}/"].inputs
        if given.source_port is None or given.source_port not in known:
            what = f"no input {given.source_port!r}" if given.source_port else "'inputs' without the name of one"
            names = [f"inputs.{name}" for name in known]
            expected = f"one of {listed(names)}" if names else "a node; the sub-graph declares no 'inputs'"
            found = f"{what} of the sub-graph of node {node_id!r}" if given.source_port else what
            near = nearest(f"inputs.{given.source_port}", names) if given.source_port else ()
            self._once("unknown_reference", given.position, found, expected, near)
            return None
        return self._given[node_id].get(given.source_port)

    def _through_output(self, given: InputEntry, level: Level) -> InputEntry | None:
        node_id, known = level.prefix.removesuffix("/"), level.outputs
        if not known:
            self._once("unknown_reference", given.position, f"the sub-graph of node {node_id!r} has no 'outputs'", "a node")
            return None
        name = given.source_port or next(iter(known))
        if name not in known:
            found = f"the sub-graph of node {node_id!r} has no output {name!r}"
            self._once("unknown_reference", given.position, found, f"one of {listed(known)}", nearest(name, known))
            return None
        return known[name]

    def _once(self, code: str, position: Position, found: str, expected: str, candidates: tuple[str, ...] = ()) -> None:
        """Complain, unless another way has led here before."""
        if (code, position, found) not in self._said:
            self._said.add((code, position, found))
            complain(self._complaints, code, position, found, expected, candidates)

    def _expanded(
        self, entry: IncludeEntry, by: Source, before: Policies, overrides: Sequence[Override]
    ) -> tuple[NodeEntry, ...]:
        """The nodes of the sub-graph that a node includes."""
        source = self._files.included(entry.file, by)
        self._given[entry.id] = {}
        if source is None:
            self.unread.add(entry.id)
            return ()
        root, inside = overridden(with_fragments(source, self._files), overrides, self._complaints)
        what = f"the sub-graph {source.file!r}"
        found = Fields(root, what=what, allowed=SUBGRAPH, complaints=self._complaints)
        check_subgraph(found, self._complaints)
        given = self._values(entry, found.get("params"))
        level = self.read(found, given, source, inside, node=entry, before=before)
        self._given[entry.id] = self._connected(entry, level)
        return level.nodes or ()

    def _values(self, entry: IncludeEntry, declared: Located | None) -> dict[str, Located]:
        """What the node gives for the sub-graph's parameters."""
        names = tuple(declared.value) if declared is not None and isinstance(declared.value, Mapping) else ()
        assert isinstance(entry.params.value, Mapping)
        values: dict[str, Located] = {}
        for name, located in entry.params.value.items():
            if name in names:
                values[name] = located
            else:
                found = f"unknown parameter {name!r} of the sub-graph of node {entry.id!r}"
                expected = f"one of {listed(names)}" if names else "none, for the sub-graph declares no parameters"
                complain(self._complaints, "unknown_key", entry.params.keys[name], found, expected, nearest(name, names))
        return values

    def _connected(self, entry: IncludeEntry, level: Level) -> dict[str, InputEntry]:
        """Name of an input of the sub-graph -> what feeds it."""
        given: dict[str, InputEntry] = {}
        for one in entry.inputs:
            name = one.port or next(iter(level.inputs), None)
            if name is not None and name in level.inputs:
                given[name] = one
                continue
            found = f"the sub-graph of node {entry.id!r} has no input" + (f" {name!r}" if name else "s")
            expected = f"one of {listed(level.inputs)}" if level.inputs else "no 'input' here"
            candidates = nearest(name, level.inputs) if name else ()
            complain(self._complaints, "unknown_reference", one.position, found, expected, candidates)
        for name, declared in level.inputs.items():
            if name not in given:
                found = f"input {name!r} of the sub-graph of node {entry.id!r} is not connected"
                complain(
                    self._complaints, "missing_input", entry.position, found, f"'input:' with an output of type {declared.type}"
                )
        return given

    def _entries(
        self, root: Fields, reader: EntryReader, defaults: Policies, first: str | None, *, is_outermost: bool
    ) -> list[NodeEntry | IncludeEntry] | None:
        nodes, steps = root.get("nodes"), root.get("steps")
        if nodes is not None and steps is not None:
            is_later = nodes.position.file == steps.position.file and nodes.position > steps.position
            found = "'nodes' beside 'steps'" if is_later else "'steps' beside 'nodes'"
            position = nodes.position if is_later else steps.position
            complain(self._complaints, "unknown_key", position, found, "one of them: 'steps' for a line, 'nodes' for any graph")
        if nodes is not None:
            return reader.nodes(nodes, defaults)
        if steps is not None:
            return reader.steps(steps, defaults, first)
        if root.lacks("nodes") and root.lacks("steps"):
            start = replace(root.position, line=1, column=1)
            expected = "'nodes', or 'steps' for a line of nodes"
            what = "the manifest" if is_outermost else root.what
            complain(self._complaints, "missing_key", start, f"{what} has no 'nodes'", expected)
        return None

    def _inputs(self, located: Located | None, *, is_outermost: bool) -> dict[str, InputDeclaration]:
        if located is None:
            return {}
        if not isinstance(located.value, Mapping):
            found, expected = (
                f"'inputs' is {describe(located.value)}",
                "a mapping from name to {type: ...}, such as {type: audio}",
            )
            complain(self._complaints, "wrong_type", located.position, found, expected)
            return {}
        inputs = {}
        for name, one in located.value.items():
            self._check_name("input", name, located.keys[name])
            found_fields = Fields(one, what=f"input {name!r}", allowed=("type",), complaints=self._complaints)
            declared, text = found_fields.require("type", "a port type, such as audio"), found_fields.read("type", fields.text)
            # Of any type where it could not be read, so that references to it are no further fault.
            position = located.keys[name] if declared is None else declared.position
            if text is not None and not is_outermost:
                text = self._port_type(name, text, position)
            inputs[name] = InputDeclaration(name, "any" if text is None else text, position)
        return inputs

    def _port_type(self, name: str, text: str, position: Position) -> str | None:
        try:
            PortType.parse(text)
        except ValueError as error:
            complain(self._complaints, "wrong_value", position, f"input {name!r} of the sub-graph: {error}")
            return None
        return text

    def _outputs(self, located: Located | None, prefix: str) -> dict[str, InputEntry | None]:
        if located is None:
            return {}
        if not isinstance(located.value, Mapping):
            found, expected = f"'outputs' is {describe(located.value)}", "a mapping from name to NODE or NODE.PORT"
            complain(self._complaints, "wrong_type", located.position, found, expected)
            return {}
        outputs: dict[str, InputEntry | None] = {}
        for name, one in located.value.items():
            self._check_name("output", name, located.keys[name])
            reference = fields.read(one, reference_to, what=f"output {name!r}", complaints=self._complaints)
            entry = None if reference is None else InputEntry(name, prefix + reference[0], reference[1], None, one.position)
            outputs[name] = entry
        return outputs

    def _check_name(self, kind: str, name: str, position: Position) -> None:
        if ID.fullmatch(name) is None:
            complain(self._complaints, "bad_id", position, f"an {kind} called {name!r}", "a-z, then a-z, 0-9, '_' or '-'")
