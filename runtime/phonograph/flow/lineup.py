"""Puts items back into the order in which their records left the sources, however long each took on its way."""

from __future__ import annotations

from collections.abc import Iterator

from phonograph.flow.gather import MAX_PARTS, Left, Part, child_order
from phonograph.flow.tickets import Ticket


class Lineup:
    """Keeps the parts of each ticket until it is its turn: it has closed, and so have all that stand before it in its line.

    Parts of one ticket stand in the order of their child numbers, then of their ports. Sources are told apart, and so are callers
    that share a graph: nobody waits for a record of another source or caller.
    """

    def __init__(self) -> None:
        self._parts: dict[Ticket, list[Part]] = {}

    def add(self, part: Part) -> Left | None:
        """Take a part in, unless too many of its ticket wait already."""
        parts = self._parts.setdefault(part.ticket, [])
        if len(parts) >= MAX_PARTS:
            return Left(part, f"{MAX_PARTS} items of the same record wait here already, which is as many as may")
        parts.append(part)
        return None

    def closed(self, ticket: Ticket) -> Iterator[tuple[Ticket, list[Part]]]:
        """Every ticket whose turn it is now that this one has closed, with its parts."""
        line = ticket.line
        line.closed[ticket.number] = ticket
        while (turn := line.closed.pop(line.num_passed, None)) is not None:
            line.num_passed += 1
            parts = self._parts.pop(turn, [])
            parts.sort(key=lambda part: (child_order(part.item.key), part.port))
            yield turn, parts

    def has(self, port: int) -> bool:
        """Whether something that came to the port waits here."""
        return any(part.port == port for parts in self._parts.values() for part in parts)

    def rest(self) -> list[Part]:
        """What is still there when no more tickets close, which happens only in a run that is being stopped."""
        parts = [part for parts in self._parts.values() for part in parts]
        self._parts.clear()
        return parts
