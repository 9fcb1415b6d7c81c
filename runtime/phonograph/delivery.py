"""Delivery: how what leaves a node gets to the lanes that read it, with the tickets that it carries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from phonograph.errors import NodeContractError
from phonograph.flow.splits import Reach
from phonograph.flow.tickets import Gate, Held, Ticket, enter, leave
from phonograph.graph import Link
from phonograph.item import Item
from phonograph.journal import DeadLetter
from phonograph.queues import BoundedQueue
from phonograph.worker import leaves_by, select


class Entry:
    """An item and where in its segment it goes on.

    `attempt`, `began` and `error` (of the attempt before) belong to the node at `position`; `is_probe` says that its half-open
    breaker let the item through. `held` are the tickets that it carries; `letter` is the dead letter that it is, for a node that
    reads those.
    """

    __slots__ = ("attempt", "began", "error", "held", "is_probe", "item", "letter", "position", "queued_at")

    def __init__(
        self, item: Item, queued_at: float, position: int = 0, *, held: Held = (), letter: DeadLetter | None = None
    ) -> None:
        self.item = item
        self.queued_at = queued_at
        self.position = position
        self.held = held
        self.letter = letter
        self.attempt = 1
        self.error: Exception | None = None
        self.is_probe = False
        self.began = queued_at


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

    __slots__ = ("_chooses", "_link", "_queue", "_reach", "_target")

    def __init__(self, link: Link, target: Target, reach: Reach, *, chooses: bool) -> None:
        self._link = link
        self._target = target
        self._queue = target.queue
        self._reach = reach
        self._chooses = chooses

    def select(self, item: Item) -> Item | None:
        """The item as the far end sees it; None when it goes another way. Raises NodeContractError."""
        if self._chooses and not leaves_by(self._link, item):
            return None
        return select(self._link, item)

    async def put(self, item: Item, tickets: Iterable[Ticket] = (), letter: DeadLetter | None = None) -> None:
        reach = self._reach
        held: Held = ()
        if reach:
            held = tuple((ticket, reach[ticket.gate.gather]) for ticket in tickets if ticket.gate.gather in reach)
            enter(held)
        entry = Entry(item, asyncio.get_running_loop().time(), held=held, letter=letter)
        await self._queue.put(entry, _payload_bytes(item.payload.values()))

    def close(self) -> None:
        self._target.close(self._link)


Parcels = list[tuple[Outlet, Item]]
"""What one item becomes on the way to each of its readers."""


class Exit:
    """Where items leave a node for the lanes that read it.

    Args:
        gates: for each gathering node whose branches begin here.
    """

    __slots__ = ("_gates", "outlets")

    def __init__(self, outlets: Sequence[Outlet] = (), gates: Sequence[Gate] = ()) -> None:
        self.outlets = tuple(outlets)
        self._gates = tuple(gates)

    def choose(self, item: Item) -> tuple[Parcels, list[NodeContractError]]:
        """What each reader gets of the item, and the readers' complaints that it lacks what they need."""
        parcels: Parcels = []
        errors: list[NodeContractError] = []
        for outlet in self.outlets:
            try:
                selected = outlet.select(item)
            except NodeContractError as error:
                errors.append(error)
            else:
                if selected is not None:
                    parcels.append((outlet, selected))
        return parcels, errors

    async def send(self, parcels: Parcels, held: Held = (), letter: DeadLetter | None = None) -> None:
        """Deliver, waiting for room in queues, and for leave to open tickets."""
        opened = [await gate.open() for gate in self._gates]
        tickets = [*(ticket for ticket, _ in held), *opened]
        for outlet, item in parcels:
            await outlet.put(item, tickets, letter)
        for ticket in opened:
            ticket.leave(ticket.gate.ports)

    def close(self) -> None:
        """Nothing more will leave."""
        for outlet in self.outlets:
            outlet.close()


class Outbox:
    """Dead letters on their way to the nodes that read them; giving an item up must not wait, and delivering may."""

    def __init__(self) -> None:
        self._letters: deque[tuple[Exit, Parcels, Held, DeadLetter]] = deque()

    def __bool__(self) -> bool:
        return bool(self._letters)

    def add(self, exit: Exit, parcels: Parcels, held: Held, letter: DeadLetter) -> None:
        enter(held)
        self._letters.append((exit, parcels, held, letter))

    async def send(self) -> None:
        """Deliver everything."""
        while self._letters:
            exit, parcels, held, letter = self._letters.popleft()
            await exit.send(parcels, held, letter)
            leave(held)


def _payload_bytes(values: Iterable[Any]) -> int:
    """Bytes that payloads keep alive, as far as they say (arrays, audio) or show (text, bytes)."""
    sizes = (len(value) if isinstance(value, bytes | str) else getattr(value, "nbytes", 0) for value in values)
    return sum(size for size in sizes if isinstance(size, int))
