"""Crew: the threads of one run, each with the segment worker or source reader that lives in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from phonograph.breaker import CircuitBreaker
from phonograph.engine.blocks import Blocks
from phonograph.engine.plan import Plan, SegmentPlan
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.reader import SourceReader
from phonograph.engine.step import Step
from phonograph.engine.threads import Worker, start_worker
from phonograph.engine.worker import SegmentWorker
from phonograph.errors import NodeError, PhonographError
from phonograph.graph.model import GraphNode
from phonograph.metrics import NodeTotals

MemberT = TypeVar("MemberT", SegmentWorker | ProcessWorker, SourceReader)


@dataclass(eq=False)
class Post(Generic[MemberT]):
    """A thread and who works there; `member` is made and opened in the thread by `Crew.open`."""

    thread: Worker
    make: Callable[[], MemberT]
    _member: MemberT | None = field(default=None, init=False)

    @property
    def member(self) -> MemberT:
        assert self._member is not None, "the crew is not open"
        return self._member

    async def make_member(self) -> None:
        self._member = await self.thread.call(self.make)

    async def open(self) -> None:
        await self.thread.call(self.member.open)

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
    """

    def __init__(self, plan: Plan, breakers: dict[str, CircuitBreaker], totals: dict[str, NodeTotals] | None) -> None:
        blocks = self._blocks = Blocks() if any(segment.run == "process" for segment in plan.segments) else None

        def member(segment: SegmentPlan) -> SegmentWorker | ProcessWorker:
            if segment.run != "process":
                return SegmentWorker(segment, breakers, totals)
            assert blocks is not None, "where a segment runs in processes"
            return ProcessWorker(segment, breakers, totals, blocks)

        def worker(segment: SegmentPlan, number: int) -> Post[SegmentWorker | ProcessWorker]:
            return Post(start_worker(f"{segment.name}-{number}"), lambda: member(segment))

        def reader(source: GraphNode) -> Post[SourceReader]:
            return Post(start_worker(source.id), lambda: SourceReader(source, totals[source.id] if totals is not None else None))

        self.workers: Mapping[str, list[Post[SegmentWorker | ProcessWorker]]] = {
            segment.name: [worker(segment, number) for number in range(segment.num_workers)]
            for segment in plan.segments
            if not segment.gathers
        }
        self.readers: Mapping[str, Post[SourceReader]] = {source.id: reader(source) for source in plan.sources}

    async def open(self) -> None:
        """Open every worker, then every source. Raises NodeError; whoever is open by then still wants `close`."""
        posts: list[Post[SegmentWorker | ProcessWorker] | Post[SourceReader]] = [*self._all_workers(), *self.readers.values()]
        for post in posts:
            await post.make_member()  # all before the first is opened, so that processes start side by side
        for post in posts:
            await post.open()

    def steps(self) -> Iterator[Step]:
        """Every node of every worker of this process, once they are open."""
        for post in self._all_workers():
            if isinstance(post.member, SegmentWorker):
                yield from post.member.steps

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
