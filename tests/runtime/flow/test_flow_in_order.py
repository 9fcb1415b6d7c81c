"""`order: true` and `flow.order`: what takes its own time on the way arrives as the sources read it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_graphs import TYPES
from flow_runs import HEAD, KEPT, Keep, keys, run_flow
from phonograph.engine.plan import Plan, make_plan
from phonograph.errors import BadInputError, TransientError
from phonograph.explaining import explain
from phonograph.graph.builder import build_graph
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, node
from phonograph.sink import Part
from phonograph_nodes.writing.rows import Jsonl
from small_runs import dead_letters, journalled, node_metrics, registry_with, run_text

DONE: dict[int, threading.Event] = {}
SEEN: list[int] = []


def number_of(item: Item) -> int:
    return int(item.key.rpartition("/")[2].partition("#")[0])


@node("test.swap", inputs={"record": "any"}, outputs={"record": "any"})
class Swap(Node[Params]):
    """Finish the first record after the tenth, so that two workers hand them on the wrong way round."""

    def process(self, item: Item, state: None) -> Item:
        number = number_of(item)
        if number == 0:
            DONE[10].wait()
        DONE[number].set()
        return item


class RefusedParams(Params, frozen=True):
    refused: int = -1


@node("test.both", inputs={"record": "any"}, outputs={"one": "any", "other": "any"}, run="inline")
class Both(Node[RefusedParams]):
    """Give two outputs at once."""

    def process(self, item: Item, state: None) -> Item:
        if number_of(item) == self.params.refused:
            raise BadInputError("refused")
        return item.with_payload({"one": item.payload["record"], "other": item.key})


@node("test.keep_both", inputs={"one": "any", "other": "any"})
class KeepBoth(Keep):
    """Keep items with two payloads."""


@node("test.unsteady", inputs={"item": "any"})
class Unsteady(Keep):
    """Fail once on each third record."""

    def stage(self, item: Item) -> Part:
        if number_of(item) % 3 == 0 and not DONE[-1 - number_of(item)].is_set():
            DONE[-1 - number_of(item)].set()
            raise TransientError("busy")
        return super().stage(item)


@node("test.see", inputs={"record": "any"}, outputs={"record": "any"}, run="inline")
class See(Node[Params]):
    """Note what comes; the third record lets `test.first_waits` go on."""

    def process(self, item: Item, state: None) -> Item:
        SEEN.append(number_of(item))
        if len(SEEN) == 3:
            DONE[-1].set()
        return item


@node("test.first_waits", inputs={"record": "any"}, outputs={"record": "any"})
class FirstWaits(Node[Params]):
    """Keep the first record until two others have been seen, and note how many were."""

    def process(self, item: Item, state: None) -> Item:
        if number_of(item) == 0:
            DONE[-1].wait()
            SEEN.append(-len(SEEN))
        return item


def _begin_again() -> None:
    """An event for each number, made before several threads ask for them."""
    DONE.update((number, threading.Event()) for number in range(-100, 100))


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    _begin_again()
    SEEN.clear()
    yield
    for event in DONE.values():
        event.set()


NODES = (Swap, Both, KeepBoth, Unsteady, See, FirstWaits)
IN_ORDER = [f"numbers/{number}" for number in range(20)]


def plan_of(folder: Path, nodes: str) -> Plan:
    path = folder / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + HEAD + "".join(f"  {line.strip()}\n" for line in nodes.strip().splitlines()))
    return make_plan(build_graph(load_manifest(path), registry_with(*TYPES, Keep, *NODES)))


def test_a_sink_in_order(tmp_path: Path) -> None:
    """What two workers hand on the wrong way round is stored the right way round, and the other way without `order`."""
    nodes = """
        numbers: {type: testing.numbers, params: {count: 20}}
        swap: {type: test.swap, input: numbers, workers: 2}
        out: {type: test.keep, input: swap, order: ORDER}
        """
    report, kept = run_flow(tmp_path, nodes.replace("ORDER", "true"), *NODES)
    assert keys(kept["out"]) == IN_ORDER
    assert report.records.completed == 20
    metrics = node_metrics(report)
    assert (metrics["out~order"].type, metrics["out~order"].items_in, metrics["out~order"].items_out) == ("flow.order", 20, 20)
    _begin_again()
    _, kept = run_flow(tmp_path, nodes.replace("ORDER", "false"), *NODES)
    assert keys(kept["out"]) != IN_ORDER
    assert sorted(keys(kept["out"])) == sorted(IN_ORDER)


def test_a_node_in_the_middle_in_order(tmp_path: Path) -> None:
    """A transform that asks for it gets its items in order, one at a time, whatever `defaults` say of workers."""
    plan = plan_of(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        swap: {type: test.swap, input: numbers, workers: 2}
        see: {type: test.work, input: swap, order: true}
        out: {type: test.keep, input: see}
        """,
    )
    assert [(one.name, one.num_workers) for one in plan.segments] == [("swap", 2), ("see~order", 0), ("see", 1), ("out", 1)]


