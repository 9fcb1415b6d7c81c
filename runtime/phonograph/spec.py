"""What a node type declares: its ports, its parameters, its NodeSpec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast, get_args

import msgspec

Kind = Literal["source", "transform", "sink"]
Family = Literal["audio", "features", "text", "segments", "bytes", "record", "any"]
Cardinality = Literal["1:1", "1:0..1", "1:N", "N:1"]
AttributeType = Literal["str", "int", "float", "bool"]
Run = Literal["inline", "thread"]
Streaming = Literal["causal", "post-normalised", "whole"]

FAMILIES: tuple[str, ...] = get_args(Family)
_PORT_TYPE = re.compile(r"([a-z]+)(?:\[([^\]]*)\])?")

InputPath = Annotated[str, msgspec.Meta(extra={"path": "input"}, extra_json_schema={"format": "path"})]
"""A parameter that names something to read. A relative path is resolved before the node sees it."""

OutputPath = Annotated[str, msgspec.Meta(extra={"path": "output"}, extra_json_schema={"format": "path"})]
"""A parameter that names something to write. A relative path is resolved before the node sees it."""


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a node's parameters: typed fields, constraints and descriptions in `msgspec.Meta`.

    `Meta(extra={"unit": "ms"})` states a unit. Rules that span fields go into `__post_init__`, which raises ValueError.
    """


@dataclass(frozen=True, slots=True)
class PortType:
    """What a port carries: a family, narrowed by axes (`audio[rate=16000, channels=1]`).

    An axis is an int (literal), or a str: the name of a variable, or `dynamic` (known only per item).
    """

    family: Family
    axes: tuple[tuple[str, int | str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PortType:
        """Read `family` or `family[axis=value, ...]`.

        Raises:
            ValueError: not of that form, or an unknown family.
        """
        match = _PORT_TYPE.fullmatch(text.strip())
        if match is None or match[1] not in FAMILIES:
            raise ValueError(f"port type {text!r}; expected one of {', '.join(FAMILIES)}, with axes as in 'audio[rate=16000]'")
        axes = []
        for part in filter(None, (part.strip() for part in (match[2] or "").split(","))):
            name, separator, value = part.partition("=")
            if not separator or not name.strip().isidentifier() or not value.strip():
                raise ValueError(f"port type {text!r}: axis {part!r}; expected name=value")
            value = value.strip()
            axes.append((name.strip(), int(value) if value.isdigit() else value))
        return cls(cast(Family, match[1]), tuple(sorted(axes)))

    def accepts(self, other: PortType) -> bool:
        """Whether an edge from a port of type `other` into one of this type can work: same family, no two different literals."""
        if self.family != "any" and other.family not in (self.family, "any"):
            return False
        given = dict(other.axes)
        return all(
            not isinstance(value, int) or not isinstance(given.get(axis), int) or given[axis] == value
            for axis, value in self.axes
        )

    def __str__(self) -> str:
        if not self.axes:
            return self.family
        return f"{self.family}[{', '.join(f'{name}={value}' for name, value in self.axes)}]"


@dataclass(frozen=True, slots=True)
class Port:
    """A named place where payloads enter or leave a node."""

    name: str
    type: PortType


Ports = tuple[tuple[Port, ...], tuple[Port, ...]]
"""Inputs and outputs."""

PortsOf = Callable[["Params", tuple[str, ...]], Ports]
"""Makes the ports of one node out of its parameters, with the names of the inputs that the manifest connects."""

# Named here because NodeSpec has a field called `type`, which hides the built-in inside its body.
ParamsType = type[Params]
ExceptionType = type[Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """The declaration of a node type: everything that planning, checking and documentation know about it.

    Args:
        type: dotted name used in manifests. version: raised when results change for equal parameters.
        inputs, outputs: ports; the first is the default one.
        params: the parameters' type. factory: makes an instance from (params, node id).
        cardinality: items out for an item in.
        run: where `process` runs: `inline` in the event loop (microseconds, never blocks), `thread` in a worker (releases
            the GIL or waits).
        retryable: exceptions that may heal, besides those that every policy retries.
        side_effects: calling twice is visible outside.
        sees_native_memory: True when all memory that grows with its work is NumPy's, so that nothing is hidden; else metrics say
            null, because other libraries' memory cannot be seen (FFmpeg, ONNX).
        latency_samples: how far output lags behind input when streaming.
        streaming: `causal` (bit-equal under any chunking), `post-normalised` (the final step waits), `whole` (buffers).
        attributes: facts that it adds to an item, by name. `open_attributes`: it adds others too, known only per item.
        example: a manifest that shows it at work, from `nodes:` or `steps:` on; documentation prints it, tests run it.
        converts: axis of its output -> the parameter that sets it, for a type that is inserted in front of ports that need it.
        ports_of: makes ports that depend on parameters or on what is connected; None: they are `inputs` and `outputs`.
        variadic: takes any number of inputs, under names that the manifest gives them; with `ports_of`.
        chooses: an item leaves by one of the outputs, and not by all of them.
    """

    type: str
    kind: Kind
    summary: str
    params: ParamsType
    factory: Callable[[Any, str], Any]
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    cardinality: Cardinality = "1:1"
    run: Run = "thread"
    retryable: tuple[ExceptionType, ...] = ()
    side_effects: bool = False
    sees_native_memory: bool = False
    version: int = 1
    latency_samples: int = 0
    streaming: Streaming = "whole"
    stateful: bool = False
    attributes: Mapping[str, AttributeType] = field(default_factory=lambda: MappingProxyType({}))
    open_attributes: bool = False
    example: str = ""
    converts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ports_of: PortsOf | None = None
    variadic: bool = False
    chooses: bool = False
    origin: str = ""


def path_fields(params: type[Params], kind: Literal["input", "output"]) -> tuple[str, ...]:
    """The names of the parameters that are `InputPath`s or `OutputPath`s, alone, optional or in a list."""
    return tuple(field.name for field in msgspec.structs.fields(params) if kind in _extras(field.type, "path"))


def units(params: type[Params]) -> dict[str, str]:
    """Parameter name -> its unit, for the parameters that declare one in `Meta(extra={"unit": ...})`."""
    found = ((field.name, next(_extras(field.type, "unit"), None)) for field in msgspec.structs.fields(params))
    return {name: unit for name, unit in found if unit is not None}


def _extras(annotation: Any, key: str) -> Iterator[str]:
    """What the `Meta(extra=...)` of an annotation, or of one inside it, say under a key."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and key in meta.extra:
            yield str(meta.extra[key])
    for argument in get_args(annotation):
        yield from _extras(argument, key)
