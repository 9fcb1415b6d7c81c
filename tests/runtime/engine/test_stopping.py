"""Runs that are stopped, cancelled or fail: what is in flight, and what sinks complete."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import TransientError
from phonograph.executor import Executor, RunReport
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink, Written
from phonograph.testing import simulate
from small_runs import dead_letters, executor_for, journalled, line, run_text


def test_stop_lets_what_is_in_flight_end(tmp_path: Path) -> None:
    """After stop() no record is lost: those read are completed, the others were never read."""
    executors: list[Executor] = []

    @node("test.stopper", inputs={"record": "record"}, outputs={"record": "record"})
    class Stopper(Node[Params]):
        """Ask for the end at the tenth record."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 10:
                executors[0].stop()
            return item

    text = line("test.stopper").replace("count: 20", "count: 100000")
    executors.append(executor_for(tmp_path, text, Stopper))
    report = executors[0].run()
    assert (report.status, report.exit_code) == ("interrupted", 130)
    assert 10 < report.records.read < 100_000
    assert report.records.completed == report.records.read == len(journalled(report))


def test_cancelling_accounts_for_what_was_in_flight(tmp_path: Path) -> None:
    """A cancelled run writes metrics in which every record has an outcome."""
    entered, leave = threading.Event(), threading.Event()

    @node("test.stuck", inputs={"record": "record"}, outputs={"record": "record"})
    class Stuck(Node[Params]):
        """Wait until told to go on."""

        def process(self, item: Item, state: None) -> Item:
            entered.set()
            leave.wait(30)
            return item

    executor = executor_for(tmp_path, line("test.stuck"), Stuck)

    async def scenario() -> None:
        running = asyncio.create_task(executor.run_async())
        await asyncio.to_thread(entered.wait, 30)
        running.cancel()
        asyncio.get_running_loop().call_later(0.05, leave.set)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    report = executor.report
    assert report is not None
    assert report.status == "interrupted"
    assert report.records.cancelled == report.records.read > 0
    assert (report.run_directory / "metrics.json").exists()
    assert not (report.run_directory / "lock").exists()


def test_a_node_whose_call_outlasts_the_run_is_closed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled run leaves a call that does not return behind; when it does, its thread closes the node and ends."""
    monkeypatch.setattr("phonograph.engine.scheduler._STUCK_AFTER_S", 0.01)
    entered, leave, closed = threading.Event(), threading.Event(), threading.Event()

    @node("test.stuck", inputs={"record": "record"}, outputs={"record": "record"})
    class Stuck(Node[Params]):
        """Wait until told to go on."""

        def process(self, item: Item, state: None) -> Item:
            entered.set()
            leave.wait(30)
            return item

        def close(self) -> None:
            closed.set()

    executor = executor_for(tmp_path, line("test.stuck"), Stuck, workers=1)

    async def scenario() -> None:
        running = asyncio.create_task(executor.run_async())
        await asyncio.to_thread(entered.wait, 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    assert not closed.is_set()
    leave.set()
    assert closed.wait(30)


def test_stopping_before_the_run_stops_the_run(tmp_path: Path) -> None:
    """A stop that comes first is not lost, and holds for one run."""
    executor = executor_for(tmp_path, line("testing.pass"))
    executor.stop()
    first, second = executor.run(), executor.run()
    assert (first.status, first.records.read) == ("interrupted", 0)
    assert (second.status, second.records.completed) == ("success", 20)


@pytest.mark.parametrize("seed", range(5))
def test_a_stop_does_not_wait_for_a_service_that_is_down(tmp_path: Path, seed: int) -> None:
    """What an open breaker holds, and what comes to it, is cancelled at once, so that going on with the run does it."""
    executors: list[Executor] = []
    ended_at: list[float] = []

    @node("test.service", inputs={"record": "record"}, outputs={"record": "record"})
    class Service(Node[Params]):
        """Go down at the tenth record; somebody stops the run a while later."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 10:
                asyncio.get_running_loop().call_later(20, executors[0].stop)
            if item.ordinal >= 10:
                raise TransientError("connection refused")
            return item

    async def stopped() -> RunReport:
        try:
            return await executors[0].run_async()
        finally:
            ended_at.append(asyncio.get_running_loop().time())

    text = line("test.service").replace("count: 20", "count: 100000")
    executors.append(
        executor_for(tmp_path, text.replace("input: numbers", "input: numbers, retry: {max_retries: 1}", 1), Service)
    )
    report = simulate(stopped(), seed=seed)
    assert (report.status, report.exit_code) == ("interrupted", 130)
    assert report.records.cancelled >= 5
    assert report.records.completed + report.records.cancelled == report.records.read == len(journalled(report))
    assert ended_at[0] < 60  # seconds; it would be held for ten minutes


