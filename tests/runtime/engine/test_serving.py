"""An executor that serves: what one caller does, or gives up, is no harm to the others; what ends it leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from phonograph.engine.turns import TurnTaking
from phonograph.errors import ExecutorClosedError, TransientError
from phonograph.executor import Executor
from phonograph.flow.join import Join
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.testing import PassOn, simulate
from served import Gate, one_node, served
from talking import Tally, nothing_is_kept, number, received


@node("test.moody", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Moody(Node[Params]):
    """Fail on numbers below 0, and ask to be tried again on 0."""

    def process(self, item: Item, state: None) -> Item:
        value = item.payload["record"]["number"]
        if value < 0:
            raise RuntimeError("below zero")
        if value == 0:
            raise TransientError("zero")
        return item


BRANCHES = """
inputs: {record: {type: record}}
outputs: {out: both.left}
defaults: {retry: {max_retries: 3, base_delay: 60s, max_delay: 60s}, breaker: {failure_threshold: 1000}}
nodes:
  split: {type: testing.pass, input: inputs.record}
  moody: {type: test.moody, input: split, workers: 1}
  both: {type: flow.join, input: {left: split, right: moody}}
"""


def test_retries_of_some_callers_hold_up_nobody_else(tmp_path: Path) -> None:
    """However many chunks wait for their next attempt in front of a join, those of another session pass them."""

    async def scenario() -> None:
        async with served(tmp_path, BRANCHES, Moody, PassOn, Join) as executor:
            stuck = [executor.session() for _ in range(100)]
            for session in stuck:
                await session.send(number(0))
            await asyncio.sleep(30)
            began = asyncio.get_running_loop().time()
            async with executor.session() as session:
                await session.send(number(1))
                assert await session.receive() is not None
            assert asyncio.get_running_loop().time() - began < 60
            for session in stuck:
                session.cancel()

    simulate(scenario(), seed=1)


@pytest.mark.parametrize("when_open", ["shed", "wait"])
def test_a_probe_that_is_given_up_lets_another_one_go(tmp_path: Path, when_open: str) -> None:
    """A session that is cancelled while its chunk probes a node leaves the node to the next caller."""
    breaker = f"{{failure_threshold: 1, reset_timeout: 10s, when_open: {when_open}}}"
    policies = f"workers: 1, retry: {{base_delay: 60s, max_delay: 60s}}, breaker: {breaker}"

    async def scenario() -> None:
        async with one_node(tmp_path, "test.moody", Moody, policies=policies) as executor:
            assert (await executor.submit(number(-1))).dead_letters
            await asyncio.sleep(15)
            async with executor.session() as session:
                await session.send(number(0))
                await asyncio.sleep(15)
            result = await executor.submit(number(1))
            assert not result.dead_letters
        assert executor.report is not None
        assert executor.report.metrics is not None
        (metrics,) = executor.report.metrics.pipeline_execution.nodes
        assert metrics.breaker.state == "closed"

    simulate(scenario(), seed=1)


def test_a_message_behind_a_cancelled_one_makes_no_state(tmp_path: Path) -> None:
    """Of several messages, those that are left when the session is cancelled reach no node, which would keep a state for them."""
    gate = Gate()

    @node("test.told", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Told(Node[Params]):
        """Wait at each message."""

        def start(self) -> Tally:
            return Tally()

        def process(self, item: Item, state: Tally) -> Item:
            return item

        def control(self, message: object, state: Tally) -> None:
            gate.pass_through()

    async def scenario() -> None:
        async with one_node(tmp_path, "test.told", Told) as executor:
            async with executor.session() as session:
                await session.send(number(1))
                await session.receive()
                session.control("one")
                session.control("two")
                await asyncio.to_thread(gate.entered.wait, 30)
                session.cancel()
                gate.leave.set()
            async with executor.session() as other:
                await other.send(number(1))
                await other.finish()
                assert len(await received(other)) == 1
            assert nothing_is_kept()

    asyncio.run(scenario())


def test_a_graph_without_nodes_hands_back_what_it_is_sent(tmp_path: Path) -> None:
    """An output that is an input needs no node between them."""
    text = "inputs: {record: {type: record}}\noutputs: {out: work, same: inputs.record}\n"
    text += "nodes:\n  work: {type: testing.pass, input: inputs.record}\n"
    graph = served(tmp_path, text, PassOn).graph
    outputs = MappingProxyType({"same": graph.outputs["same"]})

    async def scenario() -> None:
        async with Executor(replace(graph, nodes=MappingProxyType({}), outputs=outputs)) as executor:
            (item,) = (await executor.submit(number(1))).outputs["same"]
            assert item.payload == {"same": {"number": 1}}
            async with executor.session() as session:
                await session.send(number(2))
                await session.finish()
                assert [item.payload["same"] async for item in session] == [{"number": 2}]

    asyncio.run(scenario())


def test_a_fault_within_ends_sessions_that_have_chunks_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke comes out of the block; sessions learn that it is over, and all records are accounted for."""
    gate = Gate()
    executor = one_node(tmp_path, "test.gated", gate.node(), policies="workers: 1")

    async def breaks(*unused: object) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            async with executor:
                sessions = [executor.session() for _ in range(5)]
                for session in sessions:
                    for value in range(4):
                        await session.send(number(value))
                    await session.finish()
                monkeypatch.setattr(TurnTaking, "_settle_turn", breaks)
                gate.leave.set()
                for session in sessions:
                    with pytest.raises(ExecutorClosedError):
                        await session.receive()
        assert raised.group_contains(ZeroDivisionError)

    asyncio.run(scenario())
    assert executor.report is not None
    assert executor.report.records.cancelled == executor.report.records.read == 20


