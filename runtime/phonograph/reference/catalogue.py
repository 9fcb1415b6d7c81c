"""What a node type declares, as plain data: for the node catalogue, the manifest schema, the reference pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import msgspec

from phonograph.errors import one_line
from phonograph.graph.registry import Registry, RegistryError
from phonograph.language.units import duration_in_words, size_in_words
from phonograph.spec import NodeSpec, marks

_NUMBERS = {"integer": "whole number", "number": "number"}
_PATHS = {"input": "path to read", "output": "path to write"}
_MARKS = ("path", "expression", "duration", "size", "writeOnly")
_QUANTITIES = {"duration": r"^\s*[0-9]+(\.[0-9]+)? ?(ms|s|m|h)\s*$", "size": r"^\s*[0-9]+(\.[0-9]+)? ?(B|[kKMGT]B|[KMGT]iB)\s*$"}
CARDINALITY = {
    "1:1": "one out for each that comes in",
    "1:0..1": "one out, or none, for each that comes in",
    "1:N": "any number out for each that comes in",
    "N:1": "one out for one or several that come in",
}
STREAMING = {
    "causal": "gives the same whichever pieces audio comes in",
    "post-normalised": "works on each piece as it comes, and ends its work when the last has come",
    "whole": "waits for the end",
}
LESS_BY_PARAMETERS = "; parameters can make it less demanding"
_BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"), ("exclusiveMaximum", "below"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a node type.

    Args:
        schema: JSON Schema, with what the parameter's marks say as keywords of their own (`unit`, `path`, `expression`).
        is_required: it has no default.
        unit: of a number; empty without one.
    """

    name: str
    schema: dict[str, Any]
    is_required: bool
    unit: str

    @property
    def description(self) -> str:
        kinds = [kind["description"] for kind in self.schema.get("anyOf", ()) if "description" in kind]
        return str(self.schema.get("description") or "; ".join(kinds))

    @property
    def takes(self) -> str:
        """Which values it takes, in words: "whole number, at least 1"."""
        return _takes(self.schema)

    @property
    def default(self) -> str:
        """The default as it would stand in a manifest; empty when there is none, or when it only means "absent"."""
        default = self.schema.get("default")
        if isinstance(default, float):
            return _number(default)
        return "" if default is None else msgspec.json.encode(default).decode().strip('"')


def loadable(registry: Registry) -> list[NodeSpec]:
    """Every type that the registry knows, by name.

    Raises:
        RegistryError: the code of one cannot be loaded.
    """
    return [spec for name in registry.types() if (spec := registry.get(name)) is not None]


def available(registry: Registry) -> tuple[tuple[NodeSpec, ...], dict[str, str]]:
    """Every type whose code can be loaded, by name; and for each of the others why it cannot, on a line."""
    specs, faults = [], {}
    for name in registry.types():
        try:
            spec = registry.get(name)
        except RegistryError as error:
            faults[name] = one_line(error)
        else:
            assert spec is not None
            specs.append(spec)
    return tuple(specs), faults


def parameters(spec: NodeSpec) -> tuple[Parameter, ...]:
    """The parameters of a node type, in the order of their declaration."""
    whole, _ = components(spec)
    required = whole.get("required", ())
    marked = marks(spec.params)
    annotations = {field.encode_name: field.type for field in msgspec.structs.fields(spec.params)}
    found = []
    for name, sorted_field in whole.get("properties", {}).items():
        field, said = _in_order(sorted_field, annotations[name]), dict(marked.get(name, {}))
        if said.pop("secret", False):
            said["writeOnly"] = True
        for kind, pattern in _QUANTITIES.items():
            if kind in said:
                field = _in_text(field, pattern, duration_in_words if kind == "duration" else size_in_words)
        found.append(Parameter(name, {**field, **said}, name in required, str(said.get("unit", ""))))
    return tuple(found)


