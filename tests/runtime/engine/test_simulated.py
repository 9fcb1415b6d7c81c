"""Runs in simulated time: races of retries, breakers, joins, deadlines and stops, in an order that a seed decides."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import pytest

from phonograph.engine.simulated import NothingCanHappenError
from phonograph.errors import TransientError
from phonograph.executor import Executor, RunReport
from phonograph.flow.join import Join
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from small_runs import dead_letters, executor_for, journalled, line

SEEDS = 200
COUNT = 24

GRAPH = """
defaults: {retry: {max_retries: 2, base_delay: 1s}}
nodes:
  numbers: {type: testing.numbers, params: {count: 24}}
  left:
    type: testing.flaky
    input: {record: {from: numbers, queue: {items: 2}}}
    params: {failures: 1, every: 3}
    workers: 2
  right:
    type: test.down
    input: {record: {from: numbers, queue: {items: 2}}}
    breaker: {failure_threshold: 2, reset_timeout: 5s}
    retry: {max_retries: 0}
    workers: 3
  both: {type: flow.join, input: {left: left, right: right}, params: {timeout: 60s}}
  out: {type: testing.discard, input: both.left, workers: 2}
"""

CALLS: list[tuple[str, str]] = []
"""(node, key) of the calls of the latest run, in their order."""


@node("test.down", inputs={"record": "record"}, outputs={"record": "record"})
class Down(Node[Params]):
    """Be out for a while: for four records in the middle."""

    def process(self, item: Item, state: None) -> Item:
        CALLS.append((self.node_id, item.key))
        if 8 <= item.ordinal < 12:
            raise TransientError("out for a while")
        return item


def flaky_run(folder: Path, text: str = GRAPH) -> Executor:
    """An executor for the graph above. One serves for many runs; each replaces what the one before has left."""
    return executor_for(folder, text, Down, Join, metrics=False, log=command_logger("console", "critical", io.StringIO()))


def simulated(executor: Executor, seed: int, *, stop_after_s: float | None = None) -> RunReport:
    """A run, which is drained after so long in simulated time."""
    CALLS.clear()

    async def main() -> RunReport:
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, executor.stop)
        return await executor.run_async()

    return simulate(main(), seed=seed)


def test_every_order_of_events_ends_alike(tmp_path: Path) -> None:
    """With retries, a breaker that opens, a join and queues of two, 200 orders complete and lose the same records."""
    executor, orders = flaky_run(tmp_path), set()
    lost = {f"numbers/{number}" for number in range(8, 12)}
    expected = {f"numbers/{n}": "dead_lettered" if f"numbers/{n}" in lost else "completed" for n in range(COUNT)}
    for seed in range(SEEDS):
        report = simulated(executor, seed)
        assert {row["key"]: row["outcome"] for row in journalled(report)} == expected
        assert {row["key"] for row in dead_letters(report)} == lost
        orders.add(tuple(CALLS))
    assert len(orders) > SEEDS / 2


def test_a_stop_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Drained at 200 different moments, each record that was read has ended, and the journal agrees with the counts."""
    executor, num_read, num_cancelled = flaky_run(tmp_path), set(), 0
    for seed in range(SEEDS):
        report = simulated(executor, seed, stop_after_s=seed * 0.3)
        assert report.error is None
        assert len({row["key"] for row in journalled(report)}) == report.records.read
        records = report.records
        assert records.completed + records.dead_lettered + records.cancelled == records.read
        if not any(key in {f"numbers/{number}" for number in range(8, 12)} for _, key in CALLS):
            assert not records.cancelled  # no breaker had opened
        num_cancelled += records.cancelled
        num_read.add(records.read)
    assert num_cancelled
    assert len(num_read) > 10
    assert max(num_read) == COUNT


def test_one_seed_gives_one_run(tmp_path: Path) -> None:
    """Two runs with the same seed call the same nodes in the same order and write the same journal; another seed does not."""
    executor, found = flaky_run(tmp_path), []
    for seed in (7, 7, 8):
        report = simulated(executor, seed)
        found.append((tuple(CALLS), journalled(report)))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]


def test_time_passes_only_in_simulation(tmp_path: Path) -> None:
    """A breaker's minutes pass at once, on the loop's clock."""
    text = GRAPH.replace("reset_timeout: 5s", "reset_timeout: 40s")
    executor = flaky_run(tmp_path, text)

    async def main() -> float:
        await executor.run_async()
        return asyncio.get_running_loop().time()

    assert simulate(main(), seed=1) > 100


def test_a_lock_is_told_at_once() -> None:
    """Where all tasks wait for each other, the simulation ends with an error that names them."""

    async def main() -> None:
        locked = asyncio.get_running_loop().create_future()
        await asyncio.create_task(asyncio.wait([locked]), name="who waits")

    with pytest.raises(NothingCanHappenError, match="who waits"):
        simulate(main(), seed=1)


def test_simulated_workers_are_no_threads(tmp_path: Path) -> None:
    """Nodes run in the thread of the test, which its debugger and its monkeypatches are in."""
    threads = set()

    @node("test.where", inputs={"record": "record"}, outputs={"record": "record"})
    class Where(Node[Params]):
        """Say in which thread it runs."""

        def process(self, item: Item, state: None) -> Item:
            threads.add(threading.current_thread())
            return item

    executor = executor_for(tmp_path, line("test.where"), Where)
    report = simulate(executor.run_async(), seed=3)
    assert (report.records.completed, threads) == (20, {threading.current_thread()})


@pytest.mark.parametrize("seed", range(20))
def test_an_error_of_a_source_or_node_ends_a_simulated_run_as_any_other(tmp_path: Path, seed: int) -> None:
    """on_error: fail stops the run with the node's name; what was in flight is cancelled or ended."""
    executor = flaky_run(tmp_path, GRAPH.replace("type: test.down\n", "type: test.down\n    on_error: fail\n"))
    report = simulated(executor, seed)
    assert report.status == "failed"
    assert "'right'" in str(report.error)
    assert sum((report.records.completed, report.records.dead_lettered, report.records.cancelled)) == report.records.read
