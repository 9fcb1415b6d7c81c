"""Nodes that take their time, for tests of time-outs in simulated runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from phonograph import cancellation
from phonograph.errors import TransientError
from phonograph.item import Item, Record
from phonograph.node import Emitted, Node, Params, Source, node
from phonograph.sink import Part, Sink, Written
from phonograph.testing import pause

RECORD = {"record": "record"}

CALLS: list[str] = []
"""Keys of the calls that began in the latest run, in their order."""
STORED: list[str] = []
"""Keys that sinks made visible in the latest run."""


class SlowParams(Params, frozen=True):
    """Number of a record -> how long each of its attempts takes, the last one for all that come then."""

    takes: dict[str, list[float]] = msgspec.field(default_factory=dict)
    asks: bool = False
    fails: bool = False


class Slowly:
    """Takes the time that the parameters say; `asks` whether it is cancelled every tenth of a second."""

    params: SlowParams

    def spend(self, key: str) -> None:
        number = key.rpartition("/")[2].rpartition("#")[2].lstrip("0") or "0"
        attempt = CALLS.count(key)
        CALLS.append(key)
        times = self.params.takes.get(number) or self.params.takes.get("*", [0.1])
        left_s = times[min(attempt, len(times) - 1)] or math.inf
        while left_s > 0:
            token = cancellation.current()
            if self.params.asks:
                token.raise_if_cancelled()
            step_s = min(0.1, left_s) if self.params.asks else left_s
            pause(step_s)
            left_s -= step_s
        if self.params.fails:
            raise TransientError(f"attempt {attempt + 1} on {key}")


@node("slow.work", inputs=RECORD, outputs=RECORD)
class Slow(Slowly, Node[SlowParams]):
    """Take some time; 0 is for ever."""

    def process(self, item: Item, state: None) -> Item:
        self.spend(item.key)
        return item


@node("slow.parts", inputs=RECORD, outputs=RECORD, cardinality="1:N")
class SlowParts(Slowly, Node[SlowParams]):
    """Give 300 parts, and be slow before the last."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        for number in range(299):
            yield item.child(number, item.payload)
        self.spend(item.key)
        yield item.child(299, item.payload)


@node("slow.batch", inputs=RECORD, outputs=RECORD)
class SlowBatch(Slowly, Node[SlowParams]):
    """As slow as the slowest of a batch."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted | Exception]:
        for item in items:
            self.spend(item.key)
        return list(items)


@node("slow.state", inputs=RECORD, outputs=RECORD, streaming="causal")
class SlowState(Slowly, Node[SlowParams]):
    """Number the chunks of a session."""

    def start(self) -> list[int]:
        return [0]

    def process(self, item: Item, state: list[int]) -> Item:
        self.spend(item.key)
        state[0] += 1
        return item.with_payload({"record": {**item.payload["record"], "place": state[0]}})


@node("slow.source", outputs=RECORD)
class SlowSource(Slowly, Source[SlowParams]):
    """Read ten records."""

    def read(self) -> Iterator[Record]:
        for number in range(10):
            self.spend(f"{self.node_id}/{number}")
            yield Record(key=f"{self.node_id}/{number}", payload={"record": {"number": number}})


class _SlowPart(Part):
    def __init__(self, sink: Slowly, key: str, when: str) -> None:
        self._sink, self._key, self._when = sink, key, when
        if when == "stage":
            sink.spend(key)

    def commit(self) -> Written:
        STORED.append(self._key)
        if self._when == "commit":
            self._sink.spend(self._key)
        return Written("", 0, "")

    def discard(self) -> None:
        pass


class SlowSinkParams(SlowParams, frozen=True):
    when: str = "stage"


@node("slow.sink", inputs={"item": "any"})
class SlowSink(Slowly, Sink[SlowSinkParams]):
    """Be slow before or after the output is visible."""

    params: SlowSinkParams

    def stage(self, item: Item) -> Part:
        return _SlowPart(self, item.key, self.params.when)


@node("slow.only", inputs={"item": "any"})
class SlowOnlySink(SlowSink):
    """The same, and no other may write."""

    writers = "single_writer"


SLOW: tuple[Any, ...] = (Slow, SlowParts, SlowBatch, SlowState, SlowSource, SlowSink, SlowOnlySink)


@node("slow.really", inputs=RECORD, outputs=RECORD)
class ReallySlow(Node[SlowParams]):
    """Sleep in a process, on the records that the parameters name."""

    def process(self, item: Item, state: None) -> Item:
        if item.key.rpartition("/")[2] in self.params.takes:
            time.sleep(600)
        return item


@node("slow.really_batch", inputs=RECORD, outputs=RECORD)
class ReallySlowBatch(ReallySlow):
    """The same for several at once."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted | Exception]:
        return [self.process(item, None) for item in items]


@node("slow.really_large", inputs=RECORD, outputs=RECORD)
class ReallySlowLarge(ReallySlow):
    """The same, with an array that takes a block."""

    def process(self, item: Item, state: None) -> Item:
        super().process(item, state)
        return item.with_payload({"record": {"data": np.ones(300_000, np.uint8)}})
