"""A node that stands in for another whose breaker is open, or where items fail; in simulated time."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from phonograph.cli.summary import summarise
from phonograph.errors import BadInputError, OutputError, TransientError
from phonograph.executor import RunReport
from phonograph.flow.join import Join
from phonograph.flow.order import Order
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.metrics import NodeMetrics
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from slow_nodes import CALLS, SLOW
from small_runs import dead_letters, executor_for, node_metrics

COUNT = 60


class RemoteParams(Params, frozen=True):
    fails_before: int = 0
    poison: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()


def told(item: Item, by: str) -> Item:
    """The item, with the node that made it; its record says which that was."""
    return item.with_payload({"record": {**item.payload["record"], "by": by}})


@node("test.remote", inputs={"record": "record"}, outputs={"record": "record"})
class Remote(Node[RemoteParams]):
    """Fail on the first records and on some others, and refuse some."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal in self.params.bad:
            raise BadInputError("no speech")
        if item.ordinal < self.params.fails_before or item.ordinal in self.params.poison:
            raise TransientError("connection refused")
        return told(item, self.node_id)

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> list[Item]:
        return [self.process(item, None) for item in items]


@node("test.local", inputs={"row": "record"}, outputs={"made": "record"})
class Local(Node[RemoteParams]):
    """The same, of which input and output are called otherwise."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal in self.params.poison:
            raise TransientError("out of memory")
        return item.with_payload({"made": {**item.payload["row"], "by": self.node_id}})


KEPT: list[tuple[int, str]] = []
"""(ordinal, by) of what reached the end of the latest run, in order."""


@node("test.keep", inputs={"record": "record"}, outputs={"record": "record"}, run="inline")
class Keep(Node[Params]):
    """Note what comes."""

    def process(self, item: Item, state: None) -> Item:
        KEPT.append((item.ordinal, item.payload["record"].get("by", "")))
        return item


@node("test.full", inputs={"record": "record"}, outputs={"record": "record"})
class Full(Node[Params]):
    """Have no room for the tenth."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == 9:
            raise OutputError("no room")
        return item


@node("test.deadly", inputs={"record": "record"}, outputs={"record": "record"})
class Deadly(Node[Params]):
    """Die of two records."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal in (2, 40):
            os._exit(3)
        return told(item, self.node_id)


@node("test.parts", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class Parts(Node[RemoteParams]):
    """Make three of each record, of some 300, and fail at the last of them."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        if item.ordinal in self.params.bad:
            raise TransientError("not one")
        for number in range(300 if item.ordinal in self.params.poison else 3):
            if number == 299:
                raise ValueError("the last")
            yield told(item.child(number, item.payload), self.node_id)


TYPES = (Remote, Local, Keep, Full, Parts, Join, Order)

TEXT = """
nodes:
  numbers: {type: testing.numbers, params: {count: 60}}
  remote:
    type: test.remote
    input: numbers
    workers: 2
    params: PARAMS
    retry: {max_retries: 1, base_delay: 10ms}
    breaker: {failure_threshold: 3, reset_timeout: 2s, fallback: local}
  local: {type: test.local, retry: {max_retries: 0}}
  kept: {type: test.keep, input: remote}
  out: {type: testing.discard, input: kept}
"""


def run(folder: Path, params: str, text: str = TEXT, *, seed: int = 0, log: io.StringIO | None = None) -> RunReport:
    KEPT.clear()
    logger = command_logger("json", "info", log or io.StringIO())
    executor = executor_for(folder, text.replace("PARAMS", params), *TYPES, log=logger)
    return simulate(executor.run_async(), seed=seed, longest_s=1e6)


def metrics(report: RunReport) -> dict[str, NodeMetrics]:
    return node_metrics(report)


def by(maker: str) -> int:
    """How many items of those that were kept a node made."""
    return sum(one == maker for _, one in KEPT)


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_in_an_outage_goes_to_the_fallback(tmp_path: Path, seed: int) -> None:
    """While the breaker is open, and of what opened it, the fallback takes every item once; none is lost, and none waits."""
    log = io.StringIO()
    report = run(tmp_path, "{fails_before: 1000}", seed=seed, log=log)
    assert report.records.completed == COUNT
    assert sorted(KEPT) == [(ordinal, "local") for ordinal in range(COUNT)]
    remote = metrics(report)["remote"]
    assert remote.items_to_fallback == metrics(report)["local"].items_in == COUNT
    assert remote.breaker.opens >= 1 and remote.breaker.transitions[0].state == "open"
    assert "local stood in for remote: 60 items" in summarise(
        report, executor_for(tmp_path, TEXT.replace("PARAMS", "{}"), *TYPES).graph
    )
    assert '"fallback": "local"' in log.getvalue() and '"to": "local"' in log.getvalue()


