"""BatchTurns: turns at the lane of a node that takes several items in one call, for requests and sessions.

What waits at the seats joins batches as items do in a run (`phonograph.engine.batching`), with at most one chunk of a session in
each, because a seat gives its next chunk when the one before has been settled. A batch that has a chunk of every session of its
worker, and nothing of requests, goes at once: nobody who is known could bring more. Ends of sessions, and chunks that a node gets
in one piece at the end, go one by one.
"""

from __future__ import annotations

import asyncio

from phonograph.engine.batching import Batches
from phonograph.engine.delivery import Entry
from phonograph.engine.durations import durations
from phonograph.engine.forming import Forming
from phonograph.engine.lane import Lane
from phonograph.engine.load import Load
from phonograph.engine.seats import Seat, Seating, ServingLane
from phonograph.engine.turns import TurnTaking
from phonograph.engine.visits import Visits
from phonograph.engine.worker import Pass


class BatchTurns(TurnTaking):
    """Turn taking, with batches where the plan has some."""

    _is_closing: bool

    async def _serve(self, lane: ServingLane, number: int, visits: Visits) -> None:
        if lane.plan.batch is None:
            await super()._serve(lane, number, visits)
            return
        seats, load = lane.seats, Load()
        lane.loads.append(load)
        forming: Forming[Entry] = Forming(lane.plan.batch)
        turns: dict[Entry, Seat] = {}  # of what has joined a batch and is not settled yet
        parts: list[list[Entry]] = []  # of a batch that failed, the next one last

        async def settle(lane: Lane, entry: Entry, result: Pass) -> None:
            assert isinstance(lane, ServingLane)
            seat = turns.pop(entry)
            try:
                await self._settle_turn(lane, seat, entry, result)
            finally:
                self._rise(lane, seat)

        def cancel(entry: Entry) -> None:
            self._course.cancel(entry)
            self._rise(lane, turns.pop(entry))

        def wanted(batch: list[Entry]) -> list[Entry]:  # in a frame of its own: a waiting worker must not keep an item alive
            for entry in batch:
                if turns[entry].owner.is_gone:
                    cancel(entry)
            return [entry for entry in batch if entry in turns]

        batches = Batches(lane, self._course, self._judge, settle, cancel, renew=self._renew_visits)
        while True:
            seats.look(number)
            if not (parts or turns) and lane.is_finished:
                break
            if lane.outbox.letters:
                await lane.outbox.send()
                continue
            if self._course.is_aborting:
                for entry in forming.take_all():
                    cancel(entry)
            is_whole = not parts
            if is_whole:
                load = await self._join(lane, number, visits, load, forming, turns)
                is_last = self._is_closing or seats.is_closed or _is_everyone_in(turns, seats, number)
                batch = forming.take(self._now(), is_last=is_last)
            else:
                batch = parts.pop()
            if batch is not None:
                parts += reversed(await batches.run(wanted(batch), visits, is_whole=is_whole))
                if not parts:  # by then each chunk of theirs that was in the batch has failed by itself
                    self._end_lost(visits)
            elif not seats.has_turn_for(number):
                await _wait(seats, number, forming.due)
        seats.nudge()

    async def _join(
        self, lane: ServingLane, number: int, visits: Visits, load: Load, forming: Forming[Entry], turns: dict[Entry, Seat]
    ) -> Load:
        """Let what waits at the seats join batches, until one is full; gives the load for the next."""
        node, seconds = lane.nodes[0], durations(lane.nodes[0].plan)
        while not forming.has_full:
            load.most = 1
            turn = await self._deal(lane, number, visits, load)
            for entry, seat in turn.items():
                if entry.position or entry.is_probe or not node.breaker.is_closed or not visits.joins(entry.item):
                    continue
                load.waiting.clear()
                turns[entry] = seat
                forming.add(entry, seconds(entry.item), entry.queued_at if entry.error is None else self._now())
            if load.waiting:
                try:
                    load = await self._take_turns(lane, visits, load, turn)
                finally:
                    for seat in turn.values():
                        self._rise(lane, seat)
            elif not turn and not lane.seats.has_turn_for(number):
                break
        return load


def _is_everyone_in(turns: dict[Entry, Seat], seats: Seating, number: int) -> bool:
    return len(turns) == seats.num_sessions(number) and all(seat.worker is not None for seat in turns.values())


async def _wait(seats: Seating, number: int, due: float | None) -> None:
    """Return when something has changed for a worker, or at a time."""
    timer = None if due is None else asyncio.get_running_loop().call_at(due, seats.nudge)
    try:
        await seats.wait(number)
    finally:
        if timer is not None:
            timer.cancel()
