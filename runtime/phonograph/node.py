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

A class sets the attributes that it changes. For a function that returns audio, those of `duration`, `sample_rate` and `channels`
that the item has are set to what the audio is.

A node that does several items at once for less than one by one, such as a model on an accelerator, has `process_batch`, or is a
function of lists:

    @node("asr.embed", batch=True)
    def embed(audio: list[AudioChunk], *, scale: float = 1.0) -> list[NDArray[np.float32]]: ...

The manifest says on its input which items come together (`batch:`); without that, each call is for one.

Life cycle of a class, in one worker: `open()`; then for each record `start()`, `process(item, state)`, `flush(state)`; at the
end `close()`. Every worker has an instance of its own, so attributes set in `open` need no lock. In batch a whole file is one
session of one chunk. In a live session `process` is called for each chunk, with that session's state; `phonograph.streaming` has
what nodes share that give for chunks what they give for files.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args

import msgspec
import numpy as np

from phonograph.audio import AudioChunk
from phonograph.declaration import check, declared_ports
from phonograph.errors import NodeContractError
from phonograph.item import Item, Record
from phonograph.porttype import PortType
from phonograph.signature import Axes, Signature
from phonograph.spec import (
    AttributeType,
    Cardinality,
    Duration,
    ExpressionText,
    InputPath,
    Kind,
    NodeSpec,
    OpenAttributes,
    OutputPath,
    Params,
    Port,
    PortsOf,
    Run,
    Secret,
    Size,
    Streaming,
    StreamingOf,
)

__all__ = [
    "Axes",
    "Duration",
    "ExpressionText",
    "InputPath",
    "Node",
    "NodeSpec",
    "OutputPath",
    "Params",
    "Port",
    "PortType",
    "Secret",
    "Size",
    "Source",
    "Streaming",
    "node",
]

ParamsT = TypeVar("ParamsT", bound=Params)
Emitted = Item | Iterable[Item] | None


