"""What is told of a run in which nothing moves."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest

from phonograph.executor import Executor, RunReport
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.node import Params, node
from phonograph.sink import Part, Sink
from phonograph.testing import Discard, pause, simulate
from slow_nodes import CALLS, SLOW
from small_runs import executor_for

TEXT = """
limits: {watchdog: 20s}
nodes:
  numbers: {type: testing.numbers, params: {count: 6}}
  before: {type: testing.pass, input: numbers, run: thread, workers: 1}
  work: {type: slow.work, input: before, workers: 1, timeout: 10m, params: {takes: {'3': [130], '*': [0.1]}}}
  out: {type: testing.discard, input: work}
"""


def executor(folder: Path, log: io.StringIO) -> Executor:
    CALLS.clear()
    return executor_for(folder, TEXT, *SLOW, log=command_logger("json", "warning", log))


def told(log: io.StringIO, event: str) -> list[dict[str, object]]:
    return [row for line in log.getvalue().splitlines() if (row := json.loads(line))["event"] == event]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_stuck_is_told(tmp_path: Path, seed: int) -> None:
    """Node, record and stack of the call that nothing moves for are logged, after twice as long again, and in the metrics."""
    log = io.StringIO()
    report: RunReport = simulate(executor(tmp_path, log).run_async(), seed=seed)
    rows = told(log, "stalled")
    assert report.records.completed == 6
    assert {(row["node"], row["key"]) for row in rows} == {("work", "numbers/3")}
    assert len(rows) == 3  # after 20, 40 and 80 s
    assert all("in spend" in str(row["stack"]) and "slow_nodes.py" in str(row["stack"]) for row in rows)
    assert report.metrics is not None
    stalls = report.metrics.pipeline_execution.stalls
    assert [(one.node, one.key) for one in stalls] == [("work", "numbers/3")] * 3
    assert 20_000 <= stalls[0].stalled_ms < 30_000


def test_a_run_that_moves_is_left_in_peace(tmp_path: Path) -> None:
    """Many calls that together take long are no stall."""
    log = io.StringIO()
    text = TEXT.replace("count: 6", "count: 30").replace("[130]", "[0.1]").replace("0.1", "5")
    CALLS.clear()
    report = simulate(executor_for(tmp_path, text, *SLOW, log=command_logger("json", "warning", log)).run_async(), seed=1)
    assert report.records.completed == 30
    assert told(log, "stalled") == []


def test_a_source_that_is_stuck_is_told(tmp_path: Path) -> None:
    """A source that waits for its next record is named, without a record."""
    log = io.StringIO()
    text = """
limits: {watchdog: 20s}
nodes:
  clips: {type: slow.source, timeout: 10m, params: {takes: {'5': [50], '*': [0.1]}}}
  out: {type: testing.discard, input: clips}
"""
    CALLS.clear()
    report = simulate(executor_for(tmp_path, text, *SLOW, log=command_logger("json", "warning", log)).run_async(), seed=1)
    assert report.records.completed == 10
    assert [(row["node"], row["key"]) for row in told(log, "stalled")] == [("clips", "")] * 2


def test_who_asks_is_told_what_runs(tmp_path: Path) -> None:
    """`Executor.tell_running` logs every call that a thread is in, at once."""
    log = io.StringIO()
    one = executor(tmp_path, log)

    async def main() -> RunReport:
        asyncio.get_running_loop().call_later(15, one.tell_running)
        return await one.run_async()

    assert simulate(main(), seed=2).records.completed == 6
    assert [(row["node"], row["key"]) for row in told(log, "running")] == [("work", "numbers/3")]


class StuckParams(Params, frozen=True):
    at: str = "open"


@node("stuck.sink", inputs={"item": "any"})
class StuckSink(Sink[StuckParams]):
    """Take a minute to be opened, or to complete its output, or to be closed."""

    def stage(self, item: Item) -> Part:
        return Discard(Params(), "out").stage(item)

    def _stick(self, where: str) -> None:
        if self.params.at == where:
            pause(60)

    def open(self) -> None:
        self._stick("open")

    def finish(self) -> None:
        self._stick("finish")

    def close(self) -> None:
        self._stick("close")


@pytest.mark.parametrize("where", ["open", "finish", "close"])
def test_a_node_that_is_stuck_outside_its_calls_is_told(tmp_path: Path, where: str) -> None:
    """A node whose model cannot be loaded, or whose output not be completed, is named, without a record."""
    log = io.StringIO()
    text = f"""
limits: {{watchdog: 20s}}
nodes:
  numbers: {{type: testing.numbers, params: {{count: 2}}}}
  out: {{type: stuck.sink, input: numbers, workers: 1, timeout: 1s, params: {{at: {where}}}}}
"""
    report = simulate(executor_for(tmp_path, text, StuckSink, log=command_logger("json", "warning", log)).run_async(), seed=1)
    assert report.records.completed == 2
    rows = told(log, "stalled")
    assert [(row["node"], row["key"]) for row in rows] == [("out", "")] * 2
    assert all(f"in {where}" in str(row["stack"]) for row in rows)
