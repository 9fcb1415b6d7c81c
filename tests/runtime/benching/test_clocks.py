"""Processor time by node, with a clock that moves on by a millisecond in each reading: what is read around, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from batch_nodes import Together
from phonograph.benching import clocks
from phonograph.benching.clocks import Clock
from phonograph.errors import BadInputError
from phonograph.executor import Executor, RunReport
from phonograph.flow.merge import Merge
from phonograph.graph.builder import load_graph
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink, Written
from small_runs import line, node_metrics, registry_with

GATHERING = """
nodes:
  numbers: {type: testing.numbers, params: {count: 20}}
  work: {type: testing.pass, input: numbers}
  all: {type: flow.merge, input: {left: numbers, right: work}}
  out: {type: testing.discard, input: all}
"""


@node("test.threefold", inputs={"item": "any"}, outputs={"item": "any"}, cardinality="1:N")
class Threefold(Node[Params]):
    """Makes three items of one, by a generator, which works when it is asked."""

    def process(self, item: Item, state: object) -> Iterator[Item]:
        for number in range(3):
            yield item.child(number, item.payload)


@node("test.picky", inputs={"item": "any"}, outputs={"item": "any"})
class Picky(Node[Params]):
    """Takes nothing."""

    def process(self, item: Item, state: object) -> Item:
        raise BadInputError("not that; expected another")


class Kept(Part):
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def commit(self) -> Written:
        self._log.append("commit")
        raise BadInputError("no name; expected one")

    def discard(self) -> None:
        self._log.append("discard")


@node("test.single", inputs={"item": "any"})
class Single(Sink[Params]):
    """Commits nothing, in one worker."""

    writers = "single_writer"
    log: list[str] = []  # noqa: RUF012

    def stage(self, item: Item) -> Part:
        return Kept(self.log)


@pytest.fixture(autouse=True)
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two readings in one thread lies a millisecond."""
    here = threading.local()

    def read() -> int:
        now: int = getattr(here, "now", 0) + 1_000_000
        here.now = now
        return now

    monkeypatch.setattr(clocks, "thread_time_ns", read)


def run_with_clocks(folder: Path, text: str, *targets: object) -> tuple[RunReport, Mapping[str, float | None]]:
    path = folder / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + text)
    graph = load_graph(path, registry_with(*targets))
    read = {node_id: Clock() for node_id in graph.nodes}
    nodes = {node_id: read[node_id].around(one) for node_id, one in graph.nodes.items()}
    report = Executor(replace(graph, nodes=nodes), run_dir=folder / "run", workers=2).run()
    return report, {node_id: clock.time_ms for node_id, clock in read.items()}


@pytest.mark.parametrize(
    ("batch", "calls"), [("", 20.0), (", batch: {max_items: 5, max_wait: 1h}", 4.0)], ids=["single", "batch"]
)
def test_a_call_is_read_around_once(tmp_path: Path, batch: str, calls: float) -> None:
    """Whether it is for one item, which `process` gives to `process_batch`, or for several."""
    text = line("test.together").replace("input: numbers", f"input: {{record: {{from: numbers{batch}}}}}, workers: 1")
    report, times = run_with_clocks(tmp_path, text, Together)
    assert (report.records.completed, times["work"]) == (20, calls)


def test_each_record_is_read_around_once_a_node(tmp_path: Path) -> None:
    """A source for each record and its end, a node for each call, a sink for staging and for committing, over all workers."""
    report, times = run_with_clocks(tmp_path, line("testing.pass"))
    assert report.records.completed == 20
    assert times == {"numbers": 21.0, "work": 20.0, "out": 40.0}


def test_a_generator_is_read_around_at_each_step(tmp_path: Path) -> None:
    """What it does between its items counts: three items and its end, after the call that made it."""
    report, times = run_with_clocks(tmp_path, line("test.threefold"), Threefold)
    assert node_metrics(report)["work"].items_out == 60
    assert times["work"] == 20 * (1 + 4)


def test_a_failing_call_counts(tmp_path: Path) -> None:
    """Its time was spent, and its error is the node's as without a clock."""
    report, times = run_with_clocks(tmp_path, line("test.picky"), Picky)
    assert report.records.dead_lettered == 20
    assert times["work"] == 20.0


def test_a_node_that_nothing_reached_has_no_time(tmp_path: Path) -> None:
    """It is None and not 0, which would be a figure."""
    _, times = run_with_clocks(tmp_path, line("test.picky"), Picky)
    assert times["out"] is None


def test_a_node_that_gathers_has_no_time(tmp_path: Path) -> None:
    """It works in the event loop, on what others made."""
    report, times = run_with_clocks(tmp_path, GATHERING, Merge)
    assert report.records.completed == 20
    assert times["all"] is None and times["work"] == 20.0


def test_a_sink_with_one_writer_keeps_one(tmp_path: Path) -> None:
    """The engine sees what kind of sink it is, and discards what could not be committed."""
    Single.log.clear()
    text = line("testing.pass").replace("testing.discard", "test.single")
    report, times = run_with_clocks(tmp_path, text, Single)
    assert report.records.dead_lettered == 20
    assert Single.log == ["commit", "discard"] * 20
    assert times["out"] == 40.0
