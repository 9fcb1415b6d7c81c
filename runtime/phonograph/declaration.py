"""What the declaration of a node type is held to, before there is a spec of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from phonograph.porttype import PortType
from phonograph.spec import AttributeType, Params, Port, fields_of


def declared_ports(declared: str | Mapping[str, str] | None) -> tuple[Port, ...]:
    """Ports as `@node` is given them: by name, or one family that names its port. Raises ValueError when a type is malformed."""
    if declared is None:
        return ()
    if isinstance(declared, str):
        parsed = PortType.parse(declared)
        return (Port(parsed.family, parsed),)
    return tuple(Port(name, PortType.parse(text)) for name, text in declared.items())


def check(
    type_name: str,
    params: type[Params],
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
    attributes: Mapping[str, AttributeType],
    converts: Mapping[str, str],
) -> None:
    """Refuse what no manifest could use. Raises TypeError."""
    if any(port.name == "dead_letter" for port in outputs):
        raise TypeError(f"@node({type_name!r}): an output is called 'dead_letter', which every node has; expected another name")
    _check_attributes(type_name, attributes)
    _check_described(type_name, params)
    _check_parameters(type_name, params, inputs + outputs, converts)


def _check_parameters(type_name: str, params: type[Params], ports: tuple[Port, ...], converts: Mapping[str, str]) -> None:
    named = {name: f"the type of port {port.name!r}" for port in ports for name in port.type.parameters()}
    for name, where in {**named, **dict.fromkeys(converts.values(), "converts")}.items():
        if name not in params.__struct_fields__:
            expected = (
                f"one of {', '.join(params.__struct_fields__)}" if params.__struct_fields__ else "none, for it has no parameters"
            )
            raise TypeError(f"@node({type_name!r}): {where} names the parameter {name!r}; expected {expected}")


def _check_attributes(type_name: str, attributes: Mapping[str, AttributeType]) -> None:
    for name, declared in attributes.items():
        if declared not in get_args(AttributeType):
            expected = ", ".join(map(repr, get_args(AttributeType)))
            raise TypeError(f"@node({type_name!r}): attribute {name!r} is of type {declared!r}; expected one of {expected}")


def _check_described(type_name: str, params: type[Params]) -> None:
    """Refuse parameters that no schema can describe, and so no text can give."""
    try:
        msgspec.json.schema(params)
    except NameError:
        return  # an annotation that names what stands further down in its module
    except TypeError as error:
        for field in fields_of(params):
            try:
                msgspec.json.schema(field.type)
            except TypeError:
                named = field.type if get_args(field.type) else getattr(field.type, "__name__", field.type)
                raise TypeError(
                    f"@node({type_name!r}): parameter {field.name!r} is of type {named}, which a manifest cannot give; expected "
                    "str, int, float, bool, lists and mappings of them, a msgspec.Struct, or InputPath and OutputPath for paths"
                ) from error
        raise
