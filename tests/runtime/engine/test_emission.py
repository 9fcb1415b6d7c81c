"""Nodes that give many items for one: a stretch at a time, in order, each once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flow_runs import KEPT, keys, run_flow
from generator_nodes import InlineMany, Many, Odd, Shaky, Thrice
from phonograph.audio import AudioChunk
from phonograph.engine.emission import STRETCH_BYTES, STRETCH_ITEMS
from phonograph.executor import RunReport
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink, Written
from small_runs import dead_letters, executor_for, node_metrics

RUNS = ["thread", "inline", "process"]
TYPES = {"thread": "test.many", "inline": "test.inline_many", "process": "test.many"}
PLACES = {"thread": "workers: 1,", "inline": "", "process": "run: process, workers: 1,"}


def run_many(folder: Path, params: str, *more: str, run: str = "thread", count: int = 1, on: str = "many") -> RunReport:
    """A run of `count` records through `test.many` and the nodes `more`, to a sink that reads node `on`."""
    nodes = [
        f"n: {{type: testing.numbers, params: {{count: {count}}}}}",
        f"many: {{type: {TYPES[run]}, input: n, {PLACES[run]} params: {{{params}}}}}",
        *more,
        f"out: {{type: test.keep, input: {on}}}",
    ]
    report, _ = run_flow(folder, "\n".join(nodes), Many, InlineMany, Thrice, Shaky, Odd)
    return report


def children(record: str, count: int) -> list[str]:
    return [f"{record}#{number:04d}" for number in range(count)]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("count", [0, 1, STRETCH_ITEMS - 1, STRETCH_ITEMS, STRETCH_ITEMS + 1, 2 * STRETCH_ITEMS, 1000])
def test_all_arrive_in_order(tmp_path: Path, run: str, count: int) -> None:
    """Whatever the number of items, and wherever the node runs, each arrives once, record after record."""
    report = run_many(tmp_path, f"count: {count}", run=run, count=2)
    assert keys(KEPT.get("out", [])) == children("n/0", count) + children("n/1", count)
    assert (report.records.completed, report.records.filtered) == ((2, 0) if count else (0, 2))
    assert node_metrics(report)["many"].items_in == 2
    assert node_metrics(report)["many"].items_out == 2 * count


@pytest.mark.parametrize("run", ["thread", "process"])
def test_generators_after_generators_keep_the_order(tmp_path: Path, run: str) -> None:
    """In a segment with nodes that give many and nodes that filter, what comes of an item comes before the next one's."""
    more = [
        f"three: {{type: test.thrice, {PLACES[run]} input: many}}",
        f"odd: {{type: test.odd, {PLACES[run]} input: three}}",
    ]
    report = run_many(tmp_path, "count: 600", *more, run=run, on="odd")
    assert keys(KEPT["out"]) == [f"{child}#0001" for child in children("n/0", 600)]
    assert (report.records.completed, report.records.read) == (1, 1)


def test_a_record_whose_last_stretch_is_filtered_is_completed(tmp_path: Path) -> None:
    """A record ends as the gravest of all its parts, and not as the last of them."""
    report = run_many(tmp_path, f"count: {STRETCH_ITEMS + 1}", "odd: {type: test.odd, input: many, workers: 1}", on="odd")
    assert (report.records.completed, report.records.filtered) == (1, 0)


@pytest.mark.parametrize("workers", [1, 2], ids=["in one segment", "in two"])
def test_a_generator_waits_for_those_who_read_it(tmp_path: Path, workers: int) -> None:
    """Of 300 MiB that come of one record, the stretch that is made and the one that is handed on are there at once."""
    text = f"""
nodes:
  n: {{type: testing.numbers, params: {{count: 1}}}}
  many: {{type: test.many, input: n, workers: 1, params: {{count: 300, num_bytes: {2**20}}}}}
  three: {{type: test.thrice, input: {{record: {{from: many, queue: {{items: 4}}}}}}, workers: {workers}}}
  out: {{type: testing.discard, input: {{item: {{from: three, queue: {{items: 4}}}}}}, workers: 1}}
"""
    text = text.replace("{record: {from: many, queue: {items: 4}}}", "many") if workers == 1 else text
    report = executor_for(tmp_path, text, Many, Thrice).run()
    assert (report.records.completed, node_metrics(report)["out"].items_in) == (1, 900)
    assert node_metrics(report)["many"].array_peak_mb < 3 * STRETCH_BYTES / 1e6


class _Nothing(Part):
    def commit(self) -> Written:
        return Written("", 0, "")

    def discard(self) -> None:
        pass


@pytest.mark.parametrize("run", RUNS)
def test_what_was_handed_on_before_an_error_stands(tmp_path: Path, run: str) -> None:
    """The record is a dead letter, its whole stretches before the error were stored, and the next record is completed."""
    report = run_many(tmp_path, "at: 600, does: bad_input", run=run, count=2)
    assert keys(KEPT["out"]) == children("n/0", 2 * STRETCH_ITEMS) + children("n/1", 1000)
    (letter,) = dead_letters(report)
    assert (letter["key"], letter["code"]) == ("n/0", "bad_input")
    assert (report.records.completed, report.records.dead_lettered) == (1, 1)
    assert node_metrics(report)["many"].errors == 1


