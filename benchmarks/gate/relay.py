"""What the scheduler is held against: parcels relayed between two threads and an event loop, five steps each, a row written.

It does what a run of five nodes that do nothing cannot do without, in plain Python and with the same number of changes between
threads; so it slows down as such a run does when other programs want the core.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PARCELS = 500
STEPS = 5
BATCH = 16
ROOM = 64  # parcels between two ends


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is relayed."""

    key: str
    ordinal: int
    payload: dict[str, int]


class Step:
    """Takes the time of what it does."""

    __slots__ = ("busy_ns", "calls", "lengths")

    def __init__(self) -> None:
        self.calls = self.busy_ns = 0
        self.lengths: dict[int, int] = {}

    def __call__(self, parcel: Parcel) -> Parcel:
        started = time.perf_counter_ns()
        passed = Parcel(parcel.key, parcel.ordinal, {**parcel.payload})
        took = time.perf_counter_ns() - started
        self.calls += 1
        self.busy_ns += took
        length = took.bit_length()
        self.lengths[length] = self.lengths.get(length, 0) + 1
        return passed


class Hand:
    """A thread that makes calls for an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], Any, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., Any], argument: Any) -> Any:
        future = self._loop.create_future()
        self._calls.put((function, argument, future))
        return await future

    def end(self) -> None:
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            function, argument, future = asked
            self._loop.call_soon_threadsafe(future.set_result, function(argument))


def relay() -> int:
    """Relay all parcels once; returns how many calls the steps counted."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        return asyncio.run(_relay(descriptor))
    finally:
        os.close(descriptor)


async def _relay(descriptor: int) -> int:
    loop = asyncio.get_running_loop()
    giver, taker = Hand(loop), Hand(loop)
    steps = [Step() for _ in range(STEPS)]
    given: asyncio.Queue[Parcel | None] = asyncio.Queue(ROOM)
    done: asyncio.Queue[Parcel | None] = asyncio.Queue(ROOM)

    async def give() -> None:
        for first in range(0, PARCELS, BATCH):
            for parcel in await giver.call(_batch, first):
                await given.put(parcel)
        await given.put(None)

    async def carry() -> None:
        while (parcel := await given.get()) is not None:
            for step in steps:
                parcel = step(parcel)
            await done.put(parcel)
        await done.put(None)

    async def take() -> None:
        while (parcel := await done.get()) is not None:
            await taker.call(len, parcel.payload)
            os.write(descriptor, json.dumps({"key": parcel.key, "outcome": "completed"}).encode() + b"\n")

    async with asyncio.TaskGroup() as group:
        for work in (give, carry, take):
            group.create_task(work())
    for hand in (giver, taker):
        hand.end()
    return sum(step.calls for step in steps)


def _batch(first: int) -> list[Parcel]:
    return [Parcel(f"relay/{number}", number, {"number": number}) for number in range(first, min(first + BATCH, PARCELS))]
