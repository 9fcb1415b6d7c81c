"""Resolves the inputs that a manifest writes into wires between ports, and joins wires into links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from phonograph.errors import Complaint, Position, listed, nearest
from phonograph.graph.model import Link
from phonograph.graph.order import reach, targets
from phonograph.language.batches import Batching
from phonograph.language.entries import InputEntry, NodeEntry
from phonograph.language.fields import complain
from phonograph.language.manifest import Manifest
from phonograph.language.queues import QueueBounds
from phonograph.porttype import PortType
from phonograph.spec import NodeSpec, Params, Port, Ports

DEAD_LETTER = "dead_letter"
"""The port that every node has besides those that it declares: the records that it could not process."""

INPUTS = "inputs"
"""The source of what comes from outside, with the manifest's own inputs as its ports."""

UNNAMED = "item"
"""What an input of a gathering node is called when the manifest gives it no name (`input: NODE`)."""

MAX_READERS = 16
"""Of the dead letters of all nodes, because each such reader is an edge from every node."""

_TAKES_BATCHES = "it on a node type that has `process_batch`; `run-pipeline nodes TYPE` says which do"
_DEAD_LETTERS = Port(DEAD_LETTER, PortType("record"))


@dataclass(frozen=True, slots=True)
class BoundNode:
    """A node of the manifest with what is known of it; None for what could not be told.

    Args:
        retryable: the errors that its entry names as such.
    """

    entry: NodeEntry
    spec: NodeSpec | None
    params: Params | None
    ports: Ports | None
    retryable: tuple[type[Exception], ...] = ()

    @property
    def is_variadic(self) -> bool:
        return self.spec is not None and self.spec.variadic

    @property
    def named_ports(self) -> Ports | None:
        """The ports whose names are known, though perhaps not their types; None where parameters decide which there are."""
        if self.ports is not None or self.spec is None:
            return self.ports
        has_named = self.spec.ports_of is None or self.spec.types_depend_on_parameters
        return (self.spec.inputs, self.spec.outputs) if has_named else None


@dataclass(frozen=True, slots=True)
class Wire:
    """One edge, both ends resolved to ports. `position`, `queue` and `batch` are those of the input that the manifest writes.

    `through` are the types that sub-graphs declare for the inputs by which the edge comes in.
    """

    source: str
    source_port: Port
    target: str
    target_port: Port
    position: Position
    queue: QueueBounds | None
    through: tuple[PortType, ...] = ()
    batch: Batching | None = None
    is_fallback: bool = False

    @property
    def is_dead_letters(self) -> bool:
        return self.source_port is _DEAD_LETTERS


