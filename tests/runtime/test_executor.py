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
from phonograph.item import Item, Record
from phonograph.journal import RunDirectory
from phonograph.node import Node, Params, Source, node
from phonograph.sink import Part, Sink, Written
from small_runs import dead_letters, executor_for, journalled, node_metrics, run_text

LINE = """
nodes:
  numbers: {type: testing.numbers, params: {count: 20}}
  work: {type: TYPE, input: numbers}
  out: {type: testing.discard, input: work}
"""


def line(type_name: str, **replacements: str) -> str:
    text = LINE.replace("TYPE", type_name)
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


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


def failing_source(after: int) -> type[Source[Params]]:
    @node("test.torn", outputs={"record": "record"})
    class Torn(Source[Params]):
        """Read some records and fail."""

        def read(self) -> Iterator[Record]:
            for n in range(after):
                yield Record(key=f"{self.node_id}/{n}", payload={"record": {"number": n}})
            raise OSError("the list ends in the middle of a row")

    return Torn


@pytest.mark.parametrize("after", [0, 7, 70])
def test_a_failing_source_fails_the_run_and_loses_nothing(tmp_path: Path, after: int) -> None:
    """The records read before a source failed are seen through, all of them; the run is failed and says why."""
    text = "nodes:\n  torn: {type: test.torn}\n  out: {type: testing.discard, input: torn}\n"
    report = run_text(tmp_path, text, failing_source(after=after))
    assert (report.status, report.exit_code) == ("failed", 1)
    assert "the list ends in the middle of a row" in str(report.error)
    assert report.records.completed == report.records.read == after
    assert node_metrics(report)["torn"].status == "failed"


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


def contract_breaker(result: Any) -> type[Node[Params]]:
    @node("test.breaks", inputs={"record": "record"}, outputs={"record": "record"})
    class Breaks(Node[Params]):
        """Return what it may not."""

        def process(self, item: Item, state: None) -> Any:
            return result(item)

    return Breaks


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda item: "text", "returned str; expected Item"),
        (lambda item: 5, "returned int; expected Item"),
        (lambda item: {"record": 1}, "returned dict; expected Item"),
        (lambda item: [item, "text"], "returned str; expected Item"),
        (lambda item: item.with_payload(None), "payload is NoneType; expected a mapping"),
        (lambda item: Item(key="x", ordinal=99, payload=item.payload), "an Item of another record"),
        (lambda item: None, "returned 0 items for one; its cardinality is 1:1"),
        (lambda item: [item, item], "returned 2 items for one; its cardinality is 1:1"),
        (lambda item: item.with_payload({"other": 1}), "returned ports ['other']; expected 'record'"),
    ],
    ids=["text", "number", "dict", "list with text", "no payload", "another record", "nothing", "two items", "wrong port"],
)
def test_a_node_that_breaks_its_contract_is_named(tmp_path: Path, result: Any, words: str) -> None:
    """What the node returned and what it should have returned stand in the dead letter."""
    text = line("test.breaks").replace("count: 20", "count: 1")
    report = run_text(tmp_path, text, contract_breaker(result))
    (letter,) = dead_letters(report)
    assert words in letter["message"]
    assert letter["code"] == "node_contract"
    assert letter["node"] == "work"


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


@pytest.mark.parametrize("run", ["inline", "thread"])
@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_a_node_cannot_end_the_program(tmp_path: Path, run: Any, error: BaseException) -> None:
    """SystemExit and its like out of a node are a dead letter, and the other records go on."""

    @node("test.exits", inputs={"record": "record"}, outputs={"record": "record"}, run=run)
    class Exits(Node[Params]):
        """Exit on the third record."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 2:
                raise error
            return item

    report = run_text(tmp_path, line("test.exits"), Exits)
    assert (report.records.completed, report.records.dead_lettered) == (19, 1)
    assert type(error).__name__ in dead_letters(report)[0]["message"]


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


SQUARE = np.zeros((1, 4), np.float32)


@pytest.mark.parametrize(
    "value",
    [
        SQUARE,
        AudioChunk(SQUARE[0], 16_000),
        AudioChunk(SQUARE.astype(np.float64), 16_000),
        AudioChunk(SQUARE[:, ::2], 16_000),
        AudioChunk(SQUARE, 16_000.0),  # type: ignore[arg-type]  # what the test is about
    ],
    ids=["array", "one dimension", "float64", "strided", "float rate"],
)
def test_a_wrong_payload_is_blamed_on_the_node_that_made_it(tmp_path: Path, value: Any) -> None:
    """What does not fit the declared port is refused where it comes out, and not in the next node."""

    @node("test.wrong", inputs={"record": "record"}, outputs={"audio": "audio"})
    class Wrong(Node[Params]):
        """Emit something that is no audio."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"audio": value})

    report = run_text(tmp_path, line("test.wrong").replace("count: 20", "count: 1"), Wrong)
    (letter,) = dead_letters(report)
    assert (letter["node"], letter["code"]) == ("work", "node_contract")
    assert "on port 'audio'; expected AudioChunk" in letter["message"]


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(2), asyncio.CancelledError(), RuntimeError("no")], ids=repr)
@pytest.mark.parametrize("place", ["open", "close", "read"])
def test_whatever_a_source_raises_ends_the_run_in_words(tmp_path: Path, place: str, error: BaseException) -> None:
    """No exception out of a source hangs the run or ends the program; the report names the source."""

    @node("test.raising", outputs={"record": "record"})
    class Raising(Source[Params]):
        """Raise somewhere."""

        def open(self) -> None:
            if place == "open":
                raise error

        def close(self) -> None:
            if place == "close":
                raise error

        def read(self) -> Iterator[Record]:
            if place == "read":
                raise error
            return iter([Record(key="r/0", payload={"record": {}})])

    text = "nodes:\n  raising: {type: test.raising}\n  out: {type: testing.discard, input: raising}\n"
    report = run_text(tmp_path, text, Raising)
    assert (report.status, report.exit_code) == ("failed", 1)
    assert "'raising'" in str(report.error)
    assert type(error).__name__ in str(report.error)
    assert node_metrics(report)["raising"].status == "failed"


