"""Batching: drives a node that takes several items in one call.

Theory of operation. What upstream sent, and what comes back from back-off, joins a batch (see `phonograph.engine.forming`). A
worker takes a batch when it is full or its first item has waited long enough, and gives it to the node in one call. What came of
each item is settled as after a call of its own, in the order in which they came.

A call that fails says nothing about which item is at fault. After an error that heals, every item waits for its next attempt, and
they come together again. After any other, and after the last attempt, the batch is cut in half, and each half is a call of its
own, down to single items, which are given up. Of n items k are at fault: that takes at most 1 + 2 k ceil(log2 n) calls. An error
for want of memory is no reason to try the same again, so such a batch is cut in half at once.

When the node itself is out, and not an item, single items fail one after the other, until the breaker opens and the rest waits:
ceil(log2 n) calls more than without batches. The probe of a breaker that is half-open goes alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from phonograph.engine.batch_call import Outcome
from phonograph.engine.course import Course, Place
from phonograph.engine.delivery import Entry
from phonograph.engine.durations import durations
from phonograph.engine.forming import Forming
from phonograph.engine.guard import LeftBehindError
from phonograph.engine.judge import Judge
from phonograph.engine.lane import Lane
from phonograph.engine.worker import Pass
from phonograph.item import Item


class BatchLane(Lane):
    """The waiting places of a node that takes batches; besides those of a lane, the batches that are not taken yet."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        assert self.plan.batch is not None, "a lane of a node that takes batches"
        self._forming: Forming[Entry] = Forming(self.plan.batch)
        self._timer: asyncio.TimerHandle | None = None
        self._is_hurried = False
        self._seconds = durations(self.nodes[0].plan)

    @property
    def is_finished(self) -> bool:
        return super().is_finished and not self._forming

    def hurry(self) -> bool:
        self._is_hurried = bool(self._forming)
        self.queue.nudge()
        return self._is_hurried

    def take_batch(self) -> list[Entry] | None:
        """The next entries to run now, in one call; None while none are to be."""
        while not self._forming.has_full and (entry := self.take()) is not None:
            if entry.position or entry.is_probe:  # it was passed over, or is alone let through
                return [entry]
            since = entry.queued_at if entry.error is None else self._loop.time()
            self._forming.add(entry, self._seconds(entry.item), since)
        is_last = self.queue.is_exhausted and not self._ready and not self.num_waiting
        batch = self._forming.take(self._loop.time(), is_last=is_last or self._is_hurried)
        self._is_hurried = False
        self._set_timer()
        return batch

    def abandon(self) -> list[Entry]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return super().abandon() + self._forming.take_all()

    def _set_timer(self) -> None:
        """Wake the workers when the next batch is due."""
        if self._timer is not None:
            self._timer.cancel()
        due = self._forming.due
        self._timer = None if due is None else self._loop.call_at(due, self.queue.nudge)


class TakesBatches(Protocol):
    """A worker, as far as batches are concerned."""

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception: ...


class BatchPlace(Place, Protocol):
    """Where such a worker works."""

    @property
    def member(self) -> TakesBatches: ...


PlaceT = TypeVar("PlaceT", bound=BatchPlace)


class Batches(Generic[PlaceT]):
    """Runs the batches of one lane.

    Args:
        settle: what is done with what came of one entry. cancel: with one that is not to be run any more.
        renew: puts another worker in the place of one that was left behind.
    """

    def __init__(
        self,
        lane: Lane,
        course: Course,
        judge: Judge,
        settle: Callable[[Lane, Entry, Pass], Awaitable[None]],
        cancel: Callable[[Entry], None] | None = None,
        *,
        renew: Callable[[PlaceT], Awaitable[None]],
    ) -> None:
        self._lane = lane
        self._node = lane.nodes[0]
        self._course = course
        self._judge = judge
        self._settle = settle
        self._cancel = cancel or course.cancel
        self._renew = renew

    async def pump(self, place: PlaceT) -> None:
        """Give batches to one worker of a run until nothing more comes."""
        lane = self._lane
        assert isinstance(lane, BatchLane), "a run makes such lanes for nodes that take batches"
        parts: list[list[Entry]] = []  # of a batch that failed, the next one last
        while parts or not lane.is_finished:
            if lane.outbox.letters:
                await lane.outbox.send()
                continue
            is_whole = not parts
            batch = lane.take_batch() if is_whole else parts.pop()
            if batch is None:
                await lane.queue.wait()
                continue
            parts += reversed(await self.run(batch, place, is_whole=is_whole))
            del batch  # a waiting worker must not keep an item's memory alive
        lane.queue.nudge()

    async def run(self, batch: list[Entry], place: PlaceT, *, is_whole: bool) -> list[list[Entry]]:
        """Run a batch, or a part of one that failed; what is left of it is to be run in parts."""
        lane, node = self._lane, self._node
        if self._course.is_aborting:
            for entry in batch:
                self._cancel(entry)
            return []
        if not batch:
            return []
        if batch[0].position == len(lane.nodes):  # an open breaker passed over the node
            await self._settle(lane, batch[0], Pass([batch[0].item]))
            return []
        if not (batch[0].is_probe or node.breaker.is_closed):
            for entry in batch:
                await self._stopped(entry, None)
            return []
        if is_whole:
            node.totals.batches += 1
            node.totals.batched_items += len(batch)
        result = await self._called(batch, place)
        if isinstance(result, Exception):
            return await self._failed(batch, result)
        for entry, outcome in zip(batch, result, strict=True):
            if isinstance(outcome, Exception):
                await self._stopped(entry, outcome)
            else:
                await self._settle(lane, entry, _passed(outcome) if isinstance(outcome, list) else outcome)
        return []

    async def _called(self, batch: Sequence[Entry], place: PlaceT) -> list[Outcome] | Exception:
        """One call of the node."""
        now, totals = self._course.now(), self._node.totals
        for entry in batch:
            totals.queue_wait_s += now - entry.began
            entry.began = now
        arguments = ([entry.item for entry in batch], sum(entry.error is None for entry in batch))
        if self._lane.plan.run == "inline":
            return place.member.run_batch(*arguments)
        most_urgent = min(batch, key=lambda entry: entry.deadline)
        try:
            return await self._course.called(place, place.member.run_batch, *arguments, entry=most_urgent)
        except LeftBehindError as left:
            await self._renew(place)
            return left.error

    async def _failed(self, batch: list[Entry], error: Exception) -> list[list[Entry]]:
        """Judge the items of a call that failed, where it can be told what becomes of them; the others are to be run in parts."""
        if len(batch) == 1:
            await self._stopped(batch[0], error)
            return []
        rest = []
        for entry in batch:
            if not isinstance(error, MemoryError) and self._judge.delay_after(self._node, entry, error) is not None:
                await self._stopped(entry, error)
            else:
                entry.error = error
                rest.append(entry)
        if len(rest) < 2:
            return [rest] if rest else []
        middle = (len(rest) + 1) // 2
        return [rest[:middle], rest[middle:]]

    async def _stopped(self, entry: Entry, error: Exception | None) -> None:
        outcome = Pass()
        outcome.fail(entry.position, entry.item, error)
        await self._settle(self._lane, entry, outcome)


def _passed(made: list[Item]) -> Pass:
    """What came of an item that the node took, as after a call of its own."""
    outcome = Pass(made)
    outcome.trail.append(0)
    outcome.num_filtered = not made
    return outcome