class Node(Generic[ParamsT]):
    """Base of all nodes. A transform overrides `process`; a source is a `Source`, a sink a `Sink`.

    Attributes:
        params: the typed parameters from the manifest, paths resolved.
        node_id: the id under which the manifest uses the node.
        stays: why nodes of this kind never run in a process of their own, in words; empty: they can.
    """

    kind: ClassVar[Kind] = "transform"
    stays: ClassVar[str] = ""
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

        A 1:N node that returns an iterator is asked for what readers have room for. It waits in between, for as long as they
        take, and is called for no other item then. After an error that heals, it gives the same items again from the first on,
        and those that were handed on are left out; after one that does not, they stand.

        Raises:
            BadInputError: the record is at fault. TransientError: try again. Anything else: see `phonograph.errors`.
        """
        if type(self).process_batch is Node.process_batch:
            raise NotImplementedError(f"{type(self).__name__} has no process")
        (emitted,) = self.process_batch([item], [state])
        if isinstance(emitted, Exception):
            raise emitted
        return emitted

    def process_batch(self, items: Sequence[Item], states: Sequence[Any]) -> Sequence[Emitted | Exception]:
        """The same for several items, of different records, in one call. A node that has this needs no `process`.

        Args:
            items: in the order in which they came; how many, and of which durations, the manifest says.
            states: of each item's record or stream.

        Returns:
            One result for each item, in their order, each as `process` gives it, or an exception that is this item's alone.
            Generators are run to their end.

        Raises:
            As `process`. What it raises is held against the batch: after an error that heals it is tried again, after any other
            each half is given to another call, down to the items at fault. So states must be as they were then, and what is
            visible outside must be no worse for happening twice.
        """
        raise NotImplementedError(f"{type(self).__name__} has no process_batch")

    def flush(self, state: Any) -> Emitted:
        """What remains when the record or stream has ended."""
        return None

    def control(self, message: Any, state: Any) -> Emitted:
        """Take a message that a program sends to a live session (`Session.control`), ahead of all audio that waits.

        What it returns goes on as what `process` gives does, behind all that the node has given to the session before: to end an
        utterance now, say. Items are made as in `flush`; the engine gives them key, ordinal, session and index.
        """
        return None


class Source(Node[ParamsT]):
    """A node without inputs that reads records."""

    kind: ClassVar[Kind] = "source"
    stays: ClassVar[str] = "a source, which reads in a thread of its own"

    def read(self) -> Iterator[Record]:
        """Yield records in a reproducible order, lazily. Runs in a thread of its own; closed when the run stops early."""
        raise NotImplementedError(f"{type(self).__name__} has no read")

    def read_only(self, keys: Sequence[str]) -> Iterator[Record]:
        """Yield the records of these keys alone, in the order in which `read` does; those that it no longer has are left out.

        This one reads everything up to the last of them. A source that can find records by their keys overrides it.

        Args:
            keys: each once, in the order in which `read` once gave them.
        """
        left = set(keys)
        with contextlib.closing(self.read()) as records:  # type: ignore[type-var]
            for record in records:
                if record.key in left:
                    left.discard(record.key)
                    yield record
                    if not left:
                        return


def node(
    type_name: str,
    *,
    inputs: str | Mapping[str, str] | None = None,
    outputs: str | Mapping[str, str] | None = None,
    cardinality: Cardinality | None = None,
    run: Run = "thread",
    retryable: tuple[type[Exception], ...] = (),
    side_effects: bool = False,
    sees_native_memory: bool = False,
    version: int = 1,
    latency_samples: int | None = 0,
    streaming: Streaming = "whole",
    streaming_of: StreamingOf | None = None,
    tolerance: float = 0.0,
    attributes: Mapping[str, AttributeType] | None = None,
    open_attributes: OpenAttributes = False,
    example: str = "",
    converts: Mapping[str, str] | None = None,
    ports_of: PortsOf | None = None,
    variadic: bool = False,
    chooses: bool = False,
    joins: bool = False,
    batch: bool = False,
) -> Callable[[Any], Any]:
    """Declare a class or a typed function as a node type. The decorated object gets a `spec` and is returned unchanged.

    Args:
        type_name: dotted lower-case name, `room.verb` or `room.noun`.
        inputs, outputs: port name -> port type, the default port first; a single family as a string names the port after
            itself. For a function both come from its annotations: a positional parameter is an input port, a keyword-only
            parameter is a parameter, `-> X | None` may filter, `-> Iterator[X]` emits 1:N, a NamedTuple, TypedDict or frozen
            dataclass of payloads has a port for each field, and `Annotated[AudioChunk, Axes(rate=16000)]` narrows a port.
        batch: the function takes lists of payloads, and returns a list with a result for each: its annotations are `list[X]` or
            `Sequence[X]`. A class says so by having `process_batch`.
        others: see `NodeSpec`.

    Raises:
        TypeError: the object is neither a Node class nor a function that can be read as a node, the type of a port names a
            parameter that it does not have, or a manifest could not give one of its parameters.
        ValueError: a port type is malformed.
    """

    def declare(target: Any) -> Any:
        kind: Kind = "transform"
        if inspect.isclass(target) and issubclass(target, Node):
            kind = target.kind
            declared_inputs, declared_outputs, counted = inputs, outputs, cardinality or "1:1"
            params, factory = _params_of(target), cast(Callable[[Any, str], Node[Any]], target)
            stateful, batches = target.start is not Node.start, target.process_batch is not Node.process_batch
            if batch:
                raise TypeError(f"@node({type_name!r}): 'batch' is for functions; expected a class to have `process_batch`")
        elif inspect.isfunction(target):
            signature, batches = Signature.of(target, batch=batch), batch
            declared_inputs, declared_outputs = signature.inputs, signature.outputs
            params, stateful = signature.params, False
            factory = _batch_function_node(target, signature) if batch else _function_node(target, signature)
            counted = signature.cardinality
        else:
            raise TypeError(f"@node({type_name!r}) on {target!r}; expected a Node class or a function")
        doc = inspect.cleandoc(target.__doc__ or "")
        taken, given = declared_ports(declared_inputs), declared_ports(declared_outputs)
        check(type_name, params, taken, given, attributes or {}, converts or {})
        spec = NodeSpec(
            type=type_name,
            kind=kind,
            summary=doc.partition("\n")[0],
            description=doc.partition("\n")[2].strip(),
            params=params,
            factory=factory,
            inputs=taken,
            outputs=given,
            cardinality=counted,
            run=run,
            retryable=retryable,
            side_effects=side_effects,
            sees_native_memory=sees_native_memory,
            version=version,
            latency_samples=latency_samples,
            streaming=streaming,
            streaming_of=streaming_of,
            tolerance=tolerance,
            stateful=stateful,
            attributes=MappingProxyType(dict(attributes or {})),
            open_attributes=open_attributes,
            example=inspect.cleandoc(example),
            converts=MappingProxyType(dict(converts or {})),
            ports_of=ports_of,
            variadic=variadic,
            chooses=chooses,
            joins=joins,
            batches=batches,
            origin=f"{target.__module__}:{target.__qualname__}",
        )
        target.spec = spec
        return target

    return declare


def _function_node(function: Callable[..., Any], signature: Signature) -> Callable[[Any, str], Node[Any]]:
    """The node class that calls the function for each item."""
    names = tuple(signature.inputs)

    class FunctionNode(_OfFunction):
        def process(self, item: Item, state: Any) -> Emitted:
            return _emitted(signature, item, function(*[item.payload[name] for name in names], **self.keywords))

    return _named_after(function, FunctionNode, signature)


def _batch_function_node(function: Callable[..., Any], signature: Signature) -> Callable[[Any, str], Node[Any]]:
    """The node class that calls the function for each batch."""
    names = tuple(signature.inputs)

    class BatchFunctionNode(_OfFunction):
        def process_batch(self, items: Sequence[Item], states: Sequence[Any]) -> Sequence[Emitted]:
            results = function(*[[item.payload[name] for item in items] for name in names], **self.keywords)
            paired = zip(items, one_each(results, len(items), function.__name__), strict=True)
            return [_emitted(signature, item, result) for item, result in paired]

    return _named_after(function, BatchFunctionNode, signature)


class _OfFunction(Node[Params]):
    def __init__(self, params: Params, node_id: str) -> None:
        super().__init__(params, node_id)
        self.keywords = msgspec.structs.asdict(params)


def _emitted(signature: Signature, item: Item, result: Any) -> Emitted:
    """What a function returned for an item, as a node gives it."""
    if signature.cardinality == "1:N":
        made = [signature.payload(value) for value in result]
        return [item.child(number, ports, _redescribed(item, ports)) for number, ports in enumerate(made)]
    if result is None:
        return None
    ports = signature.payload(result)
    return item.with_payload(ports, _redescribed(item, ports))


def _named_after(function: Callable[..., Any], made: type[Node[Any]], signature: Signature) -> type[Node[Any]]:
    made.__name__ = made.__qualname__ = function.__name__
    for one in (made, signature.params):
        one.__wrapped__ = function  # type: ignore[union-attr]  # by which another process finds it; see phonograph.pickling
    return made


def one_each(results: Any, num_items: int, what: str) -> Sequence[Any]:
    """What came of a batch, as it was returned. Raises NodeContractError unless it is a sequence of one result for each item."""
    if isinstance(results, Sequence) and len(results) == num_items:
        return results
    found = f"{len(results)} results" if isinstance(results, Sequence) else type(results).__name__
    raise NodeContractError(f"{what} returned {found}; expected a list of {num_items}, one for each item")


def _redescribed(item: Item, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the item says of its audio and is no longer so, as it is now."""
    chunk = next((value for value in payload.values() if type(value) is AudioChunk), None)
    if chunk is None or not item.attributes or not isinstance(chunk.samples, np.ndarray) or chunk.samples.ndim != 2:
        return None  # no audio, or none that the node's contract lets pass
    now = {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
    return {name: value for name, value in now.items() if item.attributes.get(name, value) != value} or None


def _params_of(target: type[Node[Any]]) -> type[Params]:
    for base in getattr(target, "__orig_bases__", ()):
        for argument in get_args(base):
            if inspect.isclass(argument) and issubclass(argument, Params):
                return argument
    return Params