def test_cancelling_with_records_in_every_waiting_place_keeps_the_law(tmp_path: Path) -> None:
    """Records in back-off, in queues, in a node and already failed in one branch all have an outcome after a cancellation."""
    entered, leave = threading.Event(), threading.Event()

    @node("test.stuck", inputs={"record": "record"}, outputs={"record": "record"})
    class Stuck(Node[Params]):
        """Wait until told to go on."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 3:
                entered.set()
                leave.wait(30)
            return item

    text = """
defaults: {retry: {base_delay: 1h, max_delay: 1h}}
nodes:
  numbers: {type: testing.numbers, params: {count: 300}}
  later: {type: testing.flaky, input: numbers, params: {failures: 1}}
  bad: {type: testing.flaky, input: numbers, params: {failures: 9, every: 2, error: bad_input}}
  stuck: {type: test.stuck, input: numbers, workers: 1}
  a: {type: testing.discard, input: later}
  b: {type: testing.discard, input: bad}
  c: {type: testing.discard, input: stuck}
"""
    executor = executor_for(tmp_path, text, Stuck)
    complaints: list[dict[str, Any]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        running = asyncio.create_task(executor.run_async())
        await asyncio.to_thread(entered.wait, 30)
        running.cancel()
        loop.call_later(0.02, leave.set)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    report = executor.report
    assert report is not None and complaints == []
    assert report.status == "interrupted"
    assert report.records.cancelled + report.records.dead_lettered == report.records.read == len(journalled(report))
    assert len(dead_letters(report)) == report.records.dead_lettered


def _endings(into: list[str]) -> Any:
    """A sink that notes how it ends."""

    @node("test.list", inputs={"item": "any"})
    class List(Sink[Params]):
        """Remember how it ended."""

        def stage(self, item: Item) -> Part:
            return _Stored()

        def finish(self) -> None:
            into.append("finish")

        def close(self) -> None:
            into.append("close")

    return List


class _Stored(Part):
    def commit(self) -> Written:
        return Written("", 0, "")

    def discard(self) -> None:
        pass


@pytest.mark.parametrize(
    ("flaky", "expected"),
    [("{failures: 0}", ["finish", "close"]), ("{failures: 9, every: 3, error: fault}", ["close"])],
    ids=["success", "failure"],
)
def test_a_sink_completes_its_output_only_when_the_run_did(tmp_path: Path, flaky: str, expected: list[str]) -> None:
    """finish comes before close after a good run, and not at all after a failed one."""
    calls: list[str] = []
    text = f"""
nodes:
  numbers: {{type: testing.numbers}}
  flaky: {{type: testing.flaky, input: numbers, params: {flaky}, on_error: fail}}
  out: {{type: test.list, input: flaky, workers: 1}}
"""
    run_text(tmp_path, text, _endings(calls))
    assert calls == expected


ENDING = """
nodes:
  numbers: {type: testing.numbers, params: {count: 100000}}
  work: {type: test.stopper, input: numbers}
  out: {type: test.list, input: work, workers: 1}
"""


def test_a_run_that_was_stopped_completes_no_output(tmp_path: Path) -> None:
    """What spans records is left as it is when a run was stopped: the records that were never read are missing from it."""
    calls: list[str] = []
    executors: list[Executor] = []

    @node("test.stopper", inputs={"record": "record"}, outputs={"record": "record"})
    class Stopper(Node[Params]):
        """Ask for the end at the tenth record."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 10:
                executors[0].stop()
            return item

    executors.append(executor_for(tmp_path, ENDING, Stopper, _endings(calls)))
    assert executors[0].run().status == "interrupted"
    assert calls == ["close"]


def test_a_sample_is_no_interruption(tmp_path: Path) -> None:
    """A run that was asked to read some records only has read all that it was to read."""
    calls: list[str] = []
    text = ENDING.replace("test.stopper", "testing.pass")
    assert run_text(tmp_path, text, _endings(calls), sample=10).status == "success"
    assert calls == ["finish", "close"]
