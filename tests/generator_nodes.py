"""Node types that give many items for one, for tests of how the engine takes them; processes can import them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from phonograph.errors import BadInputError, TransientError
from phonograph.item import Item
from phonograph.node import Node, Params, node


class ManyParams(Params, frozen=True):
    count: int = 1000
    num_bytes: int = 0
    at: int = -1
    on: int = 0
    does: str = ""
    diary: str = ""


@node("test.many", inputs={"record": "record"}, outputs={"record": "any"}, cardinality="1:N")
class Many(Node[ManyParams]):
    """Give `count` arrays; `at` one of them, of record `on`, something happens. The diary gets a line when a generator ends."""

    def __init__(self, params: ManyParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._attempts = 0

    def process(self, item: Item, state: None) -> Iterator[Item]:
        self._attempts += 1
        try:
            for number in range(self.params.count):
                if number == self.params.at and item.ordinal == self.params.on:
                    self._happen()
                yield item.child(number, {"record": np.full(self.params.num_bytes, number % 251, np.uint8)})
        finally:
            if self.params.diary:
                with Path(self.params.diary).open("a") as diary:
                    diary.write(f"{item.key} ended\n")

    def _happen(self) -> None:
        match self.params.does:
            case "bad_input":
                raise BadInputError("no more of it can be read")
            case "transient" if self._attempts == 1:
                raise TransientError("try again")
            case "abort":
                os.abort()


@node("test.thrice", inputs={"record": "any"}, outputs={"record": "any"}, cardinality="1:N")
class Thrice(Node[Params]):
    """Give an item three times."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        return (item.child(number, item.payload) for number in range(3))


@node("test.shaky", inputs={"record": "any"}, outputs={"record": "any"})
class Shaky(Node[Params]):
    """Fail at the first attempt on each item."""

    def __init__(self, params: Params, node_id: str) -> None:
        super().__init__(params, node_id)
        self._tried: set[str] = set()

    def process(self, item: Item, state: None) -> Item:
        if item.key not in self._tried:
            self._tried.add(item.key)
            raise TransientError("not yet")
        return item


@node("test.odd", inputs={"record": "any"}, outputs={"record": "any"}, cardinality="1:0..1")
class Odd(Node[Params]):
    """Let every second child through."""

    def process(self, item: Item, state: None) -> Item | None:
        return item if item.index % 2 else None


@node("test.inline_many", inputs={"record": "record"}, outputs={"record": "any"}, cardinality="1:N", run="inline")
class InlineMany(Many):
    """The same in the event loop."""
