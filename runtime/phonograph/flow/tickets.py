"""Tickets: what can still reach the place where branches meet, and how much may be on its way there.

Theory. A gathering node must know when nothing more can come that belongs together. So every item that leaves one of its openers
(a split point, or a source) opens a ticket, and all that is made of the item carries it. A ticket counts, for each port of the
gathering node, the live entries that can still reach that port: an entry counts from its delivery until the pass that took
it has been settled, when what came of it was delivered and counts itself. So a count that has fallen to zero never rises again.
What was filtered, failed or went another way is known to be absent at that moment, without any time-out.

A gate bounds how many of its tickets are open, and with them what waits where branches meet: the opener waits before it lets
another item out. No run can lock up by that. A gathering node always takes what comes, so whoever waits does so for room in a
queue further down, or for a ticket whose live entries are all further down, since all of them left the opener. "Further down" has
an end in a graph without cycles, so the entry that is furthest down can always move. Three nodes break the rule: `flow.zip`,
`flow.collect` by count and `flow.window` over all records keep items, with whatever tickets they carry, for partners of later
records, which perhaps come from the very gate that waits. When nothing at all moves, the scheduler therefore widens the gates
that someone waits at: bounded scheduling of process networks, after T. M. Parks (1995).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

MAX_OPEN = 64
"""Tickets of one gate that may be open. The workers of a branch are kept busy from about three times their number on, and 64
clips of 15 s at 16 kHz are 61 MB."""


Reach = Mapping[str, tuple[int, ...]]
"""Id of a gathering node -> its ports that can be reached."""


class Lost(NamedTuple):
    """An item that failed on its way: its key, the ports that it might have reached, whether it became a dead letter."""

    key: str
    ports: tuple[int, ...]
    is_dead_letter: bool


class Settled(NamedTuple):
    """Nothing more of a ticket can reach one port; `is_last` says that this holds for all its ports now."""

    ticket: Ticket
    port: int
    is_last: bool


class Carried:
    """What an entry carries and hands to all that is made of it, so as to learn when the last of that has been settled."""

    __slots__ = ()

    def enter(self, ports: Iterable[int]) -> None:
        """One more live entry carries it."""
        raise NotImplementedError

    def leave(self, ports: Iterable[int]) -> None:
        """One of them has been settled."""
        raise NotImplementedError

    def ports_in(self, reach: Reach) -> tuple[int, ...] | None:
        """The ports that an entry with this reach enters it for; None: it need not carry it."""
        raise NotImplementedError

    def ended_well(self) -> None:
        """An entry that carries it was stored, or let through no further because the manifest chose so."""


class Line:
    """Tickets of one gate that stand in an order: all of them in a run, those of one session where callers share a graph.

    Attributes:
        num_opened, num_passed: how many tickets it has had, and of how many the turn has come. closed: by number, those that wait
            for theirs. num_live: tickets that are not released.
    """

    __slots__ = ("closed", "key", "num_live", "num_opened", "num_passed")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.num_opened = self.num_passed = self.num_live = 0
        self.closed: dict[int, Ticket] = {}


class Ticket(Carried):
    """What one item that left an opener became, on its way to one gathering node.

    Attributes:
        number: counts the tickets of its line, from 0.
        lost: what failed on the way. attributes: those that the item had when it left the opener.
        late: ports that something will come to with a later ticket, because a node has kept it for the rest of its session.
    """

    __slots__ = ("_kept", "_live", "_open_ports", "attributes", "gate", "late", "line", "lost", "number")

    def __init__(self, gate: Gate, line: Line) -> None:
        self.gate = gate
        self.line = line
        self.number = line.num_opened
        self.lost: list[Lost] = []
        self.late: set[int] = set()
        self.attributes: Mapping[str, object] = {}
        self._live = [0] * gate.num_ports
        self._open_ports = len(gate.ports)
        self._kept = 0

    def enter(self, ports: Iterable[int]) -> None:
        """One more live entry can reach these ports."""
        for port in ports:
            self._live[port] += 1

    def leave(self, ports: Iterable[int]) -> None:
        """One of them has been settled."""
        for port in ports:
            self._live[port] -= 1
            if not self._live[port]:
                self._open_ports -= 1
                self.gate.tell(Settled(self, port, not self._open_ports))
        self._release()

    def ports_in(self, reach: Reach) -> tuple[int, ...] | None:
        return reach.get(self.gate.gather)

    def keep(self) -> None:
        """The gathering node has taken an item in, and the ticket stays open until it lets go of it."""
        self._kept += 1

    def let_go(self) -> None:
        self._kept -= 1
        self._release()

    def _release(self) -> None:
        if not self._open_ports and not self._kept:
            self.gate.release(self)


class Gate:
    """Where items leave one node on their way to a gathering node, each with a ticket.

    Args:
        gather: id of that node.
        ports: of the gathering node, those that items from here can reach. num_ports: all that it has.
        tell: is called when nothing more of a ticket can reach a port.
    """

    def __init__(
        self, gather: str, ports: tuple[int, ...], num_ports: int, tell: Callable[[Settled], None], limit: int = MAX_OPEN
    ) -> None:
        self.gather = gather
        self.ports = ports
        self.num_ports = num_ports
        self.tell = tell
        self.limit: float = limit
        self._has_callers = False
        self._lines: dict[Hashable, Line] = {}  # of which a ticket is open
        self._open: set[Ticket] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_waited_at(self) -> bool:
        return any(not future.done() for future in self._waiting)

    @property
    def is_bounded(self) -> bool:
        return self.limit < float("inf")

    @property
    def num_open(self) -> int:
        return len(self._open)

    async def open(self, caller: Hashable = None) -> Ticket:
        """A new ticket, as soon as there is one. It is entered at all ports; `leave(gate.ports)` when the item has left.

        Args:
            caller: who sent what leaves, where callers share the graph.
        """
        while len(self._open) >= self.limit:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                if future in self._waiting:
                    self._waiting.remove(future)
        key = caller if self._has_callers else None
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        ticket = Ticket(self, line)
        line.num_opened += 1
        line.num_live += 1
        self._open.add(ticket)
        ticket.enter(self.ports)
        return ticket

    def release(self, ticket: Ticket) -> None:
        if ticket in self._open:
            self._open.discard(ticket)
            line = ticket.line
            line.num_live -= 1
            if not line.num_live:  # nothing of it waits any more, so that the next ticket need not know of it
                del self._lines[line.key]
        self._wake()

    def share(self) -> None:
        """Callers share the graph: nobody waits here, and each has an order of its own."""
        self._has_callers = True
        self.lift()

    def widen(self) -> None:
        """Let twice as many tickets be open, because nothing moves."""
        self.limit *= 2
        self._wake()

    def lift(self) -> None:
        """Let everyone through, because the run is being stopped."""
        self.limit = float("inf")
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:  # all of them: whoever finds no room waits again
            if not future.done():
                future.set_result(None)


Held = tuple[tuple[Carried, tuple[int, ...]], ...]
"""What an entry carries; with each ticket the ports that it can still reach."""


def enter(held: Held) -> None:
    for carried, ports in held:
        carried.enter(ports)


def leave(held: Held, *, well: bool = False) -> None:
    """What carried these has been settled. `well`: something of it ended well."""
    if well:
        ended_well(held)
    for carried, ports in held:
        carried.leave(ports)


def ended_well(held: Held) -> None:
    for carried, _ in held:
        carried.ended_well()


def delay(held: Held) -> None:
    """Note that a node of a session has kept what carries these tickets."""
    for carried, ports in held:
        if isinstance(carried, Ticket):
            carried.late.update(ports)


def lose(held: Held, key: str, *, is_dead_letter: bool, instead: Reach) -> None:
    """Note that what carries these tickets failed.

    Args:
        instead: where its dead letter goes, which takes its place there: as long as that is on its way, nothing is lost.
    """
    for carried, ports in held:
        if isinstance(carried, Ticket):
            taken = instead.get(carried.gate.gather, ())
            left = tuple(port for port in ports if port not in taken)
            if left:
                carried.lost.append(Lost(key, left, is_dead_letter))
