"""Says what is wrong with the types of an edge, and the shortest way to mend it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from phonograph.errors import Complaint
from phonograph.graph.conversion import Converter
from phonograph.graph.registry import Registry, RegistryError
from phonograph.graph.wiring import Wire
from phonograph.porttype import FromParameter, PortType, agreement
from phonograph.spec import NodeSpec, Port, fields_of


def other_family(wire: Wire, given: PortType, taken: PortType, outputs: tuple[Port, ...], registry: Registry) -> Complaint:
    """Two families meet. Names a port of the source that fits, else a node type that leads from one to the other."""
    if wire.is_dead_letters:
        return Complaint("port_type", wire.position, "dead letters are of type record", takes(wire, taken))
    fitting = tuple(f"{wire.source}.{port.name}" for port in outputs if port.type.family == taken.family)
    between = () if fitting else _bridges(given.family, taken.family, registry)
    remedy = f"; put {' or '.join(between)} between them" if between else ""
    return Complaint("port_type", wire.position, gives(wire, given), takes(wire, taken) + remedy, fitting)


def mixed_families(wire: Wire, given: PortType, first: Wire, taken: PortType) -> Complaint:
    """A node that hands on what comes gets two kinds of it."""
    expected = f"{taken.demanded}, as {first.source}.{first.source_port.name} gives to the same node {wire.target!r}"
    return Complaint("port_type", wire.position, gives(wire, given), expected)


def contradiction(
    wire: Wire, given: PortType, taken: PortType, converter: Converter | None, source: NodeSpec | None
) -> Complaint:
    """Two types of one family contradict each other, and nothing is inserted: a set or range leaves the choice to people."""
    wanted: dict[str, int] = {}
    for axis, value in taken.axes:
        known = given.axis(axis)
        if isinstance(value, int):
            wanted[axis] = value
        elif isinstance(known, int) and agreement(known, value) == "contradicted":  # type: ignore[arg-type]  # both are bound
            wanted[axis] = value.nearest(known)  # type: ignore[union-attr]  # else there is no contradiction
    set_there = "" if source is None else _set(wire, source, given, wanted)
    remedy = f"; {set_there}" if set_there else ""
    if converter is not None and not set_there:
        can = converter.params_for(given, wanted) is not None
        remedy = f"; {_put(converter, wanted)}" if can else f", and {converter.spec.type} cannot make that"
    return Complaint("port_type", wire.position, gives(wire, given), takes(wire, taken) + remedy)


def refusal(wire: Wire, given: PortType, taken: PortType, converter: Converter, wanted: Mapping[str, int]) -> Complaint:
    """A conversion is needed that the manifest does not let us insert."""
    if wire.is_fallback:
        found, remedy = f"{gives(wire, given)}, and nothing is converted in front of a fallback", f"in front of {wire.source!r}"
    else:
        found, remedy = f"{gives(wire, given)}, and 'auto_convert' is off for node {wire.target!r}", "between them"
    return Complaint("conversion_refused", wire.position, found, f"{takes(wire, taken)}; {_put(converter, wanted, remedy)}")


def gives(wire: Wire, given: PortType) -> str:
    return f"{wire.source}.{wire.source_port.name} {'takes' if wire.is_fallback else 'gives'} {given}"


def takes(wire: Wire, taken: PortType) -> str:
    return f"{taken}, which {wire.target}.{wire.target_port.name} takes"


def _set(wire: Wire, source: NodeSpec, given: PortType, wanted: Mapping[str, int]) -> str:
    """The parameters of the source that make what is wanted, where its type says that they do and they may be so."""
    declared = next((port.type for port in source.outputs if port.name == wire.source_port.name), None)
    kinds = {field.name: field.type for field in fields_of(source.params)}
    settings: list[str] = []
    for axis, value in wanted.items():
        maker = None if declared is None else declared.axis(axis)
        if given.axis(axis) == value:
            continue
        if not isinstance(maker, FromParameter):
            return ""
        try:
            msgspec.convert(value, kinds[maker.parameter])
        except msgspec.ValidationError:
            return ""
        settings.append(f"{maker.parameter}: {value}")
    return f"set {', '.join(settings)} on node {wire.source!r}" if settings else ""


def _put(converter: Converter, wanted: Mapping[str, int], where: str = "between them") -> str:
    settings = ", ".join(f"{converter.settings[axis]}: {value}" for axis, value in wanted.items())
    return f"put {converter.spec.type} with {settings} {where}"


def _bridges(given: str, taken: str, registry: Registry) -> tuple[str, ...]:
    """At most two node types that take one family alone and give the other."""
    found: list[str] = []
    for name in registry.types():
        try:
            spec = registry.get(name)
        except RegistryError:
            continue
        if spec is None or len(spec.inputs) != 1 or not spec.outputs:
            continue
        if spec.inputs[0].type.family == given and spec.outputs[0].type.family == taken:
            found.append(name)
    return tuple(found[:2])
