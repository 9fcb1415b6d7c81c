"""Settling: what is done with all that came of an entry's pass through a lane, so that the law of the ledger holds."""

from __future__ import annotations

from phonograph.engine.course import Course
from phonograph.engine.delivery import Entry
from phonograph.engine.judge import Judge
from phonograph.engine.lane import Lane
from phonograph.engine.worker import Failure, Pass
from phonograph.errors import NodeContractError
from phonograph.flow.tickets import ended_well, leave
from phonograph.item import Item, Outcome


class Settling:
    """Settles for one run."""

    def __init__(self, course: Course, judge: Judge) -> None:
        self._course = course
        self._ledger = course.ledger
        self._judge = judge

    def settled_at_once(self, lane: Lane, entry: Entry, item: Item, now: float) -> bool:
        """Settle what most passes come to, one item that carries nothing, unless something must be waited for or told of it."""
        if entry.held or entry.attempt > 1 or not lane.is_calm:
            return False
        exit = lane.exit
        if not exit.outlets:
            self._ledger.end(entry.item.ordinal, lane.end)
        else:
            try:
                if not exit.send_at_once(item, now):
                    return False
            except NodeContractError:  # which is judged like any other failure of the node
                return False
        self._course.num_events += 1
        return True

    async def settle(self, lane: Lane, entry: Entry, result: Pass | Item) -> None:
        """Deliver, complete, filter or judge everything that came of one pass through a segment."""
        ordinal, ledger = entry.item.ordinal, self._ledger
        if isinstance(result, Item):
            result = Pass([result], range(entry.position, len(lane.nodes)))
        self._course.num_events += 1
        sendings, num_ended = lane.addressed(result)
        num_after = sum(map(len, sendings)) + num_ended + result.num_filtered + result.num_failures
        is_over = result.paused_at is None
        if num_after != is_over:
            ledger.add(ordinal, max(num_after - is_over, 0))
        for event in result.trail:  # in order, because breakers count failures in a row
            if isinstance(event, Failure):
                self._judge.judge(lane, entry, event)
                continue
            if entry.attempt > 1 or not lane.nodes[event].is_at_rest:
                self._judge.credit(lane, entry, event)
        for _ in range(result.num_filtered):
            ledger.end(ordinal, Outcome.FILTERED)
        if is_over and not num_after:  # all that came of it went before
            ledger.end(ordinal, Outcome.FILTERED)
        for _ in range(num_ended):
            ledger.end(ordinal, lane.end)
        for parcels in sendings:
            await lane.exit.send(parcels, entry.held)
        if entry.held:
            if num_ended + result.num_filtered:
                ended_well(entry.held)
            if is_over:
                leave(entry.held)
