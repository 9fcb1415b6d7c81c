"""`flow.join`: what belongs together by key, and what becomes of the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flow_runs import keys, run_flow
from phonograph.errors import GraphError
from phonograph.flow.gather import Left, Made, Part
from phonograph.flow.join import Join, JoinParams
from phonograph.flow.tickets import Gate, Ticket
from phonograph.item import Item
from phonograph.node import Node, Params, node
from small_runs import dead_letters, node_metrics

QUEUE = "queue: {items: 1}"


def test_branches_meet_by_key(tmp_path: Path) -> None:
    """Each item comes out once, with a payload from every branch, though the branches are differently fast."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 300}}}}
        slow: {{type: test.work, input: {{record: {{from: numbers, {QUEUE}}}}}, workers: 3}}
        quick: {{type: testing.pass, input: {{record: {{from: numbers, {QUEUE}}}}}}}
        both: {{type: flow.join, input: {{a: {{from: slow, {QUEUE}}}, b: {{from: quick, {QUEUE}}}}}}}
        out: {{type: test.keep, input: both.a}}
        """,
    )
    assert report.records.completed == 300
    assert sorted(keys(kept["out"])) == sorted(f"numbers/{number}" for number in range(300))
    metrics = node_metrics(report)["both"]
    assert (metrics.items_in, metrics.items_out, metrics.errors) == (600, 300, 0)


@pytest.mark.parametrize(
    ("branch", "outcome"),
    [
        ("{type: test.thin, input: numbers, params: {every: 2}}", "filtered"),
        ("{type: test.fail, input: numbers, params: {every: 2}}", "dead_lettered"),
        ("{type: test.fail, input: numbers, params: {every: 2}, on_error: skip}", "skipped"),
    ],
)
def test_a_branch_that_lets_nothing_through_is_absent(tmp_path: Path, branch: str, outcome: str) -> None:
    """What waits for a filtered, failed or skipped partner ends as filtered, and the record as its partner did."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 10}}}}
        a: {branch}
        b: {{type: testing.pass, input: numbers}}
        both: {{type: flow.join, input: {{a: a, b: b}}}}
        out: {{type: test.keep, input: both.b}}
        """,
    )
    assert (report.records.completed, getattr(report.records, outcome)) == (5, 5)
    assert sorted(keys(kept["out"])) == [f"numbers/{number}" for number in (1, 3, 5, 7, 9)]
    assert {letter["node"] for letter in dead_letters(report)} <= {"a"}


def test_a_route_leaves_the_other_branch_absent(tmp_path: Path) -> None:
    """An item that was sent another way does not keep its partner waiting."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 10}}
        way: {type: test.choose, input: numbers, params: {every: 2}}
        both: {type: flow.join, input: {left: way.left, all: numbers}}
        out: {type: test.keep, input: both.left}
        """,
    )
    assert (report.records.completed, report.records.filtered) == (5, 5)
    assert sorted(keys(kept["out"])) == [f"numbers/{number}" for number in (0, 2, 4, 6, 8)]


def test_children_meet_inside_their_record(tmp_path: Path) -> None:
    """Children that both branches get meet by their own keys; one that a branch drops takes its partner along, and no more."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        a: {type: test.thin, input: parts, params: {every: 3}}
        b: {type: testing.pass, input: parts}
        both: {type: flow.join, input: {a: a, b: b}}
        out: {type: test.keep, input: both.a}
        """,
    )
    assert sorted(keys(kept["out"])) == ["numbers/1#0000", "numbers/2#0000", "numbers/3#0001", "numbers/3#0002"]
    assert (report.records.completed, report.records.filtered) == (3, 1)


def test_partners_under_other_keys_are_dead_letters(tmp_path: Path) -> None:
    """When one branch makes parts and the other does not, nothing has the same key, and the dead letters say so."""
    report, _ = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 3}}
        parts: {type: test.split, input: numbers, params: {every: 2}}
        both: {type: flow.join, input: {parts: parts, whole: numbers}}
        out: {type: test.keep, input: both.whole}
        """,
    )
    told = {letter["key"]: letter["message"] for letter in dead_letters(report)}
    assert sorted(told) == ["numbers/1", "numbers/1#0000", "numbers/2", "numbers/2#0000", "numbers/2#0001"]
    assert "its partner at input 'whole' has another key, 'numbers/1'" in told["numbers/1#0000"]
    assert {letter["code"] for letter in dead_letters(report)} == {"left_over"}
    assert report.records.filtered == 1  # the record without parts


def test_diamonds_inside_diamonds(tmp_path: Path) -> None:
    """An inner join whose branch fails is an absent branch of the outer one, over queues that hold one item."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 200}}}}
        inner: {{type: testing.pass, input: {{record: {{from: numbers, {QUEUE}}}}}}}
        x: {{type: test.fail, input: {{record: {{from: inner, {QUEUE}}}}}, params: {{every: 4}}, workers: 2}}
        y: {{type: test.work, input: {{record: {{from: inner, {QUEUE}}}}}, workers: 2}}
        small: {{type: flow.join, input: {{x: {{from: x, {QUEUE}}}, y: {{from: y, {QUEUE}}}}}}}
        large: {{type: flow.join, input: {{small: {{from: small.y, {QUEUE}}}, numbers: numbers, inner: inner}}}}
        out: {{type: test.keep, input: large.small}}
        """,
    )
    failing = sum(sum(int(sign) for sign in str(number)) % 4 == 0 for number in range(200))
    assert (report.records.completed, report.records.dead_lettered) == (200 - failing, failing)
    assert len(kept["out"]) == 200 - failing


