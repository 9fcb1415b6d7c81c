"""The node that is put in front of one with `order: true`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from phonograph.errors import Complaint, Position
from phonograph.graph.registry import Registry, RegistryError
from phonograph.graph.wiring import BoundNode, Wire
from phonograph.language.fields import complain
from phonograph.porttype import PortType
from phonograph.spec import NodeSpec, Port

_TYPE = "flow.order"
"""Named here, for the flow nodes are built on graphs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """A node that puts what comes into the order of the sources, for one node behind it.

    Args:
        before: id of that node. ports: what passes, named as the ports of that node.
        position: of its `order: true`.
    """

    before: str
    ports: tuple[Port, ...]
    spec: NodeSpec
    position: Position

    @property
    def id(self) -> str:
        return f"{self.before}~order"

    def wires_in(self, wires: Sequence[Wire]) -> list[Wire]:
        """Those into the node behind it, leading here instead."""
        ports = {port.name: port for port in self.ports}
        return [replace(wire, target=self.id, target_port=ports[wire.target_port.name], queue=None, batch=None) for wire in wires]

    def wires_out(self, wires: Sequence[Wire]) -> list[Wire]:
        """Those from here into the node behind it, which has its queue in front of itself."""
        first = {wire.target_port.name: wire for wire in reversed(wires)}
        return [replace(first[port.name], source=self.id, source_port=port, through=()) for port in self.ports]


def ordering(
    node: BoundNode, wires: Sequence[Wire], given: Sequence[PortType], registry: Registry, complaints: list[Complaint]
) -> Ordering | None:
    """What stands in front of a node with `order: true`; None when it cannot be in order, about which there is a complaint.

    Args:
        wires: those into the node, conversions among their sources. given: the types of what comes over them.
    """
    entry, spec = node.entry, node.spec
    position = entry.origins["order"]
    if spec is None:
        return None
    what = f"node {entry.id!r} ({spec.type})"
    if spec.kind == "source":
        complain(complaints, "wrong_value", position, f"'order' on {what}, a source", "it on a node that reads the source")
        return None
    if getattr(spec.factory, "gathers", False):
        expected = "it on a node that takes items one by one; flow.merge has 'params: {order: source}', the others keep the order"
        complain(complaints, "wrong_value", position, f"'order' on {what}, which waits for several items", expected)
        return None
    if "workers" in entry.own and entry.workers is not None and entry.workers > 1:
        expected = "'workers: 1', or none of the two; several workers do not end items in the order in which they take them"
        complain(complaints, "wrong_value", position, f"'order' beside 'workers: {entry.workers}' on {what}", expected)
        return None
    if any(wire.batch is not None for wire in wires):
        expected = "one of the two; in a batch several items are on their way at a time"
        complain(complaints, "wrong_value", position, f"'order' beside 'batch' on {what}", expected)
        return None
    try:
        orders = registry.get(_TYPE)
    except RegistryError:
        orders = None
    if orders is None:
        complain(complaints, "type_unavailable", position, f"'order' on {what} needs {_TYPE}", "an installation that has it")
        return None
    types = {wire.target_port.name: comes for wire, comes in zip(wires, given, strict=True)}
    ports = tuple(Port(name, type_) for name, type_ in types.items())
    return Ordering(before=entry.id, ports=ports, spec=replace(orders, inputs=ports, outputs=ports), position=position)
