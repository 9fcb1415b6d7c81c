"""A node that stands in for another where a program sends things: requests, and chunks of sessions in their order."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import GraphError, TransientError
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import Gate, served
from talking import TallyNode, nothing_is_kept, number

GRAPH = """
inputs: {record: {type: record}}
outputs: {out: remote, read: read, apart: local}
nodes:
  remote: {type: test.sevens, input: inputs.record, retry: {max_retries: 0}, breaker: BREAKER}
  local: {type: test.gated, workers: 2}
  read: {type: testing.pass, input: remote}
"""
CLOSED = "{failure_threshold: 1000, fallback: local}"
OPENS = "{failure_threshold: 1, reset_timeout: 1h, fallback: local}"


@node("test.sevens", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Sevens(Node[Params]):
    """Fail on numbers that end in 7."""

    def process(self, item: Item, state: None) -> Item:
        if item.payload["record"]["number"] % 10 == 7:
            raise TransientError("seven")
        return item


def executor(folder: Path, breaker: str, gate: Gate, text: str = GRAPH) -> Executor:
    return served(folder, text.replace("BREAKER", breaker), Sevens, gate.node(), TallyNode)


def values(items: Any) -> list[int]:
    return [next(iter(item.payload.values()))["number"] for item in items]


def test_results_of_a_session_come_in_order(tmp_path: Path) -> None:
    """What the fallback makes of a chunk comes before what the node made of later ones, from every output, with no gap."""
    gate = Gate()

    async def scenario() -> None:
        async with executor(tmp_path, CLOSED, gate) as running, running.session() as session, running.session() as other:
            for value in (6, 7, 8, 9, 17, 18):
                await session.send(number(value))
            await asyncio.to_thread(gate.entered.wait)
            await other.send(number(1))
            await other.finish()
            assert values([item async for item in other]) == [1, 1]  # nobody waits for the session of another
            gate.leave.set()
            await session.finish()
            items = [item async for item in session]
            out = {name: [item for item in items if name in item.payload] for name in ("out", "read", "apart")}
            assert values(out["out"]) == values(out["read"]) == [6, 7, 8, 9, 17, 18]
            assert values(out["apart"]) == [7, 17]
            assert not any(item.discontinuity for item in items) and not session.dead_letters

    asyncio.run(scenario())


def test_an_open_breaker_sends_requests_to_the_fallback(tmp_path: Path) -> None:
    """While the breaker is open every request is answered by the fallback, and none is shed."""
    gate = Gate()
    gate.leave.set()

    async def scenario() -> None:
        async with executor(tmp_path, OPENS, gate) as running:
            assert values((await running.submit(number(7))).outputs["out"]) == [7]
            results = await asyncio.gather(*(running.submit(number(value)) for value in range(1, 6)))
            assert [values(result.outputs["out"]) for result in results] == [[value] for value in range(1, 6)]
            assert [values(result.outputs["apart"]) for result in results] == [[value] for value in range(1, 6)]
            async with running.session() as session:
                await session.send(number(11))
                await session.finish()
                assert values([item async for item in session]) == [11, 11, 11]

    asyncio.run(scenario())


def test_a_session_that_is_given_up_leaves_nothing_with_the_fallback(tmp_path: Path) -> None:
    """What the fallback has of a session that is cancelled ends as cancelled, and others go on."""
    gate = Gate()

    async def scenario() -> None:
        async with executor(tmp_path, CLOSED, gate) as running:
            async with running.session() as session:
                for value in (7, 17, 8):
                    await session.send(number(value))
                await asyncio.to_thread(gate.entered.wait)
                session.cancel()
            gate.leave.set()
            assert values((await running.submit(number(27))).outputs["read"]) == [27]

    asyncio.run(scenario())


@pytest.mark.parametrize("kept", ["test.sevens", "test.gated"])
def test_what_keeps_something_of_a_session_has_no_fallback_there(tmp_path: Path, kept: str) -> None:
    """A node whose state another cannot have, or that would have gaps in its own, is refused when a session is opened."""
    gate = Gate()
    gate.leave.set()

    async def scenario() -> None:
        async with executor(tmp_path, CLOSED, gate, GRAPH.replace(kept, "test.tally")) as running:
            assert (await running.submit(number(6))).outputs["out"]
            with pytest.raises(GraphError, match="has the fallback 'local', and one of the two keeps something"):
                running.session()

    asyncio.run(scenario())
    assert nothing_is_kept()


@node("test.moody", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Moody(Node[Params]):
    """Fail now and then."""

    def open(self) -> None:
        self.chance = random.Random(1)

    def process(self, item: Item, state: None) -> Item:
        if self.chance.random() < 0.3:
            raise ValueError("not now")
        return item


def test_many_sessions_and_requests_lose_nothing(tmp_path: Path) -> None:
    """While a breaker opens and closes all the time, each session has all of its results, in order, and each request its own."""
    text = GRAPH.replace("test.sevens", "test.moody").replace("test.gated", "testing.pass")
    breaker = "{failure_threshold: 2, reset_timeout: 1ms, half_open_probes: 2, fallback: local}"

    async def live(running: Executor) -> None:
        async with running.session() as session:
            for value in range(30):
                await session.send(number(value))
            await session.finish()
            items = [item async for item in session]
            assert values(item for item in items if "out" in item.payload) == list(range(30))
            assert values(item for item in items if "read" in item.payload) == list(range(30))
            assert not session.dead_letters

    async def ask(running: Executor, value: int) -> None:
        result = await running.submit(number(value))
        assert values(result.outputs["out"]) == values(result.outputs["read"]) == [value]

    async def scenario() -> None:
        async with served(tmp_path, text.replace("BREAKER", breaker), Moody) as running:
            await asyncio.gather(*(live(running) for _ in range(10)), *(ask(running, value) for value in range(50)))

    asyncio.run(scenario())
