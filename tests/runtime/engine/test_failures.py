"""What becomes of records whose node fails: retry, breaker, on_error, budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import BadInputError, ErrorBudgetError, NodeError, TransientError
from phonograph.executor import RunReport
from phonograph.item import Item
from phonograph.node import Node, Params, node
from small_runs import dead_letters, line, node_metrics, run_text

FLAKY = """
defaults:
  retry: {max_retries: 3, base_delay: 1ms, max_delay: 4ms}
  on_error: ON_ERROR
limits: {error_rate: RATE}
nodes:
  numbers: {type: testing.numbers, params: {count: 20}}
  flaky: {type: testing.flaky, input: numbers, workers: 1, params: PARAMS, breaker: BREAKER}
  out: {type: testing.discard, input: flaky}
"""


def flaky(params: str, *, breaker: str = "{failure_threshold: 1000}", on_error: str = "dead_letter", rate: str = "1.0") -> str:
    text = FLAKY
    for name, value in {"BREAKER": breaker, "ON_ERROR": on_error, "RATE": rate, "PARAMS": params}.items():
        text = text.replace(name, value)
    return text


def test_transient_failures_heal(tmp_path: Path) -> None:
    """Records that fail twice and then succeed are completed, and the metrics say what it took."""
    report = run_text(tmp_path, flaky("{failures: 2, every: 4}"))
    metrics = node_metrics(report)["flaky"]
    assert (report.status, report.records.completed) == ("success", 20)
    assert (metrics.status, metrics.errors, metrics.retries, metrics.retried_items) == ("retried", 10, 10, 5)
    assert (metrics.items_in, metrics.items_out) == (20, 20)


def test_retries_are_used_up(tmp_path: Path) -> None:
    """After three retries a record is a dead letter with four attempts."""
    report = run_text(tmp_path, flaky("{failures: 9, every: 10}"))
    assert (report.status, report.exit_code) == ("completed_with_errors", 0)
    assert (report.records.completed, report.records.dead_lettered) == (18, 2)
    assert [(letter["key"], letter["attempts"], letter["code"]) for letter in dead_letters(report)] == [
        ("numbers/0", 4, "transient"),
        ("numbers/10", 4, "transient"),
    ]


@pytest.mark.parametrize(("error", "code"), [("bad_input", "bad_input"), ("fault", "exception")])
def test_what_cannot_heal_is_not_retried(tmp_path: Path, error: str, code: str) -> None:
    """Bad input and faults are dead letters after one attempt."""
    report = run_text(tmp_path, flaky(f"{{failures: 9, every: 10, error: {error}}}"))
    assert [(letter["attempts"], letter["code"], letter["node"]) for letter in dead_letters(report)] == [(1, code, "flaky")] * 2
    assert node_metrics(report)["flaky"].retries == 0


def test_a_dead_letter_names_the_chain_of_causes(tmp_path: Path) -> None:
    """The causes of an error stand below its own words, nearest first."""

    @node("test.chain", inputs={"record": "record"}, outputs={"record": "record"})
    class Chain(Node[Params]):
        """Fail for a reason."""

        def process(self, item: Item, state: None) -> Item:
            try:
                raise KeyError("left")
            except KeyError as error:
                raise BadInputError("the row has no left channel; expected columns left and right") from error

    text = "nodes:\n  n: {type: testing.numbers, params: {count: 1}}\n  c: {type: test.chain, input: n}\n"
    report = run_text(tmp_path, text + "  out: {type: testing.discard, input: c}\n", Chain)
    (letter,) = dead_letters(report)
    assert letter["message"] == "the row has no left channel; expected columns left and right"
    assert letter["causes"] == ["KeyError: 'left'"]


def test_skip_leaves_records_out(tmp_path: Path) -> None:
    """`on_error: skip` counts records as skipped and writes no dead letter."""
    report = run_text(tmp_path, flaky("{failures: 9, every: 10, error: fault}", on_error="skip"))
    assert (report.records.skipped, report.records.completed) == (2, 18)
    assert dead_letters(report) == []


def test_fail_stops_the_run(tmp_path: Path) -> None:
    """`on_error: fail` ends the run at the first failure and names node and record."""
    text = flaky("{failures: 9, error: fault}", on_error="fail").replace("count: 20", "count: 5000")
    report = run_text(tmp_path, text)
    assert (report.status, report.exit_code) == ("failed", 1)
    assert isinstance(report.error, NodeError)
    assert "flaky" in str(report.error) and "numbers/0" in str(report.error)
    assert report.records.read < 5000
    assert report.records.completed == 0
    assert node_metrics(report)["flaky"].status == "failed"


def test_a_run_in_which_every_record_failed_is_failed(tmp_path: Path) -> None:
    """Nothing but dead letters is exit status 1, whatever the budget."""
    report = run_text(tmp_path, flaky("{failures: 9, error: bad_input}"))
    assert (report.status, report.records.dead_lettered) == ("failed", 20)
    assert isinstance(report.error, ErrorBudgetError)


def test_the_error_budget_is_checked_at_the_end(tmp_path: Path) -> None:
    """Two failures of twenty exceed a budget of 5 %, and keep within one of 10 %."""
    params = "{failures: 9, every: 10, error: bad_input}"
    over = run_text(tmp_path, flaky(params, rate="0.05"))
    within = run_text(tmp_path, flaky(params, rate="0.1"))
    assert (over.status, over.exit_code) == ("failed", 1)
    assert "2 of 20 records failed; limits.error_rate allows 5.00%" in str(over.error)
    assert (within.status, within.exit_code) == ("completed_with_errors", 0)


def test_the_error_budget_stops_a_long_run(tmp_path: Path) -> None:
    """After 100 records a run that is over its budget ends without reading on."""
    text = flaky("{failures: 9, every: 2, error: bad_input}", rate="0.05").replace("count: 20", "count: 100000")
    report = run_text(tmp_path, text)
    assert report.status == "failed"
    assert 100 <= report.records.read < 100_000


@pytest.mark.parametrize("on_error", ["dead_letter", "skip"])
def test_a_node_has_a_budget_of_its_own(tmp_path: Path, on_error: str) -> None:
    """What fails at a node, set aside or skipped, is held against what that node allows, and others are not."""
    params = "{failures: 9, every: 10, error: bad_input}"
    texts = [flaky(params, on_error=on_error).replace("workers: 1", f"workers: 1, error_rate: {rate}") for rate in (0.05, 0.1)]
    over, within = (run_text(tmp_path, text) for text in texts)
    assert (over.status, over.exit_code) == ("failed", 1)
    assert "2 of 20 records failed at node 'flaky'; its error_rate allows 5.00%" in str(over.error)
    assert (within.status, within.exit_code) == ("completed_with_errors", 0)
    elsewhere = flaky(params, on_error=on_error).replace("input: flaky}", "input: flaky, error_rate: 0}")
    assert run_text(tmp_path, elsewhere).exit_code == 0


def test_the_budget_of_a_node_stops_a_long_run(tmp_path: Path) -> None:
    """After 100 records a run of which too many fail at one node ends without reading on."""
    text = flaky("{failures: 9, every: 2, error: bad_input}").replace("workers: 1", "workers: 1, error_rate: 5e-2")
    report = run_text(tmp_path, text.replace("count: 20", "count: 100000"))
    assert report.status == "failed"
    assert 100 <= report.records.read < 100_000


def failing_until(number: int) -> type[Node[Params]]:
    """A node that is down for the first `number` calls."""
    calls = []

    @node("test.down", inputs={"record": "record"}, outputs={"record": "record"})
    class DownAtFirst(Node[Params]):
        """Be down for some calls."""

        def process(self, item: Item, state: None) -> Item:
            calls.append(item.key)
            if len(calls) <= number:
                raise RuntimeError("service is down")
            return item

    return DownAtFirst


def breaker_run(folder: Path, target: Any, breaker: str) -> RunReport:
    return run_text(folder, flaky("{}", breaker=breaker).replace("testing.flaky", "test.down"), target)


def test_waiting_for_an_open_breaker_finishes_all_that_can_be(tmp_path: Path) -> None:
    """`wait` holds records while the breaker is open; a probe closes it and the rest is completed."""
    breaker = "{failure_threshold: 3, reset_timeout: 20ms, when_open: wait}"
    report = breaker_run(tmp_path, failing_until(3), breaker)
    metrics = node_metrics(report)["flaky"]
    assert (report.records.completed, report.records.dead_lettered) == (17, 3)
    assert (metrics.breaker.state, metrics.breaker.opens) == ("closed", 1)
    assert metrics.items_in == 20


def test_failed_probes_reopen_the_breaker(tmp_path: Path) -> None:
    """Each failed probe costs one record and opens the breaker again."""
    breaker = "{failure_threshold: 3, reset_timeout: 5ms, when_open: wait}"
    report = breaker_run(tmp_path, failing_until(6), breaker)
    assert (report.records.completed, report.records.dead_lettered) == (14, 6)
    assert node_metrics(report)["flaky"].breaker.opens == 4


def test_waiting_ends_with_max_open(tmp_path: Path) -> None:
    """Once a node has been out for max_open, records are shed at once: a node that never heals does not hold a run for ever."""
    breaker = "{failure_threshold: 3, reset_timeout: 1h, when_open: wait, max_open: 10ms}"
    report = breaker_run(tmp_path, failing_until(1000), breaker)
    letters = dead_letters(report)
    assert [letter["code"] for letter in letters] == ["exception"] * 3 + ["breaker_open"] * 17
    assert {letter["attempts"] for letter in letters[3:]} == {0}


def test_shedding_answers_at_once(tmp_path: Path) -> None:
    """`shed` dead-letters with breaker_open and no attempt while the breaker is open."""
    breaker = "{failure_threshold: 3, reset_timeout: 1h, when_open: shed}"
    report = breaker_run(tmp_path, failing_until(3), breaker)
    letters = dead_letters(report)
    assert [letter["code"] for letter in letters] == ["exception"] * 3 + ["breaker_open"] * 17
    assert {letter["attempts"] for letter in letters[3:]} == {0}
    assert node_metrics(report)["flaky"].items_in == 3
    assert node_metrics(report)["flaky"].breaker.state == "open"


def test_skipping_passes_over_the_node(tmp_path: Path) -> None:
    """`skip` hands records on unchanged while the breaker is open."""
    breaker = "{failure_threshold: 3, reset_timeout: 1h, when_open: skip}"
    report = breaker_run(tmp_path, failing_until(3), breaker)
    assert (report.records.completed, report.records.dead_lettered) == (17, 3)
    assert node_metrics(report)["out"].items_in == 17
    assert node_metrics(report)["flaky"].status == "skipped"


def test_bad_input_does_not_open_the_breaker(tmp_path: Path) -> None:
    """Twenty unreadable records in a row say nothing about the node."""
    report = run_text(tmp_path, flaky("{failures: 9, error: bad_input}", breaker="{failure_threshold: 2, reset_timeout: 1h}"))
    assert node_metrics(report)["flaky"].breaker.opens == 0
    assert {letter["code"] for letter in dead_letters(report)} == {"bad_input"}


def test_bad_records_at_the_start_do_not_stop_a_run_without_a_budget(tmp_path: Path) -> None:
    """Without error_rate a run goes on after a hundred failures in a row, and is done when others went through."""

    @node("test.late", inputs={"record": "record"}, outputs={"record": "record"})
    class Late(Node[Params]):
        """Refuse the first 150 records."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal < 150:
                raise BadInputError("too early")
            return item

    text = "nodes:\n  n: {type: testing.numbers, params: {count: 400}}\n  late: {type: test.late, input: n}\n"
    report = run_text(tmp_path, text + "  out: {type: testing.discard, input: late}\n", Late)
    assert (report.status, report.exit_code) == ("completed_with_errors", 0)
    assert (report.records.dead_lettered, report.records.completed) == (150, 250)


