"""Nodes that do nothing, for timing what is done around them. In a module of their own, because processes import them by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node
from phonograph.sink import Part, Sink
from phonograph.testing import Discard

ARRAY_BYTES = 1_000_000


class ArraysParams(Params, frozen=True):
    count: Annotated[int, msgspec.Meta(ge=0, description="records to read")] = 10


@node("bench.arrays", outputs={"features": "features"}, sees_native_memory=True)
class Arrays(Source[ArraysParams]):
    """Give the same array of 1 MB again and again."""

    def read(self) -> Iterator[Record]:
        array = np.arange(ARRAY_BYTES // 4, dtype=np.float32)
        for number in range(self.params.count):
            yield Record(key=f"{self.node_id}/{number}", payload={"features": array})


@node("bench.pass-array", inputs="features", outputs="features", sees_native_memory=True)
class PassArray(Node[Params]):
    """Hand items on as they come."""

    def process(self, item: Item, state: None) -> Item:
        return item


@node("bench.one-by-one", outputs={"record": "record"}, sees_native_memory=True)
class OneByOne(Source[ArraysParams]):
    """Give a record when the last one has been stored, a moment later, so that everything has come to rest."""

    given_ns: ClassVar[int]
    taken_ns: ClassVar[list[int]]
    is_stored: ClassVar[threading.Event]

    def open(self) -> None:
        OneByOne.taken_ns, OneByOne.is_stored = [], threading.Event()

    def read(self) -> Iterator[Record]:
        for number in range(self.params.count):
            OneByOne.is_stored.clear()
            OneByOne.given_ns = time.perf_counter_ns()
            yield Record(key=f"{self.node_id}/{number}", payload={"record": number})
            OneByOne.is_stored.wait()
            time.sleep(0.001)


@node("bench.arrived", inputs={"item": "any"}, sees_native_memory=True)
class Arrived(Sink[Params]):
    """Note how long the record has been on its way."""

    def stage(self, item: Item) -> Part:
        OneByOne.taken_ns.append(time.perf_counter_ns() - OneByOne.given_ns)
        OneByOne.is_stored.set()
        return Discard(Params(), "out").stage(item)
