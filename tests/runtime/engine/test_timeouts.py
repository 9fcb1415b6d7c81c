"""Calls that take too long: cancelled, left behind, tried again; in simulated time."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from phonograph.cli.summary import summarise
from phonograph.errors import NodeError, OutputError, WorkersLeftError
from phonograph.executor import RunReport
from phonograph.log import command_logger
from phonograph.testing import simulate
from slow_nodes import CALLS, SLOW, STORED
from small_runs import dead_letters, executor_for, node_metrics

SEEDS = range(20)

LINE = """
defaults: {retry: {max_retries: 2, base_delay: 1s}}
nodes:
  numbers: {type: testing.numbers, params: {count: 6}}
  work: {type: slow.work, input: numbers, MORE, params: PARAMS}
  out: {type: testing.discard, input: work}
"""


def line(params: str, more: str = "workers: 2, timeout: 10s") -> str:
    return LINE.replace("PARAMS", params).replace("MORE", more)


def simulated(folder: Path, text: str, seed: int = 0, log: io.StringIO | None = None, **options: Any) -> RunReport:
    CALLS.clear()
    STORED.clear()
    logger = command_logger("console", "warning", log or io.StringIO())
    return simulate(executor_for(folder, text, *SLOW, log=logger, **options).run_async(), seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_call_that_asks_ends_and_is_tried_again(tmp_path: Path, seed: int) -> None:
    """A node that polls its token times out, keeps its worker, and heals at the next attempt."""
    report = simulated(tmp_path, line("{takes: {'3': [60, 1]}, asks: true}"), seed)
    metrics = node_metrics(report)["work"]
    assert (report.status, report.records.completed) == ("success", 6)
    assert (metrics.timeouts, metrics.errors, metrics.retries, metrics.status) == (1, 1, 1, "retried")
    assert report.metrics is not None and report.metrics.pipeline_execution.left_behind == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_call_that_hangs_is_left_behind(tmp_path: Path, seed: int) -> None:
    """A call that never returns loses its worker; a fresh one heals the record and does the others; the status says so."""
    log = io.StringIO()
    CALLS.clear()
    one = executor_for(tmp_path, line("{takes: {'3': [0, 1]}}"), *SLOW, log=command_logger("console", "warning", log))
    report = simulate(one.run_async(), seed=seed)
    metrics = node_metrics(report)["work"]
    assert report.metrics is not None
    (left,) = report.metrics.pipeline_execution.left_behind
    assert (report.status, report.exit_code, report.records.completed) == ("completed_with_errors", 0, 6)
    assert (left.node, left.key, left.returned) == ("work", "numbers/3", False)
    assert 15_000 <= left.waited_ms < 17_000
    assert (metrics.timeouts, metrics.errors, metrics.items_in, metrics.items_out) == (1, 1, 6, 6)
    assert "call_left_behind" in log.getvalue() and "in spend" in log.getvalue()
    assert CALLS.count("numbers/3") == 2 and len(CALLS) == 7
    assert "a call of work of record numbers/3 has not come back after its time-out" in summarise(report, one.graph)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_late_result_is_thrown_away(tmp_path: Path, seed: int) -> None:
    """What a call gives after it was left behind does not reach the sink beside the result of the next attempt."""
    report = simulated(tmp_path, line("{takes: {'3': [20, 30, 1], '5': [40]}}"), seed)
    assert report.metrics is not None
    assert (report.records.completed, report.records.dead_lettered) == (5, 1)
    assert node_metrics(report)["work"].timeouts == 2 + 3
    assert node_metrics(report)["out"].items_in == 5
    assert [(letter["key"], letter["code"], letter["attempts"]) for letter in dead_letters(report)] == [
        ("numbers/5", "timeout", 3)
    ]
    assert any(left.returned for left in report.metrics.pipeline_execution.left_behind)


def test_what_had_not_begun_goes_back_to_the_queue(tmp_path: Path) -> None:
    """Of one worker's load the items behind one that hangs are done by who takes its place, each once."""
    for seed in SEEDS:
        report = simulated(tmp_path, line("{takes: {'0': [0, 1]}}", "workers: 1, timeout: 10s"), seed)
        assert report.records.completed == 6
        assert sorted(CALLS) == sorted([*(f"numbers/{n}" for n in range(6)), "numbers/0"])


def test_all_attempts_together_may_take_only_so_long(tmp_path: Path) -> None:
    """`total_timeout` ends retries that would come too late, and cuts the last attempt; the cause is told."""
    text = line("{takes: {'*': [4]}, fails: true}", "workers: 1, total_timeout: 6s, retry: {max_retries: 9}")
    report = simulated(tmp_path, text.replace("count: 6", "count: 1"))
    (letter,) = dead_letters(report)
    assert (letter["code"], letter["attempts"]) == ("total_timeout", 2)
    assert "had 6 s for all attempts" in letter["message"]
    assert "took longer than its time-out" in letter["causes"][0]


def test_time_scales_with_the_audio(tmp_path: Path) -> None:
    """With `1s + 1x audio`, a record of a minute may take half a minute, and one of unknown length may not."""
    from phonograph.item import Item, Record
    from phonograph.node import Node, Params, Source, node

    @node("test.clips", outputs={"record": "record"})
    class Clips(Source[Params]):
        """One record says how long it is."""

        def read(self) -> Any:
            yield Record(key="known", payload={"record": {}}, attributes={"duration": 60.0})
            yield Record(key="unknown", payload={"record": {}})

    @node("test.half", inputs={"record": "record"}, outputs={"record": "record"})
    class Half(Node[Params]):
        """Take half a minute."""

        def process(self, item: Item, state: None) -> Item:
            from phonograph.testing import pause

            pause(30)
            return item

    text = """
nodes:
  clips: {type: test.clips}
  work: {type: test.half, input: clips, timeout: 1s + 1x audio, retry: {max_retries: 0}}
  out: {type: testing.discard, input: work}
"""
    report = simulate(executor_for(tmp_path, text, Clips, Half).run_async(), seed=1)
    assert (report.records.completed, [letter["key"] for letter in dead_letters(report)]) == (1, ["unknown"])