def components(spec: NodeSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of a type's parameters, and those of the structs inside it, by names that no other type has."""
    (reference,), found = msgspec.json.schema_components([spec.params], ref_template=f"#/definitions/{spec.type}.{{name}}")
    own = reference["$ref"].rpartition("/")[2]
    named = {f"{spec.type}.{name}": schema for name, schema in found.items()}
    return named.pop(own), named


def entry(spec: NodeSpec) -> dict[str, Any]:
    """What the node catalogue says about a type."""
    inside = components(spec)[1]
    found = {
        "kind": spec.kind,
        "summary": spec.summary,
        "description": spec.description,
        "version": spec.version,
        "inputs": {port.name: str(port.type) for port in spec.inputs},
        "outputs": {port.name: str(port.type) for port in spec.outputs},
        "variadic": spec.variadic,
        "ports_depend_on_parameters": spec.ports_of is not None,
        "params": {parameter.name: parameter.schema for parameter in parameters(spec)},
        "required": [parameter.name for parameter in parameters(spec) if parameter.is_required],
        "attributes": dict(spec.attributes),
        "open_attributes": bool(spec.open_attributes),
        "converts": dict(spec.converts),
        "cardinality": spec.cardinality,
        "chooses": spec.chooses,
        "run": spec.run,
        "streaming": spec.streaming,
        "streaming_depends_on_parameters": spec.streaming_of is not None,
        "tolerance": spec.tolerance,
        "stateful": spec.stateful,
        "batches": spec.batches,
        "latency_samples": spec.latency_samples,
        "side_effects": spec.side_effects,
        "example": spec.example,
    }
    return {**found, "definitions": inside} if inside else found


def _in_text(schema: dict[str, Any], pattern: str, in_words: Callable[[Any], str]) -> dict[str, Any]:
    """The schema of seconds or bytes as that of the text that a manifest has for them."""
    found = {key: value for key, value in schema.items() if key not in dict(_BOUNDS)}
    if "anyOf" in schema:
        found["anyOf"] = [_in_text(kind, pattern, in_words) for kind in schema["anyOf"]]
    if isinstance(schema.get("items"), dict):
        found["items"] = _in_text(schema["items"], pattern, in_words)
    if schema.get("type") in _NUMBERS:
        found |= {"type": "string", "pattern": pattern}
    if isinstance(schema.get("default"), int | float):
        found["default"] = in_words(schema["default"])
    return found


def _in_order(schema: dict[str, Any], annotation: Any) -> dict[str, Any]:
    """The schema with its choices in the order of the declaration, which often means something; msgspec sorts them."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_in_order(kind, annotation) for kind in schema["anyOf"]]}
    if "enum" not in schema:
        return schema
    declared = [choice for choice in _choices(annotation) if choice in schema["enum"]]
    return {**schema, "enum": declared} if len(declared) == len(schema["enum"]) else schema


def _choices(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
        return
    for argument in get_args(annotation):
        yield from _choices(argument)


def ports_in_words(spec: NodeSpec) -> tuple[str, str]:
    """What goes in and what comes out, each as one phrase of Markdown."""
    inputs = ", ".join(f"`{port.name}` ({port.type})" for port in spec.inputs) or "nothing"
    outputs = ", ".join(f"`{port.name}` ({port.type})" for port in spec.outputs) or "nothing"
    if spec.variadic:
        inputs = "any number of inputs, under the names that `input` gives them"
    if spec.types_depend_on_parameters:
        outputs += "; parameters narrow these types"
    elif spec.ports_of is not None and not (spec.variadic and spec.outputs):
        outputs = "as many outputs, under the same names" if spec.variadic else "outputs named by the parameters"
    return inputs, outputs


def help_text(spec: NodeSpec) -> str:
    """What an editor shows about a type: a page in short, Markdown."""
    inputs, outputs = ports_in_words(spec)
    parts = [f"**{spec.type}**: {spec.summary}", f"in: {inputs}; out: {outputs}"]
    if spec.description:
        parts.insert(1, spec.description)
    if spec.example:
        parts.append(f"```yaml\n{spec.example}\n```")
    return "\n\n".join(parts)


def _takes(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        shared = {key: value for key, value in schema.items() if key in _MARKS}
        kinds = [{**shared, **kind} for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(_takes(kind) for kind in kinds))
    if "enum" in schema:
        return ", ".join(f"`{msgspec.json.encode(choice).decode().strip(chr(34))}`" for choice in schema["enum"])
    kind = schema.get("type")
    if kind in _NUMBERS:
        bounds = [f"{words} {_number(schema[key])}" for key, words in _BOUNDS if key in schema]
        return ", ".join([_NUMBERS[kind], *bounds])
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "array":
        items = _takes({**_shared(schema), **schema.get("items", {})})
        return f"list of {items.replace('path ', 'paths ', 1)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping: name to {_takes({**_shared(schema), **schema['additionalProperties']})}"
    if kind == "object" or "$ref" in schema:
        return "mapping"
    if kind == "string":
        return _text(schema)
    return "anything"


def _shared(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in _MARKS if key in schema}


def _text(schema: dict[str, Any]) -> str:
    if "path" in schema:
        return _PATHS[schema["path"]]
    if schema.get("expression"):
        return "expression"
    if schema.get("duration"):
        return "duration with its unit"
    if schema.get("size"):
        return "size with its unit"
    return "secret text" if schema.get("writeOnly") else "text"


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else str(value)
