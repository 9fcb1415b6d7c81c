"""Load: many items in one thread hop, each judged as if it had its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from phonograph.engine import load as loads
from phonograph.engine.delivery import Entry
from phonograph.engine.load import MOST_ENTRIES, TURN_NS, Load
from phonograph.engine.worker import Pass
from phonograph.errors import BadInputError
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node
from phonograph.sink import Part, Sink
from phonograph.testing import Discard
from small_runs import executor_for, node_metrics, run_text

PATIENCE_S = 30.0  # until a test that waits in vain fails
QUICK = 40
TEXT = """
nodes:
  numbers: {type: testing.numbers, params: {count: 80}}
  work: {type: TYPE, input: {record: {from: numbers, queue: {items: 64}}}, workers: 1}
  out: {type: test.store, input: work, workers: 1}
"""


def entries(count: int) -> list[Entry]:
    return [Entry(Item(key=str(number), ordinal=number, payload={}), 0.0) for number in range(count)]


class Worker:
    """Hands every item on, but fails on one."""

    def __init__(self, fails_on: int = -1) -> None:
        self.ran: list[int] = []
        self._fails_on = fails_on

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
        self.ran.append(item.ordinal)
        if item.ordinal != self._fails_on:
            return item
        outcome = Pass()
        outcome.fail(0, item, BadInputError("odd"))
        return outcome


def test_a_load_ends_with_the_first_item_that_failed() -> None:
    """What comes after it has not begun, so that the breaker is asked again before the next call."""
    load, worker = Load(), Worker(fails_on=2)
    load.waiting.extend(entries(6))
    load.run(worker)
    assert worker.ran == [0, 1, 2] == [entry.item.ordinal for entry, _ in load.done]
    assert [entry.item.ordinal for entry in load.take_back()] == [3, 4, 5]


def test_a_call_ahead_takes_nothing_after_a_failure() -> None:
    """What came of the call before is decided first; the next call that is made then goes on."""
    load, worker = Load(), Worker(fails_on=0)
    load.waiting.extend(entries(2))
    load.run(worker)
    load.run(worker, is_ahead=True)
    assert (worker.ran, len(load.waiting)) == ([0], 1)
    load.run(worker)
    load.waiting.extend(entries(3)[2:])
    load.run(worker, is_ahead=True)
    assert worker.ran == [0, 1, 2]


def test_a_load_knows_slow_items() -> None:
    """Slow is what takes a turn or longer; of that the next load has one."""
    load = Load()
    for step_ns, is_slow in ((TURN_NS, True), (TURN_NS // 50, False), (3 * TURN_NS, True)):
        load.waiting.extend(entries(8))
        load.run(Worker(), itertools.count(0, step_ns).__next__)
        load.take_back()
        assert (load.is_slow, load.most == 1) == (is_slow, is_slow)


def test_what_has_not_begun_is_taken_back_from_a_busy_worker() -> None:
    """The worker runs the item that it has begun, and no other."""
    began, goes_on = threading.Event(), threading.Event()

    class Slow(Worker):
        def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item:
            began.set()
            assert goes_on.wait(PATIENCE_S)
            return super().run(item, position, attempt, is_probe, given)

    load, worker = Load(), Slow()
    load.waiting.extend(entries(4))
    thread = threading.Thread(target=load.run, args=(worker,))
    thread.start()
    assert began.wait(PATIENCE_S)
    assert [entry.item.ordinal for entry in load.take_back()] == [1, 2, 3]
    goes_on.set()
    thread.join()
    assert worker.ran == [0]


def test_loads_are_bounded() -> None:
    """However quick a node is, a load has its bound, and after a load there is always room for one."""
    load = Load()
    assert load.most == 1
    for _ in range(20):
        load.waiting.extend(entries(load.most))
        load.run(Worker())
    assert 1 <= load.most <= MOST_ENTRIES


@node("test.store", inputs={"item": "any"})
class Store(Sink[Params]):
    """Notes what it has."""

    stored: ClassVar[set[int]]
    changed: ClassVar[threading.Condition]

    def stage(self, item: Item) -> Part:
        with self.changed:
            self.stored.add(item.ordinal)
            self.changed.notify_all()
        return Discard(Params(), "out").stage(item)

    @classmethod
    def has(cls, ordinals: set[int]) -> bool:
        """Wait until it has these."""
        with cls.changed:
            return cls.changed.wait_for(lambda: ordinals <= cls.stored, PATIENCE_S)


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    Store.stored, Store.changed = set(), threading.Condition()
    yield
    del Store.stored, Store.changed


@node("test.waits", inputs={"record": "record"}, outputs={"record": "record"})
class Waits(Node[Params]):
    """Lets one item wait until the sink has all before it."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == QUICK and not Store.has(set(range(QUICK))):
            raise BadInputError("the items before it were kept back")
        return item


def test_a_slow_item_keeps_no_quick_one_back(tmp_path: Path) -> None:
    """What is done is delivered while the worker is still busy with a later item of the same load."""
    assert run_text(tmp_path, TEXT.replace("TYPE", "test.waits"), Store, Waits).records.completed == 80


