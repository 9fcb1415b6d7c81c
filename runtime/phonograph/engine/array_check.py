"""ArrayCheck: finds nodes that change arrays which are not theirs any more, at the cost of reading every array several times.

Theory of operation. An array that a node has given belongs to those who read it, and all of them read the same memory. Two faults
are not seen otherwise, because what they spoil is another item's: a node that writes into what it takes, and one that gives a
view of a buffer and fills that again for its next item. So the content of each array is summed up when a node gives it, and
again when one takes it and has worked on it: whole records, chunks, batches, what comes at the end of a session. A sum that
differs when the item is taken is the fault of the node that made the array; one that differs after the call, of the node that
was called, whether it failed or not. Either is a failure of the item, told with the node's name. Nodes that read one array at the
same time cannot be told apart, and the words say so.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.engine.step import Step
from phonograph.errors import NodeContractError
from phonograph.item import Item
from phonograph.sink import Sink


class _Given:
    """What an array held when a node gave it."""

    __slots__ = ("array", "key", "node_id", "sum")

    def __init__(self, array: weakref.ref[Any], total: int, node_id: str, key: str) -> None:
        self.array = array
        self.sum = total
        self.node_id = node_id
        self.key = key


class _Taken:
    """The arrays of an item that a node takes: port, array, and what it holds."""

    __slots__ = ("arrays",)

    def __init__(self, item: Item) -> None:
        self.arrays = [(port, array, _sum(array)) for port, array in _arrays(item)]

    def changed_by(self, node_id: str) -> NodeContractError | None:
        """What is wrong with the node that was called with them."""
        for port, array, total in self.arrays:
            if _sum(array) != total:
                return NodeContractError(
                    f"node {node_id!r} changed the array on its input {port!r}, or a node beside it did that reads the same "
                    "array at the same time; expected that each works on a copy"
                )
        return None


class ArrayCheck:
    """Checks the arrays of one run, in all of its threads."""

    def __init__(self) -> None:
        self._given: dict[int, _Given] = {}  # id of an array that is alive -> what it held

    def begin(self, steps: Iterable[Step]) -> None:
        """Check every call of these nodes from now on."""
        for step in steps:
            node, node_id = step.node, step.node.node_id
            watched: dict[str, Callable[..., Any]] = {
                "process": self._one(node.process, node_id),
                "process_batch": self._several(node.process_batch, node_id),
                "flush": self._noting(node.flush, node_id),
                "control": self._noting(node.control, node_id),
            }
            if isinstance(node, Sink):
                watched["stage"] = self._one(node.stage, node_id)
            for name, method in watched.items():
                setattr(node, name, method)

    def _one(self, call: Callable[..., Any], node_id: str) -> Callable[..., Any]:
        def checking(item: Item, *state: Any) -> Any:
            taken = _Taken(item)
            if breach := self._changed_before(taken):
                raise breach
            try:
                emitted = call(item, *state)
            except Exception as error:
                if breach := taken.changed_by(node_id):
                    raise breach from error
                raise
            if breach := taken.changed_by(node_id):
                raise breach
            return self._noted(emitted, node_id, taken)

        return checking

    def _several(self, call: Callable[..., Any], node_id: str) -> Callable[..., Any]:
        """A call for several items, of which those fail that something is wrong with."""

        def checking(items: Sequence[Item], states: Sequence[Any]) -> Any:
            taken = [_Taken(item) for item in items]
            before = [self._changed_before(one) for one in taken]
            results = call(items, states)
            if not isinstance(results, Sequence) or len(results) != len(items):
                return results  # which is refused
            return [
                breach or one.changed_by(node_id) or self._noted_or_why(result, node_id, one)
                for one, breach, result in zip(taken, before, results, strict=True)
            ]

        return checking

    def _noting(self, call: Callable[..., Any], node_id: str) -> Callable[..., Any]:
        """A call that takes no item."""
        return lambda *arguments: self._noted(call(*arguments), node_id)

    def _noted_or_why(self, emitted: Any, node_id: str, taken: _Taken) -> Any:
        try:
            return self._noted(emitted, node_id, taken)
        except NodeContractError as breach:
            return breach

    def _noted(self, emitted: Any, node_id: str, taken: _Taken | None = None) -> Any:
        """What a node gave, noted; of a generator each item when it comes, and what it took is looked at again in the end."""
        if isinstance(emitted, Iterator):
            return self._each(emitted, node_id, taken)
        if isinstance(emitted, Item):
            self._note(emitted, node_id)
        elif isinstance(emitted, Iterable):
            for one in emitted:
                self._note(one, node_id)
        return emitted

    def _each(self, emitted: Iterator[Item], node_id: str, taken: _Taken | None) -> Iterator[Item]:
        for one in emitted:
            self._note(one, node_id)
            yield one
        if taken is not None and (breach := taken.changed_by(node_id)):
            raise breach

    def _changed_before(self, taken: _Taken) -> NodeContractError | None:
        """What is wrong with an item one of whose arrays is not any more what it was when it was given."""
        for port, array, total in taken.arrays:
            given = self._given.get(id(array))
            if given is not None and given.array() is array and given.sum != total:
                return NodeContractError(
                    f"the array that node {given.node_id!r} gave for {given.key!r}, on input {port!r} here, has changed since; "
                    f"expected that {given.node_id!r} gives memory of its own for each item, not a buffer that it uses again, "
                    "and that no other node that reads it writes into it"
                )
        return None

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