class Wiring:
    """The edges of one manifest, but for those over which a fallback gets what its node could not take.

    Args:
        nodes: every node that could be read, by id.
        inputs: types of the manifest's own inputs; None for one that could not be read.
        unread: ids that stand in the manifest and could not be read.
        complaints: is added to.
        stand_ins: node -> the node that stands in for it. unconnected: nodes that may have no inputs.

    Attributes:
        entries: id -> its inputs as the manifest has them, `*.dead_letter` replaced by those that it stands for.
        fed_by: id -> ids of the nodes that feed it, whether or not their ports fit.
        wires: id of the consumer -> its wires, in the order of the manifest; those of wrong inputs are left out.
    """

    def __init__(
        self,
        nodes: Mapping[str, BoundNode],
        inputs: Mapping[str, PortType | None],
        unread: frozenset[str],
        complaints: list[Complaint],
        stand_ins: Mapping[str, str] = MappingProxyType({}),
        unconnected: Collection[str] = (),
    ) -> None:
        self._nodes = nodes
        self._unconnected = unconnected
        self._inputs = inputs
        self._unread = unread
        self._complaints = complaints
        self.entries: dict[str, list[InputEntry]] = {node_id: list(node.entry.inputs) for node_id, node in nodes.items()}
        self.fed_by: dict[str, dict[str, None]] = {
            node_id: {given.source: None for given in entries if given.source in nodes}
            for node_id, entries in self.entries.items()
        }
        self._feed_stand_ins(stand_ins)
        self._name_all_dead_letters()
        self.wires: dict[str, list[Wire]] = {node_id: self._wires_into(node) for node_id, node in nodes.items()}

    def outputs(self, manifest: Manifest) -> dict[str, tuple[InputEntry, Port]]:
        """The manifest's own outputs: name -> what it names, and the port there; those that name nothing are left out."""
        found = {name: (given, self._source_port(given)) for name, given in manifest.outputs.items()}
        return {name: (given, port) for name, (given, port) in found.items() if port is not None}

    def _feed_stand_ins(self, stand_ins: Mapping[str, str]) -> None:
        """Put what stands in for a node behind it, and those that read the node behind what stands in."""
        for node_id, other in stand_ins.items():
            self.fed_by[other][node_id] = None
        for node_id, entries in self.entries.items():
            for given in entries:
                source = given.source
                while given.source_port != DEAD_LETTER and source in stand_ins:
                    source = stand_ins[source]
                    self.fed_by[node_id][source] = None

    def _name_all_dead_letters(self) -> None:
        """Replace `*.dead_letter` by the dead letters of each node that it stands for.

        One consumer after the other, so that of two of them only the later one is read by the earlier one. Of more readers than
        may be, only the first are wired.
        """
        readers: Counter[str] = Counter()
        gathering = [(node_id, given) for node_id, entries in self.entries.items() for given in entries if _means_all(given)]
        for node_id, given in gathering:
            place = self.entries[node_id].index(given)
            readers[given.source] += 1
            if readers[given.source] > MAX_READERS:
                del self.entries[node_id][place]
                if readers[given.source] == MAX_READERS + 1:
                    found = f"more than {MAX_READERS} nodes read '{_reference(given)}'"
                    self._complain(
                        "too_large", given.position, found, "one of them, such as a flow.merge, with the others behind it"
                    )
                continue
            behind = reach([node_id], targets(self.fed_by))
            folder = given.source.removesuffix("*")
            named = [one for one in self._nodes if one.startswith(folder) and one not in behind]
            letters = [InputEntry(given.port, one, DEAD_LETTER, given.queue, given.position, batch=given.batch) for one in named]
            self.entries[node_id][place : place + 1] = letters
            self.fed_by[node_id].update(dict.fromkeys(named))

    def _wires_into(self, node: BoundNode) -> list[Wire]:
        entry, spec = node.entry, node.spec
        if spec is not None and spec.kind == "source" and entry.inputs:
            found = f"node {entry.id!r} ({spec.type}) is a source and has an input"
            self._complain("port_direction", entry.inputs[0].position, found, "no 'input', for a source reads records itself")
            return []
        wires: list[Wire] = []
        named = node.named_ports
        unknown: set[str] = set()  # targets of several inputs that are one in the manifest are complained about once
        for given in self.entries[entry.id]:
            source_port = self._source_port(given)
            if given.port in unknown:
                continue
            target_port = None if named is None else self._target_port(node, named[0], given)
            if target_port is None and given.port is not None:
                unknown.add(given.port)
            if source_port is not None and target_port is not None and node.ports is not None:
                through = tuple(map(PortType.parse, given.through))
                wires.append(
                    Wire(given.source, source_port, entry.id, target_port, given.position, given.queue, through, given.batch)
                )
        self._check_one_queue(node)
        if not node.is_variadic:
            self._check_one_node(node)
        self._check_batches(entry, spec)
        is_free = entry.id in self._unconnected and not entry.inputs
        if spec is not None and spec.kind != "source" and named is not None and not is_free:
            self._check_all_connected(entry, spec, named[0])
        return wires

    def _source_port(self, given: InputEntry) -> Port | None:
        """The output that an input names; None when it is not there, or not known."""
        if given.source == INPUTS and given.source not in self._nodes:
            return self._own_input(given)
        if given.source not in self._nodes:
            if given.source == "*":
                self._complain("unknown_reference", given.position, f"'{_reference(given)}' as an input", "*.dead_letter")
            elif given.source not in self._unread:
                known = (*self._nodes, *self._unread, *((INPUTS,) if self._inputs else ()))
                expected = f"one of {listed(sorted(known))}"
                self._complain(
                    "unknown_reference", given.position, f"no node {given.source!r}", expected, nearest(given.source, known)
                )
            return None
        if given.source_port == DEAD_LETTER:
            return _DEAD_LETTERS
        node = self._nodes[given.source]
        named = node.named_ports
        if node.spec is None or named is None:
            return None
        outputs = named[1]
        if node.spec.kind == "sink" or not outputs:
            found = f"node {given.source!r} ({node.spec.type}) has no outputs"
            expected = "a source or a transform; a sink ends its branch" if node.spec.kind == "sink" else "a node with outputs"
            self._complain("port_direction", given.position, found, expected)
            return None
        lacks = f"node {given.source!r} has no output"
        port = self._port(outputs, given.source_port, lacks, given.position, (DEAD_LETTER,))
        return None if node.ports is None else port

    def _own_input(self, given: InputEntry) -> Port | None:
        name = given.source_port
        if name is None or name not in self._inputs:
            found = f"no input {name!r} of the manifest" if name else "'inputs' without the name of one"
            known = [f"inputs.{known}" for known in self._inputs]
            close = tuple(f"inputs.{one}" for one in nearest(name, self._inputs)) if name else ()
            expected = f"one of {listed(known)}" if known else "a node; the manifest declares no 'inputs'"
            self._complain("unknown_reference", given.position, found, expected, close)
            return None
        declared = self._inputs[name]
        return None if declared is None else Port(name, declared)

    def _target_port(self, node: BoundNode, inputs: tuple[Port, ...], given: InputEntry) -> Port | None:
        if not inputs:
            return None  # said once, by _check_all_connected
        return self._port(inputs, given.port, f"node {node.entry.id!r} has no input", given.position)

    def _port(
        self, ports: tuple[Port, ...], name: str | None, lacks: str, position: Position, hidden: tuple[str, ...] = ()
    ) -> Port | None:
        """The port of a name, the first one without a name; `hidden` are names that may be meant and are not listed."""
        if name is None:
            return ports[0]
        for port in ports:
            if port.name == name:
                return port
        names = [port.name for port in ports]
        close = nearest(name, (*names, *hidden))
        self._complain("unknown_reference", position, f"{lacks} {name!r}", f"one of {listed(names)}", close)
        return None

    def _check_all_connected(self, entry: NodeEntry, spec: NodeSpec, inputs: tuple[Port, ...]) -> None:
        if not inputs:
            if spec.variadic:
                found = f"node {entry.id!r} ({spec.type}) has no inputs"
                self._complain(
                    "missing_input", entry.position, found, "'input:' with names of your own: {one: NODE, other: NODE}"
                )
            else:
                found = f"node {entry.id!r}: {spec.type} is a {spec.kind} and declares no input port"
                self._complain("missing_input", entry.position, found, "a node type that takes something")
            return
        connected = {given.port or inputs[0].name for given in entry.inputs}
        for port in inputs:
            if port.name not in connected:
                found = f"input {port.name!r} of node {entry.id!r} ({spec.type}) is not connected"
                self._complain("missing_input", entry.position, found, f"'input:' with an output of type {port.type.demanded}")

    def _check_one_node(self, node: BoundNode) -> None:
        """A node that does not gather takes what one node gives; or dead letters, into one port, from any number of them."""
        entry, named = node.entry, node.named_ports
        ports = None if named is None else {None, *(port.name for port in named[0])}
        known = [one for one in entry.inputs if one.source not in self._unread and (ports is None or one.port in ports)]
        made = dict.fromkeys(given.source for given in known if given.source_port != DEAD_LETTER)
        failed = dict.fromkeys(f"{given.source}.{DEAD_LETTER}" for given in known if given.source_port == DEAD_LETTER)
        if len(made) > 1 or (made and failed) or (failed and len(known) > 1):
            found = f"the inputs of node {entry.id!r} come from {_listed([*made, *failed])}"
            self._complain("fan_in", entry.inputs[0].position, found, f"one node; {_gathered(known, bool(failed))}")

    def _check_one_queue(self, node: BoundNode) -> None:
        """All inputs of a node share one queue; those of a node that gathers may each say how much it holds."""
        entry = node.entry
        given = [one for one in entry.inputs if one.queue is not None]
        if node.is_variadic:
            policies = [one.queue.full if one.queue is not None else "block" for one in entry.inputs]
            other = next((number for number, full in enumerate(policies) if full != policies[0]), None)
            if other is not None:
                found = f"a full queue of node {entry.id!r} does as its inputs say: {policies[0]}, {policies[other]}"
                expected = "the same 'full' for each of them, for they share one queue"
                self._complain("wrong_value", entry.inputs[other].position, found, expected)
        elif len({one.queue for one in given}) > 1:
            found = f"the inputs of node {entry.id!r} have different queues"
            self._complain("wrong_value", given[1].position, found, "one queue, for all of them come from one node")

    def _check_batches(self, entry: NodeEntry, spec: NodeSpec | None) -> None:
        """A batch is for one call, of a node that can take one."""
        given = [one.batch for one in entry.inputs if one.batch is not None]
        if not given or spec is None:
            return
        what = f"'batch' on node {entry.id!r} ({spec.type}), "
        if spec.kind == "sink":
            self._complain("wrong_value", given[0].position, f"{what}a sink, which stores items one by one", _TAKES_BATCHES)
        elif spec.cardinality == "N:1":
            self._complain("wrong_value", given[0].position, f"{what}which gathers items itself", _TAKES_BATCHES)
        elif not spec.batches:
            self._complain("wrong_value", given[0].position, f"{what}which takes items one by one", _TAKES_BATCHES)
        elif len(set(given)) > 1:
            found = f"the inputs of node {entry.id!r} have different batches"
            self._complain("wrong_value", given[1].position, found, "one batch, for all of them come from one node")

    def _complain(self, code: str, position: Position, found: str, expected: str = "", candidates: tuple[str, ...] = ()) -> None:
        complain(self._complaints, code, position, found, expected, candidates)


