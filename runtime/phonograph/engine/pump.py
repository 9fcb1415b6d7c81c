"""Pump: takes what waits at a lane through one worker, until nothing more comes.

What a worker is given at a time, `phonograph.engine.load` tells. While a node has more to give for an entry than its readers have
room for, the entry is paused, and the pump goes from one call to the next: it lets what lies beyond that node go on, or else asks
the node for more.
"""

from __future__ import annotations

import asyncio
from functools import partial

from phonograph.engine.course import Course
from phonograph.engine.delivery import Entry
from phonograph.engine.lane import Lane
from phonograph.engine.load import LATE_S, Load
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.settling import Settling
from phonograph.engine.threads import Worker
from phonograph.engine.worker import Pass, SegmentWorker
from phonograph.item import Item


class Pump:
    """Pumps for one worker of a run.

    Args:
        thread: of the worker. Where the lane's nodes run inline, it is asked for the time only.
    """

    def __init__(
        self, lane: Lane, worker: SegmentWorker | ProcessWorker, thread: Worker, course: Course, settling: Settling
    ) -> None:
        self._lane = lane
        self._worker = worker
        self._thread = thread
        self._course = course
        self._settling = settling
        self._is_inline = lane.plan.run == "inline"
        self._load = Load()
        lane.loads.append(self._load)
        self._ahead: asyncio.Future[None] | None = None  # the call that begins when the one that runs returns
        self._paused: list[tuple[Entry, int]] = []  # with the position of the node that has more; the last one goes on first

    async def run(self) -> None:
        """Pump until nothing more comes."""
        lane = self._lane
        while self._paused or self._ahead is not None or not lane.is_finished:
            if lane.outbox.letters:
                await lane.outbox.send()
            elif self._paused:
                await self._go_on()
            else:
                await self._run_load()
        lane.queue.nudge()

    async def _run_load(self) -> None:
        """Take what a worker can run in one go, in its thread if it has one; wait until there is something."""
        lane, load, course = self._lane, self._load, self._course
        if self._ahead is None:
            lane.fill(load)
        if self._ahead is not None:
            await self._hop()
        elif not load.waiting:
            lane.num_idle += 1
            try:
                await lane.queue.wait()
            finally:
                lane.num_idle -= 1
        elif course.is_aborting:
            for entry in load.take_back():
                course.cancel(entry)
        elif load.waiting[0].position == len(lane.nodes):  # an open breaker passed over the last node
            (entry,) = load.take_back()
            await self._settling.settle(lane, entry, entry.item)
        elif not self._is_inline:
            await self._hop()
        else:
            load.run(self._worker, self._thread.clock_ns)
            lane.take_back(load)
            await self._settle_done()

    async def _hop(self) -> None:
        """Have a worker run its load in its thread, settle it, and see to what it keeps back when it takes long."""
        lane, load, course, thread = self._lane, self._load, self._course, self._thread
        call, self._ahead, is_alone = self._ahead, None, True
        if call is None:
            is_alone = len(load.waiting) == 1
            call = course.called(thread, load.run, self._worker, thread.clock_ns)
        if not course.is_aborting and lane.fill_ahead(load):
            self._ahead = course.called(thread, partial(load.run, is_ahead=True), self._worker, thread.clock_ns)
        elif not is_alone:
            await asyncio.wait((call,), timeout=LATE_S)
            if not call.done():
                lane.take_back(load)
                await self._settle_done()
        await call
        if self._ahead is not None and load.is_stopped:
            await self._ahead
            self._ahead = None
        if self._ahead is None:
            lane.take_back(load)
        await self._settle_done()

    async def _settle_done(self) -> None:
        lane, settling, done = self._lane, self._settling, self._load.done
        now = self._course.now()
        while done:
            entry, result = done.popleft()
            if type(result) is Item and settling.settled_at_once(lane, entry, result, now):
                continue
            await settling.settle(lane, entry, result)
            if isinstance(result, Pass) and result.paused_at is not None:
                self._paused.append((entry, result.paused_at))
            now = self._course.now()

    async def _go_on(self) -> None:
        """Run one of the entries beyond the node that was paused last, or let it give more; wait while neither can be."""
        lane, worker, settling = self._lane, self._worker, self._settling
        entry = lane.take_beyond(*self._paused[-1])
        if entry is None:
            await lane.queue.wait()
            return
        goes_on = entry is self._paused[-1][0]
        if goes_on:
            self._paused.pop()
        if self._course.is_aborting:
            self._course.cancel(entry)
            return
        call = (
            worker.go_on
            if goes_on
            else partial(worker.run, entry.item, entry.position, entry.attempt, entry.is_probe, entry.given)
        )
        result: Pass | Item
        if entry.position == len(lane.nodes):  # an open breaker passed over the last node
            result = entry.item
        else:
            result = call() if self._is_inline else await self._course.called(self._thread, call)
        if type(result) is not Item or not settling.settled_at_once(lane, entry, result, self._course.now()):
            await settling.settle(lane, entry, result)
        if isinstance(result, Pass) and result.paused_at is not None:
            self._paused.append((entry, result.paused_at))
