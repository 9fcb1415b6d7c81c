"""Requests and chunks of sessions are let into an executor as far as `limits.memory` goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.engine import admission
from phonograph.errors import ExecutorClosedError, MemoryLimitError, SessionEndedError, TransientError
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.metrics import MemoryLimitMetrics
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from served import Gate, served

MIB = 2**20

GRAPH = """
limits: {memory: 1000MiB}
inputs: {features: {type: features}}
outputs: {out: work}
nodes:
  work: {type: test.work, input: inputs.features, workers: 1}
"""


class Resident:
    """What the process holds, as the tests want it."""

    def __init__(self) -> None:
        self.num_bytes = 100 * MIB

    def __call__(self) -> int:
        return self.num_bytes


def features(num_bytes: int = 1) -> dict[str, Any]:
    return {"features": np.broadcast_to(np.uint8(0), num_bytes)}  # as large as it says, and takes no memory


@pytest.fixture(autouse=True)
def resident(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resident]:
    found = Resident()
    monkeypatch.setattr(admission, "_resident_bytes", found)
    monkeypatch.setattr(admission, "_trim", lambda: None)
    yield found


def gated(folder: Path, gate: Gate, text: str = GRAPH) -> Executor:
    @node("test.work", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
    class Work(Node[Params]):
        """Wait at the gate."""

        def process(self, item: Item, state: None) -> Item:
            gate.pass_through()
            return item

    return served(folder, text, Work)


def figures(executor: Executor) -> MemoryLimitMetrics:
    assert executor.report is not None and executor.report.metrics is not None
    found = executor.report.metrics.pipeline_execution.memory_limit
    assert found is not None
    return found


def num_read(executor: Executor) -> int:
    progress = executor.progress()
    assert progress is not None
    return progress.read


async def holds(resident: Resident, mib: int) -> None:
    """From now on the process holds so much, and whoever comes next looks."""
    resident.num_bytes = mib * MIB
    await looked_often()


async def looked_often() -> None:
    """Long enough for several looks."""
    for _ in range(5):
        await asyncio.sleep(2 * admission._LOOK_EVERY_S)


def test_requests_and_chunks_wait_for_memory_in_the_order_in_which_they_came(tmp_path: Path, resident: Resident) -> None:
    """Above the mark nothing enters while something is in flight; then all do, sessions and requests in one line."""
    gate = Gate()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor, executor.session() as session:
            first = asyncio.create_task(executor.submit(features()))
            await asyncio.to_thread(gate.entered.wait)
            await holds(resident, 950)
            before = asyncio.create_task(executor.submit(features()))
            await asyncio.sleep(0)
            chunk = asyncio.create_task(session.send(features()))
            await asyncio.sleep(0)
            behind = asyncio.create_task(executor.submit(features()))
            await looked_often()
            assert num_read(executor) == 1
            assert not any(task.done() for task in (before, chunk, behind))
            resident.num_bytes = 100 * MIB
            gate.leave.set()
            results = await asyncio.gather(first, before, behind)
            await chunk
            item = await session.receive()
            assert item is not None
            ordinals = [one.outputs["out"][0].ordinal for one in results]
            assert [*ordinals[:2], item.ordinal, ordinals[2]] == [0, 1, 2, 3]
        found = figures(executor)
        assert (found.pauses, found.forced, found.refused) == (3, 0, 0)
        assert found.paused_ms > 0

    asyncio.run(scenario())


def test_a_large_one_is_not_overtaken_for_ever(tmp_path: Path) -> None:
    """Small ones that come behind one that has to wait for room wait too, though they would fit."""
    gate = Gate()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor:
            first = [asyncio.create_task(executor.submit(features(50 * MIB))) for _ in range(2)]
            await asyncio.to_thread(gate.entered.wait)
            gate.leave.set()
            await asyncio.gather(*first)  # so that what a record weighs is known
            gate.leave.clear()
            gate.entered.clear()
            held = asyncio.create_task(executor.submit(features(50 * MIB)))
            await asyncio.to_thread(gate.entered.wait)
            large = asyncio.create_task(executor.submit(features(750 * MIB)))
            await asyncio.sleep(0)
            small = [asyncio.create_task(executor.submit(features())) for _ in range(5)]
            await looked_often()
            assert num_read(executor) == 3
            gate.leave.set()
            results = await asyncio.gather(held, large, *small)
            assert [one.outputs["out"][0].ordinal for one in results] == [2, 3, 4, 5, 6, 7, 8]

    asyncio.run(scenario())


def test_who_stops_waiting_has_sent_nothing(tmp_path: Path, resident: Resident) -> None:
    """A cancelled submit, a cancelled send and the sender of a session that ends leave nothing; others go on."""
    gate = Gate()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor:
            held = asyncio.create_task(executor.submit(features()))
            await asyncio.to_thread(gate.entered.wait)
            await holds(resident, 950)
            session, other = executor.session(), executor.session("other")
            first = asyncio.create_task(executor.submit(features()))
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(one) for one in (executor.submit(features()), session.send(features()))]
            ending = asyncio.create_task(other.send(features()))
            await looked_often()
            for task in waiting:
                task.cancel()
            other.cancel()
            assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True))
            with pytest.raises(SessionEndedError, match="it was cancelled"):
                await ending
            assert (num_read(executor), first.done()) == (1, False)
            resident.num_bytes = 100 * MIB
            gate.leave.set()
            assert [(await one).outputs["out"][0].ordinal for one in (held, first)] == [0, 1]
            await session.send(features())  # it goes on, and that is its first chunk
            await session.finish()
            assert [item.index async for item in session] == [0]
        assert executor.report is not None
        assert executor.report.records.cancelled == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("at_once", [False, True])
def test_closing_reaches_who_waits_for_memory(tmp_path: Path, resident: Resident, at_once: bool) -> None:
    """Requests that wait are seen through, or end with the executor; a session's sender learns that it is closed."""
    gate = Gate()

    async def scenario() -> None:
        executor = gated(tmp_path, gate)
        await executor.__aenter__()
        held = asyncio.create_task(executor.submit(features()))
        await asyncio.to_thread(gate.entered.wait)
        await holds(resident, 950)
        request = asyncio.create_task(executor.submit(features()))
        chunk = asyncio.create_task(executor.session().send(features()))
        await looked_often()
        asyncio.get_running_loop().call_soon(gate.leave.set)
        error = ZeroDivisionError() if at_once else None
        await executor.__aexit__(type(error) if error else None, error, None)
        with pytest.raises(ExecutorClosedError):
            await chunk
        if at_once:
            for task in (held, request):
                with pytest.raises(ExecutorClosedError):
                    await task
        else:
            assert [len((await task).outputs["out"]) for task in (held, request)] == [1, 1]

    asyncio.run(scenario())


