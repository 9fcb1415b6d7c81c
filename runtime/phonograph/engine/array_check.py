"""ArrayCheck: finds nodes that change arrays which are not theirs any more, at the cost of reading every array several times.

Theory of operation. An array that a node has given belongs to those who read it, and all of them read the same memory. Two faults
are not seen otherwise, because what they spoil is another item's: a node that writes into what it takes, and one that gives a
view of a buffer and fills that again for its next item. So the content of each array is summed up when a node gives it, and
again when one takes it and has worked on it. A sum that differs when the item is taken is the fault of the node that made the
array; one that differs after the call, of the node that was called. Either is a failure of the item, told with the node's name.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.engine.step import Step
from phonograph.errors import NodeContractError
from phonograph.item import Item
from phonograph.node import Emitted


class _Given:
    """What an array held when a node gave it."""

    __slots__ = ("array", "key", "node_id", "sum")

    def __init__(self, array: weakref.ref[Any], total: int, node_id: str, key: str) -> None:
        self.array = array
        self.sum = total
        self.node_id = node_id
        self.key = key


class ArrayCheck:
    """Checks the arrays of one run, in all of its threads."""

    def __init__(self) -> None:
        self._given: dict[int, _Given] = {}  # id of an array that is alive -> what it held

    def begin(self, steps: Iterable[Step]) -> None:
        """Check every call of these nodes from now on."""
        for step in steps:
            step.call = self._checked(step.call, step.node.node_id)

    def _checked(self, call: Callable[[Item], Emitted], node_id: str) -> Callable[[Item], Emitted]:
        def checking(item: Item) -> Emitted:
            taken = list(_arrays(item))
            for port, array in taken:
                self._hold_to(array, port, item)
            before = [_sum(array) for _, array in taken]
            emitted = call(item)
            for (port, array), total in zip(taken, before, strict=True):
                if _sum(array) != total:
                    raise NodeContractError(
                        f"node {node_id!r} changed the array on its input {port!r}, which others read too; expected that it "
                        "works on a copy"
                    )
            if isinstance(emitted, Iterator):
                return self._each(emitted, node_id)
            for one in (emitted,) if isinstance(emitted, Item) else emitted or ():
                self._note(one, node_id)
            return emitted

        return checking

    def _each(self, emitted: Iterator[Item], node_id: str) -> Iterator[Item]:
        for one in emitted:
            self._note(one, node_id)
            yield one

    def _hold_to(self, array: Any, port: str, item: Item) -> None:
        """Raises NodeContractError when the array is not any more what it was when it was given."""
        given = self._given.get(id(array))
        if given is not None and given.array() is array and given.sum != _sum(array):
            raise NodeContractError(
                f"the array that node {given.node_id!r} gave for {given.key!r}, on input {port!r} here, has changed since; "
                f"expected that {given.node_id!r} gives memory of its own for each item, a copy of a buffer that it uses again"
            )

    def _note(self, item: Any, node_id: str) -> None:
        if type(item) is not Item:
            return
        for _, array in _arrays(item):
            total, number = _sum(array), id(array)
            given = self._given.get(number)
            if given is None or given.array() is not array:
                self._given[number] = _Given(weakref.ref(array, partial(self._forget, number)), total, node_id, item.key)
            elif given.sum != total:
                raise NodeContractError(
                    f"node {node_id!r} gave the same array for {item.key!r} as for {given.key!r} before, with other content; "
                    "expected memory of its own for each item, a copy of a buffer that it uses again"
                )

    def _forget(self, number: int, gone: weakref.ref[Any]) -> None:
        given = self._given.get(number)
        if given is not None and given.array is gone:
            del self._given[number]


def _arrays(item: Item) -> Iterator[tuple[str, Any]]:
    for port, value in item.payload.items():
        array = value.samples if isinstance(value, AudioChunk) else value
        if isinstance(array, np.ndarray) and not array.dtype.hasobject:
            yield port, array


def _sum(array: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data) if array.size else 0
