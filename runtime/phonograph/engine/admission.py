"""Admission: lets records into a run, or an executor, as far as `limits.memory` goes.

Theory of operation. Two things hold sources and senders back.

- The estimate. Each call of a node is weighed: the bytes of what it takes and of what it gives. From that it is learned what a
  record becomes on its way, on average and at most. All records in flight at the average, and one at the most, must fit into the
  room that the limit leaves beside what the process held when the run began. What waits in queues is known; it counts where it
  is more. Where things are sent, the process comes to hold more besides: what waits to be sent, what sessions keep, what nobody
  has received. That is what it holds more than records in flight explain; as those may be about to grow, such a reading only
  raises what is taken for kept at once, and lowers it by and by.
- The high-water mark. What nobody can weigh (decoders, models, Python's own objects, what the C library keeps after it was freed)
  shows in the process's resident memory. Nothing enters above the mark until it has fallen below the low one.

The first records are few, until one has ended and something is known. Who waits does so in the order of coming, so that a large
record is not overtaken for ever by small ones.

A run never locks up for it. With no record in flight the next one enters, whatever it takes: so a limit smaller than one record
lets records pass one at a time. And where those in flight wait for one that is held back (a join of two sources), `press` lets
one in. Who sends is refused instead where waiting cannot help: what is sent is larger than the limit leaves room for, or the
process holds more than the limit while nothing is in flight that would free any.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from phonograph.engine.course import Course
from phonograph.engine.emission import payload_bytes
from phonograph.engine.identity import Owner
from phonograph.engine.step import Step
from phonograph.errors import MemoryLimitError
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
_KEPT_SHARE = 1 / 64  # of a look; half is forgotten in a quarter of a second
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
    """Admits the records of one run or executor. All methods are for the event loop.

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
        self._weights: dict[str, Weights] = {}
        self._line: OrderedDict[object, asyncio.Future[None] | None] = OrderedDict()  # who waits, the first of them for news
        self._base = 0
        self._resident = self._queued = 0
        self._mean = self._heaviest = self._kept = 0.0
        self._look_at = self._trim_at = float("-inf")
        self._num_until_look = 0
        self._is_known = False
        self._is_high = False
        self._is_pressed = False
        self._pauses = self._num_forced = self._num_refused = 0
        self._paused_s = 0.0

    def begin(self) -> None:
        """Everything is open, and no record has been read."""
        self._base = self._resident_bytes()
        self._course.on_end.append(self._record_ended)

    def weigh(self, steps: Iterable[Step]) -> None:
        """Weigh the calls of these nodes from now on."""
        for step in steps:
            weights = self._weights.setdefault(step.node.node_id, Weights())
            step.call, step.weigh = weighed(step.call, weights), weights.note

    async def enter(self, num_bytes: int, owner: Owner | None = None, key: str = "") -> None:
        """Wait until there is room for one more record, or the run is to end, or its owner is gone.

        Args:
            num_bytes: of its payload as the source gave it, or as it was sent.
            owner: who sends it; None: a source, which is not refused. key: of the record, for the error.

        Raises:
            MemoryLimitError: waiting cannot help.
        """
        if owner is not None and self._base + num_bytes > self._limit:
            raise self._refusal(
                f"is of {_in_words(num_bytes)}, and the process held {_in_words(self._base)} before anything was sent",
                "expected both together within it; send it in parts (a session takes chunks), or raise limits.memory",
                key,
            )
        place = owner or object()
        self._line[place] = None
        paused_at: float | None = None
        try:
            while not (self._course.is_draining or (owner is not None and owner.is_gone)):
                is_first = next(iter(self._line)) is place
                if is_first and self._has_room_for(num_bytes, owner, key):
                    return
                if paused_at is None and not self._learns:
                    paused_at = self._course.now()
                    self._pauses += 1
                await self._news(place, is_first=is_first)
        finally:
            del self._line[place]
            if paused_at is not None:
                self._paused_s += self._course.now() - paused_at
            self._wake()  # who comes next looks when the record that has entered counts

    def dismiss(self, owner: Owner) -> None:
        """Whoever sends for an owner that is gone need not wait."""
        _wake(self._line.get(owner))

    @property
    def is_waited_at(self) -> bool:
        return bool(self._line)

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
            refused=self._num_refused,
            record_mb=round(max((one.heaviest for one in self._weights.values()), default=0.0) / 1e6, 6),
        )

    @property
    def _learns(self) -> bool:
        """The first records are on their way, and more would not be few."""
        return not (self._is_known or self._is_pressed) and self._course.ledger.num_live >= _FIRST_RECORDS

    def _has_room_for(self, num_bytes: int, owner: Owner | None, key: str) -> bool:
        num_live = self._course.ledger.num_live
        if self._learns:
            return False
        self._look(num_bytes, num_live, owner)
        weight = max(self._heaviest, num_bytes)
        held = max(num_live * self._mean, self._queued) + (0 if owner is None else self._kept)
        if held + weight <= self._limit * HIGH_WATER - self._base and not self._is_high:
            return True
        if not (self._course.ledger.is_empty or self._is_pressed):
            return False
        if owner is not None and not self._is_pressed and self._resident > self._limit:
            raise self._refusal(
                f"cannot be let in: the process holds {_in_words(self._resident)}, and nothing is in flight that would free any",
                "expected less to be kept (by sessions, by results that are not received, by the program), or a higher limit",
                key,
            )
        self._is_pressed = False
        self._num_forced += 1
        if self._num_forced == 1:
            self._course.tell(
                "warning",
                "memory_limit_too_small",
                limit=size_in_words(self._limit),
                process_holds=size_in_words(self._resident),
                **({"record_takes": size_in_words(int(weight))} if weight else {}),  # of the first record nothing is known
                hint="records pass one at a time where they do not fit; raise limits.memory",
            )
        return True

    def _refusal(self, found: str, expected: str, key: str) -> MemoryLimitError:
        self._num_refused += 1
        heaviest = max(self._weights.items(), key=lambda one: one[1].heaviest, default=None)
        if heaviest is not None and heaviest[1].heaviest:
            found += f"; node {heaviest[0]!r} takes up to {_in_words(int(heaviest[1].heaviest))} for a record"
        return MemoryLimitError(f"record {key!r} {found}; limits.memory is {size_in_words(self._limit)}; {expected}")

    def _look(self, num_bytes: int, num_live: int, owner: Owner | None) -> None:
        now = self._course.now()
        self._num_until_look -= 1
        if now < self._look_at and self._num_until_look > 0 and num_live:
            return
        self._look_at, self._num_until_look = now + _LOOK_EVERY_S, _LOOK_EVERY
        self._mean = max((one.mean for one in self._weights.values()), default=0.0)
        self._heaviest = max((one.heaviest for one in self._weights.values()), default=0.0)
        self._queued = self._queued_bytes()
        self._resident = self._resident_bytes()
        mark = self._limit * (LOW_WATER if self._is_high else HIGH_WATER)
        needed = 0 if owner is None else max(self._heaviest, num_bytes)
        if self._resident + needed >= mark and now >= self._trim_at:
            self._trim_at = now + _TRIM_EVERY_S
            self._trim()
            self._resident = self._resident_bytes()
        self._is_high = self._resident >= mark
        kept = max(self._resident - self._base - num_live * self._mean, 0.0)
        self._kept = max(kept, self._kept * (1 - _KEPT_SHARE)) if num_live else kept

    def _record_ended(self, outcome: Outcome) -> None:
        self._is_known = True
        self._wake()

    def _wake(self) -> None:
        """Let the first who waits look."""
        if self._line:
            _wake(next(iter(self._line.values())))

    async def _news(self, place: object, *, is_first: bool) -> None:
        """Return when a record has ended, or after a while: nobody tells when memory becomes free. For others than the first,
        when one has left the line.
        """
        loop = asyncio.get_running_loop()
        self._line[place] = future = loop.create_future()
        timer = loop.call_later(_LOOK_EVERY_S, self._wake) if is_first else None
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def weighed(call: Callable[[Item], Emitted], weights: Weights) -> Callable[[Item], Emitted]:
    """The call of a node that also notes what it weighs. A generator's items are weighed where they come to."""

    def weighing(item: Item) -> Emitted:
        emitted = call(item)
        made: Iterable[Item] = (emitted,) if type(emitted) is Item else emitted if isinstance(emitted, list | tuple) else ()
        weights.note(payload_bytes(item.payload) + sum(payload_bytes(one.payload) for one in made if type(one) is Item))
        return emitted

    return weighing


def _in_words(num_bytes: float) -> str:
    """Bytes as one reads them."""
    return f"{num_bytes / 2**20:.3g} MiB"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")


def _trim() -> None:
    """Let the C library give back what it keeps of freed memory, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
