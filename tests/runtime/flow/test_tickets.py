"""Tickets and gates: what can still come, and how much may be on its way."""

from __future__ import annotations

import asyncio

from phonograph.flow.tickets import Gate, Settled, Ticket


def gate(told: list[Settled], *, ports: tuple[int, ...] = (0, 1), limit: int = 2) -> Gate:
    return Gate("both", ports, 2, told.append, limit)


async def opened(at: Gate) -> Ticket:
    """A ticket, as soon as the loop has turned a few times; fails when it is not open by then."""
    task = asyncio.ensure_future(at.open())
    for _ in range(5):
        await asyncio.sleep(0)
    assert task.done(), "the gate keeps us waiting"
    return task.result()


def test_a_port_is_settled_when_its_last_entry_is() -> None:
    """A port is settled once no live entry can reach it, and the last one to be settled says so."""
    told: list[Settled] = []

    async def run() -> None:
        ticket = await opened(gate(told))
        ticket.enter((0,))
        ticket.enter((1,))
        ticket.leave((0, 1))  # the item has left its opener
        assert told == []
        ticket.leave((1,))
        assert told == [Settled(ticket, 1, False)]
        ticket.leave((0,))
        assert told[1:] == [Settled(ticket, 0, True)]

    asyncio.run(run())


def test_what_is_made_of_an_entry_keeps_its_ports_open() -> None:
    """Children enter before their parent leaves, so that a count never rises from zero."""
    told: list[Settled] = []

    async def run() -> None:
        ticket = await opened(gate(told, ports=(0,)))
        ticket.enter((0,))
        ticket.leave((0,))
        assert told == []
        ticket.leave((0,))
        assert told == [Settled(ticket, 0, True)]

    asyncio.run(run())


def test_a_full_gate_keeps_the_next_one_waiting() -> None:
    """The third item waits until one of two tickets has closed."""

    async def run() -> None:
        at = gate([])
        first, _ = await opened(at), await opened(at)
        third = asyncio.ensure_future(at.open())
        await asyncio.sleep(0)
        assert at.is_waited_at and not third.done()
        first.leave(at.ports)
        assert (await third).number == 2
        assert at.num_open == 2

    asyncio.run(run())


def test_a_ticket_stays_open_while_an_item_is_kept() -> None:
    """A settled ticket closes only when the gathering node has let go of everything that came with it."""

    async def run() -> None:
        at = gate([])
        ticket = await opened(at)
        ticket.keep()
        ticket.leave(at.ports)
        assert at.num_open == 1
        ticket.let_go()
        assert at.num_open == 0

    asyncio.run(run())


def test_widening_lets_twice_as_many_through() -> None:
    """A gate of two that is widened holds four, and one that is lifted any number."""

    async def run() -> None:
        at = gate([])
        waiting = [asyncio.ensure_future(at.open()) for _ in range(6)]
        await asyncio.sleep(0)
        at.widen()
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True] * 4 + [False] * 2
        at.lift()
        await asyncio.gather(*waiting)
        assert at.num_open == 6

    asyncio.run(run())


def test_someone_who_no_longer_waits_is_passed_over() -> None:
    """Cancelling one who waits leaves the ticket to the next."""

    async def run() -> None:
        at = gate([], limit=1)
        first = await opened(at)
        second, third = asyncio.ensure_future(at.open()), asyncio.ensure_future(at.open())
        await asyncio.sleep(0)
        second.cancel()
        first.leave(at.ports)
        await third
        assert (at.num_open, second.cancelled()) == (1, True)

    asyncio.run(run())


def test_callers_have_lines_of_their_own() -> None:
    """Where callers share a graph, each one's tickets are counted by themselves; nothing is kept of one that has none open."""

    async def run() -> None:
        at = gate([])
        at.share()
        first, other, second = await at.open("first"), await at.open("other"), await at.open("first")
        assert [ticket.number for ticket in (first, other, second)] == [0, 0, 1]
        assert first.line is second.line is not other.line
        first.leave(at.ports)
        assert (await at.open("first")).number == 2
        other.leave(at.ports)
        assert (await at.open("other")).line is not other.line

    asyncio.run(run())
