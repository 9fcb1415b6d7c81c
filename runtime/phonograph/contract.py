"""Holds what a node returned against what its type declares, so that the node at fault is the one that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import NodeContractError
from phonograph.item import Item
from phonograph.node import Emitted
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

    def check(self, emitted: Item, item: Item) -> None:
        """Accept one item that came of `item`."""
        payload = emitted.payload
        if type(payload) is not dict and not isinstance(payload, Mapping):
            raise self._breach(f"an Item whose payload is {type(payload).__name__}", "a mapping from port to value")
        if emitted.ordinal != item.ordinal:
            raise self._breach("an Item of another record", "one made by Item.with_payload or Item.child")
        for name, accepts, expected in self._ports:
            if name in payload and not accepts(payload[name]):
                raise self._breach(f"{_described(payload[name])} on port {name!r}", expected)

    def checked(self, emitted: Emitted, item: Item) -> list[Item]:
        """Accept no item or several, where the node's cardinality allows them."""
        items = as_items(emitted)
        for value in items:
            if type(value) is not Item:
                raise self._breach(type(value).__name__, "Item (see Item.with_payload)")
            self.check(value, item)
        if self._spec.cardinality == "1:1" or (self._spec.cardinality == "1:0..1" and len(items) > 1):
            raise NodeContractError(
                f"{self._spec.type} returned {len(items)} items for one; its cardinality is {self._spec.cardinality}"
            )
        return items

    def _breach(self, found: str, expected: str) -> NodeContractError:
        return NodeContractError(f"{self._spec.type} returned {found}; expected {expected}")


def gathered(spec: NodeSpec, emitted: Any) -> Item | list[Any] | None:
    """What a node returned, several items as a list; runs a generator to its end."""
    if emitted is None or type(emitted) is Item:
        return emitted
    if isinstance(emitted, list | tuple | Iterator):
        return list(emitted)
    raise NodeContractError(f"{spec.type} returned {_described(emitted)}; expected Item (see Item.with_payload)")


def as_items(emitted: Emitted) -> list[Any]:
    if emitted is None:
        return []
    return [emitted] if type(emitted) is Item else list(emitted)  # type: ignore[arg-type]  # an Item is not iterable


def _described(value: Any) -> str:
    if isinstance(value, AudioChunk):
        samples = value.samples
        shape = f"{samples.dtype} of shape {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        return f"AudioChunk with samples {shape} at {value.sample_rate!r} Hz"
    return type(value).__name__