def test_flow_order_as_a_node(tmp_path: Path) -> None:
    """It can be named as any other node, and its first output is what it puts in order."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        swap: {type: test.swap, input: numbers, workers: 2}
        ordered: {type: flow.order, input: swap}
        out: {type: test.keep, input: ordered}
        """,
        *NODES,
    )
    assert keys(kept["out"]) == IN_ORDER


def test_two_payloads_stay_together(tmp_path: Path) -> None:
    """A node that takes two ports of another gets both of them, in order."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        swap: {type: test.swap, input: numbers, workers: 2}
        both: {type: test.both, input: swap}
        out: {type: test.keep_both, input: {one: both.one, other: both.other}, order: true}
        """,
        *NODES,
    )
    assert [(item.key, item.payload["other"]) for item in kept["out"]] == [(key, key) for key in IN_ORDER]


def test_what_is_lost_on_the_way_leaves_no_gap(tmp_path: Path) -> None:
    """Filtered, failed, split and routed records hold nobody up; parts of a record stand in their own order."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 200}}
        thin: {type: test.thin, input: numbers, params: {every: 3}}
        fail: {type: test.fail, input: thin, params: {every: 5}, workers: 3}
        parts: {type: test.split, input: fail, params: {every: 3}}
        work: {type: test.work, input: parts, workers: 3}
        way: {type: test.choose, input: work, params: {every: 2}}
        left: {type: test.keep, input: way.left}
        right: {type: test.keep, input: way.right, order: true}
        """,
        *NODES,
    )
    places = [tuple(int(part) for part in key.removeprefix("numbers/").split("#")) for key in keys(kept["right"])]
    assert len(places) > 20
    assert places == sorted(places)
    assert report.records.dead_lettered > 0 < report.records.filtered