def _submit(executor: Executor) -> Callable[[int], Any]:
    return lambda num_bytes: executor.submit(features(num_bytes), key="call-17")


def _send(executor: Executor) -> Callable[[int], Any]:
    session = executor.session("call-17")
    return lambda num_bytes: session.send(features(num_bytes))


@pytest.mark.parametrize("way", [_submit, _send])
def test_what_can_never_fit_is_refused(tmp_path: Path, way: Callable[[Executor], Callable[[int], Any]]) -> None:
    """The error names the record, both sizes, the limit and what to do; what fits goes on by the same way."""
    gate = Gate()
    gate.leave.set()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor:
            send = way(executor)
            with pytest.raises(MemoryLimitError) as raised:
                await send(950 * MIB)
            for part in (
                "record 'call-17",
                "is of 950 MiB",
                "held 100 MiB before",
                "limits.memory is 1000MiB",
                "send it in parts",
            ):
                assert part in str(raised.value)
            await send(1 * MIB)
        assert executor.report is not None
        assert executor.report.records.read == 1
        assert figures(executor).refused == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("way", [_submit, _send])
def test_a_process_that_is_too_large_already_refuses(
    tmp_path: Path, resident: Resident, way: Callable[[Executor], Callable[[int], Any]]
) -> None:
    """With more than the limit held and nothing in flight no waiting would help; the error names the heaviest node, too."""
    gate = Gate()
    gate.leave.set()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor:
            await executor.submit(features(10 * MIB))
            await holds(resident, 1001)
            send = way(executor)
            with pytest.raises(MemoryLimitError, match="nothing is in flight that would free any") as raised:
                await send(1)
            assert "record 'call-17" in str(raised.value)
            assert "node 'work' takes up to 20 MiB for a record" in str(raised.value)
            resident.num_bytes = 990 * MIB  # too much for two at a time, and still within the limit
            await send(1)
            resident.num_bytes = 100 * MIB
            await send(1)
        found = figures(executor)
        assert (found.forced, found.refused) == (1, 1)

    asyncio.run(scenario())


