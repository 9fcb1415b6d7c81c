"""`flow.merge` and `flow.zip`: streams that become one, and what their order is."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow_runs import keys, run_flow
from phonograph.flow.gather import child_order
from small_runs import dead_letters, node_metrics

QUEUE = "queue: {items: 1}"


def test_merge_takes_what_comes(tmp_path: Path) -> None:
    """Every item of every input comes out, under the key that it has."""
    report, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 5}}
        other: {type: testing.numbers, params: {count: 7}}
        all: {type: flow.merge, input: {a: one, b: other}}
        out: {type: test.keep, input: all}
        """,
    )
    assert report.records.completed == 12
    assert sorted(keys(kept["out"])) == sorted([f"one/{n}" for n in range(5)] + [f"other/{n}" for n in range(7)])
    assert node_metrics(report)["all"].items_out == 12


def test_merge_in_the_order_of_the_source(tmp_path: Path) -> None:
    """However long each took, items come in source order, the parts of a record in theirs; what has ended is no gap."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 60}}}}
        way: {{type: test.choose, input: {{record: {{from: numbers, {QUEUE}}}}}, params: {{every: 2}}}}
        left: {{type: test.work, input: way.left, workers: 3}}
        right: {{type: test.fail, input: {{record: {{from: way.right, {QUEUE}}}}}, params: {{every: 5}}, workers: 2}}
        parts: {{type: test.split, input: right, params: {{every: 2}}}}
        all: {{type: flow.merge, input: {{a: {{from: left, {QUEUE}}}, b: parts}}, params: {{order: source}}}}
        out: {{type: test.keep, input: all}}
        """,
    )
    expected = []
    for number in range(60):
        digits = sum(int(sign) for sign in str(number))
        if digits % 2 == 0:
            expected.append(f"numbers/{number}")
        elif digits % 5:
            expected += [f"numbers/{number}#{part:04d}" for part in range(digits % 3)]
    assert keys(kept["out"]) == expected
    assert report.records.read == 60


def test_a_route_that_is_merged_again_loses_nothing(tmp_path: Path) -> None:
    """Both outputs of one node may meet again in one merge."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        way: {type: test.choose, input: numbers, params: {every: 2}}
        all: {type: flow.merge, input: {a: way.left, b: way.right}, params: {order: source}}
        out: {type: test.keep, input: all}
        """,
    )
    assert keys(kept["out"]) == [f"numbers/{number}" for number in range(20)]
    assert report.records.completed == 20


def test_children_are_ordered_by_number() -> None:
    """Child number 10000 stands behind 9999, and a key that only looks like a child's is none."""
    shuffled = ["a#10000", "a#9999", "a#0002#0001", "a#0002#0000", "a#0002"]
    assert sorted(shuffled, key=child_order) == ["a#0002", "a#0002#0000", "a#0002#0001", "a#9999", "a#10000"]
    assert child_order("take #2/a.wav") == ()


def test_zip_pairs_the_nth_with_the_nth(tmp_path: Path) -> None:
    """Items of two sources are paired in source order, under a key that says which pair it is, with both keys as parents."""
    report, kept = run_flow(
        tmp_path,
        f"""
        one: {{type: testing.numbers, params: {{count: 200}}}}
        other: {{type: testing.numbers, params: {{count: 200}}}}
        slow: {{type: test.work, input: {{record: {{from: one, {QUEUE}}}}}, workers: 3}}
        pairs: {{type: flow.zip, input: {{a: slow, b: other}}}}
        out: {{type: test.keep, input: pairs.a}}
        """,
    )
    assert report.records.completed == 400
    assert keys(kept["out"]) == [f"one/{number}+pairs-{number:04d}" for number in range(200)]
    assert [item.parents for item in kept["out"]][7] == ("one/7", "other/7")
    assert all(item.ordinal < 0 for item in kept["out"])