def test_arrays_are_checked_for_callers_too(tmp_path: Path) -> None:
    """With check_arrays, a node that writes into what it takes fails the request, and is named."""

    @node("test.spoils", inputs={"features": "features"}, outputs={"features": "features"})
    class Spoils(Node[Params]):
        """Write into what it takes."""

        def process(self, item: Item, state: None) -> Item:
            item.payload["features"][0] = -1
            return item

    text = "inputs: {features: {type: features}}\noutputs: {out: spoils}\n"
    text += "nodes:\n  spoils: {type: test.spoils, input: inputs.features}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Spoils, check_arrays=True) as executor:
            (letter,) = (await executor.submit({"features": np.ones((4, 2), np.float32)})).dead_letters
            assert "changed the array" in letter.message

    asyncio.run(scenario())


def test_closing_sees_requests_through_that_wait_for_their_turn(tmp_path: Path) -> None:
    """Of many more requests than are worked on at a time, all that were sent before the block is left get their result."""

    async def scenario() -> None:
        async with one_node(tmp_path, "testing.pass", PassOn) as executor:
            sent = [asyncio.create_task(executor.submit(number(value))) for value in range(300)]
            await asyncio.sleep(0)
        results = await asyncio.gather(*sent)
        assert [result.outputs["out"][0].payload["out"]["number"] for result in results] == list(range(300))

    asyncio.run(scenario())


def test_closing_at_once_ends_requests_that_wait_for_their_turn(tmp_path: Path) -> None:
    """An exception that leaves the block ends them too."""

    async def scenario() -> None:
        sent = []
        with pytest.raises(ZeroDivisionError):
            async with one_node(tmp_path, "testing.pass", PassOn) as executor:
                sent = [asyncio.create_task(executor.submit(number(value))) for value in range(300)]
                await asyncio.sleep(0)
                raise ZeroDivisionError
        ended = await asyncio.gather(*sent, return_exceptions=True)
        assert {type(one) for one in ended} == {ExecutorClosedError}

    asyncio.run(scenario())


@pytest.mark.parametrize("batch", ["", "batch: {max_items: 2}"])
def test_closing_while_a_message_is_told_comes_to_its_end(tmp_path: Path, batch: str) -> None:
    """A node that takes long over a message of a session holds the end of the executor up so long, and no longer."""
    gate = Gate()

    @node("test.told", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Told(Node[Params]):
        """Wait at each message."""

        def process(self, item: Item, state: None) -> Item:
            return item

        def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Item]:
            return items

        def control(self, message: object, state: None) -> None:
            gate.pass_through()

    text = "inputs: {record: {type: record}}\noutputs: {out: told}\nnodes:\n"
    text += f"  told: {{type: test.told, input: {{record: {{from: inputs.record, {batch}}}}}, workers: 1}}\n"

    async def scenario() -> None:
        async with asyncio.timeout(30), served(tmp_path, text, Told) as executor:
            session = executor.session()
            session.control("wait")
            await asyncio.to_thread(gate.entered.wait, 30)
            asyncio.get_running_loop().call_soon(gate.leave.set)  # when closing waits for the first time

    asyncio.run(scenario())