def test_a_source_that_yields_nothing_in_between_is_named(tmp_path: Path) -> None:
    """None out of a source is a breach of its contract, and not the end of the records."""

    @node("test.gaps", outputs={"record": "record"})
    class Gaps(Source[Params]):
        """Yield None between records."""

        def read(self) -> Iterator[Any]:
            yield Record(key="r/0", payload={"record": {}})
            yield None
            yield Record(key="r/1", payload={"record": {}})

    report = run_text(tmp_path, "nodes:\n  gaps: {type: test.gaps}\n  out: {type: testing.discard, input: gaps}\n", Gaps)
    assert (report.status, report.records.completed) == ("failed", 1)
    assert "yielded NoneType; expected Record" in str(report.error)


def test_a_source_that_fails_to_read_is_closed(tmp_path: Path) -> None:
    """A source that was opened is closed, also when read() itself raises."""
    closed = []

    @node("test.half", outputs={"record": "record"})
    class Half(Source[Params]):
        """Open and fail to read."""

        def close(self) -> None:
            closed.append(self.node_id)

        def read(self) -> Iterator[Record]:
            raise OSError("no list")

    run_text(tmp_path, "nodes:\n  half: {type: test.half}\n  out: {type: testing.discard, input: half}\n", Half)
    assert closed == ["half"]


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
    calls = []

    @node("test.list", inputs={"item": "any"})
    class List(Sink[Params]):
        """Remember how it ended."""

        def stage(self, item: Item) -> Part:
            return _Stored()

        def finish(self) -> None:
            calls.append("finish")

        def close(self) -> None:
            calls.append("close")

    text = f"""
nodes:
  numbers: {{type: testing.numbers}}
  flaky: {{type: testing.flaky, input: numbers, params: {flaky}, on_error: fail}}
  out: {{type: test.list, input: flaky, workers: 1}}
"""
    run_text(tmp_path, text, List)
    assert calls == expected


def test_stopping_before_the_run_stops_the_run(tmp_path: Path) -> None:
    """A stop that comes first is not lost, and holds for one run."""
    executor = executor_for(tmp_path, line("testing.pass"))
    executor.stop()
    first, second = executor.run(), executor.run()
    assert (first.status, first.records.read) == ("interrupted", 0)
    assert (second.status, second.records.completed) == ("success", 20)


def test_a_log_that_cannot_be_written_changes_no_result(tmp_path: Path) -> None:
    """Records are accounted for as ever when the logger raises."""

    class Broken:
        def __getattr__(self, level: str) -> Any:
            raise OSError("no space left on the log's device")

    text = line("testing.flaky, params: {failures: 9, every: 4, error: fault}, breaker: {failure_threshold: 99}")
    report = run_text(tmp_path, text, log=Broken())
    assert (report.records.completed, report.records.dead_lettered) == (15, 5)


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


def test_a_source_that_nothing_reads_is_filtered(tmp_path: Path) -> None:
    """Records that no node takes have an outcome like all others."""
    text = line("testing.pass") + "  idle: {type: testing.numbers, params: {count: 5}}\n"
    report = run_text(tmp_path, text)
    assert (report.status, report.records.completed, report.records.filtered) == ("success", 20, 5)


def test_a_payload_of_unknown_size_flows(tmp_path: Path) -> None:
    """What a payload calls nbytes may be anything; only a whole number counts for the queue."""

    class Odd:
        def nbytes(self) -> str:
            return "many"

    @node("test.odd_size", inputs={"record": "record"}, outputs={"record": "record"})
    class OddSize(Node[Params]):
        """Emit an object that has its own idea of nbytes."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"record": Odd()})

    assert run_text(tmp_path, line("test.odd_size"), OddSize).records.completed == 20
