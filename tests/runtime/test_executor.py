"""Executor: runs that go well, runs that are stopped, and what both leave behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.errors import NodeError, OutputError, RunDirectoryError
from phonograph.executor import Executor, RunReport
from phonograph.item import Item
from phonograph.journal import RunDirectory
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink
from small_runs import dead_letters, executor_for, journalled, line, node_metrics, run_text


def test_every_record_is_completed_and_journalled(tmp_path: Path) -> None:
    """A run without errors completes every record, and the journal agrees."""
    report = run_text(tmp_path, line("testing.pass"))
    assert (report.status, report.exit_code) == ("success", 0)
    assert (report.records.read, report.records.completed) == (20, 20)
    assert sorted(row["key"] for row in journalled(report)) == sorted(f"numbers/{n}" for n in range(20))
    assert {row["outcome"] for row in journalled(report)} == {"completed"}


def test_metrics_on_disk_are_the_report_s(tmp_path: Path) -> None:
    """metrics.json holds what the report says."""
    report = run_text(tmp_path, line("testing.pass"))
    document = json.loads((report.run_directory / "metrics.json").read_text())["pipeline_execution"]
    assert document["records"]["completed"] == 20
    assert [entry["id"] for entry in document["nodes"]] == ["numbers", "work", "out"]
    work = node_metrics(report)["work"]
    assert (work.items_in, work.items_out, work.errors, work.status) == (20, 20, 0, "success")
    assert work.execution_time_ms > 0


def test_metrics_off_measures_nothing(tmp_path: Path) -> None:
    """With metrics off there is no document, and the records are accounted for all the same."""
    report = run_text(tmp_path, line("testing.pass"), metrics=False)
    assert report.metrics is None
    assert not (report.run_directory / "metrics.json").exists()
    assert report.records.completed == 20


def test_branches_run_at_the_same_time(tmp_path: Path) -> None:
    """Two branches of a fan-out are in their nodes together: each waits for the other inside `process`."""
    meeting = threading.Barrier(2)

    @node("test.meet", inputs={"record": "record"}, outputs={"record": "record"})
    class Meet(Node[Params]):
        """Wait for the other branch."""

        def process(self, item: Item, state: None) -> Item:
            meeting.wait(timeout=30)
            return item

    text = """
nodes:
  numbers: {type: testing.numbers, params: {count: 3}}
  left: {type: test.meet, input: numbers, workers: 1}
  right: {type: test.meet, input: numbers, workers: 1}
  a: {type: testing.discard, input: left}
  b: {type: testing.discard, input: right}
"""
    assert run_text(tmp_path, text, Meet).records.completed == 3


def test_a_whole_branch_is_one_record(tmp_path: Path) -> None:
    """A record that fans out is completed once, when both branches have ended."""
    text = """
nodes:
  numbers: {type: testing.numbers, params: {count: 50}}
  left: {type: testing.pass, input: numbers}
  a: {type: testing.discard, input: left}
  b: {type: testing.discard, input: numbers}
"""
    report = run_text(tmp_path, text)
    assert report.records.completed == 50
    assert node_metrics(report)["a"].items_in == node_metrics(report)["b"].items_in == 50


@node("test.split", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class Split(Node[Params]):
    """Emit as many children as the record's number modulo 3."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        return (item.child(n, item.payload) for n in range(item.payload["record"]["number"] % 3))


def test_children_end_with_their_record(tmp_path: Path) -> None:
    """A record is completed when its children are, and filtered when it has none."""
    text = line("test.split")
    report = run_text(tmp_path, text, Split)
    assert (report.records.completed, report.records.filtered) == (13, 7)
    assert report.status == "success"
    assert node_metrics(report)["out"].items_in == 7 * 1 + 6 * 2


def test_a_failing_child_is_a_dead_letter_of_its_own(tmp_path: Path) -> None:
    """A child's failure names the child, and its siblings go on."""

    @node("test.odd_child", inputs={"record": "record"}, outputs={"record": "record"})
    class OddChild(Node[Params]):
        """Refuse the second child."""

        def process(self, item: Item, state: None) -> Item:
            if item.key.endswith("#0001"):
                raise RuntimeError("the second child")
            return item

    text = """
defaults: {breaker: {failure_threshold: 100}}
nodes:
  numbers: {type: testing.numbers, params: {count: 3}}
  split: {type: test.split, input: numbers}
  odd: {type: test.odd_child, input: split}
  out: {type: testing.discard, input: odd}
"""
    report = run_text(tmp_path, text, Split, OddChild)
    assert [letter["key"] for letter in dead_letters(report)] == ["numbers/2#0001"]
    assert (report.records.completed, report.records.filtered, report.records.dead_lettered) == (1, 1, 1)
    assert node_metrics(report)["out"].items_in == 2


