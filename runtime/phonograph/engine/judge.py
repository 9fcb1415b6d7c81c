"""Judge: decides what becomes of an item that stopped at a node.

A failure is tried again after a delay, held by an open breaker, passed over, sent to the node's fallback, or given up as its
`on_error` says. A dead letter goes to the nodes that read it; where there are none, and when the run is about to stop, it lands
in the run directory, and so does one that no reader ended well (see `phonograph.engine.letters`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from math import inf
from types import MappingProxyType

import msgspec

from phonograph.breaker import BreakerPolicy
from phonograph.engine.course import Course, node_error
from phonograph.engine.delivery import Entry, Outbox
from phonograph.engine.lane import Lane, NodeRun
from phonograph.engine.manner import manner
from phonograph.engine.step import select
from phonograph.engine.worker import Failure
from phonograph.errors import (
    AttemptTimeoutError,
    BadInputError,
    CircuitOpenError,
    OutputError,
    RunDirectoryError,
    TotalTimeoutError,
    in_words,
)
from phonograph.flow.tickets import Ticket, enter, leave, lose
from phonograph.item import Item, Outcome
from phonograph.journal import DeadLetter

_MOST_WAITS = 2  # of an item that fails as a probe again and again, while there is no other to probe the node

DEAD_LETTER = "dead_letter"
"""The output of every node that its dead letters leave by."""


class Judge:
    """Judges for one run."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._ledger = course.ledger
        self._draw: Callable[[], float] = getattr(asyncio.get_running_loop(), "random", random).random  # a simulation has its own

    def credit(self, lane: Lane, entry: Entry, position: int) -> None:
        """A call of the node at `position` succeeded."""
        node = lane.nodes[position]
        if position == entry.position and entry.attempt > 1:
            node.totals.healed_items += 1
        elif node.budget is not None:
            node.budget.earn()
        if node.suspects:
            lane.convict(node, before=entry.began)
        if (node.breaker.failures or not node.breaker.is_closed) and node.breaker.succeed(entry.began, self._course.now()):
            self._breaker_changed(lane, node)
        lane.review_calm()

    def judge(self, lane: Lane, entry: Entry, failure: Failure) -> None:
        """Decide what becomes of an item that stopped: try again, hold, pass over, or give up.

        `entry` is what was taken in, and leaves its tickets when its pass is settled; what waits again enters them once more.
        """
        node, item, error = lane.nodes[failure.position], failure.item, failure.error
        again = _stopped(entry, failure)
        if error is None:
            self._refused(lane, node, again)
            return
        course = self._course
        node.totals.timeouts += isinstance(error, AttemptTimeoutError)
        if isinstance(error, OutputError):
            node.totals.stopped_the_run = True
            course.fail(error)
            self._ledger.end(again.item.ordinal, Outcome.CANCELLED)
            return
        if node.budget is not None and again.attempt == 1:
            node.budget.earn()
        delay_s = self._delay_within_budget(node, again, error)
        if delay_s is not None and (too_long := self._out_of_time(node, again, failure.began, delay_s)) is not None:
            too_long.__cause__ = error
            delay_s, error = None, too_long
        if delay_s is not None:
            if node.budget is not None:
                node.budget.spend()
            node.totals.retries += 1
            node.totals.retried_items += again.attempt == 1
            course.tell(
                "info", "retry", node=node.plan.id, key=item.key, attempt=again.attempt, delay_s=delay_s, error=in_words(error)
            )
            again.error = error
            again.attempt += 1
            enter(again.held)
            lane.back_off(again, delay_s)
            return
        if isinstance(error, BadInputError):
            node.breaker.release(again.began)
            lane.review(node)
        elif self._goes_on(lane, node, again, failure, error):
            return
        lane.review_calm()
        self.give_up(lane.outbox, node, again, error, attempts=again.attempt)

    def _goes_on(self, lane: Lane, node: NodeRun, entry: Entry, failure: Failure, error: Exception) -> bool:
        """Count a failure that will not be tried again; whether its item waits, or another node takes it."""
        may_wait = self._may_wait(lane, node, entry, error)
        if node.breaker.fail(entry.began, self._course.now()):
            self._breaker_changed(lane, node)
        if may_wait:
            self._wait(lane, node, entry, error)
            return True
        # Of an item of which something was handed on, the other node would make that again.
        if not node.fallback.outlets or entry.given or failure.is_made or self._course.is_aborting:
            return False
        self._course.tell(
            "info",
            "fallback",
            node=node.plan.id,
            key=entry.item.key,
            to=node.fallback.outlets[0].link.target,
            attempts=entry.attempt,
            error=in_words(error),
        )
        self._fall_back(lane, node, entry)
        lane.review_calm()
        return True

    def _may_wait(self, lane: Lane, node: NodeRun, entry: Entry, error: Exception) -> bool:
        """Whether an item that has failed for good waits until it is known whose fault that was; see `Lane`."""
        if node.breaker.policy.when_open != "wait" or node.plan.on_error == "fail" or self._course.is_aborting:
            return False
        if not node.plan.retry.may_heal(error):
            return False
        if entry.waits and (
            entry.waits == _MOST_WAITS or entry.waited_at < node.breaker.closings
        ):  # it has worked for others since
            return False
        is_alone = lane.plan.batch is None and not lane.plan.nodes[0].order
        return is_alone and self._ledger.identity(entry.item.ordinal).owner is None

    def _wait(self, lane: Lane, node: NodeRun, entry: Entry, error: Exception) -> None:
        entry.error = error
        enter(entry.held)
        if node.breaker.is_closed:
            lane.review_calm()
            entry.began = self._course.now()
            lane.suspect(node, entry)
        else:
            lane.acquit(node)
            lane.hold_again(node, entry)

    def convicted(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """Give up an item that waited for a verdict."""
        assert entry.error is not None, "it has failed"
        self.give_up(lane.outbox, node, entry, entry.error, attempts=entry.attempt)
        leave(entry.held)

    def delay_after(self, node: NodeRun, entry: Entry, error: Exception) -> float | None:
        """Seconds until an item that failed is tried again, if its node has budget left for that; None when it is not."""
        if self._course.is_aborting or _has_lost_its_state(node, entry.item):
            return None
        return node.plan.retry.delay_after(entry.attempt - entry.spent, error, self._draw)

    def _delay_within_budget(self, node: NodeRun, entry: Entry, error: Exception) -> float | None:
        """The same; None, and counted, also when the budget is used up."""
        delay_s = self.delay_after(node, entry, error)
        if delay_s is not None and node.budget is not None and not node.budget.is_left:
            node.totals.refused_retries += 1
            return None
        return delay_s

    def _out_of_time(self, node: NodeRun, entry: Entry, began: float | None, delay_s: float) -> TotalTimeoutError | None:
        """Why an item may not be tried again after a delay: all attempts together would take too long."""
        total_s = node.plan.timeout.total_s
        if total_s == inf:
            return None
        if entry.deadline == inf:  # it has failed for the first time
            entry.deadline = (entry.began if began is None else began) + total_s
        if self._course.now() + delay_s < entry.deadline:
            return None
        return TotalTimeoutError(
            f"node {node.plan.id!r} had {total_s:g} s for all attempts; the next one, after a delay of {delay_s:g} s, would be "
            "too late"
        )

    def shed_held(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """Give up an item that waited for a breaker until it could wait no longer."""
        if not lane.is_patient:
            self._course.cancel(entry)
            return
        self._shed(lane, node, entry)
        leave(entry.held)

    def _shed(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        breaker = node.breaker
        error = CircuitOpenError(
            f"the circuit breaker of node {node.plan.id!r} is open: {breaker.policy.failure_threshold} records failed there "
            f"{_within(breaker.policy)}; it is tried again every {breaker.policy.reset_timeout_s:g} s"
        )
        error.__cause__ = entry.error
        self.give_up(lane.outbox, node, entry, error, attempts=entry.attempt - 1)

    def give_up(self, outbox: Outbox, node: NodeRun, entry: Entry, error: Exception, *, attempts: int) -> None:
        """End an item as the node's `on_error` says. The entry's tickets stay entered."""
        on_error, item, course = node.plan.on_error, entry.item, self._course
        course.tell_failure(node, item, error, attempts)
        is_read = bool(node.letters.outlets) and on_error == "dead_letter" and not course.is_aborting
        lose(entry.held, item.key, is_dead_letter=on_error != "skip", instead=node.letters.reach if is_read else {})
        if on_error == "skip":
            self._ledger.end(entry.item.ordinal, Outcome.SKIPPED)
            return
        identity = self._ledger.identity(item.ordinal)
        letter = course.letter(node, item, identity, error, attempts)
        owner = identity.owner
        if owner is not None:
            owner.letter(letter, node_error(node, item.key, error) if on_error == "fail" else None)
        if is_read:
            self._post(outbox, node, entry, letter)
        else:
            try:
                course.run_directory.add_dead_letter(letter)
            except RunDirectoryError as unwritable:
                course.fail(unwritable)
                self._ledger.end(entry.item.ordinal, Outcome.CANCELLED)
                return
        self._ledger.end(entry.item.ordinal, Outcome.DEAD_LETTERED)
        if on_error == "fail" and owner is None:
            course.fail(node_error(node, item.key, error))

    def _post(self, outbox: Outbox, node: NodeRun, entry: Entry, letter: DeadLetter) -> None:
        """Send a dead letter to the nodes that read it, as one more item of the record."""
        fields = MappingProxyType(msgspec.structs.asdict(letter))
        parcels = node.letters.choose(msgspec.structs.replace(entry.item, payload={DEAD_LETTER: fields}))
        self._ledger.add(entry.item.ordinal, len(parcels))
        # Of the failure of a reader the letter that it could not read is no part: whoever keeps the one has not kept the other.
        tickets = [one for one in entry.held if isinstance(one[0], Ticket)]
        outbox.add(node.letters, parcels, (*tickets, (self._course.letters.post(letter), ())))

    def _refused(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """An open breaker kept an item from its node."""
        now, breaker = self._course.now(), node.breaker
        if self._course.is_aborting:
            self._ledger.end(entry.item.ordinal, Outcome.CANCELLED)
        elif breaker.policy.when_open == "wait":
            enter(entry.held)
            lane.hold(node, entry)
        elif breaker.admit(now):
            enter(entry.held)
            entry.is_probe, entry.began = not breaker.is_closed, now
            lane.resume(entry)
        elif breaker.policy.when_open == "skip":
            enter(entry.held)
            self._pass_over(lane, node, entry)
        elif node.fallback.outlets and not entry.given:
            self._fall_back(lane, node, entry)
        else:
            self._shed(lane, node, entry)

    def _fall_back(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """Send an item to the node that stands in, as it came here."""
        node.totals.items_to_fallback += 1
        lane.outbox.add(node.fallback, node.fallback.choose(entry.item), entry.held)

    def _pass_over(self, lane: Lane, node: NodeRun, entry: Entry) -> None:
        """Hand the item on as if the node, which takes and returns one port of the same family, had changed nothing."""
        node.totals.passed_over += 1
        (taken, *_), (given, *_) = node.plan.ports
        item = entry.item.with_payload({given.name: entry.item.payload[taken.name]})
        entry.position, entry.attempt, entry.is_probe, entry.deadline = entry.position + 1, 1, False, inf
        if entry.position < len(lane.nodes):
            item = select(lane.nodes[entry.position].plan.inputs[0], item)
        entry.item = item
        lane.resume(entry)

    def _breaker_changed(self, lane: Lane, node: NodeRun) -> None:
        lane.review(node)


def _stopped(entry: Entry, failure: Failure) -> Entry:
    """What an item that stopped goes on as: the entry that it came with, or one of its own where it has got further."""
    again, item = entry, failure.item
    if not failure.is_unseen:
        if failure.position == entry.position and item.key == entry.item.key:
            entry.item = item  # which may say now that the chunk before it is missing
        else:
            again = Entry(item, entry.queued_at, failure.position, held=entry.held)
            again.began = entry.began
    again.given = max(again.given, failure.given)
    return again


def _has_lost_its_state(node: NodeRun, item: Item) -> bool:
    """Whether an item of a session would meet another state if it were tried again; in a run, each attempt makes a fresh one."""
    return item.session is not None and manner(node.plan) == "state"


def _within(policy: BreakerPolicy) -> str:
    return "in a row" if policy.window is None else f"of the latest {policy.window}"
