"""What a node type declares: its ports, its parameters, its NodeSpec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, get_args
from weakref import WeakKeyDictionary

import msgspec

from phonograph.porttype import PortType

Kind = Literal["source", "transform", "sink"]
Cardinality = Literal["1:1", "1:0..1", "1:N", "N:1"]
AttributeType = Literal["str", "int", "float", "bool"]
Run = Literal["inline", "thread", "process"]
Streaming = Literal["causal", "post-normalised", "whole"]

InputPath = Annotated[str, msgspec.Meta(extra={"path": "input"}, extra_json_schema={"format": "path"})]
"""A parameter that names something to read. A relative path is resolved before the node sees it."""

OutputPath = Annotated[str, msgspec.Meta(extra={"path": "output"}, extra_json_schema={"format": "path"})]
"""A parameter that names something to write. A relative path is resolved before the node sees it."""

Secret = Annotated[str, msgspec.Meta(extra={"secret": True}, extra_json_schema={"writeOnly": True})]
"""A parameter that must not be seen: `***` stands for it wherever phonograph prints anything."""

Duration = Annotated[float, msgspec.Meta(extra={"duration": True})]
"""A parameter in seconds. A manifest gives it with its unit, such as `30s`, or as a reference to a parameter of type duration."""

Size = Annotated[int, msgspec.Meta(extra={"size": True})]
"""A parameter in bytes. A manifest gives it with its unit, such as `512MiB`, or as a reference to a parameter of type size."""

ExpressionText = Annotated[str, msgspec.Meta(extra={"expression": True})]
"""A parameter that judges items, in the language of `phonograph.expressions`. It is checked before a run."""


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a node's parameters: typed fields, constraints and descriptions in `msgspec.Meta`.

    `Meta(extra={"unit": "ms"})` states a unit. Rules that span fields go into `__post_init__`, which raises ValueError, or
    `phonograph.errors.ParameterError` where one of them is to blame.

    `SYNONYMS` maps words that people know from elsewhere to the parameters, or values of parameters, that they may mean;
    complaints suggest these.
    """

    SYNONYMS: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Port:
    """A named place where payloads enter or leave a node."""

    name: str
    type: PortType


Ports = tuple[tuple[Port, ...], tuple[Port, ...]]
"""Inputs and outputs."""

PortsOf = Callable[["Params", tuple[str, ...]], Ports]
"""Makes the ports of one node out of its parameters, with the names of the inputs that the manifest connects."""

OpenAttributes = bool | Callable[[Any], bool]
"""Whether a node adds attributes that its type does not name; a function says so for the node's parameters."""

StreamingOf = Callable[[Any], Streaming]
"""How a node of given parameters streams."""