def test_a_filtered_record_is_neither_completed_nor_failed(tmp_path: Path) -> None:
    """A node that returns None filters the record."""

    @node("test.even")
    def even(record: Any) -> Any | None:
        """Keep even numbers."""
        return record if record["number"] % 2 == 0 else None

    report = run_text(tmp_path, line("test.even"), even)
    assert (report.records.completed, report.records.filtered, report.status) == (10, 10, "success")


@node("test.ballast", inputs={"record": "record"}, outputs={"record": "record"})
class Ballast(Node[Params]):
    """Allocate 8 MB and let it go."""

    def process(self, item: Item, state: None) -> Item:
        np.zeros(1_000_000)
        return item


def test_memory_of_a_node_is_what_it_allocated(tmp_path: Path) -> None:
    """A node that allocates 8 MB shows 8 MB, and its neighbours show none of it."""
    report = run_text(tmp_path, line("test.ballast"), Ballast, workers=1)
    metrics = node_metrics(report)
    assert metrics["work"].memory_mb == pytest.approx(8.0, rel=0.05)
    assert metrics["out"].memory_mb < 0.1


def test_memory_handed_on_stays_with_the_node_that_made_it(tmp_path: Path) -> None:
    """An array in a queue counts for its maker until it dies."""

    @node("test.make", inputs={"record": "record"}, outputs={"audio": "audio"})
    class Make(Node[Params]):
        """Make 4 MB of audio."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"audio": AudioChunk(np.zeros((1, 1_000_000), np.float32), 16_000)})

    text = line("test.make").replace("count: 20", "count: 1")
    metrics = node_metrics(run_text(tmp_path, text, Make))
    assert metrics["work"].memory_mb == pytest.approx(4.0, rel=0.05)
    assert metrics["work"].audio_seconds == pytest.approx(62.5)
    assert metrics["out"].memory_mb == 0


def test_a_node_that_cannot_open_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    """An error in open() names the node, nothing is read, and nodes already open are closed."""
    closed = []

    @node("test.opens", inputs={"record": "record"}, outputs={"record": "record"})
    class Opens(Node[Params]):
        """Open and close."""

        def close(self) -> None:
            closed.append(self.node_id)

        def process(self, item: Item, state: None) -> Item:
            return item

    @node("test.no_model", inputs={"record": "record"}, outputs={"record": "record"})
    class NoModel(Node[Params]):
        """Lack its model."""

        def open(self) -> None:
            raise FileNotFoundError("model.onnx")

    text = """
nodes:
  numbers: {type: testing.numbers}
  first: {type: test.opens, input: numbers, workers: 1}
  second: {type: test.no_model, input: first, workers: 1}
  out: {type: testing.discard, input: second}
"""
    report = run_text(tmp_path, text, Opens, NoModel)
    assert isinstance(report.error, NodeError)
    assert "model.onnx" in str(report.error)
    assert "second" in str(report.error)
    assert report.records.read == 0
    assert closed == ["first"]


@node("test.full_disk", inputs={"item": "any"})
class FullDisk(Sink[Params]):
    """Have no room."""

    def stage(self, item: Item) -> Part:
        raise OutputError("out/a.npy: cannot be written: No space left on device")


def test_output_that_cannot_be_stored_stops_the_run(tmp_path: Path) -> None:
    """A full disk ends the run with its words; what was in flight is cancelled and counted."""
    report = run_text(tmp_path, line("testing.pass").replace("testing.discard", "test.full_disk"), FullDisk)
    assert report.status == "failed"
    assert "No space left" in str(report.error)
    assert report.records.cancelled == report.records.read > 0
    assert node_metrics(report)["out"].status == "failed"


def test_two_runs_cannot_share_a_run_directory(tmp_path: Path) -> None:
    """The second run is refused, and says who holds the directory."""
    with RunDirectory(tmp_path / "run"), pytest.raises(RunDirectoryError, match="in use by process"):
        run_text(tmp_path, line("testing.pass"))


def test_a_stale_lock_is_taken_over(tmp_path: Path) -> None:
    """A lock whose process is gone does not keep the next run out."""
    first = run_text(tmp_path, line("testing.pass"))
    holder = {"pid": 2**22 + 1, "host": __import__("socket").gethostname(), "started": "1"}
    (first.run_directory / "lock").write_text(json.dumps(holder))
    assert run_text(tmp_path, line("testing.pass")).status == "success"


def test_run_inside_an_event_loop_is_awaited(tmp_path: Path) -> None:
    """run_async works inside a running loop, twice with one executor."""
    executor = executor_for(tmp_path, line("testing.pass"))

    async def twice() -> list[RunReport]:
        return [await executor.run_async(), await executor.run_async()]

    assert [report.records.completed for report in asyncio.run(twice())] == [20, 20]


def test_run_inside_an_event_loop_says_what_to_use(tmp_path: Path) -> None:
    """run() refuses to work inside a running loop and names run_async."""
    executor = executor_for(tmp_path, line("testing.pass"))

    async def inside() -> None:
        executor.run()

    with pytest.raises(RuntimeError, match="run_async"):
        asyncio.run(inside())


def test_a_node_that_cannot_be_made_fails_the_run(tmp_path: Path) -> None:
    """An exception in a node's constructor names the node."""

    @node("test.unmade", inputs={"record": "record"}, outputs={"record": "record"})
    class Unmade(Node[Params]):
        """Refuse to exist."""

        def __init__(self, params: Params, node_id: str) -> None:
            raise ValueError("no such table")

    report = run_text(tmp_path, line("test.unmade"), Unmade)
    assert isinstance(report.error, NodeError)
    assert "'work'" in str(report.error) and "no such table" in str(report.error)


