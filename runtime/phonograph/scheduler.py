"""Runs a plan: moves items between sources, workers and queues, and judges every failure.

The life of a record. A source reads it; the ledger gives it an ordinal. It travels as an item from lane to lane: a lane's
worker takes it through the lane's nodes, the scheduler settles what came of that (deliver, complete, filter, judge). A failure
is a value until it has been judged: tried again after a delay, held by an open breaker, or given up as the node's `on_error`
says. When the last item of a record has ended, the ledger tells the journal how the record ended.

Stopping. `drain` stops the sources; what is in flight ends as usual. `_fail` stops the sources too, and every item that has not
reached a node's call yet ends as cancelled; calls that run are waited for and accounted for. Cancelling `run` waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from phonograph.breaker import CircuitBreaker
from phonograph.crew import Crew, Post
from phonograph.errors import (
    BadInputError,
    CircuitOpenError,
    ErrorBudgetError,
    NodeError,
    OutputError,
    PhonographError,
    RunDirectoryError,
    in_words,
)
from phonograph.graph import Link
from phonograph.item import Item, Outcome, Record
from phonograph.journal import DeadLetter, Identity, RunDirectory
from phonograph.lane import Entry, Lane, NodeRun
from phonograph.ledger import Ledger
from phonograph.log import Logger
from phonograph.metrics import BreakerMetrics, NodeMetrics, NodeTotals
from phonograph.plan import Plan
from phonograph.reader import SourceReader
from phonograph.threads import WorkerThread
from phonograph.worker import Failure, Pass, SegmentWorker, select

_BUDGET_AFTER = 100  # records; a rate over fewer says little
_STUCK_AFTER_S = 1.0  # how long a cancelled run waits for calls that are still running


class Scheduler:
    """One run of a plan. Make it inside the event loop that runs it; use it once.

    Args:
        measure: time nodes and count their memory.
    """

    def __init__(self, plan: Plan, run_directory: RunDirectory, log: Logger, *, measure: bool) -> None:
        self.ledger = Ledger(self._record_ended)
        self.error: PhonographError | None = None
        self.is_draining = False
        self.was_interrupted = False
        self._is_aborting = False
        self._plan = plan
        self._run_directory = run_directory
        self._log: Logger | None = log
        self._measure = measure
        self._nodes = {
            node.id: NodeRun(
                node,
                NodeTotals(node.id, node.spec.type, sees_native_memory=node.spec.sees_native_memory),
                CircuitBreaker(node.breaker),
            )
            for node in plan.graph.nodes.values()
        }
        self._lanes = [
            Lane(segment, tuple(self._nodes[node.id] for node in segment.nodes), self._shed) for segment in plan.segments
        ]
        self._lane_of = {lane.plan.nodes[0].id: lane for lane in self._lanes}

    async def run(self) -> None:
        """Read every source to its end and see every record through.

        Afterwards `error` says why the run failed, if it did. Only a fault of phonograph itself, or cancellation, is raised.
        """
        totals = {node_id: run.totals for node_id, run in self._nodes.items()} if self._measure else None
        crew = Crew(self._plan, {node_id: run.breaker for node_id, run in self._nodes.items()}, totals)
        timeout_s: float | None = _STUCK_AFTER_S
        self._tell("info", "run_started", name=self._plan.graph.name, segments=len(self._lanes))
        try:
            await crew.open()
            async with asyncio.TaskGroup() as group:
                for node_id, post in crew.readers.items():
                    group.create_task(self._feed(self._nodes[node_id], post), name=f"source {node_id}")
                for lane in self._lanes:
                    group.create_task(self._run_lane(lane, crew.workers[lane.plan.name]), name=f"lane {lane.plan.name}")
            if self.error is None and self.is_over_budget:
                self._fail(self._budget_error())
            if self.error is None:
                await crew.finish()
            timeout_s = None
        except NodeError as error:
            timeout_s = None
            self._fail(error)
        finally:
            self._abort()
            try:
                self.ledger.cancel_all()
            finally:
                errors, num_stuck = await crew.close(timeout_s)
                for failure in errors:
                    self._fail(failure)
                if num_stuck:
                    self._tell("warning", "threads_abandoned", count=num_stuck, reason="a node's call did not return")
                counts = {outcome.value: count for outcome, count in self.ledger.counts.items() if count}
                self._tell("info", "run_ended", **counts)

    def drain(self) -> None:
        """Stop reading because someone asked; let what is in flight end. Call it in the event loop."""
        self.is_draining = self.was_interrupted = True

    def node_metrics(self) -> tuple[NodeMetrics, ...]:
        return tuple(
            run.totals.summarise(BreakerMetrics(run.breaker.state.value, run.breaker.opens)) for run in self._nodes.values()
        )

    # Moving items.

    async def _feed(self, node: NodeRun, post: Post[SourceReader]) -> None:
        links = node.plan.outputs
        try:
            while not self.is_draining and (batch := await post.thread.call(post.member.next_batch)):
                await self._admit(node, batch, links)
        except Exception as error:  # noqa: BLE001  # a source may raise anything; the records it read are seen through
            self._fail(_node_error(node, None, error), abort=False)
        for link in links:
            self._lane_of[link.target].queue.close()

    async def _admit(self, node: NodeRun, batch: Sequence[Record], links: Sequence[Link]) -> None:
        """Take records in; those that are left when the run drains count as not read."""
        for record in batch:
            if self.is_draining:
                return
            attributes = MappingProxyType(dict(record.attributes))  # branches share it
            ordinal = self.ledger.read(Identity(record.key, record.size, record.mtime_ns))
            node.totals.records_read += 1
            item = Item(key=record.key, ordinal=ordinal, payload=record.payload, attributes=attributes)
            if not links:  # a source that nothing reads
                self.ledger.end(ordinal, Outcome.FILTERED)
                continue
            self.ledger.add(ordinal, len(links) - 1)
            for link in links:
                await self._deliver(link.target, select(link, item))

    async def _deliver(self, target: str, item: Item) -> None:
        lane = self._lane_of[target]
        entry = Entry(item, asyncio.get_running_loop().time())
        await lane.queue.put(entry, _payload_bytes(item.payload.values()))

    async def _run_lane(self, lane: Lane, posts: Iterable[Post[SegmentWorker]]) -> None:
        async with asyncio.TaskGroup() as group:
            for post in posts:
                group.create_task(self._pump(lane, post.member, post.thread), name=f"worker of {lane.plan.name}")
        for link in lane.plan.outputs:
            self._lane_of[link.target].queue.close()

    async def _pump(self, lane: Lane, worker: SegmentWorker, thread: WorkerThread) -> None:
        inline = lane.plan.run == "inline"
        while not lane.is_finished:
            entry = lane.take()
            if entry is None:
                await lane.queue.wait()
                continue
            if self._is_aborting:
                self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)
                continue
            arguments = (entry.item, entry.position, entry.attempt, entry.is_probe)
            if entry.position == len(lane.nodes):  # an open breaker passed over the last node
                result = Pass([entry.item])
            else:
                result = worker.run(*arguments) if inline else await thread.call(worker.run, *arguments)
            await self._settle(lane, entry, result)
            del entry, arguments, result  # a waiting worker must not keep an item's memory alive
        lane.queue.nudge()

    async def _settle(self, lane: Lane, entry: Entry, result: Pass) -> None:
        """Deliver, complete, filter or judge everything that came of one pass through a segment."""
        ordinal, links = entry.item.ordinal, lane.plan.outputs
        num_after = len(result.emitted) * max(1, len(links)) + result.num_filtered + result.num_failures
        if num_after != 1:
            self.ledger.add(ordinal, num_after - 1)
        for event in result.trail:  # in order, because breakers count failures in a row
            if isinstance(event, Failure):
                self._judge(lane, entry, event)
            else:
                self._credit(lane, entry, event)
        for _ in range(result.num_filtered):
            self.ledger.end(ordinal, Outcome.FILTERED)
        if not links:
            end = Outcome.COMPLETED if lane.plan.is_sink else Outcome.FILTERED
            for _ in result.emitted:
                self.ledger.end(ordinal, end)
            return
        for item in result.emitted:
            for link in links:
                try:
                    selected = select(link, item)
                except PhonographError as error:
                    self._judge(lane, entry, Failure(len(lane.nodes) - 1, item, error))
                else:
                    await self._deliver(link.target, selected)

    # Judging failures.

    def _credit(self, lane: Lane, entry: Entry, position: int) -> None:
        """A call of the node at `position` succeeded."""
        node = lane.nodes[position]
        if position == entry.position and entry.attempt > 1:
            node.totals.healed_items += 1
        if (node.breaker.failures or not node.breaker.is_closed) and node.breaker.succeed(entry.began, self._now()):
            self._breaker_changed(lane, node)

    def _judge(self, lane: Lane, entry: Entry, failure: Failure) -> None:
        """Decide what becomes of an item that stopped: try again, hold, pass over, or give up."""
        node, item, error = lane.nodes[failure.position], failure.item, failure.error
        if failure.position == entry.position and item is entry.item:
            again = entry
        else:
            again = Entry(item, entry.queued_at, failure.position)
            again.began = entry.began
        if error is None:
            self._refused(lane, node, again)
            return
        if isinstance(error, OutputError):
            node.totals.stopped_the_run = True
            self._fail(error)
            self.ledger.end(item.ordinal, Outcome.CANCELLED)
            return
        delay_s = (
            None if isinstance(error, BadInputError) or self._is_aborting else node.plan.retry.delay_after(again.attempt, error)
        )
        if delay_s is not None:
            node.totals.retries += 1
            node.totals.retried_items += again.attempt == 1
            self._tell(
                "info", "retry", node=node.plan.id, key=item.key, attempt=again.attempt, delay_s=delay_s, error=in_words(error)
            )
            again.error = error
            again.attempt += 1
            lane.back_off(again, delay_s)
            return
        if isinstance(error, BadInputError):
            node.breaker.release(again.began)
            lane.review(node)
        elif node.breaker.fail(again.began, self._now()):
            self._breaker_changed(lane, node)
        self._give_up(node, item, error, attempts=again.attempt)

    def _refused(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """An open breaker kept an item from its node."""
        now, breaker = self._now(), node.breaker
        if self._is_aborting:
            self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)
        elif breaker.policy.when_open == "wait":
            lane.hold(node, entry)
        elif breaker.admit(now):
            entry.is_probe, entry.began = not breaker.is_closed, now
            lane.resume(entry)
        elif breaker.policy.when_open == "shed":
            self._shed(node, entry)
        else:
            self._pass_over(lane, node, entry)

    def _pass_over(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """Hand the item on as if the node, which takes and returns one port of the same family, had changed nothing."""
        node.totals.passed_over += 1
        spec = node.plan.spec
        item = entry.item.with_payload({spec.outputs[0].name: entry.item.payload[spec.inputs[0].name]})
        entry.position, entry.attempt, entry.is_probe = entry.position + 1, 1, False
        if entry.position < len(lane.nodes):
            item = select(lane.nodes[entry.position].plan.inputs[0], item)
        entry.item = item
        lane.resume(entry)

    def _shed(self, node: NodeRun, entry: Entry) -> None:
        breaker = node.breaker
        error = CircuitOpenError(
            f"the circuit breaker of node {node.plan.id!r} is open: {breaker.policy.failure_threshold} records failed there in a "
            f"row; it is tried again every {breaker.policy.reset_timeout_s:g} s"
        )
        error.__cause__ = entry.error
        self._give_up(node, entry.item, error, attempts=entry.attempt - 1)

    def _give_up(self, node: NodeRun, item: Item, error: Exception, *, attempts: int) -> None:
        on_error = node.plan.on_error
        self._tell("warning", "record_failed", node=node.plan.id, key=item.key, attempts=attempts, error=in_words(error))
        if on_error == "skip":
            self.ledger.end(item.ordinal, Outcome.SKIPPED)
            return
        try:
            self._run_directory.add_dead_letter(DeadLetter.of(node.plan, item, error, attempts))
        except RunDirectoryError as unwritable:
            self._fail(unwritable)
            self.ledger.end(item.ordinal, Outcome.CANCELLED)
            return
        self.ledger.end(item.ordinal, Outcome.DEAD_LETTERED)
        if on_error == "fail":
            self._fail(_node_error(node, item.key, error))

    def _breaker_changed(self, lane: Lane, node: NodeRun) -> None:
        breaker, facts = node.breaker, {}
        if not breaker.is_closed:
            facts = {"when_open": breaker.policy.when_open, "probe_in_s": breaker.policy.reset_timeout_s}
        self._tell("warning", "breaker", node=node.plan.id, state=breaker.state.value, opens=breaker.opens, **facts)
        lane.review(node)

    # Ending the run.

    def _fail(self, error: PhonographError, *, abort: bool = True) -> None:
        """Stop the run because of an error; the first one is the one reported. `abort` cancels what waits."""
        self.error = self.error or error
        self.is_draining = True
        if isinstance(error, NodeError) and error.node in self._nodes:
            self._nodes[error.node].totals.stopped_the_run = True
        if abort:
            self._abort()

    def _abort(self) -> None:
        """Cancel every item that waits, and every one that would go on."""
        self._is_aborting = True
        for lane in self._lanes:
            for entry in lane.abandon():
                self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)

    def _record_ended(self, identity: Identity, outcome: Outcome) -> None:
        try:
            self._run_directory.record_ended(identity, outcome)
        except RunDirectoryError as unwritable:
            self._fail(unwritable)
        if outcome is Outcome.DEAD_LETTERED and self.num_ended >= _BUDGET_AFTER and self._exceeds_rate:
            self._fail(self._budget_error())

    @property
    def num_ended(self) -> int:
        return self.ledger.num_read - self.ledger.num_live

    @property
    def is_over_budget(self) -> bool:
        """At the end: more records failed than `limits.error_rate` allows, or all did of a run that was not interrupted."""
        all_failed = 0 < self.ledger.counts[Outcome.DEAD_LETTERED] == self.num_ended
        return self._exceeds_rate or (all_failed and not self.was_interrupted)

    @property
    def _exceeds_rate(self) -> bool:
        return self.ledger.counts[Outcome.DEAD_LETTERED] > self._plan.graph.error_rate * self.num_ended

    def _budget_error(self) -> ErrorBudgetError:
        failed, ended = self.ledger.counts[Outcome.DEAD_LETTERED], self.num_ended
        rate = f"limits.error_rate allows {self._plan.graph.error_rate:.2%}" if self._exceeds_rate else "not one went through"
        return ErrorBudgetError(f"{failed} of {ended} records failed; {rate}; see {self._run_directory.dead_letters_path}")

    def _tell(self, level: str, event: str, **facts: object) -> None:
        """Log an event. A log that cannot be written must not change what becomes of a record, so it is given up."""
        if self._log is None:
            return
        try:
            getattr(self._log, level)(event, **facts)
        except Exception:  # noqa: BLE001  # whatever the host's log handlers raise
            self._log = None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _node_error(node: NodeRun, key: str | None, error: Exception) -> NodeError:
    failure = NodeError(node.plan.id, key, in_words(error))
    failure.__cause__ = error
    return failure


def _payload_bytes(values: Iterable[Any]) -> int:
    """Bytes that payloads keep alive, as far as they say (arrays, audio) or show (text, bytes)."""
    sizes = (len(value) if isinstance(value, bytes | str) else getattr(value, "nbytes", 0) for value in values)
    return sum(size for size in sizes if isinstance(size, int))
