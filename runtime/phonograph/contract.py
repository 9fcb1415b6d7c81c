"""Holds what a node returned against what its type declares, so that the node at fault is the one that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import NodeContractError
from phonograph.item import Item
from phonograph.spec import NodeSpec

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


class Contract:
    """The part of a NodeSpec that returned items are held against. All errors are NodeContractError."""

    def __init__(self, spec: NodeSpec) -> None:
        self._spec = spec
        self._ports = [(port.name, *_FAMILIES[port.type.family]) for port in spec.outputs if port.type.family in _FAMILIES]

    def accept(self, emitted: Any, item: Item) -> Item | list[Item]:
        """What came of `item`: itself when it is one item, else as a list, as many as the node's cardinality allows."""
        if type(emitted) is Item:
            self._check(emitted, item)
            return emitted
        items = self.gathered(emitted)
        for value in items:
            if type(value) is not Item:
                raise self._breach(_described(value), "Item (see Item.with_payload)")
            self._check(value, item)
        cardinality = self._spec.cardinality
        if cardinality == "1:1" or (cardinality == "1:0..1" and len(items) > 1):
            found = f"a list of {len(items)} items" if items else "nothing"
            raise self._breach(
                found, f"one item, for its cardinality is {cardinality}; declare 1:0..1 to filter, 1:N to emit several"
            )
        return items

    def gathered(self, emitted: Any) -> list[Any]:
        """What a node returned, as a list; runs a generator to its end."""
        if emitted is None:
            return []
        if type(emitted) is Item:
            return [emitted]
        if isinstance(emitted, list | tuple | Iterator):
            return list(emitted)
        raise self._breach(_described(emitted), "Item (see Item.with_payload)")

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
        for name, accepts, expected in self._ports:
            if name in payload and not accepts(payload[name]):
                raise self._breach(f"{_described(payload[name])} on port {name!r}", expected)

    def _breach(self, found: str, expected: str) -> NodeContractError:
        return NodeContractError(f"{self._spec.type} returned {found}; expected {expected}")


def _described(value: Any) -> str:
    if isinstance(value, AudioChunk):
        samples = value.samples
        shape = f"{samples.dtype} of shape {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        return f"AudioChunk with samples {shape} at {value.sample_rate!r} Hz"
    return type(value).__name__
