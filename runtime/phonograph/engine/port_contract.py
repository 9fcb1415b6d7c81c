"""Holds what a node takes and returns against the types of its ports, so that the node at fault is the one that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError, BadInputError, NodeContractError
from phonograph.item import Item
from phonograph.porttype import Between, Family, OneOf, PortType
from phonograph.spec import NodeSpec, Port, Ports

_FLOAT32 = np.dtype(np.float32)


def _is_audio(value: Any) -> bool:
    if type(value) is not AudioChunk or type(value.sample_rate) is not int:
        return False
    samples = value.samples
    return isinstance(samples, np.ndarray) and samples.ndim == 2 and samples.dtype == _FLOAT32 and samples.flags.c_contiguous


# Family -> (whether a payload is of it, what is expected). `record` and `any` take everything.
_FAMILIES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "audio": (
        _is_audio,
        "AudioChunk of C-contiguous float32, shape (num_channels, num_samples), and an int rate (AudioChunk.of)",
    ),
    "features": (lambda value: isinstance(value, np.ndarray), "a NumPy array"),
    "text": (lambda value: isinstance(value, str), "str"),
    "bytes": (lambda value: isinstance(value, bytes), "bytes"),
    "segments": (lambda value: isinstance(value, tuple | list), "a tuple of Segment"),
}


_MEASURES: Mapping[tuple[str, str], Callable[[Any], int]] = {
    ("audio", "rate"): lambda chunk: int(chunk.sample_rate),
    ("audio", "channels"): lambda chunk: int(chunk.samples.shape[0]),
    ("features", "bins"): lambda array: int(array.shape[-1]) if array.ndim else 0,
}
"""(family, axis) -> its value in a payload of the family."""


class PortContract:
    """What payloads on one port are held against: their family, and the axes that the type bounds."""

    __slots__ = ("_accepts", "_axes", "_type", "_words", "name")

    def __init__(self, port: Port) -> None:
        self.name = port.name
        self._type = port.type
        family: tuple[Callable[[Any], bool] | None, str] = _FAMILIES.get(port.type.family, (None, ""))
        self._accepts, self._words = family
        self._axes = tuple(
            (_MEASURES[port.type.family, axis], value)
            for axis, value in port.type.axes
            if (port.type.family, axis) in _MEASURES and isinstance(value, int | OneOf | Between)
        )

    @property
    def demands_something(self) -> bool:
        return self._accepts is not None

    def breach(self, value: Any) -> tuple[str, str] | None:
        """(what the value is, what is expected), None when it is of the type."""
        if self._accepts is not None and not self._accepts(value):
            return _described(value), self._words
        for measure, bound in self._axes:
            found = measure(value)
            if found != bound if isinstance(bound, int) else not bound.contains(found):
                return str(_type_of(self._type.family, value)), str(self._type.demanded)
        return None


class Contract:
    """The part of a node's declaration that items are held against.

    Args:
        ports: of the node; by default those of its type.
        unproven: inputs whose type could not be told before the run.
    """

    def __init__(self, spec: NodeSpec, ports: Ports | None = None, unproven: Iterable[Port] = ()) -> None:
        self._spec = spec
        outputs = spec.outputs if ports is None else ports[1]
        self._ports = [port for port in map(PortContract, outputs) if port.demands_something]
        self._unproven = [PortContract(port) for port in unproven]

    def admit(self, item: Item) -> Item:
        """The item itself, held against the inputs that could not be proven.

        Raises:
            AudioFormatError, BadInputError: a payload is not of the type that the node takes.
        """
        for port in self._unproven:
            if port.name not in item.payload:
                continue  # an item comes to a variadic node by one port
            breach = port.breach(item.payload[port.name])
            if breach is not None:
                found, expected = breach
                error = AudioFormatError if isinstance(item.payload[port.name], AudioChunk) else BadInputError
                raise error(f"input {port.name!r} of {self._spec.type} got {found}; expected {expected}")
        return item

    def accept(self, emitted: Any, item: Item) -> Item | list[Item]:
        """What came of `item`: itself when it is one item, else as a list, as many as the node's cardinality allows.

        Raises:
            NodeContractError: the node returned something else than it declares.
        """
        if type(emitted) is Item:
            return self.one(emitted, item)
        items = self.gathered(emitted)
        for value in items:
            self.check(value, item)
        cardinality = self._spec.cardinality
        if cardinality == "1:1" or (cardinality == "1:0..1" and len(items) > 1):
            found = f"a list of {len(items)} items" if items else "nothing"
            raise self._breach(
                found, f"one item, for its cardinality is {cardinality}; declare 1:0..1 to filter, 1:N to emit several"
            )
        return items

    def one(self, emitted: Item, item: Item) -> Item:
        """The same for one item."""
        self._check(emitted, item)
        return emitted

    def gathered(self, emitted: Any) -> list[Any]:
        """What a node returned, as a list; runs a generator to its end."""
        if emitted is None:
            return []
        if type(emitted) is Item:
            return [emitted]
        if isinstance(emitted, list | tuple | Iterator):
            return list(emitted)
        raise self._breach(_described(emitted), "Item (see Item.with_payload)")

    def each(self, emitted: Any) -> Iterable[Any]:
        """The same without running a generator."""
        return emitted if isinstance(emitted, Iterator) else self.gathered(emitted)

    def check(self, emitted: Any, item: Item) -> None:
        """Hold one of the values that came of `item` against what the node declares. Raises NodeContractError."""
        if type(emitted) is not Item:
            raise self._breach(_described(emitted), "Item (see Item.with_payload)")
        self._check(emitted, item)

    def _check(self, emitted: Item, item: Item) -> None:
        payload = emitted.payload
        if type(payload) is not dict and not isinstance(payload, Mapping):
            raise self._breach(f"an Item whose payload is {type(payload).__name__}", "a mapping from port to value")
        if emitted.attributes is not item.attributes and not isinstance(emitted.attributes, Mapping):
            raise self._breach(
                f"an Item whose attributes are {type(emitted.attributes).__name__}", "a mapping from name to value"
            )
        if emitted.ordinal != item.ordinal:
            raise self._breach("an Item of another record", "one made by Item.with_payload or Item.child")
        for port in self._ports:
            if port.name in payload and (breach := port.breach(payload[port.name])) is not None:
                raise self._breach(f"{breach[0]} on port {port.name!r}", breach[1])

    def _breach(self, found: str, expected: str) -> NodeContractError:
        return NodeContractError(f"{self._spec.type} returned {found}; expected {expected}")


def _type_of(family: str, value: Any) -> PortType:
    """The port type that a payload has."""
    axes = tuple((axis, measure(value)) for (of, axis), measure in _MEASURES.items() if of == family)
    return PortType(cast(Family, family), axes)


def _described(value: Any) -> str:
    if isinstance(value, AudioChunk):
        samples = value.samples
        shape = f"{samples.dtype} of shape {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        return f"AudioChunk with samples {shape} at {value.sample_rate!r} Hz"
    return type(value).__name__
