"""Sources that fail, in every way they can."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phonograph.item import Record
from phonograph.node import Params, Source, node
from small_runs import line, node_metrics, run_text


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


def test_a_source_that_nothing_reads_is_filtered(tmp_path: Path) -> None:
    """Records that no node takes have an outcome like all others."""
    text = line("testing.pass") + "  idle: {type: testing.numbers, params: {count: 5}}\n"
    report = run_text(tmp_path, text)
    assert (report.status, report.records.completed, report.records.filtered) == ("success", 20, 5)