def test_an_error_in_close_names_its_node(tmp_path: Path) -> None:
    """The node that could not be closed is the one in the report and the metrics, and its neighbours are closed."""
    closed = []

    @node("test.closing", inputs={"record": "record"}, outputs={"record": "record"})
    class Closing(Node[Params]):
        """Fail to close in the middle."""

        def process(self, item: Item, state: None) -> Item:
            return item

        def close(self) -> None:
            if self.node_id == "second":
                raise RuntimeError("stuck handle")
            closed.append(self.node_id)

    text = """
nodes:
  numbers: {type: testing.numbers}
  first: {type: test.closing, input: numbers, workers: 1}
  second: {type: test.closing, input: first, workers: 1}
  third: {type: test.closing, input: second, workers: 1}
  out: {type: testing.discard, input: third}
"""
    report = run_text(tmp_path, text, Closing)
    assert report.status == "failed"
    assert "node 'second'" in str(report.error) and "stuck handle" in str(report.error)
    assert node_metrics(report)["second"].status == "failed"
    assert sorted(closed) == ["first", "third"]


def test_a_log_that_cannot_be_written_changes_no_result(tmp_path: Path) -> None:
    """Records are accounted for as ever when the logger raises."""

    class Broken:
        def __getattr__(self, level: str) -> Any:
            raise OSError("no space left on the log's device")

    text = line("testing.flaky, params: {failures: 9, every: 4, error: fault}, breaker: {failure_threshold: 99}")
    report = run_text(tmp_path, text, log=Broken())
    assert (report.records.completed, report.records.dead_lettered) == (15, 5)


@pytest.mark.parametrize("wrong", ["features.yaml", None])
def test_an_executor_takes_a_manifest(wrong: Any) -> None:
    """A path in place of a manifest is refused with the remedy."""
    with pytest.raises(TypeError, match="load_manifest"):
        Executor(wrong)


def test_an_executor_needs_a_worker(tmp_path: Path) -> None:
    """workers below 1 is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        executor_for(tmp_path, line("testing.pass"), workers=0)


def test_a_stateful_node_is_flushed_after_all_of_its_output(tmp_path: Path) -> None:
    """start, process to its end, flush: in this order for each record, with a state of its own."""
    order: list[str] = []

    @node("test.stateful", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
    class Stateful(Node[Params]):
        """Emit two items from process and one from flush."""

        def start(self) -> list[Item]:
            order.append("start")
            return []

        def process(self, item: Item, state: list[Item]) -> Iterator[Item]:
            for number in range(2):
                order.append(f"process {number}")
                state.append(item)
                yield item.child(number, item.payload)

        def flush(self, state: list[Item]) -> Item:
            order.append(f"flush {len(state)}")
            return state[0].child(2, state[0].payload)

    report = run_text(tmp_path, line("test.stateful, workers: 1").replace("count: 20", "count: 2"), Stateful)
    assert order == ["start", "process 0", "process 1", "flush 2"] * 2
    assert node_metrics(report)["out"].items_in == 6