def test_attributes_of_all_branches_are_kept(tmp_path: Path) -> None:
    """The joined item has the attributes of each branch; where two differ, those of the first input."""

    @node("test.mark", inputs={"record": "record"}, outputs={"record": "record"}, attributes={"mark": "str"})
    class Mark(Node[Params]):
        """Note which branch it is."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload(item.payload, {"mark": self.node_id, self.node_id: True})

    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 1}}
        a: {type: test.mark, input: numbers}
        b: {type: test.mark, input: numbers}
        both: {type: flow.join, input: {a: a, b: b}}
        out: {type: test.keep, input: both.a}
        """,
        Mark,
    )
    assert [dict(item.attributes) for item in kept["out"]] == [{"mark": "a", "a": True, "b": True}]


# The machine by itself, with the time passed in.


class Table:
    """A join of inputs `a` and `b`, and one ticket to give to what comes."""

    def __init__(self, timeout: float | None = None) -> None:
        self.join = Join(JoinParams(timeout=timeout), "both")
        self.join.ports = ("a", "b")
        self.gate = Gate("both", (0, 1), 2, lambda settled: None)
        self.ticket = self.new_ticket()

    def new_ticket(self) -> Ticket:
        return asyncio.run(self.gate.open())

    def arrive(self, port: int, key: str, at: float = 0.0) -> list[Any]:
        item = Item(key=key, ordinal=0, payload={self.join.ports[port]: port})
        return [said(result) for result in self.join.arrive(Part(port, item, self.ticket, "k", at))]


def said(result: Made | Left) -> tuple[str, object]:
    return (result.item.key, dict(result.item.payload)) if isinstance(result, Made) else (result.part.item.key, result.reason)


def test_time_is_up() -> None:
    """An item whose partner does not come in time is left over, and so is the partner that comes later."""
    table = Table(2.0)
    assert table.arrive(0, "k", at=10.0) == []
    assert table.join.due() == 12.0
    assert table.join.expired(11.9) == []
    assert [said(left) for left in table.join.expired(12.0)] == [("k", "nothing came to input 'b' within 2s")]
    assert table.join.due() is None
    ((key, reason),) = table.arrive(1, "k", at=13.0)
    assert key == "k" and "it came later than 2s after its partners" in str(reason)


def test_a_partner_in_time_takes_the_deadline_along() -> None:
    """Nothing is due once both have come."""
    table = Table(2.0)
    table.arrive(0, "k", at=10.0)
    assert table.arrive(1, "k", at=11.0) == [("k", {"a": 0, "b": 1})]
    assert table.join.due() is None


def test_absence_is_told_at_once() -> None:
    """When one port is settled with nothing, what waits at the other is let go before that one is settled."""
    table = Table()
    table.arrive(0, "k#0000")
    assert [said(left) for left in table.join.settled(table.ticket, 1)] == [("k#0000", None)]
    assert table.arrive(0, "k#0001") == [("k#0001", None)]


def test_a_key_that_comes_twice_to_one_input() -> None:
    """The second of two items with one key is left over, and the first still finds its partner."""
    table = Table()
    table.arrive(0, "k")
    assert table.arrive(0, "k") == [("k", "input 'a' has an item with this key already")]
    assert table.arrive(1, "k") == [("k", {"a": 0, "b": 1})]


def test_too_many_items_of_one_origin() -> None:
    """Beyond ten thousand waiting items, each further one is left over and says so."""
    table = Table()
    for number in range(10_000):
        assert table.arrive(0, f"k#{number:04d}") == []
    ((_, reason),) = table.arrive(0, "k#10000")
    assert "10000 items of the same origin wait here already" in str(reason)


@pytest.mark.parametrize("type_name", ["flow.join", "flow.zip"])
@pytest.mark.parametrize(
    ("fed", "said"),
    [
        (
            "numbers",
            "missing_input node 'both' ({type}): has one input; expected at least two: 'input: {{one: NODE, other: NODE}}'",
        ),
        ("{{a: numbers, dead_letter: numbers}}", "wrong_value node 'both' ({type}): an input is called 'dead_letter'"),
    ],
)
def test_inputs_that_cannot_be_brought_together(tmp_path: Path, type_name: str, fed: str, said: str) -> None:
    """One input is none too many for a node that brings several together, and each must be readable as an output."""
    with pytest.raises(GraphError) as raised:
        run_flow(
            tmp_path,
            f"""
            numbers: {{type: testing.numbers}}
            both: {{type: {type_name}, input: {fed.format()}}}
            out: {{type: test.keep, input: both}}
            """,
        )
    assert said.format(type=type_name) in str(raised.value)


def test_a_time_out_of_nothing(tmp_path: Path) -> None:
    """No item could have a partner within no time."""
    with pytest.raises(GraphError, match="'timeout' is 0s; expected more than 0s"):
        run_flow(
            tmp_path,
            """
            numbers: {type: testing.numbers}
            both: {type: flow.join, input: {a: numbers, b: numbers}, params: {timeout: 0s}}
            out: {type: test.keep, input: both.a}
            """,
        )
