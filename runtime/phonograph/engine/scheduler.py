"""Runs a plan: reads the sources and has every lane pumped, until every record has ended or the run is stopped.

The life of a record. A source reads it; the ledger gives it an ordinal. It travels as an item from lane to lane: a pump takes it
through the lane's nodes, in a worker, and what came of that is settled (delivered, completed, filtered, judged). A failure is a
value until the judge has decided: tried again after a delay, held by an open breaker, or given up as the node's `on_error` says.
Where branches meet, a gathering makes one item of several. When the last item of a record has ended, the ledger tells the journal
how the record ended.

Stopping. `drain` stops the sources; what is in flight ends as usual, but outputs that span records are not completed, because
records are missing from them. A failure stops the sources too, and every item that has not reached a node's call yet ends as
cancelled; calls that run are waited for and accounted for. Cancelling `run` waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from types import MappingProxyType
from typing import cast

from phonograph.breaker import BreakerState, CircuitBreaker
from phonograph.engine.admission import Admission
from phonograph.engine.array_check import ArrayCheck
from phonograph.engine.assembly import Assembly, connect
from phonograph.engine.batching import Batches, BatchLane
from phonograph.engine.budget import Budget
from phonograph.engine.course import Course, node_error
from phonograph.engine.crew import Crew, LeftBehind, Post
from phonograph.engine.emission import payload_bytes
from phonograph.engine.failures import Failures
from phonograph.engine.guard import GRACE_S
from phonograph.engine.identity import Identity
from phonograph.engine.judge import Judge
from phonograph.engine.lane import Lane, NodeRun
from phonograph.engine.ledger import Ledger
from phonograph.engine.load import LATE_S
from phonograph.engine.plan import Plan
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.pump import Pump
from phonograph.engine.reader import Found, SourceReader, shares
from phonograph.engine.settling import Settling
from phonograph.engine.threads import Worker
from phonograph.engine.under_way import calls_under_way
from phonograph.engine.watch import Watch
from phonograph.engine.watchdog import Watchdog, stack_in_words
from phonograph.engine.worker import SegmentWorker
from phonograph.errors import AttemptTimeoutError, NodeError, PhonographError
from phonograph.item import NO_ATTRIBUTES, Item, Outcome
from phonograph.journal import RunDirectory
from phonograph.journal.records import Again, RecordRow
from phonograph.journal.redrive import Redrive
from phonograph.log import Logger
from phonograph.metrics import (
    BreakerMetrics,
    BreakerTransition,
    ConversionMetrics,
    LeftBehindMetrics,
    MemoryLimitMetrics,
    NodeMetrics,
    NodeTotals,
    StallMetrics,
)

_STUCK_AFTER_S = 1.0  # how long a cancelled run waits for calls that are still running


class Scheduler:
    """One run of a plan. Make it inside the event loop that runs it; use it once.

    Args:
        measure: time nodes and count their memory.
        sample: how many records to read, shared out over the sources; None: all.
        check_arrays: see `ArrayCheck`. sync_every_s: see `Scribe`.
    """

    def __init__(
        self,
        plan: Plan,
        run_directory: RunDirectory,
        log: Logger,
        *,
        measure: bool,
        sample: int | None = None,
        check_arrays: bool = False,
        sync_every_s: float = 1.0,
    ) -> None:
        self.was_interrupted = False
        self._has_read = self._has_seen_all = self._is_complete = False
        self._plan = plan
        self._measure = measure
        self._check_arrays = check_arrays
        self._nodes = {
            node.id: NodeRun(
                node,
                NodeTotals(node.id, node.spec.type, sees_native_memory=node.spec.sees_native_memory),
                CircuitBreaker(node.breaker, partial(self._breaker_changed, node.id)),
            )
            for node in plan.graph.nodes.values()
        }
        self._course = Course(self._nodes, [source.id for source in plan.sources], run_directory, log, sync_every_s=sync_every_s)
        self._course.on_abort = self._abandon
        rates = {node.id: node.error_rate for node in plan.graph.nodes.values() if node.error_rate < 1}
        self._budget = Budget(self._course, plan.graph.limits.error_rate, rates)
        self._judge = Judge(self._course)
        self._crew: Crew | None = None
        self._watchdog: Watchdog | None = None
        self._settling = Settling(self._course, self._judge)
        self._assembly = self._connect()
        self.overfull = self._assembly.overfull
        limit = plan.graph.limits.memory
        self._admission = None if limit is None else Admission(limit, self._course, self._assembly.queued_bytes)
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._sources = {source.id: number for number, source in enumerate(plan.sources)}
        self._quotas = shares(sample, [source.id for source in plan.sources])

    @property
    def ledger(self) -> Ledger[Identity]:
        return self._course.ledger

    @property
    def error(self) -> PhonographError | None:
        """Why the run failed, if it did."""
        return self._course.error

    @property
    def has_losses(self) -> bool:
        """Something was lost besides records: of the end of a session, or a thread that has not come back."""
        return self.ledger.has_lost_of_marks or any(not one.returned for one in self.left_metrics())

    @property
    def failures(self) -> Failures:
        return self._course.failures

    @property
    def redrive(self) -> Redrive | None:
        return self._course.run_directory.redrive

    @property
    def num_gone(self) -> int:
        """Records of earlier runs that the sources no longer have; 0 where not all that they have has been seen."""
        earlier = self._course.run_directory.earlier
        return earlier.num_unmet if earlier is not None and self._has_seen_all else 0

    async def run(self) -> None:
        """Read every source to its end and see every record through.

        Afterwards `error` says why the run failed, if it did. Only a fault of phonograph itself, cancellation, or
        Ctrl-C in an inline node is raised.
        """
        course = self._course
        totals = {node_id: run.totals for node_id, run in self._nodes.items()} if self._measure else None
        breakers = {node_id: run.breaker for node_id, run in self._nodes.items()}
        crew = self._crew = Crew(self._plan, breakers, totals, course.run_directory)
        self._watchdog = Watchdog(course, crew.threads, self._plan.graph.limits.watchdog_s)
        async with self._watchdog:
            await self._work(crew)

    async def _work(self, crew: Crew) -> None:
        """Open the crew, move what there is to move, complete outputs, and let the crew go, whatever happens."""
        course = self._course
        timeout_s: float | None = _STUCK_AFTER_S
        course.tell("info", "run_started", name=self._plan.graph.name, segments=len(self._plan.segments))
        try:
            crew.on_left = self._tell_left
            await crew.open()
            if self._admission is not None:
                self._admission.begin()
                crew.equip(self._admission.weigh)
            if self._check_arrays:
                crew.equip(ArrayCheck().begin)
            await self._move(crew)
            self._has_read = not course.is_draining
            self._has_seen_all = self._has_read and all(quota is None for quota in self._quotas.values())
            if self.error is None and self._budget.is_exceeded(all_count=not self.was_interrupted):
                course.fail(self._budget.error())
            await course.scribe.catch_up()  # what is complete from here on is made of records that are known to have ended
            if self.error is None and not self.was_interrupted:
                if course.run_directory.finishes:
                    await crew.finish()
                self._is_complete = self._has_seen_all
            timeout_s = None
        except NodeError as error:
            timeout_s = None
            course.fail(error)
        finally:
            course.abort()
            try:
                course.letters.close()
                self.ledger.cancel_all()
                await course.scribe.close()
            finally:
                errors, num_stuck = await crew.close(timeout_s)
                for failure in errors:
                    course.fail(failure)
                if num_stuck:
                    reason = f"a node's call did not return: {'; '.join(calls_under_way(self._nodes)) or 'of a source'}"
                    course.tell("warning", "threads_abandoned", count=num_stuck, reason=reason)
                course.tell_resumed()
                counts = {outcome.value: count for outcome, count in self.ledger.counts.items() if count}
                course.tell("info", "run_ended", **counts)

    def write_end(self, status: str) -> None:
        """Say in the run directory how the run ended. Raises RunDirectoryError."""
        self._course.run_directory.write_end(
            status, has_read=self._has_read, has_seen_all=self._has_seen_all, is_complete=self._is_complete
        )

    def drain(self) -> None:
        """Stop reading because someone asked; let what is in flight end, but for what waits for a breaker. In the event loop."""
        self._course.is_draining = self.was_interrupted = True
        self._assembly.wait_for_no_breaker()

    def node_metrics(self) -> tuple[NodeMetrics, ...]:
        return tuple(run.totals.summarise(self._breaker_metrics(run.breaker)) for run in self._nodes.values())

    def _breaker_metrics(self, breaker: CircuitBreaker) -> BreakerMetrics:
        transitions = (BreakerTransition(round((at - self._began) * 1e3, 6), state.value) for at, state in breaker.transitions)
        return BreakerMetrics(breaker.state.value, breaker.opens, tuple(transitions))

    def _breaker_changed(self, node_id: str, state: BreakerState, now: float) -> None:
        breaker, facts = self._nodes[node_id].breaker, dict[str, object]()
        if state is BreakerState.OPEN:
            facts = {"when_open": breaker.policy.when_open, "probe_in_s": breaker.policy.reset_timeout_s}
            for link in self._nodes[node_id].plan.fallback:
                facts["fallback"] = link.target
        at_s = round(now - self._began, 3)
        level = "info" if state is BreakerState.HALF_OPEN else "warning"
        self._course.tell(level, "breaker", node=node_id, state=state.value, at_s=at_s, opens=breaker.opens, **facts)

    def conversion_metrics(self) -> tuple[ConversionMetrics, ...]:
        return tuple(
            ConversionMetrics(
                node=one.node, changes=one.changes, loses=one.loses, items_changed=self._nodes[one.node].totals.items_changed
            )
            for one in self._plan.graph.conversions
        )

    def memory_limit_metrics(self) -> MemoryLimitMetrics | None:
        return None if self._admission is None else self._admission.metrics()

    def left_metrics(self) -> tuple[LeftBehindMetrics, ...]:
        left = () if self._crew is None else self._crew.left
        return tuple(LeftBehindMetrics(one.node, one.key, round(one.waited_s * 1e3, 6), one.is_back) for one in left)

    def stall_metrics(self) -> tuple[StallMetrics, ...]:
        stalls = () if self._watchdog is None else self._watchdog.stalls
        return tuple(StallMetrics(node, key, round(stalled_s * 1e3, 6)) for node, key, stalled_s in stalls)

    def tell_running(self) -> None:
        """Log what every thread is doing. Call it in the event loop."""
        if self._watchdog is not None:
            self._watchdog.tell()

    def _tell_left(self, left: LeftBehind, thread: Worker) -> None:
        self._course.tell(
            "warning",
            "call_left_behind",
            node=left.node,
            key=left.key,
            waited_s=round(left.waited_s, 3),
            stack=stack_in_words(thread.frame()),
        )

    def _interrupted(self, task: asyncio.Task[None], interrupt: KeyboardInterrupt) -> None:
        """Ctrl-C came in a node's call; `task` runs this."""
        task.cancel()

    def _start(self, group: asyncio.TaskGroup, crew: Crew) -> None:
        for node_id, post in crew.readers.items():
            group.create_task(self._feed(self._nodes[node_id], post), name=f"source {node_id}")
        for lane in self._assembly.lanes:
            group.create_task(self._run_lane(lane, crew.workers[lane.plan.name]), name=f"lane {lane.plan.name}")
        for gathering in self._assembly.gatherings:
            group.create_task(gathering.run(), name=f"gathering {gathering.plan.name}")

    def _connect(self) -> Assembly:
        return connect(self._plan, self._nodes, self._course, self._judge, measure=self._measure)

    # Moving items.

    async def _move(self, crew: Crew) -> None:
        course, task = self._course, cast(asyncio.Task[None], asyncio.current_task())
        course.on_interrupt = partial(self._interrupted, task)
        try:
            async with asyncio.TaskGroup() as group:
                watch = Watch(course, self._assembly, self._admission)
                watching = group.create_task(watch.run(), name="watch") if watch.is_needed else None
                async with asyncio.TaskGroup() as moving:
                    self._start(moving, crew)
                if watching is not None:
                    watching.cancel()
        except asyncio.CancelledError:
            if course.interrupt is None or task.uncancel():  # somebody else cancelled it, too
                raise
            self.was_interrupted = True
            raise course.interrupt from None

    async def _feed(self, node: NodeRun, post: Post[SourceReader]) -> None:
        course, quota, reader = self._course, self._quotas[node.plan.id], post.member
        try:
            while not course.is_draining and quota != node.totals.records_read:
                call = course.called(post, reader.read_on, post.thread.clock_ns)
                await asyncio.wait((call,), timeout=LATE_S)
                if not call.done():
                    reader.hurry()
                    await self._admit(node, reader.take(), quota)
                    if node.plan.is_timed:
                        await self._within_time(node, post, call)
                goes_on = await call
                await self._admit(node, reader.take(), quota)
                if not goes_on:
                    break
        except Exception as error:  # noqa: BLE001  # a source may raise anything; the records it read are seen through
            course.fail(node_error(node, None, error), abort=False)
        node.exit.close()
        node.letters.close()

    async def _within_time(self, node: NodeRun, post: Post[SourceReader], call: asyncio.Future[bool]) -> None:
        """Return when a source has read its next record. Raises AttemptTimeoutError; the source is not called any more then."""
        limit_s, reader = node.plan.timeout.limit_s(None), post.member
        await asyncio.wait((call,), timeout=limit_s)
        if call.done():
            return
        reader.token.is_cancelled = True
        await asyncio.wait((call,), timeout=GRACE_S)
        node.totals.timeouts += 1
        if call.done():
            raise AttemptTimeoutError(node.plan.id, limit_s, "ended when it was told to") from call.exception()
        assert self._crew is not None
        self._crew.leave(post, node.plan.id, limit_s + GRACE_S, call)
        raise AttemptTimeoutError(node.plan.id, limit_s, "did not end when it was told to, and was left behind")

    async def _renew(self, post: Post[SegmentWorker | ProcessWorker]) -> None:
        """Put another worker in the place of one that was left behind, unless nothing will be called any more."""
        if self._course.is_aborting:
            return
        assert self._crew is not None
        try:
            await self._crew.renew(post)
        except PhonographError as error:
            self._course.fail(error)

    async def _admit(self, node: NodeRun, found: Sequence[Found], quota: int | None) -> None:
        """Take records in, up to the source's quota; those that are left when the run drains count as not read."""
        taken_over: list[RecordRow] = []
        for one in found if quota is None else found[: quota - node.totals.records_read]:
            if isinstance(one, RecordRow):
                taken_over.append(one)
                continue
            if taken_over:
                self._course.adopt(node, taken_over)
                taken_over = []
            record, before = one if isinstance(one, Again) else (one, None)
            if self._admission is not None:
                await self._admission.enter(payload_bytes(record.payload))
            if self._course.is_draining:
                return
            self._course.num_events += 1
            attributes = record.attributes
            if attributes is not NO_ATTRIBUTES:
                attributes = MappingProxyType(dict(attributes))  # branches share it
            index = -1 if len(self._sources) == 1 else node.totals.records_read  # of the only source it is the ordinal
            if before is not None and self._course.run_directory.redrive is not None:
                index = before.place
            source = self._sources[node.plan.id]
            identity = Identity(record.key, record.size, record.mtime_ns, None, source, index, record.digest, before)
            ordinal = self.ledger.read(identity)
            node.totals.records_read += 1
            item = Item(key=record.key, ordinal=ordinal, payload=record.payload, attributes=attributes)
            if node.exit.send_at_once(item, self._now()):
                continue
            parcels = node.exit.choose(item)
            if not parcels:  # a source that nothing reads
                self.ledger.end(ordinal, Outcome.FILTERED)
                continue
            self.ledger.add(ordinal, len(parcels) - 1)
            await node.exit.send(parcels)
        self._course.adopt(node, taken_over)

    async def _run_lane(self, lane: Lane, posts: Iterable[Post[SegmentWorker | ProcessWorker]]) -> None:
        course, settling = self._course, self._settling
        batches = None
        if isinstance(lane, BatchLane):
            batches = Batches(lane, course, self._judge, settling.settle, renew=self._renew)
        async with asyncio.TaskGroup() as group:
            for post in posts:
                pumping = Pump(lane, post, course, settling, self._renew).run() if batches is None else batches.pump(post)
                group.create_task(course.interruptible(pumping), name=f"worker of {lane.plan.name}")
        lane.exit.close()
        for node in lane.nodes:
            node.close()

    def _abandon(self) -> None:
        for gate in self._assembly.gates:
            gate.lift()
        for lane in self._assembly.lanes:
            for entry in lane.abandon():
                self._course.cancel(entry)
