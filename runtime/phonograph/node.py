"""What a node is: ports, parameters, life cycle, and the two ways to write one.

A node is a class, when it has models or state:

    class GainParams(Params, frozen=True):
        gain_db: Annotated[float, msgspec.Meta(ge=-60, le=60, description="gain", extra={"unit": "dB"})] = 0.0

    @node("audio.gain", inputs="audio", outputs="audio", run="thread")
    class Gain(Node[GainParams]):
        \"\"\"Make audio louder or softer.\"\"\"

        def process(self, item: Item, state: None) -> Item:
            chunk = item.audio
            factor = np.float32(10 ** (self.params.gain_db / 20))
            return item.with_payload({"audio": AudioChunk(chunk.samples * factor, chunk.sample_rate)})

or a typed function, when it has neither:

    @node("audio.gain")
    def gain(audio: AudioChunk, *, gain_db: float = 0.0) -> AudioChunk: ...

Life cycle of a class, in one worker: `open()`; then for each record `start()`, `process(item, state)`, `flush(state)`; at the
end `close()`. Every worker has an instance of its own, so attributes set in `open` need no lock. In batch a whole file is one
session of one chunk.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast, get_args

import msgspec

from phonograph.item import Item, Record

Kind = Literal["source", "transform", "sink"]
Family = Literal["audio", "features", "text", "segments", "bytes", "record", "any"]
Cardinality = Literal["1:1", "1:0..1", "1:N", "N:1"]
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
    summary: str = ""


# Named here because NodeSpec has a field called `type`, which hides the built-in inside its body.
ParamsType = type[Params]
ExceptionType = type[Exception]

ParamsT = TypeVar("ParamsT", bound=Params)
StateT = TypeVar("StateT")
Emitted = Item | Iterable[Item] | None


class Node(Generic[ParamsT]):
    """Base of all nodes. A transform overrides `process`; a source is a `Source`, a sink a `Sink`.

    Attributes:
        params: the typed parameters from the manifest, paths resolved.
        node_id: the id under which the manifest uses the node.
    """

    spec: ClassVar[NodeSpec]

    def __init__(self, params: ParamsT, node_id: str) -> None:
        self.params = params
        self.node_id = node_id

    def open(self) -> None:
        """Load what `process` needs: models, tables. Called once, in the worker. An exception ends the run."""

    def close(self) -> None:
        """Release what `open` took. Called once, in the worker, also after errors."""

    def start(self) -> Any:
        """Make the state of one record or stream. A node that overrides this is stateful."""
        return None

    def process(self, item: Item, state: Any) -> Emitted:
        """Turn an item into an item (1:1), an item or None (1:0..1, None filters it), or some items (1:N).

        Build results with `item.with_payload` and `item.child`, so that key, ordinal and attributes are handed on.

        Raises:
            BadInputError: the record is at fault. TransientError: try again. Anything else: see `phonograph.errors`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no process")

    def flush(self, state: Any) -> Emitted:
        """What remains when the record or stream has ended."""
        return None


class Source(Node[ParamsT]):
    """A node without inputs that reads records."""

    def read(self) -> Iterator[Record]:
        """Yield records in a reproducible order, lazily. Runs in a thread of its own; closed when the run stops early."""
        raise NotImplementedError(f"{type(self).__name__} has no read")


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
        sees_native_memory: False when the node uses memory that neither NumPy nor the kernels report (FFmpeg, ONNX).
        latency_samples: how far output lags behind input when streaming.
        streaming: `causal` (bit-equal under any chunking), `post-normalised` (the final step waits), `whole` (buffers).
        example: parameters for a documentation example.
    """

    type: str
    kind: Kind
    summary: str
    doc: str
    params: ParamsType
    factory: Callable[[Any, str], Node[Any]]
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    cardinality: Cardinality = "1:1"
    run: Run = "thread"
    retryable: tuple[ExceptionType, ...] = ()
    side_effects: bool = False
    sees_native_memory: bool = True
    version: int = 1
    latency_samples: int = 0
    streaming: Streaming = "whole"
    stateful: bool = False
    origin: str = ""


def node(
    type_name: str,
    *,
    inputs: str | Mapping[str, str] | None = None,
    outputs: str | Mapping[str, str] | None = None,
    cardinality: Cardinality | None = None,
    run: Run = "thread",
    retryable: tuple[type[Exception], ...] = (),
    side_effects: bool = False,
    sees_native_memory: bool = True,
    version: int = 1,
    latency_samples: int = 0,
    streaming: Streaming = "whole",
) -> Callable[[Any], Any]:
    """Declare a class or a typed function as a node type. The decorated object gets a `spec` and is returned unchanged.

    Args:
        type_name: dotted lower-case name, `room.verb` or `room.noun`.
        inputs, outputs: port name -> port type, the default port first; a single family as a string names the port after
            itself. For a function both come from its annotations: a positional parameter is an input port, a keyword-only
            parameter is a parameter, `-> X | None` may filter, `-> Iterator[X]` emits 1:N.
        others: see `NodeSpec`.

    Raises:
        TypeError: the object is neither a Node class nor a function that can be read as a node.
    """

    def declare(target: Any) -> Any:
        if inspect.isclass(target) and issubclass(target, Node):
            declared_inputs, declared_outputs, counted = inputs, outputs, cardinality or "1:1"
            params, factory = _params_of(target), cast(Callable[[Any, str], Node[Any]], target)
            stateful = target.start is not Node.start
        elif inspect.isfunction(target):
            from phonograph.function_node import FunctionShape, function_node

            shape = FunctionShape.of(target)
            declared_inputs, declared_outputs, counted = shape.inputs, {shape.output[0]: shape.output[1]}, shape.cardinality
            params, factory, stateful = shape.params, function_node(target, shape), False
        else:
            raise TypeError(f"@node({type_name!r}) on {target!r}; expected a Node class or a function")
        doc = inspect.cleandoc(target.__doc__ or "")
        spec = NodeSpec(
            type=type_name,
            kind=_kind_of(target),
            summary=doc.partition("\n")[0],
            doc=doc,
            params=params,
            factory=factory,
            inputs=_ports(declared_inputs),
            outputs=_ports(declared_outputs),
            cardinality=counted,
            run=run,
            retryable=retryable,
            side_effects=side_effects,
            sees_native_memory=sees_native_memory,
            version=version,
            latency_samples=latency_samples,
            streaming=streaming,
            stateful=stateful,
            origin=f"{target.__module__}:{target.__qualname__}",
        )
        target.spec = spec
        return target

    return declare


def _kind_of(target: Any) -> Kind:
    from phonograph.sink import Sink

    if inspect.isclass(target) and issubclass(target, Source):
        return "source"
    if inspect.isclass(target) and issubclass(target, Sink):
        return "sink"
    return "transform"


def _ports(declared: str | Mapping[str, str] | None) -> tuple[Port, ...]:
    if declared is None:
        return ()
    if isinstance(declared, str):
        parsed = PortType.parse(declared)
        return (Port(parsed.family, parsed),)
    return tuple(Port(name, PortType.parse(text)) for name, text in declared.items())


def _params_of(target: type[Node[Any]]) -> type[Params]:
    for base in getattr(target, "__orig_bases__", ()):
        for argument in get_args(base):
            if inspect.isclass(argument) and issubclass(argument, Params):
                return argument
    return Params


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