def test_an_error_in_the_first_stretch_leaves_nothing(tmp_path: Path) -> None:
    """What ends within a stretch is given as a whole or not at all."""
    report = run_many(tmp_path, f"at: {STRETCH_ITEMS - 1}, does: bad_input")
    assert "out" not in KEPT
    assert report.records.dead_lettered == 1


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("at", [0, 5, STRETCH_ITEMS, 600])
def test_a_second_attempt_gives_what_the_first_did_not(tmp_path: Path, run: str, at: int) -> None:
    """After an error that heals each item arrives once, in order, and is counted once."""
    report = run_many(tmp_path, f"at: {at}, does: transient", run=run)
    assert keys(KEPT["out"]) == children("n/0", 1000)
    many = node_metrics(report)["many"]
    assert (many.items_in, many.items_out, many.errors, many.retries) == (1, 1000, 1, 1)
    assert (report.records.completed, report.status) == (1, "success")


def test_a_process_that_dies_on_the_way_fails_its_record(tmp_path: Path) -> None:
    """What it had handed on stands, and a fresh process takes the next record."""
    report = run_many(tmp_path, "at: 600, does: abort", run="process", count=2)
    assert keys(KEPT["out"]) == children("n/0", 2 * STRETCH_ITEMS) + children("n/1", 1000)
    (letter,) = dead_letters(report)
    assert (letter["key"], letter["code"]) == ("n/0", "worker_died")


@pytest.mark.parametrize("run", ["thread", "process"])
def test_parts_that_are_tried_again_do_not_pile_up(tmp_path: Path, run: str) -> None:
    """A generator waits while as many of its items are to be tried again as its queue may hold; all arrive."""
    more = [f"shaky: {{type: test.shaky, input: many, {PLACES[run]} retry: {{base_delay: 1ms, jitter: 0}}}}"]
    report = run_many(tmp_path, "count: 1000", *more, run=run, on="shaky")
    assert sorted(keys(KEPT["out"])) == children("n/0", 1000)
    assert node_metrics(report)["shaky"].retries == 1000
    assert report.records.completed == 1


def test_branches_of_a_long_generator_meet(tmp_path: Path) -> None:
    """Each item of several stretches is joined with its other half."""
    nodes = """
n: {type: testing.numbers, params: {count: 2}}
many: {type: test.many, input: n, workers: 1}
left: {type: test.keep_on, input: many}
right: {type: test.keep_on, input: many}
both: {type: flow.join, input: {left: left, right: right}}
out: {type: test.keep, input: {item: both.left}}
"""
    report, kept = run_flow(tmp_path, nodes, Many, KeepOn)
    assert sorted(keys(kept["out"])) == children("n/0", 1000) + children("n/1", 1000)
    assert report.records.completed == 2


@node("test.keep_on", inputs={"record": "any"}, outputs={"record": "any"})
class KeepOn(Node[Params]):
    """Hand items on."""

    def process(self, item: Item, state: None) -> Item:
        return item


@pytest.mark.parametrize("run", ["thread", "process"])
@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_a_stopped_run_closes_the_generator(tmp_path: Path, run: str, how: str) -> None:
    """A generator of which more was to come is closed, its record is cancelled, and nothing hangs."""
    entered, leave = threading.Event(), threading.Event()

    @node("test.stuck", inputs={"item": "any"})
    class Stuck(Sink[Params]):
        """Store one item, then wait to be told what to do."""

        def stage(self, item: Item) -> Part:
            if item.index == 1:
                entered.set()
                leave.wait(30)
                if how == "fail":
                    raise RuntimeError("no room")
            return _Nothing()

    diary = tmp_path / "diary"
    text = f"""
nodes:
  n: {{type: testing.numbers, params: {{count: 1}}}}
  many: {{type: test.many, input: n, run: {run}, workers: 1, params: {{count: 100000, diary: {diary}}}}}
  out: {{type: test.stuck, input: {{item: {{from: many, queue: {{items: 4}}}}}}, workers: 1, on_error: fail}}
"""
    executor = executor_for(tmp_path, text, Many, Stuck)

    async def scenario() -> None:
        running = asyncio.create_task(executor.run_async())
        await asyncio.to_thread(entered.wait, 30)
        if how == "fail":
            leave.set()
            await running
            return
        running.cancel()
        asyncio.get_running_loop().call_later(0.05, leave.set)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    report = executor.report
    assert report is not None
    assert report.records.read == report.records.cancelled + report.records.dead_lettered == 1
    assert diary.read_text() == "n/0 ended\n"


def test_seconds_of_audio_count_every_part(tmp_path: Path) -> None:
    """A node that makes audio of something else counts all that it made, over several stretches."""

    @node("test.speak", inputs={"record": "record"}, outputs={"audio": "audio"}, cardinality="1:N")
    class Speak(Node[Params]):
        """Give 600 halves of a second."""

        def process(self, item: Item, state: None) -> Iterator[Item]:
            chunk = AudioChunk(np.zeros((1, 4000), np.float32), 8000)
            return (item.child(number, {"audio": chunk}) for number in range(600))

    text = """
nodes:
  n: {type: testing.numbers, params: {count: 2}}
  speak: {type: test.speak, input: n}
  out: {type: testing.discard, input: speak}
"""
    report = executor_for(tmp_path, text, Speak).run()
    assert node_metrics(report)["speak"].audio_seconds == pytest.approx(600.0)
