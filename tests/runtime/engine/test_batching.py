"""Nodes that take several items in one call: what comes together, what comes of each, who is at fault when a call fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_nodes import TYPES
from flow_runs import keys, run_flow
from phonograph.executor import RunReport
from phonograph.item import Item
from small_runs import dead_letters, node_metrics, run_text

RUNS = ["thread", "process"]


def run_batches(
    folder: Path, params: str = "", *, batch: str = "max_items: 8, max_wait: 1h", count: int = 20, more: str = ""
) -> tuple[RunReport, list[Item]]:
    """`count` numbers through a node that takes batches into a sink.

    Args:
        params: of the node. more: other keys of it, such as its type.
    """
    type_name = "" if "type:" in more else ", type: test.together"
    report, kept = run_flow(
        folder,
        f"""
        n: {{type: testing.numbers, params: {{count: {count}}}}}
        work: {{input: {{record: {{from: n, batch: {{{batch}}}}}}}, workers: 1, params: {{{params}}}{type_name}{more}}}
        out: {{type: test.keep, input: work}}
        """,
        *TYPES,
    )
    return report, kept.get("out", [])


def came_with(items: list[Item]) -> list[list[int]]:
    """Of each item, the numbers of those that it came with."""
    return [item.payload["item"]["with"] for item in items]


def calls(diary: Path) -> list[list[int]]:
    return [[int(number) for number in line.split()] for line in diary.read_text().splitlines()]


def numbers(items: list[Item]) -> list[int]:
    return [int(key.rpartition("/")[2]) for key in keys(items)]


@pytest.mark.parametrize("more", ["", ", run: process", ", type: test.together_inline"], ids=["thread", "process", "inline"])
def test_items_come_together_and_leave_one_by_one(tmp_path: Path, more: str) -> None:
    """In the order in which they came; at the end the last batch waits for nothing more."""
    report, stored = run_batches(tmp_path, more=more)
    assert numbers(stored) == list(range(20))
    whole = [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    assert came_with(stored) == [whole[number // 8] for number in range(20)]
    metrics = node_metrics(report)["work"]
    assert (metrics.items_in, metrics.items_out, metrics.errors) == (20, 20, 0)
    assert (metrics.batches.formed, metrics.batches.mean_items) == (3, pytest.approx(20 / 3, abs=1e-6))


def test_other_nodes_have_no_batches_in_the_metrics(tmp_path: Path) -> None:
    """A mean of nothing would be a guess."""
    report, _ = run_batches(tmp_path)
    assert (node_metrics(report)["n"].batches, node_metrics(report)["out"].batches) == (None, None)


def test_without_a_batch_each_call_is_for_one(tmp_path: Path) -> None:
    """A node that has `process_batch` alone works in every graph."""
    text = """
        n: {type: testing.numbers, params: {count: 3}}
        work: {type: test.together, input: n}
        out: {type: test.keep, input: work}
        """
    _, kept = run_flow(tmp_path, text, *TYPES)
    assert sorted(came_with(kept["out"])) == [[0], [1], [2]]


def test_a_batch_that_waits_for_nothing_is_what_is_there(tmp_path: Path) -> None:
    """`max_wait: 0s` costs no item any time; however many come together, all of them are stored."""
    report, stored = run_batches(tmp_path, batch="max_wait: 0s")
    assert (sorted(numbers(stored)), report.records.completed) == (list(range(20)), 20)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("how", ["bad_input", "fault", "wrong_type", "too_few"])
def test_only_the_items_at_fault_are_lost(tmp_path: Path, run: str, how: str) -> None:
    """Whether the node raises, returns too little or what is no item: the others of the batch are stored."""
    report, stored = run_batches(tmp_path, f"on: {{'3': {how}, '12': {how}}}", more=f", run: {run}")
    assert numbers(stored) == [number for number in range(20) if number not in (3, 12)]
    assert [(letter["key"], letter["attempts"]) for letter in dead_letters(report)] == [("n/3", 1), ("n/12", 1)]
    metrics = node_metrics(report)["work"]
    assert (metrics.items_in, metrics.items_out, metrics.retries) == (20, 18, 0)
    assert metrics.batches.formed == 3


@pytest.mark.parametrize("how", ["kill", "unpicklable"])
def test_only_the_item_that_ends_its_process_is_lost(tmp_path: Path, how: str) -> None:
    """A process that died took a batch with it, and its parts are given to others."""
    report, stored = run_batches(tmp_path, f"on: {{'2': {how}}}", count=4, more=", run: process")
    assert numbers(stored) == [0, 1, 3]
    assert [letter["key"] for letter in dead_letters(report)] == ["n/2"]


def test_an_exception_in_the_place_of_a_result_is_of_that_item_alone(tmp_path: Path) -> None:
    """A node that knows which item is at fault says so, and nothing is called again."""
    diary = tmp_path / "diary"
    report, stored = run_batches(tmp_path, f"on: {{'1': at_fault}}, diary: {diary}", count=4)
    assert (numbers(stored), calls(diary)) == ([0, 2, 3], [[0, 1, 2, 3]])
    assert [(letter["key"], letter["code"]) for letter in dead_letters(report)] == [("n/1", "bad_input")]
    assert node_metrics(report)["work"].errors == 1


def test_a_batch_that_fails_is_cut_in_half(tmp_path: Path) -> None:
    """Down to the item at fault; what succeeded is not called again."""
    diary = tmp_path / "diary"
    report, _ = run_batches(tmp_path, f"on: {{'5': fault}}, diary: {diary}", count=8)
    assert calls(diary) == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]
    assert node_metrics(report)["work"].errors == 4  # of calls: 8, 4, 2 items and the one


def test_what_would_end_the_program_ends_the_item(tmp_path: Path) -> None:
    """SystemExit in a batch is a failure like any other."""
    report, stored = run_batches(tmp_path, "on: {'1': exit}", count=4)
    assert numbers(stored) == [0, 2, 3]
    assert dead_letters(report)[0]["code"] == "node_contract"


def test_an_error_that_heals_is_tried_again_with_the_whole_batch(tmp_path: Path) -> None:
    """Each item has one retry, and all of them come together again."""
    diary = tmp_path / "diary"
    report, stored = run_batches(
        tmp_path, f"on: {{'2': transient}}, heals_after: 1, diary: {diary}", count=4, more=", retry: {base_delay: 1ms}"
    )
    assert calls(diary) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert numbers(stored) == [0, 1, 2, 3]
    metrics = node_metrics(report)["work"]
    assert (metrics.status, metrics.retries, metrics.retried_items, metrics.errors) == ("retried", 4, 4, 1)
    assert metrics.items_in == 4


def test_after_the_last_attempt_the_item_at_fault_is_sought(tmp_path: Path) -> None:
    """An item at which the error never heals does not take the others of its batch with it."""
    report, stored = run_batches(tmp_path, "on: {'2': transient}", count=4, more=", retry: {base_delay: 1ms, max_retries: 2}")
    assert numbers(stored) == [0, 1, 3]
    assert [(letter["key"], letter["attempts"], letter["code"]) for letter in dead_letters(report)] == [("n/2", 3, "transient")]


def test_a_batch_too_large_for_memory_is_cut_without_a_retry(tmp_path: Path) -> None:
    """The same batch would need as much memory the next time."""
    diary = tmp_path / "diary"
    report, stored = run_batches(tmp_path, f"most: 3, diary: {diary}", count=8)
    assert [len(call) for call in calls(diary)] == [8, 4, 2, 2, 4, 2, 2]
    assert (numbers(stored), node_metrics(report)["work"].retries) == (list(range(8)), 0)


def test_filtered_items_leave_a_gap(tmp_path: Path) -> None:
    """None in the place of an item lets that one through no further."""
    report, stored = run_batches(tmp_path, "on: {'1': filter, '9': filter}", more=", type: test.together_or_not")
    assert numbers(stored) == [number for number in range(20) if number not in (1, 9)]
    assert (report.records.completed, report.records.filtered) == (18, 2)


def test_an_item_of_a_batch_may_become_several(tmp_path: Path) -> None:
    """They leave in its place, before those of the next item."""
    report, stored = run_batches(tmp_path, "on: {'1': two}", count=3, more=", type: test.together_many")
    assert keys(stored) == ["n/0", "n/1#0000", "n/1#0001", "n/2"]
    assert (report.records.completed, node_metrics(report)["work"].items_out) == (3, 4)


def test_a_generator_that_fails_is_the_fault_of_its_item(tmp_path: Path) -> None:
    """Nothing of that item is handed on, and no part of the batch is called again."""
    diary = tmp_path / "diary"
    report, stored = run_batches(tmp_path, f"on: {{'1': late}}, diary: {diary}", count=3, more=", type: test.together_many")
    assert (keys(stored), calls(diary)) == (["n/0", "n/2"], [[0, 1, 2]])
    assert [letter["key"] for letter in dead_letters(report)] == ["n/1"]


def test_each_record_of_a_batch_has_a_state_of_its_own(tmp_path: Path) -> None:
    """It begins before the call, and what it gives at its end comes behind what the call gave."""
    _, stored = run_batches(tmp_path, count=3, more=", type: test.counted")
    assert keys(stored) == ["n/0#0000", "n/0#0001", "n/1#0000", "n/1#0001", "n/2#0000", "n/2#0001"]
    assert [item.payload["item"].get("seen") for item in stored] == [None, 1] * 3


def breaker(when_open: str) -> str:
    return f", breaker: {{failure_threshold: 3, reset_timeout: 1ms, when_open: {when_open}}}"


def test_a_node_that_is_out_costs_few_calls_more_than_without_batches(tmp_path: Path) -> None:
    """The breaker opens at the third single item that failed; then one item at a time is tried."""
    diary = tmp_path / "diary"
    more = breaker("shed").replace("1ms", "1h")
    report, stored = run_batches(
        tmp_path, f"on: {{'*': fault}}, diary: {diary}", count=16, batch="max_items: 16, max_wait: 1h", more=more
    )
    assert [len(call) for call in calls(diary)] == [16, 8, 4, 2, 1, 1, 2, 1]
    assert (stored, report.records.dead_lettered) == ([], 16)
    assert [letter["code"] for letter in dead_letters(report)] == ["exception"] * 3 + ["breaker_open"] * 13


def test_a_breaker_lets_one_item_through_and_then_batches_again(tmp_path: Path) -> None:
    """The probe of a half-open breaker goes alone; when it succeeds, the items that were held come together."""
    diary = tmp_path / "diary"
    report, stored = run_batches(
        tmp_path,
        f"on: {{'0': fault, '1': fault, '2': fault}}, diary: {diary}",
        count=8,
        more=breaker("wait"),
    )
    assert sorted(numbers(stored)) == [3, 4, 5, 6, 7]
    assert [len(call) for call in calls(diary)] == [8, 4, 2, 1, 1, 2, 1, 1, 4]
    assert node_metrics(report)["work"].breaker.opens == 1


def test_a_node_that_is_out_is_passed_over(tmp_path: Path) -> None:
    """`when_open: skip` hands on what waits as it is."""
    more = breaker("skip").replace("1ms", "1h")
    report, stored = run_batches(tmp_path, "on: {'*': fault}", count=8, more=more)
    assert (numbers(stored), report.records.dead_lettered) == ([3, 4, 5, 6, 7], 3)
    assert [item.payload["item"] for item in stored] == [{"number": number} for number in (3, 4, 5, 6, 7)]


def test_a_run_that_fails_cancels_what_waits_for_a_batch(tmp_path: Path) -> None:
    """Every record has an outcome, also those that no call was made for."""
    text = """
        n: {type: testing.numbers, params: {count: 9}}
        bad: {type: testing.flaky, input: n, params: {error: fault, failures: 9, every: 8}, on_error: fail, workers: 1}
        work: {type: test.together, input: {record: {from: bad, batch: {max_items: 64, max_wait: 1h}}}}
        out: {type: test.keep, input: work}
        """
    report, kept = run_flow(tmp_path, text.replace("every: 8", "every: 9"), *TYPES)
    assert report.status == "failed"
    assert report.records.read == report.records.cancelled + report.records.dead_lettered
    assert kept == {}


def test_what_is_joined_behind_a_batch_belongs_together(tmp_path: Path) -> None:
    """Each item of a batch carries its own tickets, also when another one of it fails or is filtered."""
    report, kept = run_flow(
        tmp_path,
        """
        n: {type: testing.numbers, params: {count: 30}}
        work: {type: test.together_or_not, input: {record: {from: n, batch: {}}}, params: {on: {"5": fault, "6": filter}}}
        plain: {type: testing.pass, input: n}
        both: {type: flow.join, input: {work: work, plain: plain}}
        out: {type: test.keep, input: both}
        """,
        *TYPES,
    )
    assert sorted(numbers(kept["out"])) == [number for number in range(30) if number not in (5, 6)]
    assert report.records.completed + report.records.dead_lettered + report.records.filtered == 30


def test_a_batch_in_front_of_a_join_goes_before_it_is_full(tmp_path: Path) -> None:
    """No more records are let out to a join than it has tickets for, so a larger batch never fills; it does not wait its hour."""
    report, kept = run_flow(
        tmp_path,
        """
        n: {type: testing.numbers, params: {count: 150}}
        work: {type: test.together, input: {record: {from: n, batch: {max_items: 100, max_wait: 1h}}}, workers: 1}
        plain: {type: testing.pass, input: n}
        both: {type: flow.join, input: {work: work, plain: plain}}
        out: {type: test.keep, input: both}
        """,
        *TYPES,
    )
    assert sorted(numbers(kept["out"])) == list(range(150))
    assert node_metrics(report)["work"].batches.mean_items < 100


def test_a_batch_goes_before_it_is_full_where_memory_lets_no_more_in(tmp_path: Path) -> None:
    """The first records are few, and the run waits for one of them to end before it lets more in."""
    text = """
