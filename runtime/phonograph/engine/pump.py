"""Pump: takes what waits at a lane through one worker, until nothing more comes.

What a worker is given at a time, `phonograph.engine.load` tells. While a node has more to give for an entry than its readers have
room for, the entry is paused, and the pump goes from one call to the next: it lets what lies beyond that node go on, or else asks
the node for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from phonograph.engine.course import Course
from phonograph.engine.crew import Post
from phonograph.engine.delivery import Entry
from phonograph.engine.guard import LeftBehindError
from phonograph.engine.lane import Lane
from phonograph.engine.load import LATE_S, Load
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.settling import Settling
from phonograph.engine.worker import Pass, SegmentWorker, lost
from phonograph.item import Item

Works = Post[SegmentWorker | ProcessWorker]
Renew = Callable[[Works], Awaitable[None]]


class Pump:
    """Pumps for one worker of a run.

    Args:
        post: of the worker. Where the lane's nodes run inline, its thread is asked for the time only.
        renew: puts another worker there, in the place of one that was left behind.
    """

    def __init__(self, lane: Lane, post: Works, course: Course, settling: Settling, renew: Renew) -> None:
        self._lane = lane
        self._post = post
        self._renew = renew
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
            try:
                if lane.outbox.letters:
                    await lane.outbox.send()
                elif self._paused:
                    await self._go_on()
                else:
                    await self._run_load()
            except LeftBehindError as left:
                await self._left_behind(left)
        lane.queue.nudge()

    async def _left_behind(self, left: LeftBehindError) -> None:
        """Settle what came of a load whose worker has not come back; put another worker in its place, with a load of its own."""
        lane, load, entry = self._lane, self._load, self._load.running
        assert entry is not None, "only a call that runs is left behind"
        self._ahead, load.is_stopped = None, True
        lane.take_back(load)
        await self._settle_done()
        self._load = lane.loads[lane.loads.index(load)] = Load()
        await self._settling.settle(lane, entry, lost(left, entry.position))
        await self._renew(self._post)

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
            load.run(self._post.member, self._post.thread.clock_ns)
            lane.take_back(load)
            await self._settle_done()

    async def _hop(self) -> None:
        """Have a worker run its load in its thread, settle it, and see to what it keeps back when it takes long."""
        lane, load, course, post = self._lane, self._load, self._course, self._post
        call, self._ahead, is_alone = self._ahead, None, True
        if call is None:
            is_alone = len(load.waiting) == 1
            call = course.called(post, load.run, post.member, post.thread.clock_ns, entry=load.waiting[0])
        if not course.is_aborting and lane.fill_ahead(load):
            self._ahead = course.called(post, partial(load.run, is_ahead=True), post.member, post.thread.clock_ns)
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
        lane, post, load, settling = self._lane, self._post, self._load, self._settling
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
        result: Pass | Item
        if entry.position == len(lane.nodes):  # an open breaker passed over the last node
            result = entry.item
        else:
            call: Callable[[], Pass | Item] = post.member.go_on
            if not goes_on:
                call = partial(post.member.run, entry.item, entry.position, entry.attempt, entry.is_probe, entry.given)
            load.running = entry
            result = call() if self._is_inline else await self._course.called(post, call, entry=None if goes_on else entry)
            load.running = None
        if type(result) is not Item or not settling.settled_at_once(lane, entry, result, self._course.now()):
            await settling.settle(lane, entry, result)
        if isinstance(result, Pass) and result.paused_at is not None:
            self._paused.append((entry, result.paused_at))
