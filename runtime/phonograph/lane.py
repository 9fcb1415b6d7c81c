"""Lane: a segment at run time, with every place where an item can wait for it.

An item waits in one of three places. The queue holds what upstream sent. Back-off holds items whose node failed and will be
tried again. `held` holds items that an open breaker refused. The last two are bounded by not taking from the queue while they
are full, so back-pressure reaches the sources.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from phonograph.breaker import BreakerState, CircuitBreaker
from phonograph.graph import GraphNode
from phonograph.item import Item
from phonograph.metrics import NodeTotals
from phonograph.plan import SegmentPlan
from phonograph.queues import BoundedQueue


class Entry:
    """An item and where in its segment it goes on.

    `attempt`, `began` and `error` (of the attempt before) belong to the node at `position`; `is_probe` says that its half-open
    breaker let the item through.
    """

    __slots__ = ("attempt", "began", "error", "is_probe", "item", "position", "queued_at")

    def __init__(self, item: Item, queued_at: float, position: int = 0) -> None:
        self.item = item
        self.queued_at = queued_at
        self.position = position
        self.attempt = 1
        self.error: Exception | None = None
        self.is_probe = False
        self.began = queued_at


class NodeRun:
    """One node at run time, all its workers together."""

    def __init__(self, plan: GraphNode, totals: NodeTotals, breaker: CircuitBreaker) -> None:
        self.plan = plan
        self.totals = totals
        self.breaker = breaker
        self.held: deque[Entry] = deque()
        self.timer: asyncio.TimerHandle | None = None


class Lane:
    """The waiting places of one segment. All methods are for the event loop.

    Args:
        give_up: called with (node, entry) for what is held when its breaker has kept the node out for `max_open_s`.
    """

    def __init__(self, plan: SegmentPlan, nodes: tuple[NodeRun, ...], give_up: Callable[[NodeRun, Entry], None]) -> None:
        self.plan = plan
        self.nodes = nodes
        self.queue: BoundedQueue[Entry] = BoundedQueue(plan.queue.items, plan.queue.num_bytes)
        self._give_up = give_up
        self._ready: deque[Entry] = deque()  # back from back-off or from a breaker
        self._backing_off: dict[Entry, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def num_waiting(self) -> int:
        return len(self._backing_off) + sum(len(node.held) for node in self.nodes)

    @property
    def is_finished(self) -> bool:
        return self.queue.is_exhausted and not self._ready and not self.num_waiting

    def take(self) -> Entry | None:
        """The next entry to run now, or None; those that come back go first."""
        if self._ready:
            return self._ready.popleft()
        if self.num_waiting >= self.queue.max_items:
            return None
        entry = self.queue.get_nowait()
        if entry is not None:
            entry.began = self._loop.time()
            self.nodes[0].totals.queue_wait_s += entry.began - entry.queued_at
        return entry

    def resume(self, entry: Entry) -> None:
        """Run the entry as soon as a worker is free."""
        self._ready.append(entry)
        self.queue.nudge()

    def back_off(self, entry: Entry, delay_s: float) -> None:
        """Run the entry after a delay."""

        def wake() -> None:
            del self._backing_off[entry]
            if entry.began < self.nodes[entry.position].breaker.changed_at:
                entry.is_probe = False  # the breaker it was a probe of has opened again
            self.resume(entry)

        self._backing_off[entry] = self._loop.call_later(delay_s, wake)

    def hold(self, node: NodeRun, entry: Entry) -> None:
        """Keep the entry until the node's breaker lets it through."""
        node.held.append(entry)
        self.review(node)

    def review(self, node: NodeRun) -> None:
        """Let go of held entries as the breaker now allows; to be called whenever it may have changed its mind."""
        now, policy, breaker = self._loop.time(), node.breaker.policy, node.breaker
        if node.timer is not None:
            node.timer.cancel()
            node.timer = None
        while node.held:
            if breaker.admit(now):
                entry = node.held.popleft()
                entry.is_probe = not breaker.is_closed
                entry.began = now
                self.resume(entry)
            elif now >= breaker.out_since + policy.max_open_s:
                self._give_up(node, node.held.popleft())
            else:
                wake_at = breaker.out_since + policy.max_open_s
                if breaker.state is BreakerState.OPEN:
                    wake_at = min(wake_at, breaker.probe_at)
                node.timer = self._loop.call_at(wake_at, self.review, node)
                break
        self.queue.nudge()

    def abandon(self) -> list[Entry]:
        """Take every waiting entry out of back-off and breakers, for the run is being stopped."""
        waiting = list(self._backing_off)
        for timer in self._backing_off.values():
            timer.cancel()
        self._backing_off.clear()
        for node in self.nodes:
            waiting.extend(node.held)
            node.held.clear()
            if node.timer is not None:
                node.timer.cancel()
                node.timer = None
        self.queue.nudge()
        return waiting