def test_failures_in_a_row_are_counted_in_their_order(tmp_path: Path) -> None:
    """Children of one record that fail, succeed and fail again are not a row of failures."""

    @node("test.six", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
    class Six(Node[Params]):
        """Emit six children."""

        def process(self, item: Item, state: None) -> list[Item]:
            return [item.child(number, item.payload) for number in range(6)]

    @node("test.fifth", inputs={"record": "record"}, outputs={"record": "record"})
    class Fifth(Node[Params]):
        """Let only the fifth child through."""

        def process(self, item: Item, state: None) -> Item:
            if not item.key.endswith("#0004"):
                raise RuntimeError("no")
            return item

    text = """
defaults: {breaker: {failure_threshold: 5, reset_timeout: 1h, when_open: shed}}
nodes:
  n: {type: testing.numbers, params: {count: 1}}
  six: {type: test.six, input: n}
  fifth: {type: test.fifth, input: six}
  out: {type: testing.discard, input: fifth}
"""
    report = run_text(tmp_path, text, Six, Fifth)
    assert node_metrics(report)["fifth"].breaker.opens == 0
    assert len(dead_letters(report)) == 5


class Unspeakable(Exception):
    """Has no words."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


def caused_by_the_unspeakable() -> Exception:
    error = RuntimeError("for a reason")
    error.__cause__ = Unspeakable()
    return error


def circular() -> Exception:
    error = RuntimeError("because of itself")
    error.__cause__ = error
    return error


@pytest.mark.parametrize(
    "error", [Unspeakable(), caused_by_the_unspeakable(), circular()], ids=["no words", "a cause without words", "its own cause"]
)
def test_an_odd_exception_is_a_dead_letter_like_any_other(tmp_path: Path, error: Exception) -> None:
    """Neither an exception without words nor one that causes itself stops the run."""

    @node("test.odd", inputs={"record": "record"}, outputs={"record": "record"})
    class Odd(Node[Params]):
        """Raise it once."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 1:
                raise error
            return item

    text = "nodes:\n  n: {type: testing.numbers}\n  odd: {type: test.odd, input: n}\n  out: {type: testing.discard, input: odd}\n"
    report = run_text(tmp_path, text, Odd)
    (letter,) = dead_letters(report)
    assert type(error).__name__ in letter["message"]
    assert report.records.completed == 9


def test_a_dead_letter_says_where_the_code_failed(tmp_path: Path) -> None:
    """For an error of the node's own code the dead letter has file, line and function."""

    @node("test.buggy", inputs={"record": "record"}, outputs={"record": "record"})
    class Buggy(Node[Params]):
        """Divide by zero."""

        def process(self, item: Item, state: None) -> Item:
            return item.child(1 // (item.ordinal - 1), item.payload)

    text = "nodes:\n  n: {type: testing.numbers, params: {count: 2}}\n  b: {type: test.buggy, input: n}\n"
    report = run_text(tmp_path, text + "  out: {type: testing.discard, input: b}\n", Buggy)
    (letter,) = dead_letters(report)
    assert letter["traceback"][-1].endswith("in process")
    assert "test_failures.py:" in letter["traceback"][-1]


def test_a_record_shed_between_its_attempts_keeps_its_history(tmp_path: Path) -> None:
    """A record that an open breaker sheds before its retry says how often it was tried, and what failed."""
    text = """
defaults: {retry: {base_delay: 30ms}}
nodes:
  n: {type: testing.numbers, params: {count: 4}}
  flaky: {type: test.mixed, input: n, workers: 1, breaker: {failure_threshold: 3, reset_timeout: 1h, when_open: shed}}
  out: {type: testing.discard, input: flaky}
"""

    @node("test.mixed", inputs={"record": "record"}, outputs={"record": "record"})
    class Mixed(Node[Params]):
        """Be busy for the first record and broken for the others."""

        def process(self, item: Item, state: None) -> Item:
            raise TransientError("busy") if item.ordinal == 0 else RuntimeError("broken")

    letters = {letter["key"]: letter for letter in dead_letters(run_text(tmp_path, text, Mixed))}
    assert (letters["n/0"]["code"], letters["n/0"]["attempts"]) == ("breaker_open", 1)
    assert letters["n/0"]["causes"] == ["TransientError: busy"]


def endless() -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    attributes["self"] = attributes
    return attributes


@pytest.mark.parametrize("attributes", [{"count": 10**5000}, endless()], ids=["huge number", "circle"])
def test_attributes_that_json_cannot_hold_do_not_cost_the_letter(tmp_path: Path, attributes: dict[str, Any]) -> None:
    """The dead letter is written without them, and the run goes on."""

    @node("test.first", inputs={"record": "record"}, outputs={"record": "record"})
    class First(Node[Params]):
        """Add odd attributes."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload(item.payload, attributes)

    text = """
nodes:
  n: {type: testing.numbers, params: {count: 4}}
  first: {type: test.first, input: n}
  flaky: {type: testing.flaky, input: first, params: {failures: 9, every: 3, error: bad_input}}
  out: {type: testing.discard, input: flaky}
"""
    report = run_text(tmp_path, text, First)
    assert report.records.completed == 2
    assert [letter["attributes"] for letter in dead_letters(report)] == [{}, {}]


def test_of_many_failures_the_first_are_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After twenty the log says once that more follow, and tells those at `info`."""
    caplog.set_level("INFO", logger="phonograph")
    text = line("testing.flaky, params: {failures: 9, error: bad_input}").replace("count: 20", "count: 50")
    run_text(tmp_path, text)
    told = [entry for entry in caplog.records if "event='record_failed'" in entry.getMessage()]
    assert [entry.levelname for entry in told] == ["WARNING"] * 20 + ["INFO"] * 30
    assert sum("event='more_records_failed'" in entry.getMessage() for entry in caplog.records) == 1