@pytest.mark.parametrize("asks", ["true", "false"])
def test_a_batch_that_takes_too_long_is_tried_again_and_then_cut(tmp_path: Path, asks: str) -> None:
    """A batch is tried again as a whole; then its halves are, until the item that hangs is alone."""
    text = line(f"{{takes: {{'2': [60], '*': [0.1]}}, asks: {asks}}}").replace("slow.work", "slow.batch")
    text = text.replace("input: numbers", "input: {record: {from: numbers, batch: {max_items: 4, max_wait: 1s}}}")
    for seed in range(5):
        report = simulated(tmp_path, text, seed)
        assert report.records.completed == 5
        assert [(letter["key"], letter["code"]) for letter in dead_letters(report)] == [("numbers/2", "timeout")]


def test_parts_that_were_handed_on_are_not_given_again(tmp_path: Path) -> None:
    """A generator that hangs in a later stretch is run again in another worker, which leaves out what has gone on."""
    text = line("{takes: {'1': [0, 1]}}").replace("slow.work", "slow.parts").replace("count: 6", "count: 2")
    for seed in range(5):
        report = simulated(tmp_path, text, seed)
        assert report.records.completed == 2
        assert node_metrics(report)["out"].items_in == 600


@pytest.mark.parametrize("seed", range(5))
def test_too_many_that_hang_end_the_run(tmp_path: Path, seed: int) -> None:
    """A run that has left 16 threads behind leaves no more, and says which node it was."""
    text = line("{takes: {'*': [0]}}", "workers: 2, timeout: 1s, breaker: {failure_threshold: 1000}")
    report = simulated(tmp_path, text.replace("count: 6", "count: 100"), seed)
    assert isinstance(report.error, WorkersLeftError)
    assert "17 calls have not come back after their time-outs, of work" in str(report.error)
    assert report.exit_code == 1


def test_a_source_that_hangs_ends_the_run(tmp_path: Path) -> None:
    """What a source read before it hung is seen through; one that may wait as long as it likes is not bounded by defaults."""
    text = """
defaults: {timeout: 10s}
nodes:
  clips: {type: slow.source, MORE params: {takes: {'4': [TAKES], '*': [0.5]}}}
  out: {type: testing.discard, input: clips}
"""
    hung = simulated(tmp_path, text.replace("MORE", "timeout: 10s,").replace("TAKES", "0"))
    assert isinstance(hung.error, NodeError) and "took longer than its time-out of 10 s" in str(hung.error)
    assert (hung.records.read, hung.records.completed) == (4, 4)
    assert hung.metrics is not None and [one.node for one in hung.metrics.pipeline_execution.left_behind] == ["clips"]


@pytest.mark.parametrize("seed", range(5))
def test_a_record_is_not_stored_twice(tmp_path: Path, seed: int) -> None:
    """A sink that hangs before its output is visible is tried again; one that hangs behind that ends the run."""
    text = """
nodes:
  numbers: {type: testing.numbers, params: {count: 4}}
  out: {type: TYPE, input: numbers, workers: 1, timeout: 10s, retry: {base_delay: 1s}, params: {takes: {'2': [0, 1]}, when: WHEN}}
"""
    before = simulated(tmp_path, text.replace("WHEN", "stage").replace("TYPE", "slow.sink"), seed)
    assert (before.records.completed, sorted(STORED)) == (4, [f"numbers/{n}" for n in range(4)])
    behind = simulated(tmp_path, text.replace("WHEN", "commit").replace("TYPE", "slow.sink"), seed)
    assert isinstance(behind.error, OutputError) and "nobody knows what is stored" in str(behind.error)
    assert STORED.count("numbers/2") == 1
    only = simulated(tmp_path, text.replace("WHEN", "stage").replace("TYPE", "slow.only"), seed)
    assert isinstance(only.error, OutputError) and "numbers/2" not in STORED


def test_nothing_is_left_of_a_simulated_run(tmp_path: Path) -> None:
    """Threads of calls that hang for ever end with the simulation."""
    before = set(threading.enumerate())
    simulated(tmp_path, line("{takes: {'3': [0, 1]}}"))
    assert set(threading.enumerate()) <= before


def test_what_runs_in_the_event_loop_has_no_time_out(tmp_path: Path) -> None:
    """`check` warns of a time-out on an inline node, and notes those that defaults would set; with `run: thread` there is one."""
    text = "nodes:\n  n: {type: testing.numbers, params: {count: 1}}\n  p: {type: testing.pass, input: n MORE}\n"
    text += "  out: {type: testing.discard, input: p}\n"

    def told(text: str) -> list[tuple[str, str]]:
        graph = executor_for(tmp_path, text).graph
        return [(one.code, one.severity) for one in graph.warnings if one.code == "inline"]

    assert told(text.replace("MORE", ", timeout: 1s")) == [("inline", "warning")]
    assert told("defaults: {timeout: 1s}\n" + text.replace("MORE", "")) == [("inline", "note")]
    assert told("defaults: {timeout: 1s}\n" + text.replace("MORE", ", run: thread")) == []
