"""Admission: lets records into a run as far as `limits.memory` goes.

Theory of operation. Two things hold the sources back.

- The estimate. Each call of a node is weighed: the bytes of what it takes and of what it gives. From that it is learned what a
  record becomes on its way, on average and at most. All records in flight at the average, and one at the most, must fit into the
  room that the limit leaves beside what the process held when the run began. What waits in queues is known; it counts where it
  is more.
- The high-water mark. What nobody can weigh (decoders, models, Python's own objects, what the C library keeps after it was freed)
  shows in the process's resident memory. Nothing enters above the mark until it has fallen below the low one.

The first records are few, until one has ended and something is known.

A run never locks up for it. With no record in flight the next one enters, whatever it takes: so a limit smaller than one record
lets records pass one at a time. And where those in flight wait for one that is held back (a join of two sources), `press` lets
one in.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from phonograph.engine.course import Course
from phonograph.engine.emission import payload_bytes
from phonograph.engine.step import Step
from phonograph.item import Item, Outcome
from phonograph.language.units import size_in_words
from phonograph.metrics import MemoryLimitMetrics
from phonograph.node import Emitted

HIGH_WATER = 0.9
LOW_WATER = 0.85
"""Shares of the limit."""

_LOOK_EVERY_S = 0.005  # at gigabytes per second some megabytes come in between; reading the size takes 10 us
_LOOK_EVERY = 8  # records, where they come faster than that
_FIRST_RECORDS = 4
_TRIM_EVERY_S = 0.25  # giving memory back walks through all that is free
_MEAN_SHARE = 1 / 32
_FORGET_SHARE = 1 / 256  # a record of ten times the usual size is remembered for some hundred others


class Weights:
    """What calls of one node weigh. Worker threads note, the event loop reads; a note that another overtakes is no loss."""

    __slots__ = ("heaviest", "mean")

    def __init__(self) -> None:
        self.mean = 0.0
        self.heaviest = 0.0

    def note(self, num_bytes: int) -> None:
        self.mean += (num_bytes - self.mean) * (_MEAN_SHARE if self.mean else 1)
        self.heaviest = max(num_bytes, self.heaviest - (self.heaviest - num_bytes) * _FORGET_SHARE)


class Admission:
    """Admits the records of one run. All methods are for the event loop.

    Args:
        limit: bytes.
        queued_bytes: what waits in the queues of the run.
        resident_bytes: what the process holds; `trim` gives back what is free of it.
    """

    def __init__(
        self,
        limit: int,
        course: Course,
        queued_bytes: Callable[[], int],
        resident_bytes: Callable[[], int] | None = None,
        trim: Callable[[], None] | None = None,
    ) -> None:
        self._limit = limit
        self._course = course
        self._queued_bytes = queued_bytes
        self._resident_bytes = resident_bytes or _resident_bytes
        self._trim = trim or _trim
        self._weights: tuple[Weights, ...] = ()
        self._waiting: list[asyncio.Future[None]] = []
        self._base = 0
        self._resident = self._queued = 0
        self._mean = self._heaviest = 0.0
        self._look_at = self._trim_at = float("-inf")
        self._num_until_look = 0
        self._is_known = False
        self._is_high = False
        self._is_pressed = False
        self._pauses = self._num_forced = 0
        self._paused_s = 0.0

    def begin(self, steps: Iterable[Step]) -> None:
        """Everything is open, and no record has been read: weigh the calls of these nodes from now on."""
        self._base = self._resident_bytes()
        self._course.on_end.append(self._record_ended)
        by_node: dict[str, Weights] = {}
        for step in steps:
            weights = by_node.setdefault(step.node.node_id, Weights())
            step.call, step.weigh = weighed(step.call, weights), weights.note
        self._weights = tuple(by_node.values())

    async def enter(self, num_bytes: int) -> None:
        """Wait until there is room for one more record, or the run is to end.

        Args:
            num_bytes: of its payload as the source gave it.
        """
        while not self._is_known and self._course.ledger.num_live >= _FIRST_RECORDS and not self._course.is_draining:
            await self._change()
        if self._has_room_for(num_bytes):
            return
        began = self._course.now()
        self._pauses += 1
        try:
            while not self._course.is_draining:
                await self._change()
                if self._has_room_for(num_bytes):
                    return
        finally:
            self._paused_s += self._course.now() - began

    @property
    def is_waited_at(self) -> bool:
        return bool(self._waiting)

    def press(self) -> None:
        """Let one record in, for nothing else can happen."""
        self._is_pressed = self._is_known = True
        self._wake()

    def metrics(self) -> MemoryLimitMetrics:
        return MemoryLimitMetrics(
            limit_mb=self._limit / 1e6,
            pauses=self._pauses,
            paused_ms=round(self._paused_s * 1e3, 6),
            forced=self._num_forced,
            record_mb=round(max((one.heaviest for one in self._weights), default=0.0) / 1e6, 6),
        )

    def _has_room_for(self, num_bytes: int) -> bool:
        num_live = self._course.ledger.num_live
        self._look(at_once=not num_live)
        weight = max(self._heaviest, num_bytes)
        held = max(num_live * self._mean, self._queued)
        if held + weight <= self._limit * HIGH_WATER - self._base and not self._is_high:
            return True
        if num_live and not self._is_pressed:
            return False
        self._is_pressed = False
        self._num_forced += 1
        if self._num_forced == 1:
            self._course.tell(
                "warning",
                "memory_limit_too_small",
                limit=size_in_words(self._limit),
                process_holds=size_in_words(self._resident),
                record_takes=size_in_words(int(weight)),
                hint="records pass one at a time where they do not fit; raise limits.memory",
            )
        return True

    def _look(self, *, at_once: bool) -> None:
        now = self._course.now()
        self._num_until_look -= 1
        if now < self._look_at and self._num_until_look > 0 and not at_once:
            return
        self._look_at, self._num_until_look = now + _LOOK_EVERY_S, _LOOK_EVERY
        self._mean = max((one.mean for one in self._weights), default=0.0)
        self._heaviest = max((one.heaviest for one in self._weights), default=0.0)
        self._queued = self._queued_bytes()
        self._resident = self._resident_bytes()
        mark = self._limit * (LOW_WATER if self._is_high else HIGH_WATER)
        if self._resident >= mark and now >= self._trim_at:
            self._trim_at = now + _TRIM_EVERY_S
            self._trim()
            self._resident = self._resident_bytes()
        self._is_high = self._resident >= mark

    def _record_ended(self, outcome: Outcome) -> None:
        self._is_known = True
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self) -> None:
        """Return when a record has ended, or after a while: nobody tells when memory becomes free."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        timer = loop.call_later(_LOOK_EVERY_S, self._wake)
        try:
            await future
        finally:
            self._waiting.remove(future)
            timer.cancel()


def weighed(call: Callable[[Item], Emitted], weights: Weights) -> Callable[[Item], Emitted]:
    """The call of a node that also notes what it weighs. A generator's items are weighed where they come to."""

    def weighing(item: Item) -> Emitted:
        emitted = call(item)
        made: Iterable[Item] = (emitted,) if type(emitted) is Item else emitted if isinstance(emitted, list | tuple) else ()
        weights.note(payload_bytes(item.payload) + sum(payload_bytes(one.payload) for one in made if type(one) is Item))
        return emitted

    return weighing


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")


def _trim() -> None:
    """Let the C library give back what it keeps of freed memory, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
