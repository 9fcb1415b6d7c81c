"""Visits: how one worker of a serving lane takes whole records and chunks of sessions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from phonograph.engine.batch_call import Outcome
from phonograph.engine.conversation import Conversations, GuardedConversations, LivePass
from phonograph.engine.crew import Post
from phonograph.engine.delivery import Entry
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.process_conversations import ProcessConversations
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.threads import Worker
from phonograph.engine.worker import Pass, SegmentWorker
from phonograph.errors import WorkerDiedError
from phonograph.item import Item

ResultT = TypeVar("ResultT")


class Visits:
    """What a worker does for requests and sessions. `run` is for its thread, all else for the event loop.

    Attributes:
        thread: of the worker; None for one that runs in the event loop.
        lost: (session, why) of those that have lost a state; empty it.
    """

    def __init__(self, plan: SegmentPlan, post: Post[SegmentWorker | ProcessWorker]) -> None:
        self._plan = plan
        self.post = post
        self.lost: deque[tuple[str, WorkerDiedError]] = deque()
        self._live = self._conversations()
        self._forgetting: set[str] = set()

    @property
    def thread(self) -> Worker | None:
        return None if self._plan.run == "inline" else self.post.thread

    @property
    def member(self) -> Self:
        """What `Batches` gives batches to."""
        return self

    def call(self, function: Callable[..., ResultT], *arguments: Any, entry: Entry | None = None) -> asyncio.Future[ResultT]:
        """As `Post.call`."""
        return self.post.call(function, *arguments, entry=entry)

    def succeed(self) -> None:
        """Another worker has come, in the place of one that was left behind: sessions go on there, without what nodes kept."""
        before, self._live = self._live, self._conversations()
        if isinstance(before, Conversations) and isinstance(self._live, Conversations):
            self._live.succeed(before, self._forgetting)
        elif isinstance(before, ProcessConversations) and isinstance(self._live, ProcessConversations):
            self._live.succeed(before)

    def _conversations(self) -> Conversations | ProcessConversations:
        member, nodes = self.post.member, self._plan.nodes
        if isinstance(member, ProcessWorker):
            return ProcessConversations(nodes, member, self.lost)
        return Conversations(nodes, member.steps) if self.post.guard is None else GuardedConversations(nodes, member.steps)

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        """As `SegmentWorker.run`, to the very end: what comes is kept for the caller, so that stretches would save nothing."""
        if item.session is not None:
            return self._live.run(item, position, attempt, is_probe)
        worker = self.post.member
        outcome = worker.run(item, position, attempt, is_probe, given)
        while isinstance(outcome, Pass) and outcome.paused_at is not None:
            more = worker.go_on()
            outcome.emitted += more.emitted
            outcome.trail += more.trail
            outcome.num_filtered += more.num_filtered
            outcome.num_failures += more.num_failures
            outcome.paused_at = more.paused_at
        return outcome

    def joins(self, item: Item) -> bool:
        """Whether an item may be taken together with others."""
        return item.session is None or self._live.joins(item)

    def run_batch(self, items: Sequence[Item], num_new: int) -> list[Outcome] | Exception:
        """As `SegmentWorker.run_batch`, for whole records and chunks."""
        return self._live.run_batch(items, num_new)

    async def control(self, item: Item, message: object) -> LivePass:
        """As `Conversations.control`, after the call that runs."""
        if self.thread is None:
            return self._live.control(item, message)
        return await self.call(self._live.control, item, message)

    def forget(self, session: str) -> None:
        """Let go of what is kept for a session, as soon as nothing runs that uses it."""
        if self.thread is None:
            self._live.forget(session)
        else:
            self._forgetting.add(session)
            forgotten = self.thread.call(self._live.forget, session)
            forgotten.add_done_callback(lambda _: self._forgetting.discard(session))