@pytest.mark.parametrize("seed", range(6))
def test_the_node_takes_everything_again_when_it_works(tmp_path: Path, seed: int) -> None:
    """A probe goes to the node; behind one that succeeds, everything does."""
    report = run(tmp_path, "{fails_before: 30}", seed=seed)
    assert report.records.completed == COUNT and len(KEPT) == COUNT
    remote = metrics(report)["remote"]
    assert remote.breaker.state == "closed" and remote.breaker.opens >= 1
    assert 0 < by("local") == remote.items_to_fallback < COUNT
    assert by("remote") == COUNT - by("local") and KEPT[-1][1] == "remote"


@pytest.mark.parametrize("seed", range(4))
def test_a_record_that_fails_alone_is_taken_at_once(tmp_path: Path, seed: int) -> None:
    """What fails after its retries goes to the fallback while the breaker is closed, with nothing waiting for a verdict."""
    report = run(tmp_path, "{poison: [0, 20, 21, 59]}", seed=seed)
    assert report.records.completed == COUNT
    assert sorted(ordinal for ordinal, maker in KEPT if maker == "local") == [0, 20, 21, 59]
    remote = metrics(report)["remote"]
    assert (remote.items_to_fallback, remote.retries, remote.breaker.opens) == (4, 4, 0)


@pytest.mark.parametrize("seed", range(4))
def test_bad_input_is_no_matter_of_the_fallback(tmp_path: Path, seed: int) -> None:
    """Bad input ends at the node, as without a fallback."""
    report = run(tmp_path, "{bad: [3, 30]}", seed=seed)
    assert (report.records.completed, report.records.dead_lettered) == (COUNT - 2, 2)
    assert {letter["node"] for letter in dead_letters(report)} == {"remote"}
    assert metrics(report)["remote"].items_to_fallback == 0


@pytest.mark.parametrize("seed", range(4))
def test_what_fails_in_the_fallback_is_judged_there(tmp_path: Path, seed: int) -> None:
    """The fallback's own retries and `on_error` decide, and its dead letters bear its name."""
    text = TEXT.replace("local: {type: test.local, ", "local: {type: test.local, params: {poison: [5, 6]}, ")
    report = run(tmp_path, "{fails_before: 1000}", text, seed=seed)
    assert (report.records.completed, report.records.dead_lettered) == (COUNT - 2, 2)
    assert {(letter["node"], letter["key"]) for letter in dead_letters(report)} == {
        ("local", "numbers/5"),
        ("local", "numbers/6"),
    }
    skips = text.replace("max_retries: 0}}", "max_retries: 0}, on_error: skip}")
    assert run(tmp_path, "{fails_before: 1000}", skips, seed=seed).records.skipped == 2


@pytest.mark.parametrize("seed", range(4))
def test_a_fallback_may_have_one_itself(tmp_path: Path, seed: int) -> None:
    """In a chain each takes what the one before it could not."""
    last = "  local: {type: test.local, params: {poison: [5, 6]}, retry: {max_retries: 0}, breaker: {fallback: last}}\n"
    text = TEXT.replace("  local: {type: test.local, retry: {max_retries: 0}}\n", last + "  last: {type: test.remote}\n")
    report = run(tmp_path, "{fails_before: 1000}", text, seed=seed)
    assert report.records.completed == COUNT
    assert sorted(ordinal for ordinal, maker in KEPT if maker == "last") == [5, 6] and by("local") == COUNT - 2


JOINED = TEXT.replace(
    "  kept: {type: test.keep, input: remote}\n",
    """
  beside: {type: testing.pass, input: numbers}
  both: {type: flow.join, input: {left: remote, right: beside}}
  kept: {type: test.keep, input: {record: both.left}, order: true}
""",
)


@pytest.mark.parametrize("seed", range(6))
def test_joins_and_orders_behind_wait_for_nothing(tmp_path: Path, seed: int) -> None:
    """Behind a join, `order: true` gets what either node made in the order of the source."""
    report = run(tmp_path, "{fails_before: 40, poison: [50], bad: [52]}", JOINED, seed=seed)
    lost = {letter["ordinal"] for letter in dead_letters(report)}  # unless the breaker kept it away
    assert lost <= {52} and report.records.completed == COUNT - len(lost)
    assert [ordinal for ordinal, _ in KEPT] == [ordinal for ordinal in range(COUNT) if ordinal not in lost]
    assert by("local") and by("remote")