def test_what_is_left_over_in_a_zip(tmp_path: Path) -> None:
    """When one input ends first, what waits at the other becomes dead letters, with the number of pairs."""
    report, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 300}}
        other: {type: testing.numbers, params: {count: 2}}
        pairs: {type: flow.zip, input: {a: one, b: other}}
        out: {type: test.keep, input: pairs.a}
        """,
    )
    assert (report.records.completed, report.records.dead_lettered) == (4, 298)
    assert len(kept["out"]) == 2
    assert {letter["message"] for letter in dead_letters(report)} == {"input 'b' has ended after 2 items"}
    assert {letter["code"] for letter in dead_letters(report)} == {"left_over"}


def test_what_fails_keeps_its_place_in_a_zip(tmp_path: Path) -> None:
    """A failed item takes its partner along, and no other moves up into its place; a filtered one does not count."""
    report, kept = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 6}}
        other: {type: testing.numbers, params: {count: 4}}
        odd: {type: test.thin, input: one, params: {every: 5}}
        ok: {type: test.fail, input: odd, params: {every: 2}}
        pairs: {type: flow.zip, input: {a: ok, b: other}}
        out: {type: test.keep, input: pairs.a}
        """,
    )
    assert [item.parents for item in kept["out"]] == [("one/1", "other/0"), ("one/3", "other/2")]
    told = {letter["key"]: letter["message"] for letter in dead_letters(report) if letter["node"] == "pairs"}
    assert told == {
        "other/1": "its partner at input 'a', number 1, failed or was dropped",
        "other/3": "its partner at input 'a', number 3, failed or was dropped",
    }
    assert (report.records.filtered, report.records.completed, report.records.dead_lettered) == (2, 4, 4)


def test_a_pair_that_fails_fails_both_records(tmp_path: Path) -> None:
    """What is made of two records ends them both, as it ends."""
    report, _ = run_flow(
        tmp_path,
        """
        one: {type: testing.numbers, params: {count: 3}}
        other: {type: testing.numbers, params: {count: 3}}
        pairs: {type: flow.zip, input: {a: one, b: other}}
        refuse: {type: test.fail, input: pairs.b, params: {every: 1}}
        out: {type: test.keep, input: refuse}
        """,
    )
    assert report.records.dead_lettered == 6
    assert sorted(letter["key"] for letter in dead_letters(report)) == [f"one/{n}+pairs-000{n}" for n in range(3)]


def test_branches_of_one_source_that_are_differently_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A zip whose one branch lags behind without end cannot lock up: its gate widens when nothing else moves."""
    caplog.set_level("INFO", logger="phonograph")
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 1000}}
        half: {type: test.thin, input: numbers, params: {every: 2}}
        pairs: {type: flow.zip, input: {a: half, b: numbers}}
        out: {type: test.keep, input: pairs.a}
        """,
    )
    assert len(kept["out"]) == 500
    assert [item.parents for item in kept["out"]][1] == ("numbers/3", "numbers/1")
    assert "gate_widened" in caplog.text
    assert report.records.completed + report.records.dead_lettered == 1000


def test_runs_are_reproducible(tmp_path: Path) -> None:
    """Two runs give the same pairs under the same keys, whichever worker was faster."""

    def run(folder: str) -> list[tuple[str, tuple[str, ...]]]:
        (tmp_path / folder).mkdir()
        _, kept = run_flow(
            tmp_path / folder,
            """
            numbers: {type: testing.numbers, params: {count: 150}}
            parts: {type: test.split, input: numbers, params: {every: 3}}
            slow: {type: test.work, input: parts, workers: 3}
            quick: {type: test.work, input: parts, workers: 2}
            pairs: {type: flow.zip, input: {a: slow, b: quick}}
            batches: {type: flow.collect, input: pairs.a, params: {by: count, size: 7}}
            out: {type: test.keep, input: batches}
            """,
        )
        return [(item.key, item.parents) for item in kept["out"]]

    first = run("first")
    assert len(first) > 20
    assert first == run("second")