def test_each_source_has_an_order_of_its_own(tmp_path: Path) -> None:
    """Of two sources, each one's items come as it read them, and nobody waits for the other one."""
    _, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 40}}
        other: {type: testing.numbers, params: {count: 30}}
        all: {type: flow.merge, input: {one: one, other: other}}
        work: {type: test.work, input: {record: {from: all, queue: {items: 1}}}, workers: 3}
        out: {type: test.keep, input: work, order: true}
        """,
    )
    for name, count in (("one", 40), ("other", 30)):
        assert [key for key in keys(kept["out"]) if key.startswith(f"{name}/")] == [f"{name}/{n}" for n in range(count)]


def test_dead_letters_in_order(tmp_path: Path) -> None:
    """A node that reads dead letters may have them in the order of their records, those of the inserted node among them."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 60}}
        fail: {type: test.fail, input: {record: {from: numbers, queue: {items: 1}}}, params: {every: 2}, workers: 3}
        out: {type: test.keep, input: fail, order: true}
        rejected: {type: test.keep, input: "*.dead_letter", order: true}
        """,
    )
    numbers = [number_of(item) for item in kept["rejected"]]
    assert numbers == sorted(numbers)
    assert len(numbers) + len(kept["out"]) == 60
    assert dead_letters(report) == []
    assert report.records.dead_lettered == len(numbers)


def test_an_item_that_is_tried_again_is_not_overtaken(tmp_path: Path) -> None:
    """While a sink in order waits to try an item again, none behind it is taken."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        out: {type: test.unsteady, input: numbers, order: true, retry: {base_delay: 1ms}}
        """,
        *NODES,
    )
    assert keys(kept["out"]) == IN_ORDER
    assert node_metrics(report)["out"].retries == 7


def test_the_window_bounds_what_is_on_its_way(tmp_path: Path) -> None:
    """No more records leave the source than the window has places, until the first of them has been let through."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 100}}
        see: {type: test.see, input: {record: {from: numbers, queue: {items: 100}}}}
        work: {type: test.first_waits, input: {record: {from: see, queue: {items: 100}}}, workers: 2}
        ordered: {type: flow.order, input: work, params: {window: 3}}
        out: {type: test.keep, input: ordered}
        """,
        *NODES,
    )
    assert [number for number in SEEN if number < 0] == [-3]
    assert [number_of(item) for item in kept["out"]] == list(range(100))


def test_the_queue_stays_in_front_of_the_node(tmp_path: Path) -> None:
    """The bounds that an input gives are those of the node itself; the node that puts things in order has the usual ones."""
    plan = plan_of(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        out: {type: test.keep, input: {item: {from: numbers, queue: {items: 3, full: oldest}}}, order: true}
        """,
    )
    assert {one.name: (one.queue.items, one.queue.full) for one in plan.segments} == {
        "out~order": (16, "block"),
        "out": (3, "oldest"),
    }


def test_order_is_explained(tmp_path: Path) -> None:
    """`explain` shows the inserted node, in front of which it stands, why there is one worker."""
    plan = plan_of(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        work: {type: test.work, input: numbers}
        out: {type: test.work, input: work, order: true}
        kept: {type: test.keep, input: out}
        """,
    )
    told = explain(plan, run_directory=tmp_path)
    inserted = next(one for one in told.nodes if one.id == "out~order")
    assert (inserted.type, inserted.place, inserted.changes) == (
        "flow.order",
        "inserted before out",
        "order to that of the sources",
    )
    segment = next(one for one in told.segments if one.nodes == ("out",))
    assert segment.workers is not None
    assert (segment.workers.value, segment.workers.origin) == ("1", "order: true takes items one by one")
    assert next(one for one in told.segments if one.nodes == ("out~order",)).opens_at == ("numbers",)


def rows(folder: Path, workers: int, order: str) -> bytes:
    folder.mkdir()
    nodes = f"""
  numbers: {{type: testing.numbers, params: {{count: 300}}}}
  fail: {{type: test.fail, input: numbers, params: {{every: 4}}, workers: {workers}}}
  parts: {{type: test.split, input: fail, params: {{every: 3}}, workers: {workers}}}
  work: {{type: test.work, input: {{record: {{from: parts, queue: {{items: 3}}}}}}, workers: {workers}}}
  rows: {{type: sink.jsonl, input: work, order: {order}, params: {{path: rows.jsonl}}}}
"""
    KEPT.clear()
    report = run_text(folder, HEAD + nodes, *TYPES, Jsonl)
    assert report.error is None
    assert len(journalled(report)) == 300
    return (folder / "rows.jsonl").read_bytes()


def test_a_list_is_the_same_with_one_worker_and_with_eight(tmp_path: Path) -> None:
    """With `order: true` the rows of `sink.jsonl` are equal to the byte, however many workers there were."""
    one = rows(tmp_path / "one", 1, "true")
    assert len(one.splitlines()) > 100
    assert all(rows(tmp_path / f"eight-{turn}", 8, "true") == one for turn in range(3))
