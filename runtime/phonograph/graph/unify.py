"""Gives every edge its types before anything runs, and inserts the conversions that exist for ends that differ.

Types flow forward, node after node. What comes into a node binds the variables of its ports, and its outputs are its declared
types with these variables filled in. Where a literal is taken, and something else or something dynamic is given, the converter of
the family is put in between; where it cannot help, a contradiction is a complaint, and what cannot be told before the run is
checked per item. A variable that two inputs bind to different literals counts as the first of them for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from phonograph.errors import Complaint
from phonograph.graph.conversion import Converter, Insertion
from phonograph.graph.fallbacks import unlike
from phonograph.graph.mismatch import contradiction, mixed_families, other_family, refusal
from phonograph.graph.model import Edge
from phonograph.graph.nodes import breaker_of, retry_of
from phonograph.graph.ordering import Ordering, ordering
from phonograph.graph.registry import Registry
from phonograph.graph.wiring import BoundNode, Wire
from phonograph.language.entries import NodeEntry
from phonograph.porttype import Bound, PortType, agreement
from phonograph.spec import Port

_ANY = PortType("any")


class Unification:
    """The types of one graph.

    Args:
        nodes: by id, each behind those that feed it, as far as there is such an order.
        wires: id of the consumer -> its wires.
        circling: ids of the nodes in circles; which types the edges between these must have is open.
        complaints: is added to.
        stand_ins: node -> the node that stands in for it.

    Attributes:
        wires: those given, insertions and their wires among them, in the order of `nodes`.
        insertions, orderings: by id.
        unproven: id -> its inputs against which every item has to be held, with the type that was taken.
    """

    def __init__(
        self,
        nodes: Mapping[str, BoundNode],
        wires: Mapping[str, Sequence[Wire]],
        registry: Registry,
        *,
        circling: Collection[str],
        complaints: list[Complaint],
        stand_ins: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._nodes = nodes
        self._registry = registry
        self._complaints = complaints
        self._converters: dict[str, Converter | None] = {}
        self._shared: dict[object, Insertion] = {}  # what consumers have in common -> what does it for them
        self._outputs: dict[str, dict[str, PortType]] = {}  # id -> output -> what it gives
        self._taken: dict[str, dict[str, PortType]] = {}  # id -> input -> what it takes
        self._comes: dict[str, dict[str, PortType]] = {}  # id -> input -> what comes there, converted
        stood_in_for = {other: node_id for node_id, other in stand_ins.items()}
        self.wires: dict[str, list[Wire]] = {}
        self.insertions: dict[str, Insertion] = {}
        self.orderings: dict[str, Ordering] = {}
        self.unproven: dict[str, tuple[Port, ...]] = {}
        for node_id, node in nodes.items():
            known = [wire for wire in wires[node_id] if wire.source not in circling or node_id not in circling]
            wires_in = self._unify(node, known)
            self._comes[node_id] = {wire.target_port.name: self._given_by(wire) for wire in wires_in}
            self.wires[node_id] = self._in_order(node, wires_in) if node.entry.order else wires_in
            if (first := stood_in_for.get(node_id)) in self._outputs and node_id in self._outputs:
                given, instead = self._outputs[first], self._outputs[node_id]
                complaints += unlike(self._nodes[first], node_id, given, instead)
        self._wire_insertions()

    def given(self, source: str, port: Port) -> PortType:
        """What an output gives, as far as it is known before a run."""
        known = self._outputs.get(source, {}).get(port.name)
        return known if known is not None else _ANY if port.type.whole else port.type.bound({})

    def _given_by(self, wire: Wire) -> PortType:
        """What comes over a wire; to a fallback, what came to the node that it stands in for."""
        if wire.is_fallback:
            return self._comes.get(wire.source, {}).get(wire.source_port.name, _ANY)
        return self.given(wire.source, wire.source_port)

    def edges(self, targets: Sequence[str]) -> list[Edge]:
        """The edges into these nodes, those into what was inserted before one of them first."""
        before: dict[str, list[str]] = {}
        for insertion in self.insertions.values():
            before.setdefault(insertion.before[0], []).append(insertion.id)
        for one in self.orderings.values():
            before.setdefault(one.before, []).append(one.id)
        return [
            Edge(
                source=wire.source,
                source_port=wire.source_port.name,
                target=wire.target,
                target_port=wire.target_port.name,
                given=self._given_by(wire),
                taken=self._taken[wire.target][wire.target_port.name],
                position=wire.position,
            )
            for target in targets
            for node_id in (*before.get(target, ()), target)
            for wire in self.wires[node_id]
        ]

    def _unify(self, node: BoundNode, wires: Sequence[Wire]) -> list[Wire]:
        """Judge the wires into one node, and tell what comes out of it; returns the wires, with insertions between."""
        given = [self._given_by(wire) for wire in wires]
        inside = [_inside(wire, comes) for wire, comes in zip(wires, given, strict=True)]
        bound = self._bind(wires, inside)
        whole = self._bind_whole(wires, inside)
        wanted: dict[int, dict[str, int]] = {}  # place among the wires -> axis -> literal
        unproven: dict[str, Port] = {}
        taken_by: dict[str, PortType] = {}
        for number, (wire, comes) in enumerate(zip(wires, given, strict=True)):
            name, declared = wire.target_port.name, wire.target_port.type
            taken = (whole.get(declared.whole, _ANY) if declared.whole else declared.bound(bound)).demanded
            for demand in wire.through:
                fits = demand.family in (comes.family, "any") or comes.family == "any"
                taken = taken.narrowed(demand) if fits else demand.demanded
            taken_by[name] = taken
            if declared.family == "any" and not wire.through:
                continue
            if comes.family not in (taken.family, "any"):
                is_output = wire.source in self._nodes and not wire.is_fallback
                outputs = (self._nodes[wire.source].ports or ((), ()))[1] if is_output else ()
                complaint = other_family(wire, comes, taken, outputs, self._registry)
                if complaint not in self._complaints[-1:]:  # `*.dead_letter` is many wires and one input
                    self._complaints.append(complaint)
                continue
            is_open, needs = self._judge(node, wire, comes, taken)
            if is_open:
                unproven[name] = Port(name, taken)
            if needs:
                wanted[number] = needs
        self._taken[node.entry.id] = taken_by
        self.unproven[node.entry.id] = tuple(unproven.values())
        if node.ports is not None:
            self._outputs[node.entry.id] = {
                port.name: whole.get(port.type.whole, _ANY) if port.type.whole else port.type.bound(bound)
                for port in node.ports[1]
            }
        return self._inserted(node, wires, given, wanted) if wanted else list(wires)

    def _bind(self, wires: Sequence[Wire], given: Sequence[PortType]) -> dict[str, Bound]:
        """Variable -> its value: the first literal that comes in for it, else the first of whatever does."""
        bound: dict[str, Bound] = {}
        for wire, comes in zip(wires, given, strict=True):
            for name, value in wire.target_port.type.binding(comes).items():
                if name not in bound or (isinstance(value, int) and not isinstance(bound[name], int)):
                    bound[name] = value
        return bound

    def _bind_whole(self, wires: Sequence[Wire], given: Sequence[PortType]) -> dict[str | None, PortType]:
        """Variable of a whole type -> what all that comes in for it has in common."""
        first: dict[str, Wire] = {}
        whole: dict[str | None, PortType] = {}
        for wire, comes in zip(wires, given, strict=True):
            name = wire.target_port.type.whole
            if name is None:
                continue
            known = whole.setdefault(name, comes)
            if known.family != comes.family and "any" not in (known.family, comes.family):
                self._complaints.append(mixed_families(wire, comes, first[name], known))
                continue
            first.setdefault(name, wire)
            whole[name] = _common(known, comes)
        return whole

    def _judge(self, node: BoundNode, wire: Wire, given: PortType, taken: PortType) -> tuple[bool, dict[str, int]]:
        """Hold one edge's ends against each other.

        Returns:
            Whether items have to be looked at, and the axes to convert.
        """
        if given.family == "any":
            return True, {}
        verdicts = {axis: agreement(given.axis(axis), value) for axis, value in taken.axes}  # type: ignore[arg-type]  # both bound
        if all(verdict == "proven" for verdict in verdicts.values()):
            return False, {}
        literals = {axis: value for axis, value in taken.axes if isinstance(value, int) and verdicts[axis] != "proven"}
        converter = self._converter(given.family) if literals else None
        wanted: dict[str, int] = {}
        if converter is not None:
            wanted = {axis: value for axis, value in literals.items() if converter.makes(given, {axis: value})}
            wanted = wanted if converter.makes(given, wanted) else {}
        source = self._nodes[wire.source].spec if wire.source in self._nodes and not wire.is_fallback else None
        if any(verdict == "contradicted" and axis not in wanted for axis, verdict in verdicts.items()):
            self._complaints.append(contradiction(wire, given, taken, self._converter(given.family), source))
            return False, {}
        if wanted and (wire.is_fallback or not node.entry.auto_convert):
            assert converter is not None
            self._complaints.append(refusal(wire, given, taken, converter, wanted))
            return False, {}
        return any(verdict == "unknown" and axis not in wanted for axis, verdict in verdicts.items()), wanted

    def _converter(self, family: str) -> Converter | None:
        if family not in self._converters:
            self._converters[family] = Converter.of(family, self._registry)
        return self._converters[family]

    def _inserted(
        self, node: BoundNode, wires: Sequence[Wire], given: Sequence[PortType], wanted: Mapping[int, Mapping[str, int]]
    ) -> list[Wire]:
        """The wires into a node, with conversions in the links that need some."""
        links: dict[object, list[int]] = {}
        for number, wire in enumerate(wires):
            links.setdefault(number if node.is_variadic else (wire.source, wire.is_dead_letters), []).append(number)
        result = list(wires)
        for numbers in links.values():
            if wanted.keys() & set(numbers):
                for number, wire in self._convert_link(
                    node, {number: wires[number] for number in numbers}, given, wanted
                ).items():
                    result[number] = wire
        return result

    def _convert_link(
        self,
        node: BoundNode,
        link: Mapping[int, Wire],
        given: Sequence[PortType],
        wanted: Mapping[int, Mapping[str, int]],
    ) -> dict[int, Wire]:
        """Put one conversion after the other between two nodes, sharing those that another consumer needs just so."""
        wires = dict(link)
        queue = next((wire.queue for wire in wires.values() if wire.queue is not None), None)
        types = {number: given[number] for number in wires}
        key: tuple[object, ...] = (next(iter(wires.values())).source, queue, _policies(node.entry))
        for number in [number for number in wires if number in wanted]:
            wire, needs = wires[number], wanted[number]
            same = [
                other
                for other, one in wires.items()
                if one.source_port.name == wire.source_port.name and wanted.get(other) == needs
            ]
            if number != same[0]:
                continue
            is_alone = all(one.source_port.name != wire.source_port.name for other, one in wires.items() if other not in same)
            output = wire.source_port.name if is_alone else f"{wire.source_port.name}~{number}"
            key = (*key, (wire.source_port.name, output, *needs.items()))
            insertion = self._shared.get(key) or self._insertion(key, wire, output, types[number], needs, node.entry.id)
            if node.entry.id not in insertion.before:
                insertion.before.append(node.entry.id)
            for other, one in wires.items():
                name = output if other in same else one.source_port.name
                types[other] = insertion.made if other in same else types[other]
                if other not in same:
                    insertion.carried[name] = types[other]
                    self._outputs[insertion.id][name] = types[other]
                wires[other] = replace(one, source=insertion.id, source_port=Port(name, types[other]), queue=None)
        return wires

    def _insertion(
        self, key: object, wire: Wire, output: str, given: PortType, wanted: Mapping[str, int], before: str
    ) -> Insertion:
        converter = self._converter(given.family)
        params = None if converter is None else converter.params_for(given, wanted)
        assert converter is not None and params is not None  # see _judge
        stem = f"{wire.source.partition('~')[0]}~{converter.spec.type.rpartition('.')[2]}"
        node_id, number = stem, 1
        while node_id in self.insertions or node_id in self._nodes:
            number += 1
            node_id = f"{stem}-{number}"
        insertion = Insertion(
            id=node_id,
            source=wire.source,
            port=wire.source_port.name,
            output=output,
            converter=converter,
            params=params,
            given=given,
            made=converter.made_of(given, params),
            wanted=wanted,
            queue=wire.queue,
            position=wire.position,
        )
        self.insertions[node_id] = self._shared[key] = insertion
        self._outputs[node_id] = {output: insertion.made}
        self.wires[node_id] = []  # its place in the order, before the first node that reads it
        return insertion

    def _in_order(self, node: BoundNode, wires: list[Wire]) -> list[Wire]:
        """The wires into one node, with a node between that puts what comes over them in order."""
        given = [self.given(wire.source, wire.source_port) for wire in wires]
        one = ordering(node, wires, given, self._registry, self._complaints)
        if one is None:
            return wires
        self.orderings[one.id] = one
        self._outputs[one.id] = self._taken[one.id] = {port.name: port.type for port in one.ports}
        self.wires[one.id] = one.wires_in(wires)
        return one.wires_out(wires)

    def _wire_insertions(self) -> None:
        """Give each insertion its own wires: what it reads, and its dead letters, which go where those of its readers go."""
        behind: dict[str, list[Insertion | Ordering]] = {}
        for one in self.orderings.values():
            behind.setdefault(one.before, []).append(one)
        for insertion in self.insertions.values():
            self._taken[insertion.id] = {port.name: port.type.demanded for port in insertion.inputs}
            self.wires[insertion.id] = [
                Wire(insertion.source, port, insertion.id, port, insertion.position, insertion.queue) for port in insertion.inputs
            ]
            for consumer in insertion.before:
                behind.setdefault(consumer, []).append(insertion)
        if not behind:
            return
        for wires in self.wires.values():
            read = {inserted.id: wire for wire in wires if wire.is_dead_letters for inserted in behind.get(wire.source, ())}
            wires += [replace(wire, source=node_id) for node_id, wire in read.items()]


def _policies(entry: NodeEntry) -> tuple[object, ...]:
    """What a node does about failures, and who works on it where; an inserted node does as its readers do."""
    where = (entry.workers, entry.run, entry.memory)
    return retry_of(entry, ()), entry.retry.get("retryable", ()), breaker_of(entry), entry.timeout, entry.on_error, where


def _inside(wire: Wire, given: PortType) -> PortType:
    """What is given, as it is once it has what the sub-graphs demand by whose inputs it comes in."""
    for demand in wire.through:
        if demand.family == given.family:
            given = given.meeting(demand)
    return given


def _common(one: PortType, other: PortType) -> PortType:
    """What two types have in common: the family, and the axes that are equal."""
    if one == other:
        return one
    return PortType(one.family, tuple(axis for axis in one.axes if axis in other.axes)) if one.family == other.family else _ANY
