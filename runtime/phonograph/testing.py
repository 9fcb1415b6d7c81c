"""Fakes and fixtures for tests of nodes and graphs.

registry = Registry()
for target in (NumberSource, FlakyNode, Discard, MyNode):
    registry.register(target)
report = Executor(load_manifest(path), registry=registry, run_dir=folder).run()

A node that streams gives for chunks, joined, what it gives for audio in one piece:

item = item_with({"audio": AudioChunk.of(samples, 16_000)})
assert deviation(run_whole([my_node], item), run_chunked([my_node], item, seed)).largest == 0

What can go wrong in one order of events and not in another is found with `simulate`: for seed in range(100):
report = simulate(executor.run_async(), seed=seed)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from phonograph.chunking.comparison import Deviation, deviation
from phonograph.chunking.line import chunk_lengths, run_chunked, run_whole
from phonograph.errors import BadInputError, TransientError
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node
from phonograph.sink import Part, Sink, Written

__all__ = [
    "Deviation",
    "Discard",
    "FlakyNode",
    "NumberSource",
    "PassOn",
    "chunk_lengths",
    "deviation",
    "item_with",
    "pause",
    "run_chunked",
    "run_whole",
    "simulate",
]


ResultT = TypeVar("ResultT")


class NumberSourceParams(Params, frozen=True):
    count: Annotated[int, msgspec.Meta(ge=0, description="records to read")] = 10


@node("testing.numbers", outputs={"record": "record"}, sees_native_memory=True)
class NumberSource(Source[NumberSourceParams]):
    """Read records that carry their number."""

    def read(self) -> Iterator[Record]:
        for number in range(self.params.count):
            yield Record(key=f"{self.node_id}/{number}", payload={"record": {"number": number}})


@node(
    "testing.pass",
    inputs={"record": "record"},
    outputs={"record": "record"},
    run="inline",
    sees_native_memory=True,
    streaming="causal",
)
class PassOn(Node[Params]):
    """Hand items on as they come."""

    def process(self, item: Item, state: None) -> Item:
        return item


class FlakyParams(Params, frozen=True):
    failures: Annotated[int, msgspec.Meta(ge=0, description="attempts that fail before one succeeds, for each record")] = 1
    every: Annotated[int, msgspec.Meta(ge=1, description="only every n-th record fails")] = 1
    error: Annotated[Literal["transient", "bad_input", "fault"], msgspec.Meta(description="what is raised")] = "transient"


@node("testing.flaky", inputs={"record": "record"}, outputs={"record": "record"}, sees_native_memory=True)
class FlakyNode(Node[FlakyParams]):
    """Fail on some records some times, by count and not by chance."""

    def __init__(self, params: FlakyParams, node_id: str) -> None:
        super().__init__(params, node_id)
        self._attempts: Counter[str] = Counter()

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal % self.params.every == 0:
            self._attempts[item.key] += 1
            if self._attempts[item.key] <= self.params.failures:
                kinds = {"transient": TransientError, "bad_input": BadInputError, "fault": RuntimeError}
                raise kinds[self.params.error](f"attempt {self._attempts[item.key]} on {item.key}")
        return item


@node("testing.discard", inputs={"item": "any"}, sees_native_memory=True)
class Discard(Sink[Params]):
    """Store nothing."""

    def stage(self, item: Item) -> Part:
        return _Nothing()


class _Nothing(Part):
    def commit(self) -> Written:
        return Written("", 0, "")

    def discard(self) -> None:
        pass


def simulate(main: Coroutine[Any, Any, ResultT], *, seed: int, longest_s: float = 600) -> ResultT:
    """Run a coroutine, such as `executor.run_async()`, in simulated time and in an order that the seed decides.

    Time-outs, back-offs and breakers take no time; nodes run in no threads; and the same seed gives the same run, however busy
    the machine is. Another one lets calls take longer or shorter, and what may come in any order come in another. Nodes must not
    block. `asyncio.get_running_loop().time()` is the simulated clock.

    Raises:
        NothingCanHappenError: everything waits for something else, for ever; or until `longest_s` have passed in simulation.
    """
    from phonograph.engine.simulated import SimulatedLoop

    with asyncio.Runner(loop_factory=lambda: SimulatedLoop(seed, longest_s)) as runner:
        return runner.run(main)


def pause(seconds: float) -> None:
    """Let simulated time pass in a node that has a time-out; `math.inf`: for ever. For runs under `simulate`.

    Raises:
        RuntimeError: elsewhere.
    """
    from phonograph.engine.simulated import pause

    pause(seconds)


def item_with(payload: Any, key: str = "test/record") -> Item:
    """An item as a node of a graph would get it, for calling `process` directly."""
    return Item(key=key, ordinal=0, payload=payload)