# Named here because NodeSpec has a field called `type`, which hides the built-in inside its body.
ParamsType = type[Params]
ExceptionType = type[Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """The declaration of a node type: everything that planning, checking and documentation know about it.

    Args:
        type: dotted name used in manifests. version: raised when results change for equal parameters.
        summary, description: the first line of the docstring, and the rest of it; Markdown.
        inputs, outputs: ports; the first is the default one.
        params: the parameters' type. factory: makes an instance from (params, node id).
        cardinality: items out for an item in.
        run: where `process` runs: `inline` in the event loop (microseconds, never blocks), `thread` in a worker (releases
            the GIL or waits), `process` in a process of its own (may crash). A manifest can ask for a thread or a process.
        retryable: exceptions that may heal, besides those that every policy retries.
        side_effects: calling twice is visible outside.
        sees_native_memory: True when all memory that grows with its work is NumPy's, so that nothing is hidden; else metrics say
            null, because other libraries' memory cannot be seen (FFmpeg, ONNX).
        latency_samples: how far output lags behind input when streaming; None: parameters or rates decide; see the description.
        streaming: what comes of a stream, joined, is what comes of the same audio in one piece, whichever chunks it comes in:
            `causal` gives it as chunks come, `post-normalised` computes as they come and gives it at the end; for `whole` the
            engine joins the chunks, and the node is called once. It is the most demanding of what parameters lead to.
        streaming_of: how a node of given parameters streams, when that depends on them; see `streaming_with`.
        tolerance: how far values may be from those of one piece, absolute; 0: not a bit. Nodes behind it may be as far off.
        attributes: facts that it adds to an item, by name. `open_attributes`: it adds others too, known only per item.
        example: a manifest that shows it at work, from `nodes:` or `steps:` on; documentation prints it, tests run it.
        converts: axis of its output -> the parameter that sets it. One type of each family is inserted where an edge needs it,
            `audio.resample` for audio (`phonograph.graph.conversion.CONVERTERS`); no other is, whatever it says here.
        ports_of: makes ports that depend on parameters or on what is connected; None: they are `inputs` and `outputs`. Of a type
            that declares both, and neither gathers nor chooses, it gives ports of the same names, with narrower types.
        variadic: takes any number of inputs, under names that the manifest gives them; with `ports_of`.
        chooses: an item leaves by one of the outputs, and not by all of them.
        joins: it brings items together by key, so that its inputs must be branches of one node.
        batches: one call can take several items.
    """

    type: str
    kind: Kind
    summary: str
    description: str = ""
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
    latency_samples: int | None = 0
    streaming: Streaming = "whole"
    streaming_of: StreamingOf | None = None
    tolerance: float = 0.0
    stateful: bool = False
    attributes: Mapping[str, AttributeType] = field(default_factory=lambda: MappingProxyType({}))
    open_attributes: OpenAttributes = False
    example: str = ""
    converts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ports_of: PortsOf | None = None
    variadic: bool = False
    chooses: bool = False
    joins: bool = False
    batches: bool = False
    origin: str = ""

    def streaming_with(self, params: Params) -> Streaming:
        """How a node of these parameters streams."""
        return self.streaming if self.streaming_of is None else self.streaming_of(params)

    @property
    def types_depend_on_parameters(self) -> bool:
        """Whether `ports_of` only tells the types of the ports that are declared, and not which ports there are."""
        return self.ports_of is not None and bool(self.inputs and self.outputs) and not (self.variadic or self.chooses)

    @property
    def has_typed_parameters(self) -> bool:
        """Whether the type of one of its ports depends on a parameter."""
        return any(True for port in (*self.inputs, *self.outputs) for _ in port.type.parameters())


# What is kept of a parameter type goes with it: a plug-in that is edited and loaded again leaves nothing behind.
_FIELDS: WeakKeyDictionary[ParamsType, tuple[msgspec.structs.FieldInfo, ...]] = WeakKeyDictionary()
_MARKED: WeakKeyDictionary[ParamsType, dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = WeakKeyDictionary()


def fields_of(params: type[Params]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a parameter type. Kept, for msgspec evaluates every annotation anew each time that it is asked."""
    fields = _FIELDS.get(params)
    if fields is None:
        fields = _FIELDS[params] = msgspec.structs.fields(params)
    return fields


def path_fields(params: type[Params], kind: Literal["input", "output"]) -> tuple[str, ...]:
    """The names of the parameters that are `InputPath`s or `OutputPath`s, alone, optional or in a list."""
    return tuple(name for name, said in _marked(params, "path") if kind in said)


def expression_fields(params: type[Params]) -> tuple[str, ...]:
    """The names of the parameters that are `ExpressionText`s, alone, optional, in a list or a mapping."""
    return tuple(name for name, _ in _marked(params, "expression"))


def has_open_attributes(spec: NodeSpec, params: Params | None) -> bool:
    """Whether a node with these parameters may add attributes that its type does not name; None: the parameters are not known."""
    if callable(spec.open_attributes):
        return params is None or spec.open_attributes(params)
    return spec.open_attributes


def secret_fields(params: type[Params]) -> tuple[str, ...]:
    """The names of the parameters that are `Secret`s, alone, optional or in a list."""
    return tuple(name for name, _ in _marked(params, "secret"))


def units(params: type[Params]) -> dict[str, str]:
    """Parameter name -> its unit, for the parameters that declare one in `Meta(extra={"unit": ...})`."""
    return {name: said[0] for name, said in _marked(params, "unit")}


def measures(params: type[Params]) -> dict[str, Literal["duration", "size"]]:
    """Parameter name -> what it measures, for the parameters that are `Duration`s or `Size`s, alone, optional or in a list."""
    found: dict[str, Literal["duration", "size"]] = {}
    for kind in ("duration", "size"):
        found |= {name: kind for name, _ in _marked(params, kind)}
    return found


def marks(params: type[Params]) -> dict[str, dict[str, Any]]:
    """Parameter name -> everything that `Meta(extra=...)` says about it, such as its unit, or that it is a path to read."""
    return {field.encode_name: _all_extras(field.type) for field in fields_of(params)}


def _marked(params: type[Params], key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(name, what is said) of each parameter about which `Meta(extra=...)` says something under a key."""
    known = _MARKED.setdefault(params, {})
    if key not in known:
        said = ((field.name, tuple(_extras(field.type, key))) for field in fields_of(params))
        known[key] = tuple((name, words) for name, words in said if words)
    return known[key]


def _all_extras(annotation: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for argument in get_args(annotation):
        found |= _all_extras(argument)
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            found |= meta.extra or {}
    return found


def _extras(annotation: Any, key: str) -> Iterator[str]:
    """What the `Meta(extra=...)` of an annotation, or of one inside it, say under a key."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and key in meta.extra:
            yield str(meta.extra[key])
    for argument in get_args(annotation):
        yield from _extras(argument, key)