def test_the_end_of_a_session_is_waited_for(tmp_path: Path, resident: Resident) -> None:
    """While a session is flushed, what it kept may become free, so that nobody else is refused for it."""
    gate = Gate()

    @node("test.work", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
    class Work(Node[Params]):
        """Wait at the gate with the flush."""

        def start(self) -> list[Item]:
            return []

        def process(self, item: Item, state: list[Item]) -> Item:
            return item

        def flush(self, state: list[Item]) -> None:
            gate.pass_through()

    async def scenario() -> None:
        async with served(tmp_path, GRAPH.replace("workers: 1", "workers: 2"), Work) as executor:
            session = executor.session()
            await session.send(features())
            await session.receive()
            await session.finish()
            await asyncio.to_thread(gate.entered.wait)
            await holds(resident, 1001)
            other = executor.session()
            waiting = asyncio.create_task(other.send(features()))
            await looked_often()
            assert not waiting.done()
            resident.num_bytes = 100 * MIB
            await waiting
            gate.leave.set()
            assert await session.receive() is None

    asyncio.run(scenario())


def test_what_sessions_keep_counts(tmp_path: Path, resident: Resident) -> None:
    """What the process has come to hold since it was opened leaves so much less room for what is in flight."""
    gate = Gate()

    async def scenario() -> None:
        async with gated(tmp_path, gate) as executor:
            gate.leave.set()
            await executor.submit(features(100 * MIB))  # 200 MiB for a record
            gate.leave.clear()
            await holds(resident, 600)
            sent = [asyncio.create_task(executor.submit(features(100 * MIB))) for _ in range(3)]
            await asyncio.sleep(0)
            await holds(resident, 800)
            assert num_read(executor) == 2  # 600 + 200, and not 100 + 200 + 200 + 200
            resident.num_bytes = 600 * MIB
            gate.leave.set()
            await asyncio.gather(*sent)

    asyncio.run(scenario())


def test_a_session_that_waits_for_memory_is_not_idle(tmp_path: Path, resident: Resident) -> None:
    """Its time-out does not run while its sender is held back."""
    attempts: list[str] = []

    @node("test.work", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
    class Work(Node[Params]):
        """Fail once."""

        def process(self, item: Item, state: None) -> Item:
            attempts.append(item.key)
            if len(attempts) == 1:
                raise TransientError("busy")
            return item

    async def scenario() -> None:
        text = GRAPH.replace("workers: 1", "retry: {base_delay: 60s, max_delay: 60s}")
        async with served(tmp_path, text, Work) as executor:
            held = asyncio.create_task(executor.submit(features()))
            session = executor.session(idle_timeout=10)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(1)
            resident.num_bytes = 950 * MIB
            held.add_done_callback(lambda _: setattr(resident, "num_bytes", 100 * MIB))
            await session.send(features())
            assert loop.time() - began >= 60
            await held
            await session.finish()
            assert len([item async for item in session]) == 1

    simulate(scenario(), seed=1)


def test_what_nodes_with_a_state_give_is_weighed(tmp_path: Path) -> None:
    """Chunks of a session count for what is learned of records, at a node that keeps a state, too."""

    @node("test.work", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
    class Work(Node[Params]):
        """Make much of little."""

        def start(self) -> list[Item]:
            return []

        def process(self, item: Item, state: list[Item]) -> Item:
            return item.with_payload({"features": np.broadcast_to(np.uint8(0), 20 * MIB)})

    async def scenario() -> None:
        async with served(tmp_path, GRAPH, Work) as executor, executor.session() as session:
            await session.send(features(10 * MIB))
            await session.receive()
        assert figures(executor).record_mb == pytest.approx(30 * MIB / 1e6)

    asyncio.run(scenario())
