"""Lane: a segment at run time, with every place where an item can wait for it.

An item waits in one of four places. The queue holds what upstream sent. Back-off holds items whose node failed and will be
tried again. `held` holds items that an open breaker refused. These two are bounded by not taking from the queue while they are
full, so back-pressure reaches the sources. `suspects` are items whose attempts are used up while it is not known yet whether
that is their fault or the node's: when the next one succeeds, it was theirs, and they are given up; when the breaker opens, it
was the node's, and they are held with the others. They are fewer than open the breaker, and nothing waits for them long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

from phonograph.breaker import BreakerState, CircuitBreaker
from phonograph.engine.delivery import Entry, Exit, Outbox, Parcels
from phonograph.engine.emission import payload_bytes
from phonograph.engine.load import MOST_BYTES, Load
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.queues import BoundedQueue
from phonograph.engine.worker import Pass
from phonograph.errors import NodeContractError
from phonograph.graph.model import GraphNode, Link
from phonograph.item import Outcome
from phonograph.metrics import NodeTotals
from phonograph.retry import RetryBudget


class NodeRun:
    """One node at run time, all its workers together.

    Attributes:
        exit: where what it makes leaves its lane. letters: where its dead letters do. fallback: where what it cannot take does.
            All are without outlets until they are wired.
    """

    def __init__(self, plan: GraphNode, totals: NodeTotals, breaker: CircuitBreaker) -> None:
        self.plan = plan
        self.totals = totals
        self.breaker = breaker
        self.budget = None if plan.retry.budget is None else RetryBudget(plan.retry.budget)
        self.exit = Exit()
        self.letters = Exit()
        self.fallback = Exit()
        self.held: deque[Entry] = deque()
        self.suspects: list[Entry] = []
        self.verdict: asyncio.TimerHandle | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def asides(self) -> tuple[Exit, ...]:
        """Where something leaves it besides what it makes."""
        return self.letters, self.fallback

    def close(self) -> None:
        """Nothing more will leave it besides what it makes."""
        for exit in self.asides:
            exit.close()

    @property
    def is_at_rest(self) -> bool:
        """Nothing is to be told of a call that succeeds at the first attempt."""
        return self.breaker.is_closed and not self.breaker.failures and self.budget is None


class Lane:
    """The waiting places of one segment. All methods are for the event loop.

    Args:
        num_producers: links that lead to it.
        give_up: called with (lane, node, entry) for what is held when its breaker has kept the node out for `max_open_s`, or when
            the lane is not patient any more.

    Attributes:
        on_convicted: called with (lane, node, entry) for a suspect that is given up.
        end: how an item ends that reaches no further. loads: one for each worker. num_idle: workers that wait for an entry.
        is_patient: what an open breaker refuses is held.
        is_calm: nothing is to be told of calls that succeed: no breaker counts failures or is open, no budget counts items.
    """

    def __init__(
        self,
        plan: SegmentPlan,
        nodes: tuple[NodeRun, ...],
        num_producers: int,
        give_up: Callable[[Lane, NodeRun, Entry], None],
    ) -> None:
        self.plan = plan
        self.nodes = nodes
        bounds = plan.queue
        self.queue: BoundedQueue[Entry] = BoundedQueue(bounds.items, bounds.num_bytes, num_producers, full=bounds.full)
        self._drops_oldest = bounds.full == "oldest"
        self._may_wait = 1 if plan.nodes[0].order else bounds.items  # in order, none goes ahead of one that waits
        self.outbox = Outbox()
        self.end = Outcome.COMPLETED if plan.is_sink else Outcome.FILTERED
        self.loads: list[Load] = []
        self.num_idle = 0
        self.is_patient = True
        self.is_calm = all(node.is_at_rest for node in nodes)
        self._give_up = give_up
        self.on_convicted: Callable[[Lane, NodeRun, Entry], None] = give_up
        self._ready: deque[Entry] = deque()  # back from back-off or from a breaker
        self._backing_off: dict[Entry, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def exit(self) -> Exit:
        return self.nodes[-1].exit

    @property
    def num_waiting(self) -> int:
        waiting = len(self._backing_off)
        for node in self.nodes:
            waiting += len(node.held)
        return waiting

    @property
    def is_finished(self) -> bool:
        if not self.queue.is_exhausted or self._ready or self.num_waiting or self.outbox.letters:
            return False
        if any(node.suspects for node in self.nodes):
            return False
        return not any(load.waiting for load in self.loads)  # which may come back to the queue

    def close(self, link: Link) -> None:
        """Nothing more will come over one of the links that lead here."""
        self.queue.close()

    def take(self) -> Entry | None:
        """The next entry to run now, or None; those that come back go first."""
        if self._ready:
            return self._ready.popleft()
        if self.num_waiting >= self._may_wait:
            return None
        entry = self.queue.get_nowait()
        if entry is not None:
            entry.began = self._loop.time()
            self.nodes[0].totals.queue_wait_s += entry.began - entry.queued_at
        return entry

    def fill(self, load: Load) -> None:
        """Give a worker what it is to run in one hop: of the queue what idle workers leave it, or one entry that comes back."""
        if self._ready:
            load.waiting.append(self._ready.popleft())
            return
        if self.num_waiting >= self._may_wait:
            return
        if not self._take_queued(load, min(load.most, -(-len(self.queue) // (1 + self.num_idle)))):
            self._take_over(load)
            if not load.waiting:
                self._judge_the_last()

    def fill_ahead(self, load: Load) -> bool:
        """Give a worker whose calls take long the next entry of the queue, where that is of use and nobody else waits for it."""
        if not load.is_slow or load.is_stopped or self._drops_oldest:
            return False
        if self._ready or self.num_idle or self.num_waiting >= self._may_wait:
            return False
        return self._take_queued(load, 1)

    def _take_queued(self, load: Load, most: int) -> bool:
        now, waited_s = self._loop.time(), 0.0
        entries = self.queue.get_some(most, MOST_BYTES)
        for entry in entries:
            entry.began = now
            waited_s += now - entry.queued_at
            load.waiting.append(entry)
        self.nodes[0].totals.queue_wait_s += waited_s
        return bool(entries)

    def _take_over(self, load: Load) -> None:
        """What another worker was given and has not begun, where the queue holds nothing else."""
        for other in self.loads:
            if other.is_slow and other.waiting:
                try:
                    load.waiting.append(other.waiting.pop())
                except IndexError:  # it has begun just now
                    continue
                return

    def addressed(self, result: Pass) -> tuple[list[Parcels], int]:
        """What the readers of the lane get of the items that reached its end, and how many end here."""
        exit = self.exit
        sendings: list[Parcels] = []
        num_ended = 0
        for item in result.emitted:
            try:
                parcels = exit.choose(item)
            except NodeContractError as error:
                result.fail(len(self.nodes) - 1, item, error).is_made = True
                continue
            if parcels:
                sendings.append(parcels)
            else:
                num_ended += 1
        return sendings, num_ended

    def take_back(self, load: Load) -> None:
        """Let what a worker was given and has not begun wait at the head of the queue again."""
        for entry in reversed(load.take_back()):
            entry.queued_at = entry.began  # the time until then was counted
            self.queue.put_back(entry, payload_bytes(entry.item.payload))

    def review_calm(self) -> None:
        """To be called when a breaker of the lane may have changed."""
        self.is_calm = all(node.is_at_rest for node in self.nodes)

    def take_beyond(self, paused: Entry, position: int) -> Entry | None:
        """The next entry for a worker whose node at `position` has more to give for `paused`; None while too many wait beyond it.

        What comes back goes first here too, but not to that node or one before it, which would be called while it is paused.
        """
        for entry in self._ready:
            if entry.position > position:
                self._ready.remove(entry)
                return entry
        waiting = sum(entry.position > position for entry in self._backing_off)
        waiting += sum(len(node.held) for node in self.nodes[position + 1 :])
        return None if waiting >= self._may_wait else paused

    def hurry(self) -> bool:
        """Nothing else in the run can move: let go what waits for company, or for a verdict. Whether something does."""
        suspicious = [node for node in self.nodes if node.suspects]
        for node in suspicious:
            self.convict(node)
        return bool(suspicious)

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
        entry.deadline = inf  # this wait is not the node's own, and `max_open` bounds it
        self.review(node)

    def suspect(self, node: NodeRun, entry: Entry) -> None:
        """Keep an entry whose attempts are used up until it is known whether others fail there too."""
        node.suspects.append(entry)
        if node.verdict is not None:
            node.verdict.cancel()
        node.verdict = self._loop.call_later(node.breaker.policy.reset_timeout_s, self.convict, node)

    def convict(self, node: NodeRun, before: float = inf) -> None:
        """It was the fault of those that failed before a time: the node has worked since."""
        suspects = self._acquitted(node)
        for entry in suspects:
            if entry.began <= before:
                self.on_convicted(self, node, entry)
            else:
                self.suspect(node, entry)
        self.queue.nudge()

    def acquit(self, node: NodeRun) -> None:
        """It was the fault of the node: its breaker has opened."""
        for entry in self._acquitted(node):
            self.hold_again(node, entry)

    def hold_again(self, node: NodeRun, entry: Entry) -> None:
        """Keep an entry that failed until the node's breaker lets it through, as if it had not been there."""
        entry.spent, entry.is_probe = entry.attempt, False
        entry.attempt += 1
        entry.waits += 1
        entry.waited_at = node.breaker.closings
        self.hold(node, entry)

    @staticmethod
    def _acquitted(node: NodeRun) -> list[Entry]:
        if node.verdict is not None:
            node.verdict.cancel()
            node.verdict = None
        suspects, node.suspects = node.suspects, []
        return suspects

    def _judge_the_last(self) -> None:
        """When nothing comes any more that could tell, the items are at fault."""
        if not any(node.suspects for node in self.nodes) or not self.queue.is_exhausted or self._ready or self.num_waiting:
            return
        if not any(load.running or load.waiting or load.done for load in self.loads) and self.hurry():
            self._loop.call_soon(self.queue.nudge)  # soon, for who asks is about to wait

    def review(self, node: NodeRun) -> None:
        """Let go of held entries as the breaker now allows; to be called whenever it may have changed its mind."""
        now, policy, breaker = self._loop.time(), node.breaker.policy, node.breaker
        if node.timer is not None:
            node.timer.cancel()
            node.timer = None
        self.review_calm()
        while node.held:
            if breaker.admit(now):
                entry = node.held.popleft() if breaker.is_closed else _least_tried(node.held)
                entry.is_probe = not breaker.is_closed
                entry.began = now
                self.resume(entry)
            elif not self.is_patient or now >= breaker.out_since + policy.max_open_s:
                self._give_up(self, node, node.held.popleft())
            else:
                wake_at = breaker.out_since + policy.max_open_s
                if breaker.state is BreakerState.OPEN:
                    wake_at = min(wake_at, breaker.probe_at)
                node.timer = self._loop.call_at(wake_at, self.review, node)
                break
        self.queue.nudge()

    def abandon(self) -> list[Entry]:
        """Take every entry out of back-off, breakers and loads that waits there, for the run is being stopped."""
        waiting = [*self._backing_off, *(entry for load in self.loads for entry in load.take_back())]
        for timer in self._backing_off.values():
            timer.cancel()
        self._backing_off.clear()
        for node in self.nodes:
            waiting.extend(node.held)
            waiting.extend(self._acquitted(node))
            node.held.clear()
            if node.timer is not None:
                node.timer.cancel()
                node.timer = None
        self.queue.nudge()
        return waiting


def _least_tried(held: deque[Entry]) -> Entry:
    """Take out the entry that is to probe a node: the first of those that have failed there least often."""
    entry = min(held, key=lambda entry: entry.waits)
    held.remove(entry)
    return entry
