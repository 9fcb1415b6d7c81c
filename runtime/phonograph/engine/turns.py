"""TurnTaking: the scheduler's workers going from seat to seat, for requests and sessions; see `phonograph.engine.seats`."""

from __future__ import annotations

import asyncio

from phonograph.engine.conversation import LivePass
from phonograph.engine.delivery import END, Entry, pass_end
from phonograph.engine.guard import LeftBehindError
from phonograph.engine.identity import Identity
from phonograph.engine.load import LATE_S, Load
from phonograph.engine.plan import Plan
from phonograph.engine.scheduler import Scheduler
from phonograph.engine.seats import Seat, ServingLane
from phonograph.engine.sessions import Session
from phonograph.engine.visits import Visits
from phonograph.engine.worker import Pass, lost
from phonograph.errors import WorkerDiedError, in_words
from phonograph.flow.splits import united
from phonograph.flow.tickets import Held, delay, enter, leave
from phonograph.item import Item, Outcome
from phonograph.journal import RunDirectory
from phonograph.log import Logger


class TurnTaking(Scheduler):
    """What is done for a lane whose entries wait at seats. The lanes must be `ServingLane`s."""

    def __init__(
        self, plan: Plan, run_directory: RunDirectory, log: Logger, *, measure: bool, check_arrays: bool = False
    ) -> None:
        super().__init__(plan, run_directory, log, measure=measure, check_arrays=check_arrays)
        self._visits: dict[str, list[Visits]] = {}

    @property
    def _lanes(self) -> tuple[ServingLane, ...]:
        return self._assembly.lanes  # type: ignore[return-value]  # made by `_connect`

    async def _serve_lane(self, lane: ServingLane) -> None:
        async with asyncio.TaskGroup() as group:
            for number, visits in enumerate(self._visits[lane.plan.name]):
                serving = self._course.interruptible(self._serve(lane, number, visits))
                group.create_task(serving, name=f"worker of {lane.plan.name}")
        lane.exit.close()
        for node in lane.nodes:
            node.close()

    async def _serve(self, lane: ServingLane, number: int, visits: Visits) -> None:
        """One worker's work: a turn for each that has something, one after another."""
        seats, load = lane.seats, Load()
        lane.loads.append(load)
        while True:
            seats.look(number)
            if lane.is_finished:
                break
            if lane.outbox.letters:
                await lane.outbox.send()
                continue
            turns = await self._deal(lane, number, visits, load)
            if not turns:
                if not seats.has_turn_for(number):
                    await seats.wait(number)
                continue
            try:
                if any(seat.owner.is_gone for seat in turns.values()):  # so that no worker keeps anything for it again
                    self._take_back(lane, load, turns)
                else:
                    load = await self._take_turns(lane, visits, load, turns)
            finally:
                for seat in turns.values():
                    self._rise(lane, seat)
            del turns
        seats.nudge()

    async def _deal(self, lane: ServingLane, number: int, visits: Visits, load: Load) -> dict[Entry, Seat]:
        """Fill a worker's load with a turn of each that has something, as many as it can do soon."""
        turns: dict[Entry, Seat] = {}
        now, seats = self._now(), lane.seats
        most = max(1, min(load.most, seats.share_of(number)))
        while len(turns) < most and (seat := seats.take(number)) is not None:
            if seat.messages:
                await self._tell(lane, seat, visits)
                seats.offer(seat)
                continue
            if not seat.has_work:  # it was withdrawn
                continue
            entry = seat.waiting.popleft()
            seat.num_away += 1
            seats.offer(seat)  # of a request, other workers may have the next
            if self._course.is_aborting or seat.owner.is_gone:
                lane.cancel(entry)
                self._rise(lane, seat)
            elif entry.position == len(lane.nodes) and entry.item.payload is not END:  # a breaker passed over the last node
                await self._settling.settle(lane, entry, entry.item)
                self._rise(lane, seat)
            else:
                if entry.attempt == 1 and not entry.position:
                    entry.began = now
                    lane.nodes[0].totals.queue_wait_s += now - entry.queued_at
                turns[entry] = seat
                load.waiting.append(entry)
        return turns

    async def _take_turns(self, lane: ServingLane, visits: Visits, load: Load, turns: dict[Entry, Seat]) -> Load:
        """Let a worker run a load; gives the one for what comes then."""
        if visits.thread is None:
            load.run(visits)
            await asyncio.sleep(0)  # what lies between nodes that run here has its turn too
        else:
            call = self._course.called(visits, load.run, visits, visits.thread.clock_ns, entry=load.waiting[0])
            if len(turns) > 1:
                await asyncio.wait((call,), timeout=LATE_S)
                if not call.done():
                    self._take_back(lane, load, turns)
                    await self._settle_turns(lane, visits, load, turns)
            try:
                await call
            except LeftBehindError as left:
                return await self._turn_lost(lane, visits, load, turns, left)
        self._take_back(lane, load, turns)
        await self._settle_turns(lane, visits, load, turns)
        return load

    async def _turn_lost(
        self, lane: ServingLane, visits: Visits, load: Load, turns: dict[Entry, Seat], left: LeftBehindError
    ) -> Load:
        """As of a pump, for a turn. What else nodes had given for the chunk by then is lost with the worker."""
        entry = load.running
        assert entry is not None, "only a call that runs is left behind"
        self._take_back(lane, load, turns)
        await self._settle_turns(lane, visits, load, turns)
        lane.loads[lane.loads.index(load)] = fresh = Load()
        attempt, result = left.attempt, lost(left, entry.position)
        if entry.item.session is not None:
            live = _live(result)
            if entry.item.payload is END:
                live.rest.append((attempt.position + (attempt.item.payload is END), entry.item))
            result = live
        await self._renew_visits(visits)
        seat = turns.pop(entry)
        try:
            await self._settle_turn(lane, seat, entry, result)
        finally:
            self._rise(lane, seat)
        return fresh

    async def _renew_visits(self, visits: Visits) -> None:
        await self._renew(visits.post)
        if not visits.post.is_left:
            visits.succeed()
            self._end_lost(visits)

    def _take_back(self, lane: ServingLane, load: Load, turns: dict[Entry, Seat]) -> None:
        """Put what has not begun back to where it was."""
        for entry in reversed(load.take_back()):
            seat = turns.pop(entry)
            entry.queued_at = entry.began
            seat.waiting.appendleft(entry)
            self._rise(lane, seat)

    async def _settle_turns(self, lane: ServingLane, visits: Visits, load: Load, turns: dict[Entry, Seat]) -> None:
        self._end_lost(visits)
        while load.done:
            entry, result = load.done.popleft()
            seat = turns.pop(entry)
            try:
                await self._settle_turn(lane, seat, entry, result)
            finally:
                self._rise(lane, seat)

    async def _settle_turn(self, lane: ServingLane, seat: Seat, entry: Entry, result: Pass | Item) -> None:
        if seat.owner.is_gone:
            lane.cancel(entry)
        elif isinstance(result, LivePass):
            await self._settle_live(lane, seat, entry, result)
        elif not isinstance(result, Item) or not self._settling.settled_at_once(lane, entry, result, self._now()):
            await self._settling.settle(lane, entry, result)

    async def _settle_live(self, lane: ServingLane, seat: Seat, entry: Entry, result: LivePass) -> None:
        """As `Settling.settle`, for what came of a chunk or of the end of a session."""
        ordinal, held = entry.item.ordinal, entry.held
        self.ledger.add(ordinal, len(result.rest) + result.num_kept + result.has_ended)  # beside what `settle` counts
        for position, item in reversed(result.rest):
            enter(held)
            seat.waiting.appendleft(Entry(item, self._now(), position, held))
        for _ in range(result.num_kept):
            self.ledger.end(ordinal, Outcome.COMPLETED)
        if result.num_kept:
            delay(held)
        enter(held)
        await self._settling.settle(lane, entry, result)
        if result.has_ended:
            await lane.outbox.send()
            await pass_end((lane.exit, *(one for node in lane.nodes for one in node.asides)), entry, held, self.ledger)
            seat.owner.ends[lane.plan.name] = 1
            lane.seats.leave(seat.owner)
        leave(held)

    async def _tell(self, lane: ServingLane, seat: Seat, visits: Visits) -> None:
        """Give a session's messages to the nodes here, and send on what they answer."""
        session = seat.owner
        assert isinstance(session, Session), "nobody else sends messages"
        messages, seat.messages = seat.messages, []
        for key, message in messages:
            # Given up meanwhile: a call would make a state that nobody lets go of. Or nobody is there to be called.
            if visits.post.is_left or not lane.seats.holds(seat):
                break
            session.message_began()
            item = Item(key=key, ordinal=self.ledger.mark(Identity(key, owner=session)), payload={}, session=session.id)
            result = await self._told(visits, item, message)
            if result.refusal is not None:
                refusal = in_words(result.refusal)
                self._course.tell("warning", "control_failed", lane=lane.plan.name, session=session.id, error=refusal)
            is_empty = not (result.emitted or result.num_failures or result.num_kept)
            if is_empty or session.is_gone:
                self.ledger.end(item.ordinal, Outcome.FILTERED if is_empty else Outcome.CANCELLED)
            else:
                await self._settle_live(lane, seat, Entry(item, self._now(), 0, await self._tickets(lane, session)), result)
        self._end_lost(visits)

    async def _told(self, visits: Visits, item: Item, message: object) -> LivePass:
        """What comes of a message for the nodes of one worker."""
        result = LivePass()
        try:
            return await visits.control(item, message)
        except LeftBehindError as left:
            await self._renew_visits(visits)
            if not left.attempt.is_unseen:
                return _live(lost(left, left.attempt.position))
            result.refusal = left.error
        except Exception as error:  # noqa: BLE001  # what cannot be handed to a process, or kills it
            result.refusal = error
        return result

    async def _tickets(self, lane: ServingLane, session: Session) -> Held:
        """Tickets for what begins in the middle of the graph, to each node that brings branches together beyond.

        They stand in a line of the session's messages: its chunks have numbers already that come later, and other sessions wait
        for nobody.
        """
        reached = united((lane.exit.reach, *(one.reach for node in lane.nodes for one in node.asides)))
        gates = {gate.gather: gate for gate in self._assembly.gates if gate.gather in reached}
        return tuple([(await gate.open((session.id, "messages")), gate.ports) for gate in gates.values()])

    def _end_lost(self, visits: Visits) -> None:
        """End the sessions whose state a process had that has died."""
        while visits.lost:
            self._state_lost(*visits.lost.popleft())

    def _state_lost(self, session_id: str, died: WorkerDiedError) -> None:
        raise NotImplementedError

    def _rise(self, lane: ServingLane, seat: Seat) -> None:
        """A turn is over."""
        seat.num_away -= 1
        lane.seats.rise(seat)


def _live(outcome: Pass) -> LivePass:
    """The same of a chunk."""
    live = LivePass()
    live.trail, live.num_failures = outcome.trail, outcome.num_failures
    return live
