"""Queues that drop: what becomes of the item, of its record, of those that wait for it, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_runs import Keep, keys, run_flow
from phonograph.cli.summary import summarise
from phonograph.errors import BadInputError
from phonograph.executor import RunReport
from phonograph.graph.builder import build_graph
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, node
from phonograph.sink import Part
from small_runs import dead_letters, journalled, node_metrics, registry_with

RELEASED = threading.Event()
COUNT = 20


@node("test.release", inputs={"item": "any"})
class Release(Keep):
    """Keep what comes; the last of all opens the gate of `test.late`."""

    def stage(self, item: Item) -> Part:
        if item.key.endswith(f"/{COUNT - 1}"):
            RELEASED.set()
        return super().stage(item)


@node("test.late", inputs={"item": "any"})
class Late(Keep):
    """Take nothing before `test.release` has had the last record."""

    def stage(self, item: Item) -> Part:
        RELEASED.wait()
        return super().stage(item)


@node("test.hold", inputs={"record": "record"}, outputs={"record": "record"})
class Hold(Node[Params]):
    """Hand on nothing before `test.release` has had the last record."""

    def process(self, item: Item, state: None) -> Item:
        RELEASED.wait()
        return item


@node("test.refuse", inputs={"record": "record"}, outputs={"record": "record"}, run="inline")
class Refuse(Node[Params]):
    """Refuse everything; the last of all opens the gate of `test.late`."""

    def process(self, item: Item, state: None) -> Item:
        if item.key.endswith(f"/{COUNT - 1}"):
            RELEASED.set()
        raise BadInputError(f"{item.key} is refused")


@pytest.fixture(autouse=True)
def _nothing_released() -> Iterator[None]:
    RELEASED.clear()
    yield
    RELEASED.set()


def run(folder: Path, nodes: str) -> tuple[RunReport, dict[str, list[Item]]]:
    return run_flow(folder, nodes, Release, Late, Hold, Refuse)


def late_sink(full: str) -> str:
    return f"""
        numbers: {{type: testing.numbers, params: {{count: {COUNT}}}}}
        late: {{type: test.late, input: {{item: {{from: numbers, queue: {{items: 2, full: {full}}}}}}}}}
        all: {{type: test.release, input: {{item: {{from: numbers, queue: {{items: 100}}}}}}}}
        """


@pytest.mark.parametrize("full", ["newest", "oldest"])
def test_a_sink_that_is_too_slow_loses_what_its_queue_has_no_room_for(tmp_path: Path, full: str) -> None:
    """Each record that is not stored ends as dropped, and its line in the journal names node and policy."""
    report, kept = run(tmp_path, late_sink(full))
    stored = keys(kept["late"])
    ends = (f"numbers/{COUNT - 2}", f"numbers/{COUNT - 1}") if full == "oldest" else ("numbers/0", "numbers/1")
    assert set(ends) <= set(stored)
    assert len(kept["all"]) == COUNT
    assert (report.records.completed, report.records.dropped) == (len(stored), COUNT - len(stored))
    assert node_metrics(report)["late"].items_dropped == COUNT - len(stored) > 10
    assert node_metrics(report)["all"].items_dropped == 0
    rows = {row["key"]: row for row in journalled(report)}
    lost = [row for key, row in rows.items() if key not in stored]
    assert [(row["outcome"], row["policy"], row["node"]) for row in lost] == [("dropped", full, "late")] * len(lost)
    assert all("policy" not in rows[key] for key in stored)


def test_the_summary_tells_what_was_dropped(tmp_path: Path) -> None:
    """The closing summary has the number of dropped records, and the node and policy that they were lost at."""
    report, kept = run(tmp_path, late_sink("oldest"))
    graph = build_graph(load_manifest(tmp_path / "manifest.yaml"), registry_with(Release, Late))
    number = COUNT - len(kept["late"])
    text = summarise(report, graph)
    assert f"{COUNT} read = {len(kept['late'])} completed + {number} dropped" in text
    assert f"dropped in front of late, whose queue was full: {number} items (full: oldest)" in text


def test_partners_of_what_was_dropped_do_not_wait_for_it(tmp_path: Path) -> None:
    """A join hears at once that a dropped item will not come, and its partner ends as filtered."""
    report, kept = run(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: {COUNT}}}}}
        work: {{type: test.hold, input: {{record: {{from: numbers, queue: {{items: 2, full: oldest}}}}}}, workers: 1}}
        both: {{type: flow.join, input: {{one: work, other: {{from: numbers, queue: {{items: 100}}}}}}}}
        out: {{type: test.keep, input: both.one}}
        all: {{type: test.release, input: {{item: {{from: numbers, queue: {{items: 100}}}}}}}}
        """,
    )
    assert report.records.dropped == COUNT - len(kept["out"]) > 10
    assert report.records.completed == len(kept["out"])


def test_a_dead_letter_that_one_reader_drops_and_another_keeps(tmp_path: Path) -> None:
    """A letter that one of its readers has stored is nowhere else."""
    report, kept = run(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: {COUNT}}}}}
        refuse: {{type: test.refuse, input: {{record: {{from: numbers, queue: {{items: 100}}}}}}}}
        late: {{type: test.late, input: {{item: {{from: refuse.dead_letter, queue: {{items: 2, full: newest}}}}}}}}
        all: {{type: test.release, input: {{item: {{from: refuse.dead_letter, queue: {{items: 100}}}}}}}}
        """,
    )
    assert report.records.dead_lettered == COUNT
    assert sorted(keys(kept["all"])) == sorted(f"numbers/{number}" for number in range(COUNT))
    assert dead_letters(report) == []  # the other reader kept every one


def test_a_dead_letter_that_its_only_reader_drops_is_not_lost(tmp_path: Path) -> None:
    """What is not stored by the reader of dead letters is in the run directory: together they are all of them."""
    report, kept = run(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: {COUNT}}}}}
        refuse: {{type: test.refuse, input: {{record: {{from: numbers, queue: {{items: 100}}}}}}}}
        late: {{type: test.late, input: {{item: {{from: refuse.dead_letter, queue: {{items: 2, full: newest}}}}}}}}
        """,
    )
    stored, left = keys(kept["late"]), [letter["key"] for letter in dead_letters(report)]
    assert len(left) > 10
    assert sorted([*stored, *left]) == sorted(f"numbers/{number}" for number in range(COUNT))
    assert report.records.dead_lettered == COUNT