@node("test.helped", inputs={"record": "record"}, outputs={"record": "record"})
class Helped(Node[Params]):
    """Lets one item wait until the sink has all that come behind it."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == QUICK and not Store.has(set(range(QUICK + 1, 80))):
            raise BadInputError("the items behind it were kept back")
        return item


def test_another_worker_runs_what_waits_behind_a_slow_item(tmp_path: Path) -> None:
    """Items of a load that have not begun go to whoever is free."""
    text = TEXT.replace("TYPE", "test.helped").replace("workers: 1}", "workers: 2}", 1)
    assert run_text(tmp_path, text, Store, Helped).records.completed == 80


def test_another_worker_takes_what_a_slow_one_has_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that was given to a worker for later does not wait for it when somebody else is free."""
    monkeypatch.setattr(loads, "TURN_NS", 1)  # every call is a slow one
    text = TEXT.replace("TYPE", "test.helped").replace("workers: 1}", "workers: 2}", 1)
    assert run_text(tmp_path, text, Store, Helped).records.completed == 80


@node("test.lasts", inputs={"record": "record"}, outputs={"record": "record"})
class Lasts(Node[Params]):
    """Lets the last item wait until the sink has all others."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == 79 and not Store.has(set(range(79))):
            raise BadInputError("the items before it were kept back")
        return item


def test_a_slow_item_that_was_ahead_keeps_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the call before it has done is delivered while it runs, also when it is the last."""
    monkeypatch.setattr(loads, "TURN_NS", 1)
    assert run_text(tmp_path, TEXT.replace("TYPE", "test.lasts"), Store, Lasts).records.completed == 80


@node("test.breaks", inputs={"record": "record"}, outputs={"record": "record"})
class Breaks(Node[Params]):
    """Fails from some item on."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal >= QUICK:
            raise RuntimeError("broken")
        return item


def test_a_breaker_opens_in_the_middle_of_what_waits(tmp_path: Path) -> None:
    """Not one call more is made than the threshold allows, though many items are taken in one hop."""
    text = TEXT.replace("TYPE", "test.breaks").replace("work: {", "work: {breaker: {failure_threshold: 3, when_open: shed}, ", 1)
    report = run_text(tmp_path, text + "limits: {error_rate: 1.0}\n", Store, Breaks)
    assert (report.records.completed, report.records.dead_lettered) == (QUICK, 40)
    work = node_metrics(report)["work"]
    assert (work.items_in, work.errors, work.breaker.opens) == (QUICK + 3, 3, 1)


def test_a_breaker_opens_before_what_a_slow_node_has_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that waits in the thread is not made when the one before it opened the breaker."""
    monkeypatch.setattr(loads, "TURN_NS", 1)
    test_a_breaker_opens_in_the_middle_of_what_waits(tmp_path)


def test_a_failing_run_cancels_what_a_slow_node_has_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`on_error: fail` stops the run before the next item, which lay in the worker's hands."""
    monkeypatch.setattr(loads, "TURN_NS", 1)
    test_a_failing_run_cancels_what_has_not_begun(tmp_path)


@node("test.stops", inputs={"record": "record"}, outputs={"record": "record"})
class Stops(Node[Params]):
    """Fails on one item after many quick ones."""

    def process(self, item: Item, state: None) -> Item:
        if item.ordinal == QUICK:
            raise BadInputError("odd")
        return item


def test_a_failing_run_cancels_what_has_not_begun(tmp_path: Path) -> None:
    """`on_error: fail` stops the run at the item, and what was taken in with it is not run any more."""
    text = TEXT.replace("TYPE", "test.stops").replace("work: {", "work: {on_error: fail, ", 1)
    report = run_text(tmp_path, text, Store, Stops)
    assert node_metrics(report)["work"].items_in == QUICK + 1
    assert report.records.cancelled == report.records.read - report.records.completed - 1


@node("test.asked", outputs={"record": "record"})
class Asked(Source[Params]):
    """Reads a burst of records, then waits until they are stored; again and again."""

    def read(self) -> Iterator[Record]:
        for burst in range(6):
            for number in range(10 * burst, 10 * burst + 10):
                yield Record(key=str(number), payload={"record": number})
            assert Store.has(set(range(10 * burst + 10))), "records were kept back until the next one came"


def test_a_source_that_waits_keeps_no_record_back(tmp_path: Path) -> None:
    """What it has read goes on while it waits for its next record."""
    text = "nodes:\n  asked: {type: test.asked}\n  out: {type: test.store, input: asked}\n"
    report = executor_for(tmp_path, text, Store, Asked).run()
    assert (report.error, report.records.completed) == (None, 60)


def test_breakers_of_a_lane_that_healed_are_at_rest_again(tmp_path: Path) -> None:
    """After failures that healed, the breaker is closed and counts none of them."""
    text = TEXT.replace("TYPE", "testing.flaky, params: {failures: 1, every: 7}, retry: {base_delay: 1ms}")
    report = run_text(tmp_path, text, Store)
    work = node_metrics(report)["work"]
    assert (report.records.completed, work.retries, work.status, work.breaker.state) == (80, 12, "retried", "closed")
