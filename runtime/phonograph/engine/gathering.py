"""Gathering: drives a node that makes one item of several, in the event loop.

Everything that a gathering node must know comes through one queue, in order: items, tickets that can bring nothing more to a
port, ports that have ended, deadlines. What it answers is delivered before the next event, so that back-pressure reaches its
branches.

In a live session, a node that keeps a state for it (`flow.collect`, `flow.window`) is called as other nodes with state are, from
chunk to chunk. A chunk that went into the state has ended, because what is on its way is bounded for each session, and its sender
would wait for ever.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

import msgspec

from phonograph.engine.course import Course
from phonograph.engine.delivery import END, Entry, Outbox, pass_end
from phonograph.engine.identity import Identity
from phonograph.engine.judge import Judge
from phonograph.engine.lane import NodeRun
from phonograph.engine.plan import SegmentPlan
from phonograph.engine.queues import BoundedQueue
from phonograph.errors import BadInputError, LeftOverError
from phonograph.flow.gather import Gather, Left, Made, Part, Results, gather_type
from phonograph.flow.splits import port_of
from phonograph.flow.tickets import Held, Settled, Ticket, delay, ended_well, leave
from phonograph.graph.model import Link
from phonograph.item import Item, Outcome
from phonograph.metrics import NodeStats
from phonograph.node import Emitted


class _PortEnded:
    """Nothing more will come to a port."""

    def __init__(self, port: int) -> None:
        self.port = port


class _Due:
    """A deadline of the node has come."""


class _Live:
    """What the node keeps of one session, and how many items it has given."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.num_given = 0


