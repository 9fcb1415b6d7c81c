"""Emission: what a node gives for one item, where that is more than one item.

Theory of operation. A list is there at once. A generator is asked for a stretch at a time, bounded in bytes as in items: what is
in a stretch travels on, the queues behind take it when they have room, and only then is the generator asked for more. So a record
whose parts together need more memory than there is passes through in stretches, while a generator that ends within its first
one has given all or nothing. One that fails later has given what was handed on before. Tried again, it runs from its beginning,
and as many items as it gave before are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from phonograph.cancellation import NEVER
from phonograph.engine.port_contract import Contract
from phonograph.item import Item

STRETCH_BYTES = 16 * 2**20
STRETCH_ITEMS = 256

_SIZED = (bytes, str)  # a tuple, because a union is made anew wherever it is written


class Emission:
    """Items that the node at `position` gave for `item`, and those that it still has to give.

    Args:
        rest: its generator; None when all there is is ready.
        given: how many items of the generator were handed on at an earlier attempt.

    Attributes:
        ready: made, and not handed on yet. given: how many were handed on, or are ready, of this attempt and the ones before.
        token: by which the generator may ask whether it is to end.
    """

    __slots__ = ("_num_left_out", "given", "item", "position", "ready", "rest", "token")

    def __init__(self, position: int, item: Item, rest: Iterator[Any] | None, given: int = 0) -> None:
        self.position = position
        self.item = item
        self.rest = rest
        self.ready: deque[Item] = deque()
        self.given = given
        self.token = NEVER
        self._num_left_out = given

    def fill(self, contract: Contract) -> None:
        """Take the next stretch. Raises whatever the generator does, and NodeContractError."""
        assert self.rest is not None, "a generator that has not ended"
        stretch: list[Item] = []
        num_bytes = 0
        for value in self.rest:
            contract.check(value, self.item)
            if self._num_left_out:
                self._num_left_out -= 1
                continue
            stretch.append(value)
            num_bytes += payload_bytes(value.payload)
            if num_bytes >= STRETCH_BYTES or len(stretch) == STRETCH_ITEMS:
                break
        else:
            self.rest = None
        self.ready.extend(stretch)
        self.given += len(stretch)


def payload_bytes(payload: Mapping[str, Any]) -> int:
    """Bytes that payloads keep alive, as far as they say (arrays, audio) or show (text, bytes)."""
    total = 0
    for value in payload.values():
        size = len(value) if isinstance(value, _SIZED) else getattr(value, "nbytes", 0)
        if isinstance(size, int):
            total += size
    return total
