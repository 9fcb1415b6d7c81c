"""Visits: how one worker of a serving lane takes whole records and chunks of sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from phonograph.engine.batch_call import Outcome
from phonograph.engine.conversation import Conversations, LivePass
from phonograph.engine.crew import Post
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.process_conversations import ProcessConversations
from phonograph.engine.process_worker import ProcessWorker
from phonograph.engine.worker import Pass, SegmentWorker
from phonograph.errors import WorkerDiedError
from phonograph.item import Item


class Visits:
    """What a worker does for requests and sessions. `run` is for its thread, all else for the event loop.

    Attributes:
        thread: of the worker; None for one that runs in the event loop.
        lost: (session, why) of those that have lost a state; empty it.
    """

    def __init__(self, plan: SegmentPlan, post: Post[SegmentWorker | ProcessWorker]) -> None:
        self.thread = None if plan.run == "inline" else post.thread
        self._worker = post.member
        self.lost: deque[tuple[str, WorkerDiedError]] = deque()
        self._live: Conversations | ProcessConversations
        if isinstance(post.member, ProcessWorker):
            self._live = ProcessConversations(plan.nodes, post.member, self.lost)
        else:
            self._live = Conversations(plan.nodes, post.member.steps)

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        """As `SegmentWorker.run`, to the very end: what comes is kept for the caller, so that stretches would save nothing."""
        if item.session is not None:
            return self._live.run(item, position, attempt, is_probe)
        outcome = self._worker.run(item, position, attempt, is_probe, given)
        while isinstance(outcome, Pass) and outcome.paused_at is not None:
            more = self._worker.go_on()
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
        return await self.thread.call(self._live.control, item, message)

    def forget(self, session: str) -> None:
        """Let go of what is kept for a session, as soon as nothing runs that uses it."""
        if self.thread is None:
            self._live.forget(session)
        else:
            self.thread.call(self._live.forget, session)
