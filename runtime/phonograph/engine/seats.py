"""Seats: where what requests and sessions have at a lane waits, so that each of them gets its turn.

Theory of operation. Whoever has something at a lane has a seat there. A worker goes from seat to seat and takes one entry from
each, so that a session waits for one entry of each of the others at most, however much those have sent. A session sits with one
worker, chosen when it first comes, the one with the fewest sessions; its next entry is taken when the one before has come to an
end there, back-off and breakers included. So its items keep their order, and its state needs no lock. Requests sit with all
workers, and what one of them has is worked on side by side.

Seats do not make anybody wait. What a session or all requests together have in flight is bounded where they send it in. Where
the queue of a node drops, its bounds hold for each seat: what is too much there is dropped, and the chunk behind says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from phonograph.engine.course import Course
from phonograph.engine.delivery import END, Entry
from phonograph.engine.emission import payload_bytes
from phonograph.engine.identity import Owner
from phonograph.engine.lane import Lane, NodeRun
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.queues import BoundedQueue
from phonograph.flow.tickets import leave
from phonograph.graph.model import QueueBounds
from phonograph.item import Outcome


class Seat:
    """What one request or session has at one lane.

    Attributes:
        worker: number of the one that it sits with; None: all.
        waiting: what is to be worked on, in order. messages: what goes before all of it, with a key for what is answered.
        away: entries that a back-off or a breaker has. num_away: those, and what a worker has.
        num_ends: over how many links the end of the session has come.
        has_gap: something was dropped here, and nothing has come since.
    """

    __slots__ = ("away", "has_gap", "is_listed", "messages", "num_away", "num_ends", "owner", "waiting", "worker")

    def __init__(self, owner: Owner, worker: int | None) -> None:
        self.owner = owner
        self.worker = worker
        self.waiting: deque[Entry] = deque()
        self.messages: list[tuple[str, object]] = []
        self.away: set[Entry] = set()
        self.num_away = 0
        self.num_ends = 0
        self.has_gap = False
        self.is_listed = False

    @property
    def has_work(self) -> bool:
        if self.messages:
            return True
        return bool(self.waiting) and (self.worker is None or not self.num_away)


class Seating:
    """The seats of one lane, in place of its queue.

    Args:
        bounds: what may wait at a seat, where more is dropped.
        course: of the executor.

    Attributes:
        drop: as that of a queue.
    """

    def __init__(self, num_workers: int, num_producers: int, bounds: QueueBounds, course: Course) -> None:
        self.max_items = self.num_bytes = 0
        self.drop: Callable[[Entry], bool] = lambda entry: False
        self._bounds = bounds
        self._course = course
        self._num_producers = self._num_open = num_producers
        self._seats: dict[Owner, Seat] = {}
        self._all: deque[Seat] = deque()
        self._own: list[deque[Seat]] = [deque() for _ in range(num_workers)]
        self._turns = [0] * num_workers
        self._num_sessions = [0] * num_workers
        self._sleeping: list[asyncio.Future[None] | None] = [None] * num_workers
        self._is_called = [False] * num_workers

    def has_room_for(self, num_bytes: int) -> bool:
        return True

    def append(self, entry: Entry, num_bytes: int = 0) -> None:
        """Let an entry wait behind those that its owner has here."""
        owner = self.owner_of(entry)
        if owner.is_gone:
            self._course.cancel(entry)
            return
        seat = self.seat_of(owner)
        if entry.item.payload is END:
            seat.num_ends += 1
            if seat.num_ends < self._num_producers:  # it is to come over other links too
                self._course.ledger.end(entry.item.ordinal, Outcome.FILTERED)
                leave(entry.held)
                return
        seat.waiting.append(entry)
        if self._bounds.full != "block":
            self._drop_from(seat, entry)
        self.offer(seat)

    def _drop_from(self, seat: Seat, newest: Entry) -> None:
        """Drop what is too much at a seat now that one more entry has come."""
        waiting, bounds = seat.waiting, self._bounds
        if seat.has_gap and newest.item.payload is not END:
            _mark_gap(newest)
            seat.has_gap = False
        while len(waiting) > 1 and (
            sum(entry.item.payload is not END for entry in waiting) > bounds.items
            or sum(payload_bytes(entry.item.payload) for entry in waiting) > bounds.num_bytes
        ):
            # What was called before, or is at a node further on, has left the queue.
            there = [entry for entry in waiting if entry.attempt == 1 and not entry.position and entry.item.payload is not END]
            dropped = newest if bounds.full == "newest" else next(iter(there), newest)
            if dropped not in there or not self.drop(dropped):
                return
            place = waiting.index(dropped)
            del waiting[place]
            if place == len(waiting):
                seat.has_gap = True
            else:
                _mark_gap(waiting[place])

    def owner_of(self, entry: Entry) -> Owner:
        owner = self._course.ledger.identity(entry.item.ordinal).owner
        assert owner is not None, "whatever comes here was sent by somebody"
        return owner

    def seat_of(self, owner: Owner) -> Seat:
        seat = self._seats.get(owner)
        if seat is None:
            worker = None
            if owner.is_live:
                worker = self._num_sessions.index(min(self._num_sessions))
                self._num_sessions[worker] += 1
            seat = self._seats[owner] = Seat(owner, worker)
        return seat

    def leave(self, owner: Owner) -> Seat | None:
        """Take a seat away."""
        seat = self._seats.pop(owner, None)
        if seat is not None and seat.worker is not None:
            self._num_sessions[seat.worker] -= 1
        return seat

    def holds(self, seat: Seat) -> bool:
        """Whether nobody has taken the seat away."""
        return self._seats.get(seat.owner) is seat

    def offer(self, seat: Seat) -> None:
        """Put a seat on the list of those that are worked for, if there is something to do."""
        if seat.is_listed or not seat.has_work:
            return
        seat.is_listed = True
        if seat.worker is not None:
            self._own[seat.worker].append(seat)
            self._wake(seat.worker)
            return
        self._all.append(seat)
        for worker, future in enumerate(self._sleeping):
            if future is not None and not future.done():
                self._wake(worker)
                break

    def rise(self, seat: Seat) -> None:
        """What a seat had away has come to an end: its turn is over, or a breaker has held an entry for too long."""
        if seat.has_work:
            self.offer(seat)
        elif seat.worker is None and not seat.num_away:
            self.leave(seat.owner)

    def tell(self, owner: Owner, key: str, message: object) -> None:
        """Let a message go before all that its owner has waiting."""
        seat = self.seat_of(owner)
        seat.messages.append((key, message))
        self.offer(seat)

    def has_turn_for(self, worker: int) -> bool:
        return bool(self._own[worker] or self._all)

    @property
    def is_closed(self) -> bool:
        return self._num_open <= 0

    def num_sessions(self, worker: int) -> int:
        """How many sessions sit with a worker."""
        return self._num_sessions[worker]

    def share_of(self, worker: int) -> int:
        """How many turns a worker may take at once, so that others have as many of those that sit with all."""
        return len(self._own[worker]) + -(-len(self._all) // len(self._own))

    def take(self, worker: int) -> Seat | None:
        """The seat that has been waiting longest, of those that a worker works for; None when there is none."""
        lines = self._own[worker], self._all
        self._turns[worker] ^= 1  # both kinds get their turns
        line = lines[self._turns[worker]] or lines[1 - self._turns[worker]]
        if not line:
            return None
        seat = line.popleft()
        seat.is_listed = False
        return seat

    def look(self, worker: int) -> None:
        """A worker is about to look at all that it has to do; what changes from now on ends its `wait`."""
        self._is_called[worker] = False

    async def wait(self, worker: int) -> None:
        """Return when something has changed for a worker, or has since it began to look."""
        if self._is_called[worker]:
            return
        future = self._sleeping[worker] = asyncio.get_running_loop().create_future()
        try:
            await future
        finally:
            self._sleeping[worker] = None

    def nudge(self) -> None:
        for worker in range(len(self._own)):
            self._wake(worker)

    def close(self) -> None:
        self._num_open -= 1
        self.nudge()

    @property
    def is_exhausted(self) -> bool:
        return self._num_open <= 0 and not any(seat.waiting or seat.num_away for seat in self._seats.values())

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def _wake(self, worker: int) -> None:
        self._is_called[worker] = True
        future = self._sleeping[worker]
        if future is not None and not future.done():
            future.set_result(None)


class ServingLane(Lane):
    """A lane of an executor that is sent things: they wait at seats, and no one of them for another.

    Args:
        course: of the executor.
    """

    def __init__(
        self,
        plan: SegmentPlan,
        nodes: tuple[NodeRun, ...],
        num_producers: int,
        give_up: Callable[[Lane, NodeRun, Entry], None],
        course: Course,
    ) -> None:
        def given_up(lane: Lane, node: NodeRun, entry: Entry) -> None:
            seat = self._is_back(entry)
            give_up(lane, node, entry)
            self.seats.rise(seat)

        super().__init__(plan, nodes, num_producers, given_up)
        self._course = course
        self.seats = Seating(plan.num_workers, num_producers, plan.queue, course)
        self.queue = cast(BoundedQueue[Entry], self.seats)

    def resume(self, entry: Entry) -> None:
        seat = self._is_back(entry)
        seat.waiting.appendleft(entry)
        self.seats.offer(seat)

    def back_off(self, entry: Entry, delay_s: float) -> None:
        self._goes_away(entry)
        super().back_off(entry, delay_s)

    def hold(self, node: NodeRun, entry: Entry) -> None:
        self._goes_away(entry)
        super().hold(node, entry)

    def abandon(self) -> list[Entry]:
        waiting = super().abandon()
        for entry in waiting:
            self._is_back(entry)
        for seat in self.seats:
            waiting += seat.waiting
            seat.waiting.clear()
        return waiting

    def withdraw(self, owner: Owner) -> int | None:
        """End what waits of a request or session that is gone; what a worker has of it ends when that is done with it.

        Returns:
            The worker that it sat with; None if it had no seat, or sat with all.
        """
        seat = self.seats.leave(owner)
        if seat is None:
            return None
        for entry in seat.away:
            timer = self._backing_off.pop(entry, None)
            if timer is not None:
                timer.cancel()
            else:
                self.nodes[entry.position].held.remove(entry)
        entries = [*seat.waiting, *seat.away]
        seat.waiting.clear()
        seat.messages.clear()
        seat.away.clear()
        for entry in entries:
            self.cancel(entry)
        return seat.worker

    def cancel(self, entry: Entry) -> None:
        """End an entry of a request or session that is gone; if it was to probe a node, another one may."""
        if entry.is_probe:
            node = self.nodes[entry.position]
            node.breaker.release(entry.began)
            self.review(node)
        self._course.cancel(entry)

    def _goes_away(self, entry: Entry) -> None:
        seat = self.seats.seat_of(self.seats.owner_of(entry))
        seat.away.add(entry)
        seat.num_away += 1

    def _is_back(self, entry: Entry) -> Seat:
        seat = self.seats.seat_of(self.seats.owner_of(entry))
        if entry in seat.away:
            seat.away.discard(entry)
            seat.num_away -= 1
        return seat


def _mark_gap(entry: Entry) -> None:
    """Say of a chunk that the one before it is missing."""
    if entry.item.payload is not END:
        entry.item = msgspec.structs.replace(entry.item, discontinuity=True)