class Gathering:
    """A gathering node at run time. All methods are for the event loop.

    Args:
        num_producers: links that lead to it.
        measure: count and time what it does.

    Attributes:
        window: how many tickets of one of its openers may be open.
    """

    def __init__(
        self, plan: SegmentPlan, node: NodeRun, num_producers: int, course: Course, judge: Judge, *, measure: bool
    ) -> None:
        self.plan = plan
        self.node = node
        self.queue: BoundedQueue[Entry | Settled | _PortEnded | _Due] = BoundedQueue(
            plan.queue.items,
            plan.queue.num_bytes,
            num_producers,
            full=plan.queue.full,
        )
        self.queue.drop = lambda event: isinstance(event, Entry) and course.drop(node, plan.queue.full, event)
        self.outbox = Outbox()
        self._num_producers = num_producers
        self._course = course
        self._judge = judge
        gather = gather_type(node.plan)
        assert gather is not None
        self.window = gather.window(node.plan.params)
        self._machine: Gather[Any] = gather(node.plan.params, node.plan.id)
        self._machine.ports = tuple(port.name for port in node.plan.ports[0])
        self._open_links = [0] * len(self._machine.ports)
        for link in node.plan.inputs:
            self._open_links[port_of(link, node.plan)] += 1
        self._stats = node.totals.new_worker() if measure else NodeStats()
        self._held: dict[Part, Held] = {}  # of each part in the machine, what it carries further
        self._sessions: dict[str, _Live] = {}  # of a node that keeps a state for each
        self._ending: list[Entry] = []  # of sessions whose end has come over every link
        self._timer: asyncio.TimerHandle | None = None

    def close(self, link: Link) -> None:
        """Nothing more will come over one of the links that lead here."""
        port = port_of(link, self.node.plan)
        self._open_links[port] -= 1
        if not self._open_links[port]:
            self.queue.append(_PortEnded(port))
        self.queue.close()

    def tell(self, settled: Settled) -> None:
        """Nothing more of a ticket can reach a port."""
        self.queue.append(settled)

    async def run(self) -> None:
        """Take what comes until nothing more can."""
        try:
            while True:
                event = self.queue.get_nowait()
                if isinstance(event, Entry) and event.item.payload is END:
                    await self._end_of_session(event)
                elif isinstance(event, Entry) and event.item.session is not None and self.node.plan.spec.stateful:
                    await self._go_on(event, event.item.session)
                    await self.outbox.send()
                    del event
                elif event is not None:
                    await self._apply(self._answer(event))
                    self._set_timer()
                    del event
                elif self.queue.is_exhausted:
                    break
                else:
                    await self.queue.wait()
            await self._apply(self._machine.ended())
        finally:
            if self._timer is not None:
                self._timer.cancel()
        self.node.exit.close()
        self.node.letters.close()

    def _answer(self, event: Entry | Settled | _PortEnded | _Due) -> Results:
        """Let the machine know, and measure what it takes."""
        self._course.num_events += 1
        if isinstance(event, Entry):
            return self._arrived(event)
        start_ns = perf_counter_ns()
        machine = self._machine
        if isinstance(event, Settled):
            results = machine.settled(event.ticket, event.port)
            if event.is_last:
                results += machine.closed(event.ticket)
        elif isinstance(event, _PortEnded):
            results = machine.port_ended(event.port)
        else:
            self._timer = None
            results = machine.expired(self._course.now())
        self._stats.busy_ns += perf_counter_ns() - start_ns
        return results

    def _arrived(self, entry: Entry) -> Results:
        now = self._course.now()
        self.node.totals.queue_wait_s += now - entry.queued_at
        if self._course.is_aborting:
            self._course.cancel(entry)
            return []
        port = self._machine.ports.index(next(iter(entry.item.payload)))
        own = self._own(entry)
        tickets = (carried for carried, _ in own if isinstance(carried, Ticket))
        oldest = min(tickets, key=lambda ticket: ticket.number, default=None)
        record = self._course.ledger.identity(entry.item.ordinal).key
        part = Part(port, entry.item, oldest, record, now)
        self._held[part] = tuple(held for held in entry.held if held not in own)
        start_ns = perf_counter_ns()
        results = self._machine.arrive(part)
        self._stats.items_in += 1
        self._stats.called(start_ns, perf_counter_ns())
        leave(own)
        return results

    def _own(self, entry: Entry) -> Held:
        """The tickets that an entry carries to this node."""
        node_id = self.node.plan.id
        return tuple(one for one in entry.held if isinstance(one[0], Ticket) and one[0].gate.gather == node_id)

    async def _go_on(self, entry: Entry, session: str) -> None:
        """Give a chunk's item to the node that keeps a state for its session."""
        now, course, item = self._course.now(), self._course, entry.item
        course.num_events += 1
        self.node.totals.queue_wait_s += now - entry.queued_at
        owner = course.ledger.identity(item.ordinal).owner
        if course.is_aborting or (owner is not None and owner.is_gone):
            course.cancel(entry)
            return
        live = self._sessions.get(session)
        if live is None:
            live = self._sessions[session] = _Live(self._machine.start())
        self._stats.items_in += 1
        start_ns = perf_counter_ns()
        try:
            made = self._machine.process(item, live.state)
        except BadInputError as error:
            self._stats.errors += 1
            self._judge.give_up(self.outbox, self.node, entry, error, attempts=1)
        else:
            self._stats.called(start_ns, perf_counter_ns())
            await self._hand_on(made, entry, live)
            if made is not None and not made:
                delay(entry.held)
            course.ledger.end(item.ordinal, Outcome.FILTERED if made is None else Outcome.COMPLETED)
            ended_well(entry.held)
        leave(entry.held)

    async def _hand_on(self, made: Emitted, entry: Entry, live: _Live) -> None:
        """Deliver what the node gave for a chunk, or at the end of its session, each as one more item of that."""
        ledger, own = self._course.ledger, self._own(entry)
        held = tuple(one for one in entry.held if one not in own)
        for one in (made,) if isinstance(made, Item) else made or ():
            item = msgspec.structs.replace(
                one, ordinal=entry.item.ordinal, session=entry.item.session, index=live.num_given, final=False
            )
            live.num_given += 1
            self._stats.items_out += 1
            parcels = self.node.exit.choose(item)
            ledger.add(item.ordinal, len(parcels))
            if parcels:
                await self.node.exit.send(parcels, held)

    def forget(self, session: str) -> None:
        """Let go of what is kept for a session."""
        self._sessions.pop(session, None)

    async def _end_of_session(self, entry: Entry) -> None:
        """Hand it on when it has come over every link; tickets have told before what else can come of the session."""
        owner, node_id = self._course.ledger.identity(entry.item.ordinal).owner, self.node.plan.id
        assert owner is not None, "a session"
        owner.ends[node_id] = owner.ends.get(node_id, 0) + 1
        own = self._own(entry)
        leave(own)
        entry.held = tuple(one for one in entry.held if one not in own)
        if owner.ends[node_id] < self._num_producers:
            self._course.ledger.end(entry.item.ordinal, Outcome.FILTERED)
            leave(entry.held)
        else:
            live = self._sessions.pop(entry.item.session or "", None)
            if live is not None and not owner.is_gone:
                await self._hand_on(self._machine.flush(live.state), entry, live)
            self._ending.append(entry)
            await self._pass_ends()

    async def _pass_ends(self) -> None:
        """Hand on the ends of sessions of which nothing is kept here any more."""
        kept = {part.item.session for part in self._held}
        for entry in [entry for entry in self._ending if entry.item.session not in kept]:
            self._ending.remove(entry)
            await self.outbox.send()
            await pass_end((self.node.exit, self.node.letters), entry, entry.held, self._course.ledger)
            leave(entry.held)

    async def _apply(self, results: Results) -> None:
        for result in results:
            parts = _gone(result)
            if self._course.is_aborting:
                for part in parts:
                    self._course.cancel(Entry(part.item, part.arrived))
            elif isinstance(result, Made):
                await self._send(result)
            else:
                self._leave_out(result)
            for part in parts:
                leave(self._held.pop(part))
                part.let_go()
            await self.outbox.send()
        if self._ending:
            await self._pass_ends()

    async def _send(self, made: Made) -> None:
        """Account for what became one item, and deliver it."""
        self._stats.items_out += 1
        item, ledger = made.item, self._course.ledger
        for part in made.kept:
            ledger.add(part.item.ordinal, 1)
        ordinals = [part.item.ordinal for part in made.parts]
        if len(set(ordinals)) == 1:
            ledger.add(item.ordinal, 1 - len(ordinals))
        else:
            owner = ledger.identity(ordinals[0]).owner
            item = msgspec.structs.replace(item, ordinal=ledger.gather(ordinals, Identity(item.key, owner=owner)))
        parcels = self.node.exit.choose(item)
        # Parts of one ticket reach the same ports from here on, so that it is enough to name each ticket once.
        held = tuple(dict(one for part in made.parts for one in self._held[part]).items())
        if not parcels:
            ended_well(held)
            ledger.end(item.ordinal, Outcome.FILTERED)
            return
        ledger.add(item.ordinal, len(parcels) - 1)
        await self.node.exit.send(parcels, held)

    def _leave_out(self, left: Left) -> None:
        entry = Entry(left.part.item, left.part.arrived, held=self._held[left.part])
        if left.reason is None:
            self._course.ledger.end(entry.item.ordinal, Outcome.FILTERED)
            return
        self._stats.errors += 1
        self._judge.give_up(self.outbox, self.node, entry, LeftOverError(left.reason), attempts=1)

    def _set_timer(self) -> None:
        due = self._machine.due()
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
        self._timer = None if due is None else asyncio.get_running_loop().call_at(due, self.queue.append, _Due())


def _gone(result: Made | Left) -> tuple[Part, ...]:
    """The parts that the machine has no longer."""
    if isinstance(result, Left):
        return (result.part,)
    kept = set(result.kept)
    return tuple(part for part in result.parts if part not in kept) if kept else result.parts
