"""`flow.window`: consecutive items as one, with overlap, with gaps, with what is left in the end; what becomes of each item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_runs import keys, run_flow
from phonograph.flow.gather import Left, Made, Part
from phonograph.flow.tickets import Gate, Ticket
from phonograph.flow.window import Window, WindowParams
from phonograph.item import Item
from phonograph.node import Node, Params, node
from small_runs import dead_letters, node_metrics


class PartsParams(Params, frozen=True):
    count: int = 5


@node("test.parts", inputs={"record": "any"}, outputs={"record": "any"}, cardinality="1:N", run="inline")
class Parts(Node[PartsParams]):
    """Cut each record into so many parts."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        return (item.child(number, item.payload) for number in range(self.params.count))


def windows(items: Sequence[Item]) -> list[list[str]]:
    """The keys in each window."""
    return [item.payload["item"]["keys"] for item in items]


def test_windows_of_a_record(tmp_path: Path) -> None:
    """The parts of each record come two by two, under a key of their own, with what is left as a smaller window."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 3}}
        parts: {type: test.parts, input: numbers}
        work: {type: test.work, input: parts, workers: 3}
        pairs: {type: flow.window, input: work, params: {size: 2}}
        out: {type: test.keep, input: pairs, order: true}
        """,
        Parts,
    )
    assert windows(kept["out"])[:3] == [
        ["numbers/0#0000", "numbers/0#0001"],
        ["numbers/0#0002", "numbers/0#0003"],
        ["numbers/0#0004"],
    ]
    assert keys(kept["out"])[2:4] == ["numbers/0#0004+pairs-0002", "numbers/1#0000+pairs-0000"]
    assert kept["out"][0].parents == ("numbers/0#0000", "numbers/0#0001")
    assert (report.records.read, report.records.completed, len(kept["out"])) == (3, 3, 9)


@pytest.mark.parametrize(("partial", "completed"), [("keep", 10), ("drop", 8)])
def test_windows_that_overlap(tmp_path: Path, partial: str, completed: int) -> None:
    """A record that is in two windows ends once, when both have; one in none ends as filtered."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 10}}}}
        work: {{type: test.work, input: {{record: {{from: numbers, queue: {{items: 1}}}}}}, workers: 3}}
        three: {{type: flow.window, input: work, params: {{over: all, size: 4, every: 2, partial: {partial}}}}}
        out: {{type: test.keep, input: three}}
        """,
    )
    full = [[f"numbers/{number}" for number in range(start, start + 4)] for start in (0, 2, 4, 6)]
    assert windows(kept["out"]) == full
    assert (report.records.completed, report.records.filtered) == (10, 0)
    assert node_metrics(report)["three"].items_out == 4

    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 10}}}}
        five: {{type: flow.window, input: numbers, params: {{over: all, size: 5, every: 3, partial: {partial}}}}}
        out: {{type: test.keep, input: five}}
        """,
    )
    full = [[f"numbers/{number}" for number in range(start, start + 5)] for start in (0, 3)]
    assert windows(kept["out"]) == full + ([[f"numbers/{number}" for number in range(6, 10)]] if partial == "keep" else [])
    assert (report.records.completed, report.records.filtered) == (completed, 10 - completed)


def test_gaps_between_windows(tmp_path: Path) -> None:
    """With `every` above `size`, the items between two windows end as filtered."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 10}}
        some: {type: flow.window, input: numbers, params: {over: all, size: 2, every: 4}}
        out: {type: test.keep, input: some}
        """,
    )
    assert windows(kept["out"]) == [[f"numbers/{start}", f"numbers/{start + 1}"] for start in (0, 4, 8)]
    assert (report.records.completed, report.records.filtered) == (6, 4)


def test_a_window_that_fails_takes_its_items_with_it(tmp_path: Path) -> None:
    """A record ends as the gravest of the windows that it is in."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 5}}
        pairs: {type: flow.window, input: numbers, params: {over: all, size: 2, every: 1}}
        fail: {type: test.fail, input: pairs, params: {every: 4}, workers: 1}
        out: {type: test.keep, input: fail}
        """,
    )
    assert [letter["key"] for letter in dead_letters(report)] == ["numbers/0+pairs-0000", "numbers/2+pairs-0002"]
    assert windows(kept["out"]) == [["numbers/1", "numbers/2"], ["numbers/3", "numbers/4"]]
    assert (report.records.dead_lettered, report.records.completed) == (4, 1)


def test_what_is_lost_on_the_way_leaves_no_gap(tmp_path: Path) -> None:
    """Windows are of what comes; a filtered or failed item is not waited for, and each source has its own."""
    report, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 10}}
        other: {type: testing.numbers, params: {count: 5}}
        thin: {type: test.thin, input: one, params: {every: 3}}
        all: {type: flow.merge, input: {one: thin, other: other}}
        pairs: {type: flow.window, input: all, params: {over: all, size: 2}}
        out: {type: test.keep, input: pairs}
        """,
    )
    assert sorted(windows(kept["out"])) == [
        ["one/1", "one/2"],
        ["one/4", "one/5"],
        ["one/7", "one/8"],
        ["other/0", "other/1"],
        ["other/2", "other/3"],
        ["other/4"],
    ]
    assert report.records.filtered == 4


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 9),
    every=st.integers(1, 12),
    partial=st.sampled_from(["keep", "drop"]),
)
def test_every_item_is_in_the_windows_that_the_definition_gives_it(count: int, size: int, every: int, partial: str) -> None:
    """Window number k holds the items from k * every on, and each item is let go of once, in or after its last window."""
    machine = Window(WindowParams(size=size, every=every, over="all", partial=partial), "w")  # type: ignore[arg-type]
    gate = Gate("w", (0,), 1, lambda settled: None, limit=100)
    results = []
    for number in range(count):
        ticket = _open(gate)
        item = Item(key=f"s/{number}", ordinal=number, payload={"item": number})
        results += machine.arrive(Part(0, item, ticket, item.key, 0.0))
        results += machine.closed(ticket)
    results += machine.ended()
    made = [[part.item.ordinal for part in result.parts] for result in results if isinstance(result, Made)]
    whole = [list(range(start, start + size)) for start in range(0, count - size + 1, every)]
    rest = list(range(len(whole) * every, count))
    covered = whole[-1][-1] + 1 if whole else 0
    assert made == whole + ([rest] if partial == "keep" and rest and count > covered else [])
    gone = [
        part.item.ordinal
        for result in results
        for part in ((result.part,) if isinstance(result, Left) else [one for one in result.parts if one not in result.kept])
    ]
    assert sorted(gone) == list(range(count))


def _open(gate: Gate) -> Ticket:
    opening = gate.open()  # there is room, so it does not wait
    try:
        opening.send(None)
    except StopIteration as opened:
        ticket: Ticket = opened.value
        return ticket
    raise AssertionError("the gate is closed")
