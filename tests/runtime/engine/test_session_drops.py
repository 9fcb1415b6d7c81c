"""Sessions whose queues drop: a live stream keeps up, and its chunks say where something is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from served import Gate, served
from talking import number

GATED = """
inputs: {record: {type: record}}
outputs: {out: work}
nodes:
  work: {type: test.gated, input: {record: {from: inputs.record, queue: {items: 2, full: FULL}}}}
"""


@pytest.mark.parametrize(
    ("full", "kept", "gaps"), [("oldest", [0, 4, 5], [False, True, False]), ("newest", [0, 1, 2, 6], [False, False, False, True])]
)
def test_a_session_loses_what_is_too_much(tmp_path: Path, full: str, kept: list[int], gaps: list[bool]) -> None:
    """Of chunks that come while the node is busy two may wait; the one behind a gap says so, and the end is never dropped."""
    gate = Gate()

    async def scenario() -> None:
        async with served(tmp_path, GATED.replace("FULL", full), gate.node()) as executor, executor.session() as session:
            await session.send(number(0))
            await asyncio.to_thread(gate.entered.wait)
            for value in range(1, 6):
                await session.send(number(value))
            gate.leave.set()
            items: list[Any] = []
            async for item in session:
                items.append(item)
                if len(items) == 3:
                    if full == "newest":
                        await session.send(number(6))
                    await session.finish()
            assert [item.payload["out"]["number"] for item in items] == kept
            assert [item.discontinuity for item in items] == gaps
            assert not session.dead_letters

    asyncio.run(scenario())


def test_a_busy_session_loses_nothing_of_another(tmp_path: Path) -> None:
    """The bounds are those of each session: one that sends a lot does not push out what another has waiting."""
    gate = Gate()

    async def scenario() -> None:
        async with (
            served(tmp_path, GATED.replace("FULL", "oldest"), gate.node(), workers=1) as executor,
            executor.session() as loud,
            executor.session() as quiet,
        ):
            await loud.send(number(0))
            await asyncio.to_thread(gate.entered.wait)
            await quiet.send(number(100))
            await quiet.finish()
            for value in range(1, 20):
                await loud.send(number(value))
            await loud.finish()
            gate.leave.set()
            assert [item.payload["out"]["number"] async for item in quiet] == [100]
            assert [item.payload["out"]["number"] async for item in loud] == [0, 18, 19]

    asyncio.run(scenario())
