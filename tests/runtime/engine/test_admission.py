"""Records are let into a run as far as `limits.memory` goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import structlog

from phonograph.engine import admission
from phonograph.engine.admission import Admission, Weights
from phonograph.engine.ledger import Ledger
from phonograph.executor import RunReport
from phonograph.item import Item, Outcome, Record
from phonograph.metrics import MemoryLimitMetrics
from phonograph.node import Node, Params, Source, node
from small_runs import executor_for

MIB = 2**20

GRAPH = """
limits: {memory: LIMIT}
nodes:
  numbers: {type: testing.numbers, params: {count: 40}}
  grow: {type: test.grow, input: numbers}
  shrink: {type: test.shrink, input: {features: {from: grow, queue: {items: 64, bytes: 1GiB}}}}
  out: {type: testing.discard, input: shrink}
"""


class Watermark:
    """The process's memory as the tests want it: what the arrays of `test.grow` take that are alive, beside a base."""

    def __init__(self, base: int = 100 * MIB, each: int = 10 * MIB) -> None:
        self.base = base
        self.each = each
        self.num_alive = 0
        self.most_alive = 0

    def resident(self) -> int:
        return self.base + self.num_alive * self.each


MARK = Watermark()


@node("test.grow", inputs={"record": "record"}, outputs={"features": "features"}, run="inline")
class Grow(Node[Params]):
    """Make a large array of next to nothing."""

    def process(self, item: Item, state: None) -> Item:
        MARK.num_alive += 1
        MARK.most_alive = max(MARK.most_alive, MARK.num_alive)
        return item.with_payload({"features": np.empty(10 * MIB, np.uint8)})


@node("test.shrink", inputs={"features": "features"}, outputs={"features": "features"})
class Shrink(Node[Params]):
    """Make it small again."""

    def process(self, item: Item, state: None) -> Item:
        MARK.num_alive -= 1
        return item.with_payload({"features": np.zeros(1)})


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watermark]:
    MARK.__init__()  # type: ignore[misc]  # as new
    monkeypatch.setattr(admission, "_resident_bytes", MARK.resident)
    monkeypatch.setattr(admission, "_trim", lambda: None)
    yield MARK


def run_limited(folder: Path, limit: str, text: str = GRAPH, *more: Any) -> tuple[RunReport, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        told.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[keep])
    report = executor_for(folder, text.replace("LIMIT", limit), Grow, Shrink, *more, log=log).run()
    return report, [one for one in told if one["event"] == "memory_limit_too_small"]


def limit_metrics(report: RunReport) -> MemoryLimitMetrics:
    assert report.metrics is not None
    found = report.metrics.pipeline_execution.memory_limit
    assert found is not None
    return found


def test_records_that_fit_are_not_held_back(tmp_path: Path) -> None:
    """Under a limit that is never reached no source pauses, and what a record takes is learned all the same."""
    report, warnings = run_limited(tmp_path, "8GiB")
    found = limit_metrics(report)
    assert (report.records.completed, found.pauses, found.paused_ms, found.forced, warnings) == (40, 0, 0.0, 0, [])
    assert found.record_mb == pytest.approx(10 * MIB / 1e6, rel=0.01)


def test_learned_weight_bounds_records_in_flight(tmp_path: Path, mark: Watermark) -> None:
    """Sources pause when the records in flight, at what records weigh, would go beyond the limit; all are completed."""
    report, warnings = run_limited(tmp_path, "200MiB")  # 80 MiB of room: seven or eight records
    found = limit_metrics(report)
    assert (report.records.completed, found.forced, warnings) == (40, 0, [])
    assert mark.most_alive <= 8
    assert found.pauses > 0
    assert found.paused_ms > 0


class StillCourse:
    """As much of a run's course as admission asks for; its clock stands still."""

    def __init__(self) -> None:
        self.ledger: Ledger[str] = Ledger(lambda ordinal, identity, outcome, facts: None)
        self.on_end: list[Callable[[Outcome], None]] = []
        self.is_draining = False

    def now(self) -> float:
        return 0.0

    def tell(self, level: str, event: str, **facts: object) -> None:
        raise AssertionError(f"nothing to tell: {event}")


def test_nothing_enters_above_the_mark_until_memory_has_fallen_below_the_low_one(mark: Watermark) -> None:
    """A source that was stopped at 90 % of the limit goes on below 85 %, whatever records weigh, and not before."""

    async def scenario() -> list[tuple[int, bool]]:
        course = StillCourse()
        admitting = Admission(1000, cast(Any, course), queued_bytes=lambda: 0)
        mark.base = 500
        admitting.begin()
        ordinals = [course.ledger.read("first"), course.ledger.read("second")]
        mark.base = 900
        entering = asyncio.create_task(admitting.enter(0))
        found = []
        for resident in (900, 899, 860, 849):
            mark.base = resident
            for _ in range(admission._LOOK_EVERY):
                admitting._wake()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            found.append((resident, entering.done()))
        for ordinal in ordinals:
            course.ledger.end(ordinal, Outcome.COMPLETED)
        await entering
        return found

    assert asyncio.run(scenario()) == [(900, False), (899, False), (860, False), (849, True)]