def links_of(wires: Sequence[Wire], *, variadic: bool) -> tuple[Link, ...]:
    """Join the wires into a node.

    A node that gathers gets a link for each wire, because what comes over two of them need not come together; any other node
    gets one for all that it takes of a node at once.
    """
    bundles: dict[object, list[Wire]] = {}
    for number, wire in enumerate(wires):
        key = number if variadic else (wire.source, wire.is_dead_letters)
        bundles.setdefault(key, []).append(wire)
    return tuple(_link(bundle) for bundle in bundles.values())


def _link(wires: Iterable[Wire]) -> Link:
    bundle = list(wires)
    return Link(
        source=bundle[0].source,
        target=bundle[0].target,
        ports=tuple((wire.source_port.name, wire.target_port.name) for wire in bundle),
        queue=next((wire.queue for wire in bundle if wire.queue is not None), None),
        batch=next((wire.batch for wire in bundle if wire.batch is not None), None),
        is_dead_letters=bundle[0].is_dead_letters,
        is_fallback=bundle[0].is_fallback,
    )


def _listed(sources: list[str]) -> str:
    if all("." not in source for source in sources):
        return f"nodes {' and '.join(sources)}"
    return " and ".join(sources)


def _gathered(entries: Sequence[InputEntry], has_dead_letters: bool) -> str:
    """The node to write between, and what to read from it."""
    ports = [(given.port or UNNAMED, _reference(given)) for given in entries]
    inputs = ", ".join(f"{port}: {source}" for port, source in ports)
    if has_dead_letters:
        return f"or a merge of them, whose items come one by one: 'merged: {{type: flow.merge, input: {{{inputs}}}}}'"
    read = ", ".join(f"{port}: both.{port}" for port, _ in ports)
    return f"or a join of them: 'both: {{type: flow.join, input: {{{inputs}}}}}', and here 'input: {{{read}}}'"


def _means_all(given: InputEntry) -> bool:
    return given.source.endswith("*") and given.source_port == DEAD_LETTER


def _reference(given: InputEntry) -> str:
    return given.source if given.source_port is None else f"{given.source}.{given.source_port}"
