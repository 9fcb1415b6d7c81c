"""Runs a plan for a program that sends it requests and opens sessions, from `open` to `close`.

It is a scheduler without sources. What is sent comes in at the entrance as a record of its own and goes from lane to lane as in a
run; there it waits at a seat (`phonograph.engine.seats`) and not in a queue, and at a tap it is handed to whoever sent it. So
back-pressure is no matter of the lanes: so many requests are let in at once, and each session may have so much in flight or
unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from phonograph.audio import AudioChunk
from phonograph.engine.assembly import Assembly, connect
from phonograph.engine.budget import Budget
from phonograph.engine.course import Course
from phonograph.engine.crew import Crew, Post
from phonograph.engine.delivery import Entry
from phonograph.engine.emission import payload_bytes
from phonograph.engine.journal import Identity, Owner, RunDirectory
from phonograph.engine.lane import Lane
from phonograph.engine.outside import Tap
from phonograph.engine.plan import ENTRANCE, Plan
from phonograph.engine.port_contract import PortContract
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.requests import Request, Result
from phonograph.engine.scheduler import Scheduler
from phonograph.engine.seats import Seat, ServingLane
from phonograph.engine.worker import Pass, SegmentWorker
from phonograph.errors import AudioFormatError, BadInputError, ExecutorClosedError
from phonograph.item import Item, Outcome
from phonograph.log import Logger
from phonograph.metrics import NodeMetrics

MAX_REQUESTS = 64
"""Requests that are worked on at one time; others wait, so that not all of many are half done at once."""


class Serving(Scheduler):
    """A plan that serves. Make it in the event loop that it serves in; `open` it once and `close` it.

    Args:
        plan: of a graph that `phonograph.engine.outside.opened` has closed.
        max_requests: as many are worked on at one time.
    """

    def __init__(
        self, plan: Plan, run_directory: RunDirectory, log: Logger, *, measure: bool, max_requests: int = MAX_REQUESTS
    ) -> None:
        super().__init__(plan, run_directory, log, measure=measure)
        self._budget = _Unlimited(self._course)
        self._entrance = self._nodes[ENTRANCE]
        self._contracts = {port.name: PortContract(port) for port in self._entrance.plan.ports[1]}
        self._outputs = tuple(node.ports[0][0].name for node in plan.taps)
        self._places = asyncio.Semaphore(max_requests)
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = asyncio.Event()
        self._is_closing = False
        self._num_requests = 0
        self._group: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the workers. Raises NodeError, and nothing is left then."""
        # A task of its own and no group around the caller: a fault in here must not cancel what the caller does besides.
        self._running = asyncio.create_task(self.run(), name=f"executor {self._plan.graph.name}")
        opening = asyncio.create_task(self._is_open.wait(), name="opening")
        try:
            await asyncio.wait((self._running, opening), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._cancel()
            raise
        finally:
            opening.cancel()
            await asyncio.wait((opening,))
        if self._running.done():
            self._running.result()
            assert self.error is not None, "a run that has not begun has a reason"
            raise self.error

    async def close(self, *, at_once: bool = False) -> None:
        """End: sessions at once, requests when they are done, or also at once. Nothing of it is left then."""
        self._is_closing = True
        assert self._running is not None
        try:
            if at_once:  # outputs that span records are not completed then
                self.drain()
                self._course.abort()
            while self._num_requests and not self._running.done():
                self._idle.clear()
                idle = asyncio.create_task(self._idle.wait())
                await asyncio.wait((self._running, idle), return_when=asyncio.FIRST_COMPLETED)
                idle.cancel()
            self._entrance.exit.close()
            self._entrance.letters.close()
            await asyncio.wait((self._running,))
        except asyncio.CancelledError:
            await self._cancel()
            raise
        self._running.result()

    async def submit(self, inputs: Mapping[str, Any], key: str | None, attributes: Mapping[str, Any] | None) -> Result:
        """See `Executor.submit`."""
        payload = self.checked(inputs)
        request = Request(self._outputs)
        async with self._places:
            self.require_open()
            self._num_requests += 1
            try:
                if self._admission is not None:
                    await self._admission.enter(payload_bytes(payload))
                await self.let_in(request, self._item(key or f"request-{self.ledger.num_read}", payload, attributes or {}))
                result = await request.result()
            except asyncio.CancelledError:
                self.dismiss(request)
                raise
            finally:
                self._num_requests -= 1
                if not self._num_requests:
                    self._idle.set()
        if result.metrics.outcome is Outcome.CANCELLED:
            raise ExecutorClosedError(f"record {key!r}") from self.error
        return result

    def require_open(self) -> None:
        """Raises ExecutorClosedError, with what ended it as its cause."""
        if self._is_closing or self._running is None or self._running.done() or self._course.is_aborting:
            raise ExecutorClosedError(self._plan.graph.name) from self.error

    def checked(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is sent, by input of the manifest.

        Raises:
            BadInputError, AudioFormatError: it is not what the manifest's inputs are.
        """
        if not isinstance(inputs, Mapping):
            raise BadInputError(
                f"got {type(inputs).__name__}; expected a mapping of the manifest's inputs, {', '.join(self._contracts)}"
            )
        if inputs.keys() != self._contracts.keys():
            raise BadInputError(f"got inputs {sorted(inputs)}; expected {sorted(self._contracts)}, all of the manifest's inputs")
        for name, contract in self._contracts.items():
            breach = contract.breach(inputs[name])
            if breach is not None:
                error = AudioFormatError if isinstance(inputs[name], AudioChunk) else BadInputError
                raise error(f"input {name!r} got {breach[0]}; expected {breach[1]}")
        return dict(inputs)

    async def let_in(self, owner: Owner, item: Item) -> None:
        """Take in one record. Cancelled while it waits, it goes on; `dismiss` ends it then."""
        ordinal = self.ledger.read(Identity(item.key, owner=owner))
        item = msgspec.structs.replace(item, ordinal=ordinal)
        exit = self._entrance.exit
        if exit.send_at_once(item, self._now()):
            return
        parcels = exit.choose(item)
        if not parcels:
            self.ledger.end(ordinal, Outcome.FILTERED)
            return
        self.ledger.add(ordinal, len(parcels) - 1)
        assert self._group is not None
        await asyncio.shield(self._group.create_task(exit.send(parcels)))

    def dismiss(self, owner: Owner) -> None:
        """End what waits of a request or session that nobody waits for any more."""
        owner.is_gone = True
        for lane in self._lanes:
            lane.withdraw(owner)

    def node_metrics(self) -> tuple[NodeMetrics, ...]:
        return tuple(one for one in super().node_metrics() if one.id in self._plan.graph.manifest.nodes or "~" in one.id)

    @staticmethod
    def _item(key: str, payload: Mapping[str, Any], attributes: Mapping[str, Any]) -> Item:
        return Item(key=key, ordinal=0, payload=payload, attributes=MappingProxyType({**_told_by(payload), **attributes}))

    @property
    def _lanes(self) -> tuple[ServingLane, ...]:
        return self._assembly.lanes  # type: ignore[return-value]  # made below

    def _connect(self) -> Assembly:
        course = self._course
        taps = {node.id: Tap(node.ports[0][0].name, course) for node in self._plan.taps}
        lane = partial(ServingLane, course=course)
        return connect(self._plan, self._nodes, course, self._judge, measure=self._measure, lane=lane, taps=taps)

    async def _cancel(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait((self._running,))

    def _start(self, group: asyncio.TaskGroup, crew: Crew) -> None:
        self._group = group
        for lane in self._lanes:
            group.create_task(self._serve_lane(lane, crew), name=f"lane {lane.plan.name}")
        for gathering in self._assembly.gatherings:
            group.create_task(gathering.run(), name=f"gathering {gathering.plan.name}")
        self._is_open.set()

    async def _serve_lane(self, lane: ServingLane, crew: Crew) -> None:
        async with asyncio.TaskGroup() as group:
            for number, post in enumerate(crew.workers[lane.plan.name]):
                group.create_task(self._serve(lane, number, post), name=f"worker of {lane.plan.name}")
        lane.nodes[-1].exit.close()
        for node in lane.nodes:
            node.letters.close()

    async def _serve(self, lane: ServingLane, number: int, post: Post[SegmentWorker | ProcessWorker]) -> None:
        """One worker's work: a turn for each that has something, one after another."""
        seats = lane.seats
        while not lane.is_finished:
            if lane.outbox.letters:
                await lane.outbox.send()
                continue
            seat = seats.take(number)
            if seat is None:
                await seats.wait(number)
                continue
            await self._take_turn(lane, seat, post)
            del seat
        seats.nudge()

    async def _take_turn(self, lane: ServingLane, seat: Seat, post: Post[SegmentWorker | ProcessWorker]) -> None:
        if not seat.waiting:  # it was withdrawn
            return
        entry = seat.waiting.popleft()
        seat.num_away += 1
        lane.seats.offer(seat)  # of a request, other workers may have the next
        try:
            if self._course.is_aborting or seat.owner.is_gone:
                self._course.cancel(entry)
            else:
                await self._settle(lane, entry, await self._passed(lane, entry, post))
        finally:
            seat.num_away -= 1
            if seat.has_work:
                lane.seats.offer(seat)
            elif seat.worker is None and not seat.num_away:
                lane.seats.leave(seat.owner)

    async def _passed(self, lane: Lane, entry: Entry, post: Post[SegmentWorker | ProcessWorker]) -> Pass | Item:
        """All that comes of one entry of a request."""
        if entry.position == len(lane.nodes):  # an open breaker passed over the last node
            return entry.item
        arguments = (entry.item, entry.position, entry.attempt, entry.is_probe, entry.given)
        if lane.plan.run == "inline":
            return _whole(post.member, *arguments)
        self._course.num_calls += 1
        try:
            return await post.thread.call(_whole, post.member, *arguments)
        finally:
            self._course.num_calls -= 1


class _Unlimited(Budget):
    """No number of failed records ends a service, whose callers may send what they like."""

    def __init__(self, course: Course) -> None:
        super().__init__(course, 1.0)

    def is_exceeded(self, *, all_count: bool) -> bool:
        return False

    def _record_ended(self, outcome: Outcome) -> None:
        pass


def _whole(worker: SegmentWorker | ProcessWorker, *arguments: Any) -> Pass | Item:
    """A pass to its very end. What it gives is kept for the caller anyway, so nothing is saved by giving it in stretches."""
    outcome = worker.run(*arguments)
    while isinstance(outcome, Pass) and outcome.paused_at is not None:
        more = worker.go_on()
        outcome.emitted += more.emitted
        outcome.trail += more.trail
        outcome.num_filtered += more.num_filtered
        outcome.num_failures += more.num_failures
        outcome.paused_at = more.paused_at
    return outcome


def _told_by(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that audio has when it was decoded, so that routes by duration work."""
    for chunk in payload.values():
        if isinstance(chunk, AudioChunk):
            return {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}
    return {}
