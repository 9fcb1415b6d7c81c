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
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from phonograph.breaker import CircuitBreaker
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
from phonograph.journal import DeadLetter, RunDirectory
from phonograph.lane import Entry, Lane, NodeRun
from phonograph.ledger import Ledger
from phonograph.log import Logger
from phonograph.metrics import BreakerMetrics, NodeMetrics, NodeTotals
from phonograph.plan import Plan
from phonograph.reader import SourceReader
from phonograph.threads import WorkerThread
from phonograph.worker import Failure, Pass, SegmentWorker, select

OpenedT = TypeVar("OpenedT")

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
        self._log = log
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
        self._threads: list[WorkerThread] = []

    async def run(self) -> None:
        """Read every source to its end and see every record through.

        Afterwards `error` says why the run failed, if it did. Only a fault of phonograph itself, or cancellation, is raised.
        """
        closing: list[tuple[WorkerThread, Any]] = []
        try:
            readers, crews = await self._open(closing)
            async with asyncio.TaskGroup() as group:
                for reader, thread, node in readers:
                    group.create_task(self._feed(node, reader, thread), name=f"source {node.plan.id}")
                for lane, crew in crews:
                    group.create_task(self._run_lane(lane, crew), name=f"lane {lane.plan.name}")
        except NodeError as error:
            self._fail(error)
        finally:
            self.ledger.cancel_all()
            await self._close(closing)

    def drain(self) -> None:
        """Stop reading because someone asked; let what is in flight end. Call it in the event loop."""
        self.is_draining = self.was_interrupted = True

    def node_metrics(self) -> tuple[NodeMetrics, ...]:
        return tuple(
            run.totals.summarise(BreakerMetrics(run.breaker.state.value, run.breaker.opens)) for run in self._nodes.values()
        )

    # Opening and closing.

    async def _open(
        self, closing: list[tuple[WorkerThread, Any]]
    ) -> tuple[list[tuple[SourceReader, WorkerThread, NodeRun]], list[tuple[Lane, list[tuple[SegmentWorker, WorkerThread]]]]]:
        breakers = {node_id: run.breaker for node_id, run in self._nodes.items()}
        totals = {node_id: run.totals for node_id, run in self._nodes.items()} if self._measure else None
        crews = []
        for lane in self._lanes:
            crew = []
            for number in range(lane.plan.num_workers):
                thread = self._new_thread(f"{lane.plan.name}-{number}")
                worker = await self._opened(lane.plan.name, thread.call(SegmentWorker, lane.plan, breakers, totals))
                await self._opened(lane.plan.name, thread.call(worker.open))
                closing.append((thread, worker))
                crew.append((worker, thread))
            crews.append((lane, crew))
        readers = []
        for node in self._plan.sources:
            run = self._nodes[node.id]
            thread = self._new_thread(node.id)
            reader = await self._opened(node.id, thread.call(SourceReader, node, run.totals if self._measure else None))
            await self._opened(node.id, thread.call(reader.open))
            closing.append((thread, reader))
            readers.append((reader, thread, run))
        return readers, crews

    async def _close(self, closing: list[tuple[WorkerThread, Any]]) -> None:
        """Close what was opened and end the threads. A cancelled run leaves a thread behind whose node does not return."""
        task = asyncio.current_task()
        timeout_s = _STUCK_AFTER_S if task is not None and task.cancelling() else None
        closings = [thread.call(target.close) for thread, target in closing]
        for thread in self._threads:
            thread.stop()
        if closings:
            done, stuck = await asyncio.wait(closings, timeout=timeout_s)
            for future in done:
                if (failure := future.exception()) is not None:
                    self._fail(failure if isinstance(failure, PhonographError) else NodeError("close", None, repr(failure)))
            if stuck:
                self._log.warning("threads_abandoned", count=len(stuck), reason="a node's call did not return")
        for thread in self._threads:
            thread.join(0.0 if timeout_s is not None else None)

    def _new_thread(self, name: str) -> WorkerThread:
        thread = WorkerThread(name)
        self._threads.append(thread)
        return thread

    @staticmethod
    async def _opened(name: str, opening: Awaitable[OpenedT]) -> OpenedT:
        try:
            return await opening
        except PhonographError as error:
            raise NodeError(name, None, f"could not be opened: {error}") from error
        except Exception as error:
            raise NodeError(name, None, f"could not be opened: {type(error).__name__}: {error}") from error

    # Moving items.

    async def _feed(self, node: NodeRun, reader: SourceReader, thread: WorkerThread) -> None:
        links = node.plan.outputs
        try:
            while not self.is_draining and (batch := await thread.call(reader.next_batch)):
                await self._admit(batch, links)
        except Exception as error:  # noqa: BLE001  # a source may raise anything; the records it read are seen through
            node.totals.stopped_the_run = True
            self._fail(_node_error(node, None, error), abort=False)
        for link in links:
            self._lane_of[link.target].queue.close()

    async def _admit(self, batch: Sequence[Record], links: Sequence[Link]) -> None:
        """Take records in; those that are left when the run drains count as not read."""
        for record in batch:
            if self.is_draining:
                return
            ordinal = self.ledger.read(record.key)
            item = Item(key=record.key, ordinal=ordinal, payload=record.payload, attributes=record.attributes)
            self.ledger.add(ordinal, len(links) - 1)
            for link in links:
                await self._deliver(link.target, select(link, item))

    async def _deliver(self, target: str, item: Item) -> None:
        lane = self._lane_of[target]
        entry = Entry(item, asyncio.get_running_loop().time())
        await lane.queue.put(entry, _payload_bytes(item.payload.values()))

    async def _run_lane(self, lane: Lane, crew: list[tuple[SegmentWorker, WorkerThread]]) -> None:
        async with asyncio.TaskGroup() as group:
            for worker, thread in crew:
                group.create_task(self._pump(lane, worker, thread), name=f"worker of {lane.plan.name}")
        for link in lane.plan.outputs:
            self._lane_of[link.target].queue.close()

    async def _pump(self, lane: Lane, worker: SegmentWorker, thread: WorkerThread) -> None:
        now = asyncio.get_running_loop().time
        inline = lane.plan.run == "inline"
        while not lane.is_finished:
            entry = lane.take()
            if entry is None:
                await lane.queue.wait()
                continue
            if self._is_aborting:
                self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)
                continue
            if entry.attempt == 1 and entry.position == 0 and not entry.is_probe:
                entry.began = now()
                lane.nodes[0].totals.queue_wait_s += entry.began - entry.queued_at
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
        self._credit_breakers(lane, entry, result)
        ordinal, links = entry.item.ordinal, lane.plan.outputs
        num_after = len(result.emitted) * max(1, len(links)) + result.num_filtered + len(result.failures)
        if num_after != 1:
            self.ledger.add(ordinal, num_after - 1)
        for _ in range(result.num_filtered):
            self.ledger.end(ordinal, Outcome.FILTERED)
        for failure in result.failures:
            self._judge(lane, entry, failure)
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

    def _credit_breakers(self, lane: Lane, entry: Entry, result: Pass) -> None:
        if entry.attempt > 1 and result.reached >= entry.position:
            lane.nodes[entry.position].totals.healed_items += 1
        now = asyncio.get_running_loop().time()
        for position in range(entry.position, result.reached + 1):
            node = lane.nodes[position]
            if (node.breaker.failures or not node.breaker.is_closed) and node.breaker.succeed(entry.began, now):
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
            self._log.info("retry", node=node.plan.id, key=item.key, attempt=again.attempt, delay_s=delay_s, error=str(error))
            again.attempt += 1
            lane.back_off(again, delay_s)
            return
        if isinstance(error, BadInputError):
            node.breaker.release(again.began)
            lane.review(node)
        elif node.breaker.fail(again.began, asyncio.get_running_loop().time()):
            self._breaker_changed(lane, node)
        self._give_up(node, item, error, attempts=again.attempt)

    def _refused(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """An open breaker kept an item from its node."""
        now, breaker = asyncio.get_running_loop().time(), node.breaker
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
            link = lane.nodes[entry.position].plan.input
            assert link is not None
            item = select(link, item)
        entry.item = item
        lane.resume(entry)

    def _shed(self, node: NodeRun, entry: Entry) -> None:
        breaker = node.breaker
        error = CircuitOpenError(
            f"the circuit breaker of node {node.plan.id!r} is open: {breaker.policy.failure_threshold} records failed there in a "
            f"row; it is tried again every {breaker.policy.reset_timeout_s:g} s"
        )
        self._give_up(node, entry.item, error, attempts=0)

    def _give_up(self, node: NodeRun, item: Item, error: Exception, *, attempts: int) -> None:
        on_error = node.plan.on_error
        self._log.warning(
            "record_failed", node=node.plan.id, key=item.key, attempts=attempts, on_error=on_error, error=str(error)
        )
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
            node.totals.stopped_the_run = True
            self._fail(_node_error(node, item.key, error))

    def _breaker_changed(self, lane: Lane, node: NodeRun) -> None:
        self._log.warning("breaker", node=node.plan.id, state=node.breaker.state.value, opens=node.breaker.opens)
        lane.review(node)

    def _fail(self, error: PhonographError, *, abort: bool = True) -> None:
        """Stop the run because of an error; the first one is the one reported. `abort` cancels what waits."""
        self.error = self.error or error
        self.is_draining = True
        if not abort or self._is_aborting:
            return
        self._is_aborting = True
        for lane in self._lanes:
            for entry in lane.abandon():
                self.ledger.end(entry.item.ordinal, Outcome.CANCELLED)

    def _record_ended(self, key: str, outcome: Outcome) -> None:
        try:
            self._run_directory.record_ended(key, outcome)
        except RunDirectoryError as unwritable:
            self._fail(unwritable)
        if outcome is Outcome.DEAD_LETTERED and self.num_ended >= _BUDGET_AFTER and self.is_over_budget:
            self._fail(self.budget_error())

    @property
    def num_ended(self) -> int:
        return self.ledger.num_read - self.ledger.num_live

    @property
    def is_over_budget(self) -> bool:
        """More records were dead-lettered than `limits.error_rate` allows, or all of them were."""
        failed = self.ledger.counts[Outcome.DEAD_LETTERED]
        return failed > 0 and (failed > self._plan.graph.error_rate * self.num_ended or failed == self.num_ended)

    def budget_error(self) -> ErrorBudgetError:
        failed, ended = self.ledger.counts[Outcome.DEAD_LETTERED], self.num_ended
        return ErrorBudgetError(
            f"{failed} of {ended} records failed; limits.error_rate allows {self._plan.graph.error_rate:.2%}; "
            f"see {self._run_directory.dead_letters_path}"
        )


def _node_error(node: NodeRun, key: str | None, error: Exception) -> NodeError:
    failure = NodeError(node.plan.id, key, in_words(error))
    failure.__cause__ = error
    return failure


def _payload_bytes(values: Iterable[Any]) -> int:
    """Bytes that payloads keep alive, as far as they say (arrays, audio) or show (text, bytes)."""
    return sum(int(getattr(value, "nbytes", 0)) or (len(value) if isinstance(value, (bytes, str)) else 0) for value in values)
