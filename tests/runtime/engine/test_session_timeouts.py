"""Requests and sessions of which a call takes too long, in simulated time."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from phonograph.engine.requests import Result
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from served import one_node, served
from slow_nodes import CALLS, RECORD, SLOW

SEEDS = range(8)
HANGS = "{takes: {'bad': [0, 0.1], '*': [0.1]}}"


def executor(folder: Path, type_name: str, policies: str) -> Executor:
    CALLS.clear()
    log = command_logger("console", "critical", io.StringIO())
    return one_node(folder, type_name, *SLOW, policies=f"timeout: 2s, workers: 1, {policies}", log=log)


def record(number: int) -> dict[str, Any]:
    return {"record": {"number": number}}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_request_heals_in_another_worker(tmp_path: Path, seed: int) -> None:
    """A request whose call hangs is tried again where another worker has come; requests beside it are answered once."""
    open_executor = executor(tmp_path, "slow.work", f"retry: {{base_delay: 1s}}, params: {HANGS}")

    async def main() -> list[Result]:
        async with open_executor as ex:
            return list(await asyncio.gather(*(ex.submit(record(0), key=f"k/{name}") for name in ("a", "bad", "b"))))

    results = simulate(main(), seed=seed)
    assert [len(result.outputs["out"]) for result in results] == [1, 1, 1]
    assert sorted(CALLS) == ["k/a", "k/b", "k/bad", "k/bad"]
    assert open_executor.report is not None and open_executor.report.status == "completed_with_errors"


async def talk(session: Any, num_chunks: int) -> list[Item]:
    """Send chunks, one after the other, and get what comes of them all."""
    for number in range(num_chunks):
        await session.send(record(number))
        await asyncio.sleep(20)  # simulated, so that each chunk has come to its end
    await session.finish()
    return [item async for item in session]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("asks", ["true", "false"])
def test_a_session_goes_on_behind_a_chunk_that_hung(tmp_path: Path, seed: int, asks: str) -> None:
    """The chunk fails, as its state is lost; the next one says so and begins afresh. Where a worker is left behind, so it is for
    every other session that had a state there.
    """
    params = f"{{takes: {{'2': [0], '*': [0.1]}}, asks: {asks}}}"
    open_executor = executor(tmp_path, "slow.state", f"params: {params}")

    async def main() -> tuple[list[Item], list[Item]]:
        async with open_executor as ex, ex.session("first") as first, ex.session("other") as other:
            await other.send(record(7))
            talked = await talk(first, 5)
            await other.send(record(8))
            await other.finish()
            return talked, [item async for item in other]

    first, other = simulate(main(), seed=seed)
    assert [(item.payload["out"]["number"], item.payload["out"]["place"], item.discontinuity) for item in first] == [
        (0, 1, False),
        (1, 2, False),
        (3, 1, True),
        (4, 2, False),
    ]
    is_kept = asks == "true"
    assert [(item.payload["out"]["place"], item.discontinuity) for item in other] == [
        (1, False),
        (2, False) if is_kept else (1, True),
    ]


@node("slow.answers", inputs=RECORD, outputs=RECORD, streaming="causal")
class Answers(Node[Params]):
    """Give what came last once more when told to."""

    def start(self) -> list[Item]:
        return []

    def process(self, item: Item, state: list[Item]) -> Item:
        state[:] = [item]
        return item

    def control(self, message: object, state: list[Item]) -> list[Item]:
        return list(state)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("asks", ["true", "false"])
def test_what_is_answered_to_a_message_may_take_only_so_long(tmp_path: Path, seed: int, asks: str) -> None:
    """It fails at the node that hangs on it, as a chunk does, and the session goes on."""
    CALLS.clear()
    params = f"{{takes: {{'+message-0000': [0], '*': [0.1]}}, asks: {asks}}}"
    text = f"""
inputs: {{record: {{type: record}}}}
outputs: {{out: work}}
nodes:
  answers: {{type: slow.answers, input: inputs.record, workers: 1}}
  work: {{type: slow.state, input: answers, workers: 1, timeout: 2s, params: {params}}}
"""
    open_executor = served(tmp_path, text, Answers, *SLOW, log=command_logger("console", "critical", io.StringIO()))

    async def main() -> list[Item]:
        async with open_executor as ex, ex.session("talk") as session:
            await session.send(record(0))
            await asyncio.sleep(20)
            session.control("again")
            await asyncio.sleep(20)
            await session.send(record(1))
            await session.finish()
            got = [item async for item in session]
            assert [(one.node, one.key, one.code) for one in session.dead_letters] == [
                ("work", "talk#0000+message-0000", "timeout")
            ]
            return got

    got = simulate(main(), seed=seed)
    assert [(item.key, item.payload["out"]["place"], item.discontinuity) for item in got] == [
        ("talk#0000", 1, False),
        ("talk#0001", 1, True),
    ]
    left = [] if asks == "true" else ["talk#0000+message-0000"]
    assert open_executor.report is not None and open_executor.report.metrics is not None
    assert [one.key for one in open_executor.report.metrics.pipeline_execution.left_behind] == left