def test_free_memory_is_given_back_before_sources_pause(tmp_path: Path, mark: Watermark, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the C library keeps of freed memory holds nobody back."""
    mark.base = 300 * MIB
    monkeypatch.setattr(admission, "_trim", lambda: setattr(mark, "base", 100 * MIB))
    report, warnings = run_limited(tmp_path, "250MiB", GRAPH.replace("count: 40", "count: 1"))
    assert report.records.completed == 1
    assert mark.base == 100 * MIB
    assert [one["process_holds"] for one in warnings] == ["100MiB"]  # the room was reckoned before: 300 MiB were held then


@pytest.mark.parametrize("limit", ["1B", "105MiB"])
def test_limit_smaller_than_a_record_lets_them_pass_one_at_a_time(tmp_path: Path, mark: Watermark, limit: str) -> None:
    """Every record is completed, no two at the same time, and one warning says what the limit lacks."""
    report, warnings = run_limited(tmp_path, limit)
    found = limit_metrics(report)
    assert report.records.completed == 40
    assert mark.most_alive == 1
    assert found.forced == 40
    assert len(warnings) == 1
    assert warnings[0]["process_holds"] == "100MiB"


def test_records_that_wait_for_one_held_back_lock_nothing(tmp_path: Path) -> None:
    """A pair of sources whose records meet goes on under a limit that not even one record fits into."""
    text = """
limits: {memory: 1B}
nodes:
  left: {type: testing.numbers, params: {count: 5}}
  right: {type: testing.numbers, params: {count: 5}}
  both: {type: flow.zip, input: {left: left, right: right}}
  out: {type: testing.discard, input: both.left}
"""
    from phonograph.flow.zip import Zip

    report, warnings = run_limited(tmp_path, "", text, Zip)
    assert (report.status, report.records.completed, len(warnings)) == ("success", 10, 1)


def test_stop_reaches_a_source_that_is_held_back(tmp_path: Path) -> None:
    """stop() ends a run whose source waits for memory: what was read is completed, nothing more is read."""
    entered = asyncio.Event()

    @node("test.wait", inputs={"features": "features"}, outputs={"features": "features"}, run="inline")
    class Wait(Node[Params]):
        """Ask for the end at the first item."""

        def process(self, item: Item, state: None) -> Item:
            executor.stop()
            entered.set()
            return item

    text = GRAPH.replace("LIMIT", "1B").replace("test.shrink", "test.wait").replace("count: 40", "count: 100000")
    executor = executor_for(tmp_path, text, Grow, Wait)
    report = executor.run()
    assert entered.is_set()
    assert report.status == "interrupted"
    assert report.records.completed == report.records.read < 100_000


def test_large_payloads_leave_a_source_in_small_batches(tmp_path: Path, mark: Watermark) -> None:
    """A source that reads large payloads itself is asked for some at a time, for what it has handed over is not admitted yet."""
    read: list[int] = []
    ahead: list[int] = []

    @node("test.large", outputs={"features": "features"})
    class Large(Source[Params]):
        """Read arrays of 10 MiB."""

        def read(self) -> Iterator[Record]:
            for number in range(20):
                read.append(number)
                yield Record(key=str(number), payload={"features": np.empty(10 * MIB, np.uint8)})

    @node("test.look", inputs={"features": "features"}, outputs={"features": "features"}, run="inline")
    class Look(Node[Params]):
        """See how far the source is."""

        def process(self, item: Item, state: None) -> Item:
            ahead.append(len(read) - len(ahead))
            return item

    text = """
limits: {memory: 1B}
nodes:
  large: {type: test.large}
  look: {type: test.look, input: large}
  out: {type: testing.discard, input: look}
"""
    report, _ = run_limited(tmp_path, "", text, Large, Look)
    assert report.records.completed == 20
    assert max(ahead) <= 4


def test_no_limit_no_metrics(tmp_path: Path) -> None:
    """A run without a limit says nothing of one."""
    report = executor_for(tmp_path, GRAPH.replace("limits: {memory: LIMIT}\n", ""), Grow, Shrink).run()
    assert report.metrics is not None
    assert report.metrics.pipeline_execution.memory_limit is None


def test_a_heavy_record_is_forgotten_slowly() -> None:
    """After one record of a hundred times the usual weight the estimate stays above half of it for a hundred records."""
    weights = Weights()
    for num_bytes in (1, 100, *[1] * 100):
        weights.note(num_bytes)
    assert 50 < weights.heaviest < 100
    assert weights.mean < 10
    for _ in range(2000):
        weights.note(1)
    assert weights.heaviest < 2


def test_metrics_of_the_limit_can_be_written() -> None:
    """The figures are a part of metrics.json."""
    shown = msgspec.to_builtins(MemoryLimitMetrics(limit_mb=1.0, pauses=2, paused_ms=3.0, forced=0, refused=5, record_mb=4.0))
    assert shown == {"limit_mb": 1.0, "pauses": 2, "paused_ms": 3.0, "forced": 0, "refused": 5, "record_mb": 4.0}