PARTED = TEXT.replace(
    "  kept: {type: test.keep, input: remote}\n",
    """
  one: {type: testing.pass, input: remote}
  other: {type: testing.pass, input: remote}
  both: {type: flow.join, input: {left: one, right: other}}
  apart: {type: testing.discard, input: local}
  kept: {type: test.keep, input: {record: both.left}}
""",
)


@pytest.mark.parametrize("seed", range(6))
def test_branches_that_part_at_the_node_part_at_the_fallback(tmp_path: Path, seed: int) -> None:
    """Everyone who reads the node gets what the fallback made; and one who reads the fallback gets that alone."""
    report = run(tmp_path, "{fails_before: 30}", PARTED, seed=seed)
    assert report.records.completed == COUNT and len(KEPT) == COUNT
    assert metrics(report)["apart"].items_in == by("local") > 0


@pytest.mark.parametrize("seed", range(4))
def test_items_of_a_batch_go_to_the_fallback_one_by_one(tmp_path: Path, seed: int) -> None:
    """A batch that fails is taken apart, and what is at fault goes to the fallback."""
    batch = "input: {record: {from: numbers, batch: {max_items: 8}}}\n    workers: 2"
    text = TEXT.replace("input: numbers\n    workers: 2", batch)
    report = run(tmp_path, "{poison: [7, 9, 41]}", text, seed=seed)
    assert report.records.completed == COUNT
    assert sorted(ordinal for ordinal, maker in KEPT if maker == "local") == [7, 9, 41]
    report = run(tmp_path, "{fails_before: 1000}", text, seed=seed)
    assert report.records.completed == by("local") == COUNT


@pytest.mark.parametrize("seed", range(4))
def test_of_what_has_handed_something_on_nothing_is_made_twice(tmp_path: Path, seed: int) -> None:
    """An item whose node failed behind the first that it gave is a dead letter; the fallback would give that again."""
    text = TEXT.replace("type: test.remote\n", "type: test.parts\n").replace(
        "local: {type: test.local", "local: {type: test.parts"
    )
    report = run(tmp_path, "{bad: [4, 5], poison: [8]}", text, seed=seed)
    assert (report.records.completed, report.records.dead_lettered) == (COUNT - 1, 1)
    assert sorted(ordinal for ordinal, maker in KEPT if maker == "local") == [4, 4, 4, 5, 5, 5]
    assert len(KEPT) == 3 * (COUNT - 1) + 256


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_stopped_leaves_nothing_with_a_fallback(tmp_path: Path, seed: int) -> None:
    """When a sink ends the run, what was on its way to the fallback ends as cancelled, and the ledger balances."""
    text = TEXT.replace(
        "out: {type: testing.discard, input: kept}",
        "full: {type: test.full, input: kept}\n  out: {type: testing.discard, input: full}",
    )
    report = run(tmp_path, "{fails_before: 1000}", text, seed=seed)
    counts = report.records
    assert counts.cancelled and counts.completed + counts.cancelled + counts.dead_lettered == counts.read


def test_nodes_in_processes_have_fallbacks(tmp_path: Path) -> None:
    """A process that dies of an item leaves it to the fallback."""
    text = TEXT.replace("type: test.remote\n", "type: test.deadly\n    run: process\n")
    KEPT.clear()
    report = executor_for(tmp_path, text.replace("    params: PARAMS\n", ""), *TYPES, Deadly).run()
    assert report.records.completed == COUNT
    assert sorted(ordinal for ordinal, maker in KEPT if maker == "local") == [2, 40]
    assert metrics(report)["remote"].items_to_fallback == 2


@pytest.mark.parametrize("seed", range(4))
def test_what_takes_too_long_is_taken_by_the_fallback(tmp_path: Path, seed: int) -> None:
    """A call that is left behind has its item made by the fallback, once, and its late result is thrown away."""
    text = TEXT.replace("type: test.remote\n", "type: slow.work\n    timeout: 10s\n").replace(
        "failure_threshold: 3", "failure_threshold: 1"
    )
    CALLS.clear()
    KEPT.clear()
    text = text.replace("PARAMS", "{takes: {'3': [60, 60]}}")
    report = simulate(executor_for(tmp_path, text, *TYPES, *SLOW).run_async(), seed=seed, longest_s=1e6)
    assert report.records.completed == COUNT == len(KEPT)
    assert (3, "local") in KEPT and metrics(report)["remote"].timeouts == 2
