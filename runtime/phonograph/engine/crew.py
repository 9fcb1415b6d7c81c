"""Crew: the threads of one run, each with the segment worker or source reader that lives in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from phonograph.breaker import CircuitBreaker
from phonograph.engine.blocks import Blocks
from phonograph.engine.delivery import Entry
from phonograph.engine.guard import Attempt, Guard
from phonograph.engine.plan import Plan, SegmentPlan
from phonograph.engine.process_guard import ProcessGuard
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.reader import SourceReader
from phonograph.engine.step import Step
from phonograph.engine.threads import Worker, start_worker
from phonograph.engine.worker import GuardedWorker, SegmentWorker
from phonograph.errors import NodeError, PhonographError, WorkersLeftError
from phonograph.flow.order import Order
from phonograph.graph.model import GraphNode
from phonograph.journal import RunDirectory
from phonograph.metrics import NodeTotals
from phonograph.sink import Sink

MemberT = TypeVar("MemberT", SegmentWorker | ProcessWorker, SourceReader)
ResultT = TypeVar("ResultT")

MOST_LEFT = 16
"""Threads that a run may leave behind and that have not come back. More of them are no accident, and each keeps its memory."""


@dataclass(eq=False)
class LeftBehind:
    """A call that did not end when it was told to.

    Args:
        node, key: what was called, and for which item; empty: a source was. waited_s: how long it had been running by then.
        is_back: it has returned after all, and its thread with it.
    """

    node: str
    key: str
    waited_s: float
    is_back: bool = False


class Post(Generic[MemberT]):
    """A thread and who works there; `member` is made and opened in the thread by `Crew.open`.

    Args:
        guard: of the member, made anew with each; None: its calls may take as long as they like.
    """

    def __init__(
        self, start: Callable[[], Worker], make: Callable[[Guard | None], MemberT], guard: Callable[[Post[MemberT]], Guard] | None
    ) -> None:
        self._start = start
        self._make: Callable[[Guard | None], MemberT] = make
        self._new_guard: Callable[[Post[MemberT]], Guard] | None = guard
        self.guard = None if guard is None else guard(self)
        self.thread = start()
        self._member: MemberT | None = None
        self._was_left = False

    @property
    def member(self) -> MemberT:
        assert self._member is not None, "the crew is not open"
        return self._member

    @property
    def is_left(self) -> bool:
        """Its thread is to be called no more."""
        return self._was_left or (self.guard is not None and self.guard.is_left)

    def call(self, function: Callable[..., ResultT], *arguments: Any, entry: Entry | None = None) -> asyncio.Future[ResultT]:
        """Have the thread call a function of the member, or of what leans on it; see `Guard.watched`."""
        call = self.thread.call(function, *arguments)
        return call if self.guard is None else self.guard.watched(call, entry)

    async def make_member(self) -> None:
        self._member = await self.thread.call(self._make, self.guard)

    async def open(self) -> None:
        await self.thread.call(self.member.open)

    async def renew(self, furnish: Callable[[Post[MemberT]], None]) -> None:
        """Let another thread, with another member, take the place of one that was left behind. Raises NodeError.

        Args:
            furnish: is called with it before the member is opened.
        """
        assert self._new_guard is not None, "only who is guarded can be left behind"
        self.leave()
        self.thread = self._start()
        self._was_left = False
        self.guard = self._new_guard(self)
        await self.make_member()
        furnish(self)
        await self.open()

    def leave(self) -> None:
        """Let the member be closed by its thread when that comes back, if it ever does, and wait for nothing."""
        self._was_left = True
        if self._member is not None:
            self.kill()
            self.thread.call(self._member.close).add_done_callback(asyncio.Future.exception)
            self._member = None
            self.thread.stop()

    def kill(self) -> None:
        """End what it does, if that is done in a process."""
        if isinstance(self._member, ProcessWorker):
            self._member.kill()

    def close(self) -> asyncio.Future[None] | None:
        return None if self._member is None else self.thread.call(self._member.close)


class Crew:
    """Everyone who works for a run. Make it in the event loop of the run; `close` it whatever happens.

    Args:
        totals: None when nothing is measured.
        directory: who sinks tell what they store, and sources ask what earlier runs have done.

    Attributes:
        left: calls that were left behind. on_left: is called with each.
    """

    def __init__(
        self,
        plan: Plan,
        breakers: dict[str, CircuitBreaker],
        totals: dict[str, NodeTotals] | None,
        directory: RunDirectory,
    ) -> None:
        self.left: list[LeftBehind] = []
        self.on_left: Callable[[LeftBehind, Worker], None] = lambda left, thread: None
        self._totals = totals
        self._equipping: list[Callable[[Iterable[Step]], None]] = []
        self._num_writers: dict[str, int] = {}
        nodes = plan.graph.nodes
        self._directory = directory
        self._in_order = {
            node.id for node in nodes.values() if node.inputs and nodes[node.inputs[0].source].spec.type == Order.spec.type
        }
        blocks = self._blocks = Blocks() if any(segment.run == "process" for segment in plan.segments) else None

        def worker(segment: SegmentPlan, number: int) -> Post[SegmentWorker | ProcessWorker]:
            def made(guard: Guard | None) -> SegmentWorker | ProcessWorker:
                if segment.run == "process":
                    assert blocks is not None, "where a segment runs in processes"
                    worker = ProcessWorker(segment, breakers, totals, blocks)
                    if isinstance(guard, ProcessGuard):
                        guard.calls = worker.calls
                    return worker
                if guard is None:
                    return SegmentWorker(segment, breakers, totals)
                return GuardedWorker(segment, breakers, totals, guard)

            kind = ProcessGuard if segment.run == "process" else Guard
            guard = partial(self._guard, segment, kind) if segment.is_timed else None
            may_stay = guard is not None
            return Post(lambda: start_worker(f"{segment.name}-{number}", may_stay=may_stay), made, guard)

        def reader(source: GraphNode, number: int) -> Post[SourceReader]:
            earlier = None if directory.earlier is None else directory.earlier.of_source(number)
            stats = totals[source.id] if totals is not None else None

            def made(guard: Guard | None) -> SourceReader:
                return SourceReader(source, stats, earlier)

            return Post(lambda: start_worker(source.id, may_stay=source.is_timed), made, None)

        self.workers: Mapping[str, list[Post[SegmentWorker | ProcessWorker]]] = {
            segment.name: [worker(segment, number) for number in range(segment.num_workers)]
            for segment in plan.segments
            if not segment.gathers
        }
        self.readers: Mapping[str, Post[SourceReader]] = {
            source.id: reader(source, number) for number, source in enumerate(plan.sources)
        }

    async def open(self) -> None:
        """Open every worker, then every source. Raises NodeError; whoever is open by then still wants `close`."""
        posts: list[Post[SegmentWorker | ProcessWorker] | Post[SourceReader]] = [*self._all_workers(), *self.readers.values()]
        for post in posts:
            await post.make_member()  # all before the first is opened, so that processes start side by side
        for worker in self._all_workers():
            self._furnish(worker)
        for post in posts:
            await post.open()

    def _furnish(self, post: Post[SegmentWorker | ProcessWorker]) -> None:
        """Tell the sinks of a worker whom they tell what they store: each of them somebody of its own."""
        for step in _steps(post):
            if isinstance(step.node, Sink):
                number = self._num_writers.get(step.node.node_id, 0)
                self._num_writers[step.node.node_id] = number + 1
                in_order = step.node.node_id in self._in_order
                step.node.writer = self._directory.writer(step.node.node_id, number, in_order=in_order)

    def threads(self) -> list[Worker]:
        """Those that work now, and not those that were left behind."""
        return [*(post.thread for post in self._all_workers()), *(post.thread for post in self.readers.values())]

    def equip(self, equip: Callable[[Iterable[Step]], None]) -> None:
        """Have something done to every node of every worker of this process, now that they are open, and of those to come."""
        self._equipping.append(equip)
        equip([step for post in self._all_workers() for step in _steps(post)])

    async def renew(self, post: Post[SegmentWorker | ProcessWorker]) -> None:
        """Put another worker in the place of one that was left behind. Raises NodeError, WorkersLeftError."""
        num_out = sum(not one.is_back for one in self.left)
        if num_out > MOST_LEFT:
            nodes = ", ".join(sorted({one.node for one in self.left if not one.is_back}))
            raise WorkersLeftError(
                f"{num_out} calls have not come back after their time-outs, of {nodes}; expected at most {MOST_LEFT}; let these "
                "nodes ask phonograph.cancellation, or run them with 'run: process', where a call can be ended"
            )
        await post.renew(self._furnish)
        for equip in self._equipping:
            equip(_steps(post))

    def leave(self, post: Post[SourceReader], node_id: str, waited_s: float, call: asyncio.Future[Any]) -> None:
        """Leave a source behind that does not return."""
        left = LeftBehind(node_id, "", waited_s)
        self._note(left, post.thread)
        call.add_done_callback(partial(_is_back, left))
        post.leave()

    async def finish(self) -> None:
        """Let the sinks complete outputs that span items. Raises NodeError, the first one after all have tried."""
        finishing = [post.thread.call(post.member.finish) for post in self._all_workers()]
        results = await asyncio.gather(*finishing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def close(self, timeout_s: float | None) -> tuple[list[PhonographError], int]:
        """Close who was opened and end the threads.

        Args:
            timeout_s: how long to wait for calls that still run; None: for ever. What runs longer in a process is killed; in
                a thread it is left behind, and the thread closes the node when the call returns.

        Returns:
            The errors of closing, and the number of threads left behind.
        """
        posts: list[Post[SegmentWorker | ProcessWorker] | Post[SourceReader]] = [*self._all_workers(), *self.readers.values()]
        for post in posts:
            if post.is_left:
                post.leave()
        closings = [closing for post in posts if (closing := post.close()) is not None]
        for post in posts:
            post.thread.stop()
        errors: list[PhonographError] = []
        stuck: set[asyncio.Future[None]] = set()
        try:
            if closings:
                done, stuck = await asyncio.wait(closings, timeout=timeout_s)
                if stuck:  # what runs in a process need not be waited for, or left behind
                    for post in posts:
                        post.kill()
                    now_done, stuck = await asyncio.wait(stuck, timeout=timeout_s)
                    done |= now_done
                failures = [error for future in done if (error := future.exception()) is not None]
                errors = [
                    error if isinstance(error, PhonographError) else NodeError("close", None, repr(error)) for error in failures
                ]
            for post in posts:
                if not post.is_left:
                    post.thread.join(0.0 if timeout_s is not None else None)
        except asyncio.CancelledError:  # once more, and nobody waits any longer
            for post in posts:
                post.kill()
            raise
        finally:
            if self._blocks is not None:
                self._blocks.close()
        return errors, len(stuck)

    def _all_workers(self) -> Iterable[Post[SegmentWorker | ProcessWorker]]:
        return (post for posts in self.workers.values() for post in posts)

    def _guard(self, segment: SegmentPlan, kind: type[Guard], post: Post[SegmentWorker | ProcessWorker]) -> Guard:
        def on_left(attempt: Attempt, call: asyncio.Future[Any]) -> None:
            node = segment.nodes[attempt.position].id
            left = LeftBehind(node, attempt.item.key, asyncio.get_running_loop().time() - attempt.began)
            self._note(left, post.thread)
            call.add_done_callback(partial(_is_back, left))
            if isinstance(post.member, GuardedWorker):
                post.member.count_left(attempt, self._totals)

        return kind(segment.nodes, may_be_left=not segment.has_single_writer, on_left=on_left)

    def _note(self, left: LeftBehind, thread: Worker) -> None:
        self.left.append(left)
        self.on_left(left, thread)


def _steps(post: Post[SegmentWorker | ProcessWorker]) -> Iterator[Step]:
    if isinstance(post.member, SegmentWorker):
        yield from post.member.steps


def _is_back(left: LeftBehind, call: asyncio.Future[Any]) -> None:
    left.is_back = True
    if not call.cancelled():
        call.exception()  # of which nobody hears
