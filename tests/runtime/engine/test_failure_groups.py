"""Failures by their reasons: what counts as the same, what is told, what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonograph.engine.failures import MOST_KEPT, MOST_TOLD, Failures, normalised
from phonograph.errors import CODES, BadInputError, TransientError
from phonograph.redaction import NO_SECRETS, Secrets
from phonograph.testing import FlakyNode
from small_runs import line, run_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/data/a.wav: cannot be read", "/data/b/d.wav: cannot be read"),
        ("clips/a is too long", "clips/b is too long"),
        ("row 17 has 3.5 s", "row 4 has 120 s"),
        ("object at 0x7f12ab90", "object at 0x7f00cd10"),
        ("no column 'left'", 'no column "right"'),
        ("digest 9f86d081884c", "digest 60303ae22b99"),
    ],
)
def test_what_differs_from_record_to_record_does_not_count(one: str, other: str) -> None:
    """Keys, paths, numbers, addresses and quoted text make no reason of their own."""
    assert normalised(one, "clips/a") == normalised(other, "clips/b")
    assert normalised(one, "") != normalised("something else", "")


def test_reasons_are_told_by_number_with_their_first_example() -> None:
    """The most frequent comes first, with the words of its first failure and what its code means."""
    failures = Failures(NO_SECRETS)
    failures.add("asr", "a", TransientError("timed out after 3 s"))
    for key in ("b", "c", "d"):
        failures.add("audio", key, BadInputError(f"{key} has 0 samples; expected some"))
    failures.add("other", "e", BadInputError("e has 0 samples; expected some"))
    first, *others = failures.metrics()
    assert (first.node, first.code, first.count, first.example) == ("audio", "bad_input", 3, "b")
    assert (first.message, first.meaning) == ("b has 0 samples; expected some", CODES["bad_input"])
    assert sorted((one.node, one.count) for one in others) == [("asr", 1), ("other", 1)]


def test_where_an_exception_was_raised_tells_it_apart() -> None:
    """Of exceptions that are not phonograph's own the line of code counts too, without its folder."""

    def raised(number: int) -> Exception:
        try:
            if number:
                raise ValueError("no")
            raise ValueError("no")
        except ValueError as error:
            return error

    failures = Failures(NO_SECRETS)
    for number in (0, 1, 1):
        failures.add("node", "key", raised(number))
    first, second = failures.metrics()
    assert (first.count, second.count) == (2, 1)
    assert first.place.startswith("test_failure_groups.py:")
    assert first.place != second.place


def test_secrets_stay_hidden() -> None:
    """Neither message nor key shows one."""
    failures = Failures(Secrets(["hush"]))
    failures.add("node", "clips/hush", BadInputError("hush is wrong"))
    (one,) = failures.metrics()
    assert (one.example, one.message) == ("clips/***", "*** is wrong")


def test_too_many_reasons_are_counted_without_being_told_apart() -> None:
    """Whatever fails, so many groups are kept, none of the failures is lost, and a frequent reason is not crowded out."""
    failures = Failures(NO_SECRETS)
    num = 4 * MOST_KEPT
    for number in range(num):
        failures.add("node", "key", BadInputError("x" + "abcdefghij"[number % 10] * (number // 10)))
        failures.add("node", "key", BadInputError("always the same"))
    told = failures.metrics()
    assert len(told) == MOST_TOLD
    assert (told[0].message, told[0].count) == ("always the same", num)
    assert sum(one.count for one in told) + failures.num_untold == 2 * num


def test_a_run_tells_why_its_records_failed(tmp_path: Path) -> None:
    """The report and metrics.json have the reasons, with measuring off the report alone."""
    flaky = "{failures: 9, error: bad_input, every: 4}"
    text = line(FlakyNode.spec.type).replace("input: numbers}", f"input: numbers, params: {flaky}}}", 1)
    report = run_text(tmp_path, text)
    (one,) = report.failures
    assert (one.node, one.count, one.example) == ("work", 5, "numbers/0")
    assert report.metrics is not None
    assert report.metrics.pipeline_execution.failures == report.failures
    assert [other.count for other in run_text(tmp_path, text, metrics=False).failures] == [5]
