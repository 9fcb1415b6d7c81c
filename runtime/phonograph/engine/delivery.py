"""Delivery: how what leaves a node gets to the lanes that read it, with the tickets that it carries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Protocol

from phonograph.engine.emission import payload_bytes
from phonograph.engine.ledger import Ledger
from phonograph.engine.queues import BoundedQueue
from phonograph.engine.step import selector
from phonograph.flow.splits import united
from phonograph.flow.tickets import Carried, Gate, Held, Reach, enter, leave
from phonograph.graph.model import Link
from phonograph.item import Item, Outcome


class _End(dict[str, Any]):
    """Is the same object in every process that it travels to."""

    def __reduce__(self) -> str:
        return "END"


END: Mapping[str, Any] = _End()
"""The payload of the item that goes behind all others of a session, and takes the state of nodes with it."""


class Entry:
    """An item and where in its segment it goes on.

    `attempt`, `began` and `error` (of the attempt before) belong to the node at `position`; `is_probe` says that its half-open
    breaker let the item through; `deadline` is when the node has no time left for it; `waits` counts how often it failed there
    and then waited for the breaker, which had closed `waited_at` times by then, after `spent` attempts that do not count since;
    `given` counts what attempts before have handed on. `held` is what it carries: tickets, and the dead letter that it is or was
    made of.
    """

    __slots__ = (
        "attempt",
        "began",
        "deadline",
        "error",
        "given",
        "held",
        "is_probe",
        "item",
        "position",
        "queued_at",
        "spent",
        "waited_at",
        "waits",
    )

    def __init__(self, item: Item, queued_at: float, position: int = 0, held: Held = ()) -> None:
        self.item = item
        self.queued_at = queued_at
        self.position = position
        self.held = held
        self.attempt = 1
        self.given = 0
        self.error: Exception | None = None
        self.is_probe = False
        self.began = queued_at
        self.deadline = inf
        self.waits = self.waited_at = self.spent = 0


class Target(Protocol):
    """A lane, as far as one that sends to it is concerned."""

    queue: BoundedQueue[Any]

    def close(self, link: Link) -> None: ...


class Outlet:
    """One link at run time.

    Args:
        reach: what can be reached over it of the gathering nodes.
        chooses: the node that it leaves sends an item over some of its links only.
    """

    __slots__ = ("_target", "chooses", "link", "queue", "reach", "select")

    def __init__(self, link: Link, target: Target, reach: Reach, *, chooses: bool) -> None:
        self.link = link
        self._target = target
        self.queue = target.queue
        self.reach = reach
        self.chooses = chooses
        self.select = selector(link, chooses=chooses)

    def hold(self, carried: Iterable[Carried]) -> Held:
        """Enter one more entry in those that matter beyond."""
        reach = self.reach
        held = tuple((one, ports) for one in carried if (ports := one.ports_in(reach)) is not None)
        enter(held)
        return held

    def close(self) -> None:
        self._target.close(self.link)


Parcels = list[tuple[Outlet, Item]]
"""What one item becomes on the way to each of its readers."""


class Exit:
    """Where items leave a node for the lanes that read it.

    Args:
        gates: for each gathering node whose branches begin here.

    Attributes:
        reach: what can be reached from here of the gathering nodes.
    """

    __slots__ = ("_gates", "_only", "outlets", "reach")

    def __init__(self, outlets: Sequence[Outlet] = (), gates: Sequence[Gate] = ()) -> None:
        self.outlets = tuple(outlets)
        self.reach: Reach = united(outlet.reach for outlet in self.outlets)
        self._gates = tuple(gates)
        self._only = self.outlets[0] if len(self.outlets) == 1 and not self.outlets[0].chooses and not gates else None

    def choose(self, item: Item) -> Parcels:
        """What each reader gets of the item; nothing for those that it does not go to.

        Raises:
            NodeContractError: it lacks something that a reader needs.
        """
        chosen = [(outlet, outlet.select(item)) for outlet in self.outlets]
        return [(outlet, selected) for outlet, selected in chosen if selected is not None]

    def send_at_once(self, item: Item, now: float) -> bool:
        """Deliver an item that carries nothing, where it has one way to go and there is room; whether it was delivered.

        Raises:
            NodeContractError: it lacks something that the reader needs.
        """
        only = self._only
        if only is None:
            return False
        selected = only.select(item)
        assert selected is not None, "only who chooses may leave an item out"
        num_bytes = payload_bytes(selected.payload)
        if not only.queue.has_room_for(num_bytes):
            return False
        only.queue.append(Entry(selected, now), num_bytes)
        return True

    def send_all_at_once(self, parcels: Parcels, now: float) -> bool:
        """Deliver what carries nothing, where no gate is and there is room everywhere; whether it was delivered."""
        if self._gates or not all(outlet.queue.has_room_for(0) for outlet, _ in parcels):
            return False
        for outlet, item in parcels:
            outlet.queue.append(Entry(item, now), payload_bytes(item.payload))
        return True

    async def send(self, parcels: Parcels, held: Held = ()) -> None:
        """Deliver, waiting for room in queues, and for leave to open tickets."""
        opened = [await gate.open(_caller(parcels[0][1])) for gate in self._gates] if self._gates else []
        for ticket in opened:
            ticket.attributes = parcels[0][1].attributes
        carried = [*(one for one, _ in held), *opened] if held else opened
        clock = asyncio.get_running_loop().time
        for outlet, item in parcels:
            entry = Entry(item, clock(), 0, outlet.hold(carried) if carried else ())
            num_bytes, queue = payload_bytes(item.payload), outlet.queue
            if queue.has_room_for(num_bytes):  # asked first, because a coroutine costs as much as all the rest
                queue.append(entry, num_bytes)
            else:
                await queue.put(entry, num_bytes)
        for ticket in opened:
            ticket.leave(ticket.gate.ports)

    def close(self) -> None:
        """Nothing more will leave."""
        for outlet in self.outlets:
            outlet.close()


def _caller(item: Item) -> str | int:
    """Who sent an item: a session, or a request, which is one record and stands in no order with others."""
    return item.session or item.ordinal


async def pass_end(exits: Iterable[Exit], entry: Entry, held: Held, ledger: Ledger[Any]) -> None:
    """Send the end of a session on over every link that leaves by these exits; where there is none, it is at its end."""
    leaving = [exit for exit in exits if exit.outlets]
    item = entry.item
    if not leaving:
        ledger.end(item.ordinal, Outcome.FILTERED)
        return
    ledger.add(item.ordinal, sum(len(exit.outlets) for exit in leaving) - 1)
    for exit in leaving:
        await exit.send([(outlet, item) for outlet in exit.outlets], held)


class Outbox:
    """Dead letters on their way to the nodes that read them; giving an item up must not wait, and delivering may."""

    def __init__(self) -> None:
        self.letters: deque[tuple[Exit, Parcels, Held]] = deque()

    def add(self, exit: Exit, parcels: Parcels, held: Held) -> None:
        enter(held)
        self.letters.append((exit, parcels, held))

    async def send(self) -> None:
        """Deliver everything."""
        while self.letters:
            exit, parcels, held = self.letters.popleft()
            await exit.send(parcels, held)
            leave(held)