limits: {memory: 8GiB}
nodes:
  n: {type: testing.numbers, params: {count: 30}}
  work: {type: test.together, input: {record: {from: n, batch: {max_items: 20, max_wait: 1h}}}, workers: 1}
  out: {type: testing.discard, input: work}
"""
    report = run_text(tmp_path, text, *TYPES)
    assert report.records.completed == 30


SECONDS = [1.1, 20.0, 1.2, 19.0, 1.15, 18.5, 60.0, 1.3, 21.0]


def durations(folder: Path, batch: str, node: str = "type: test.padded") -> list[list[float]]:
    text = f"""
        clips: {{type: test.clips, params: {{seconds: {SECONDS}}}}}
        work: {{{node}, input: {{audio: {{from: clips, batch: {{{batch}, max_wait: 1h}}}}}}, workers: 1}}
        out: {{type: test.keep, input: work}}
        """
    _, kept = run_flow(folder, text, *TYPES)
    found: list[list[float]] = [item.payload["item"]["durations"] for item in kept["out"]]
    assert len(found) == len(SECONDS)
    return sorted({tuple(one): one for one in found}.values())


def test_short_and_long_clips_are_not_padded_together(tmp_path: Path) -> None:
    """In a bucket, no clip is longer than another one by more than the square root of two."""
    found = durations(tmp_path, "max_items: 4, bucket: duration")
    assert found == [[1.1, 1.2, 1.15, 1.3], [20.0, 19.0, 18.5, 21.0], [60.0]]


def test_a_batch_has_no_more_audio_than_it_may(tmp_path: Path) -> None:
    """A clip that is longer by itself goes alone."""
    found = durations(tmp_path, "max_audio: 40s")
    assert [60.0] in found
    assert all(sum(one) <= 40 for one in found if one != [60.0])


def test_a_function_of_lists_takes_batches(tmp_path: Path) -> None:
    """It gets the payloads and the parameters, and None lets an item through no further."""
    report, kept = run_flow(
        tmp_path,
        """
        clips: {type: test.clips, params: {seconds: [1, 0, 3]}}
        work: {type: test.texts, input: {audio: {from: clips, batch: {max_wait: 1h}}}, params: {word: so}}
        out: {type: test.keep, input: work}
        """,
        *TYPES,
    )
    assert [item.payload["item"] for item in kept["out"]] == ["so", "so so so"]
    assert (report.records.filtered, node_metrics(report)["work"].batches.formed) == (1, 1)
    assert node_metrics(report)["work"].audio_seconds == 4.0


def test_a_function_that_returns_too_much_is_named(tmp_path: Path) -> None:
    """Which result belongs to which item would be a guess."""
    report, kept = run_flow(
        tmp_path,
        """
        clips: {type: test.clips, params: {seconds: [1, 2]}}
        work: {type: test.too_many, input: {audio: {from: clips, batch: {max_wait: 1h}}}}
        out: {type: test.keep, input: work}
        """,
        *TYPES,
    )
    assert kept == {}
    assert [letter["message"] for letter in dead_letters(report)] == [
        "too_many returned 2 results; expected a list of 1, one for each item"
    ] * 2


@pytest.mark.parametrize("target", [TYPES[0], TYPES[-2]], ids=["class", "function"])
def test_a_node_type_says_that_it_takes_batches(target: Any) -> None:
    """The manifest language asks the declaration."""
    assert target.spec.batches
