"""Batches in simulated time: whatever comes first, nothing is lost, mixed up or kept waiting longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_nodes import TYPES
from flow_graphs import TYPES as FLOW
from flow_runs import KEPT, Keep
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Emitted, Node, Params, node
from phonograph.testing import simulate
from served import served
from small_runs import executor_for
from talking import number, received

SEEDS = range(40)

GRAPH = """
limits: {error_rate: 1.0}
defaults: {breaker: BREAKER, retry: {base_delay: 100ms, max_retries: 2}}
nodes:
  n: {type: testing.numbers, params: {count: 60}}
  plain: {type: testing.pass, input: n}
  work:
    type: test.together_or_not
    input: {record: {from: n, queue: {items: 3}, batch: {max_items: 8, max_wait: 20ms}}}
    params: {on: {"5": fault, "17": bad_input, "30": transient, "31": filter, "44": at_fault}}
    workers: 2
  both: {type: flow.join, input: {work: work, plain: plain}}
  out: {type: test.keep, input: both}
"""
LOST = {5, 17, 30, 31, 44}


@pytest.mark.parametrize("seed", SEEDS)
def test_only_what_is_at_fault_is_lost_in_any_order(tmp_path: Path, seed: int) -> None:
    """Errors that heal and errors that do not, filters, small queues, two workers, a join behind: the others all come."""
    KEPT.clear()
    text = GRAPH.replace("BREAKER", "{failure_threshold: 1000}")
    report = simulate(executor_for(tmp_path, text, *FLOW, Keep, *TYPES).run_async(), seed=seed)
    assert sorted(int(item.key.rpartition("/")[2]) for item in KEPT["out"]) == sorted(set(range(60)) - LOST)
    assert (report.records.dead_lettered, report.records.read) == (4, 60)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("when_open", ["wait", "shed"])
def test_breakers_and_batches_account_for_every_record(tmp_path: Path, seed: int, when_open: str) -> None:
    """A breaker that opens in the midst of a batch holds or sheds the rest, and the run ends."""
    KEPT.clear()
    policy = f"{{failure_threshold: 2, reset_timeout: 1s, when_open: {when_open}}}"
    report = simulate(executor_for(tmp_path, GRAPH.replace("BREAKER", policy), *FLOW, Keep, *TYPES).run_async(), seed=seed)
    kept = sorted(int(item.key.rpartition("/")[2]) for item in KEPT["out"])
    assert len(kept) == len(set(kept)) == report.records.completed
    assert LOST.isdisjoint(kept)
    if when_open == "wait":
        assert kept == sorted(set(range(60)) - LOST)


@node("test.waited", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal", run="inline")
class Waited(Node[Params]):
    """Add up what a session has sent, and say how many came together."""

    def start(self) -> list[int]:
        return []

    def process_batch(self, items: Sequence[Item], states: Sequence[list[int]]) -> Sequence[Emitted]:
        sessions = [item.session for item in items]
        assert len(set(sessions)) == len(sessions)
        results: list[Emitted] = []
        for item, state in zip(items, states, strict=True):
            state.append(item.payload["record"]["number"])
            results.append(item.with_payload({"record": {"sum": sum(state), "with": len(items)}}))
        return results


@node("test.waited_in_thread", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class WaitedInThread(Waited):
    """The same in a worker."""


SERVED = """
inputs: {record: {type: record}}
outputs: {out: work}
nodes:
  work: {type: TYPE, input: {record: {from: inputs.record, batch: {max_items: 4, max_wait: 30ms}}}}
"""


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("type_name", ["test.waited", "test.waited_in_thread"])
def test_sessions_share_batches_and_nothing_else(tmp_path: Path, seed: int, type_name: str) -> None:
    """Each has its own state and order, however they meet; and all of them end."""

    async def talk(executor: Executor, first: int) -> None:
        async with executor.session() as session:

            async def send() -> None:
                for value in range(first, first + 6):
                    await session.send(number(value))
                await session.finish()

            sending = asyncio.create_task(send())
            found = await received(session)
            await sending
        assert [one["sum"] for one in found] == [sum(range(first, first + count + 1)) for count in range(6)]

    async def scenario() -> None:
        async with served(tmp_path, SERVED.replace("TYPE", type_name), Waited, WaitedInThread) as executor:
            await asyncio.gather(*(talk(executor, 100 * place) for place in range(6)))

    simulate(scenario(), seed=seed)


@pytest.mark.parametrize(("max_wait", "waits_s"), [("30ms", 0.03), ("2s", 2.0), ("0s", 0.0)])
def test_a_request_waits_for_others_as_long_as_it_may(tmp_path: Path, max_wait: str, waits_s: float) -> None:
    """And not longer, when nobody comes."""

    async def scenario() -> float:
        text = SERVED.replace("TYPE", "test.waited").replace("30ms", max_wait)
        async with served(tmp_path, text, Waited) as executor:
            for _ in range(20):
                await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
            await executor.submit(number(1))
            return asyncio.get_running_loop().time() - began

    assert simulate(scenario(), seed=1) == pytest.approx(waits_s, abs=1e-9)
