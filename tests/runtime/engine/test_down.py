"""A service that is down for a while: breakers, budgets, jitter, named errors; in simulated time."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from phonograph.errors import GraphError, TransientError
from phonograph.executor import RunReport
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from small_runs import dead_letters, executor_for, node_metrics

CALLS: list[float] = []
"""Simulated times of the calls of the latest run."""
BY_KEY: Counter[str] = Counter()
"""How often `Service` was called in it, by record."""


class RateLimitedError(Exception):
    """Of a client library that knows nothing of phonograph."""


class DownParams(Params, frozen=True):
    first: int = 10
    last: int = 19
    error: str = "transient"


@node("test.down", inputs={"record": "record"}, outputs={"record": "record"})
class Down(Node[DownParams]):
    """Fail on some records, at each attempt."""

    def process(self, item: Item, state: None) -> Item:
        CALLS.append(asyncio.get_running_loop().time())
        if self.params.first <= item.ordinal <= self.params.last:
            raise {"transient": TransientError, "limited": RateLimitedError}[self.params.error]("busy")
        return item


TEXT = """
nodes:
  numbers: {type: testing.numbers, params: {count: 100}}
  down: {type: test.down, input: numbers, workers: 1, MORE}
  out: {type: testing.discard, input: down}
"""


def run(folder: Path, more: str, seed: int = 0, log: io.StringIO | None = None) -> RunReport:
    CALLS.clear()
    logger = command_logger("json", "info", log or io.StringIO())
    return simulate(executor_for(folder, TEXT.replace("MORE", more), Down, log=logger).run_async(), seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_transitions_are_in_metrics_and_logs(tmp_path: Path, seed: int) -> None:
    """Each change of a breaker stands in the metrics, with the time since the run began, and in the log."""
    log = io.StringIO()
    more = "retry: {max_retries: 0}, breaker: {failure_threshold: 4, reset_timeout: 10s, max_open: 1h}"
    report = run(tmp_path, more, seed, log)
    breaker = node_metrics(report)["down"].breaker
    states = [one.state for one in breaker.transitions]
    assert states[:2] == ["open", "half-open"] and states[-1] == "closed"
    assert states.count("open") == breaker.opens >= 7
    times = [one.at_ms for one in breaker.transitions]
    assert times == sorted(times) and times[-1] >= 70_000
    assert log.getvalue().count('"event": "breaker"') == len(states)
    assert report.records.completed == 90


@pytest.mark.parametrize("seed", range(5))
def test_a_window_counts_failures_that_are_not_in_a_row(tmp_path: Path, seed: int) -> None:
    """Failures with successes between them open a breaker with a window, and not one without."""

    @node("test.every_other", inputs={"record": "record"}, outputs={"record": "record"})
    class EveryOther(Node[Params]):
        """Fail on every other record."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal % 2:
                raise TransientError("busy")
            return item

    def opens(more: str) -> int:
        text = TEXT.replace("test.down", "test.every_other").replace("MORE", "retry: {max_retries: 0}, " + more)
        report = simulate(executor_for(tmp_path, text, EveryOther).run_async(), seed=seed)
        return int(node_metrics(report)["down"].breaker.opens)

    assert opens("breaker: {failure_threshold: 5, when_open: shed}") == 0
    assert opens("breaker: {failure_threshold: 5, window: 10, reset_timeout: 1s, when_open: shed}") > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_keeps_retries_from_piling_up(tmp_path: Path, seed: int) -> None:
    """Of 100 records that all fail, 10 may be tried again, and one in ten besides; without a budget, all are three times."""
    fails, kept = "params: {first: 0, last: 99}, breaker: {failure_threshold: 1000}", "retry: {base_delay: 0s, max_delay: 0s"
    budgeted = run(tmp_path, f"{fails}, {kept}, budget: 0.1}}", seed)
    metrics = node_metrics(budgeted)["down"]
    assert 15 <= metrics.retries <= 20
    assert metrics.refused_retries > 0
    assert node_metrics(run(tmp_path, f"{fails}, {kept}}}", seed))["down"].retries == 300


def test_jitter_is_the_same_for_one_seed(tmp_path: Path) -> None:
    """In simulation, jitter is drawn by the seed."""
    more = "breaker: {failure_threshold: 1000}, retry: {base_delay: 1s, jitter: 1s}"
    runs = []
    for seed in (1, 1, 2):
        run(tmp_path, more, seed)
        runs.append(list(CALLS))
    assert runs[0] == runs[1] != runs[2]


def test_errors_are_retried_by_their_names(tmp_path: Path) -> None:
    """An error of somebody else's package heals when the manifest names it; and one of a plug-in file does."""
    more = "params: {first: 5, last: 5, error: limited}"
    assert node_metrics(run(tmp_path, more))["down"].retries == 0
    named = run(tmp_path, f"{more}, retry: {{retryable: [KeyError, {__name__}.RateLimitedError]}}")
    assert node_metrics(named)["down"].retries == 3
    assert dead_letters(named)[0]["attempts"] == 4
    (tmp_path / "mine.py").write_text(
        "from phonograph.node import node\n\nclass OwnError(Exception):\n    pass\n\n"
        "@node('mine.fail')\ndef fail(record: dict) -> dict:\n    '''Fail.'''\n    raise OwnError('own')\n"
    )
    text = "plugins: [mine.py]\n" + TEXT.replace("test.down", "mine.fail").replace("count: 100", "count: 1")
    text = text.replace("MORE", "retry: {base_delay: 1ms, max_retries: 2, retryable: mine.OwnError}")
    assert node_metrics(executor_for(tmp_path, text).run())["down"].retries == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ConectionError", "have no 'ConectionError'; expected an exception that may heal"),
        ("no.such.Error", "module 'no.such' cannot be imported"),
        ("json.dumps", "is no Exception"),
        ("OutputError", "is never tried again"),
        ("BadInputError", "is never tried again"),
    ],
)
def test_a_name_that_cannot_be_retried_is_told_before_the_run(tmp_path: Path, name: str, words: str) -> None:
    """`check` says what is wrong with an error that the manifest names."""
    with pytest.raises(GraphError) as told:
        executor_for(tmp_path, TEXT.replace("MORE", f"retry: {{retryable: [{name}]}}"), Down)
    assert words in str(told.value)


def test_a_window_that_can_never_open_is_refused(tmp_path: Path) -> None:
    """Of three records five cannot fail."""
    with pytest.raises(GraphError, match="'window' on node 'down' is 3 records, of which 5 can never fail"):
        executor_for(tmp_path, TEXT.replace("MORE", "breaker: {window: 3}"), Down)


SERVICE = """
nodes:
  numbers: {type: testing.numbers, params: {count: 60}}
  service: {type: test.service, input: numbers, workers: 2, retry: {max_retries: 1}, breaker: {reset_timeout: 4s MORE}}
  out: {type: testing.discard, input: service}
"""


class ServiceParams(Params, frozen=True):
    poison: tuple[int, ...] = ()
    down_s: float = 10.0


@node("test.service", inputs={"record": "record"}, outputs={"record": "record"})
class Service(Node[ServiceParams]):
    """Be down from the twentieth call on, for a while; and always fail on some."""

    def process(self, item: Item, state: None) -> Item:
        now = asyncio.get_running_loop().time()
        CALLS.append(now)
        BY_KEY[item.key] += 1
        if item.ordinal in self.params.poison:
            raise TransientError("poison")
        if len(CALLS) > 20 and now < CALLS[20] + self.params.down_s:
            raise TransientError("down")
        return item


def serve(folder: Path, more: str = "", params: str = "{}", seed: int = 0) -> RunReport:
    CALLS.clear()
    BY_KEY.clear()
    text = SERVICE.replace("MORE", more).replace("breaker:", f"params: {params}, breaker:")
    log = command_logger("json", "critical", io.StringIO())
    return simulate(executor_for(folder, text, Service, log=log).run_async(), seed=seed)


@pytest.mark.parametrize("seed", range(20))
def test_what_an_outage_failed_waits_with_the_others(tmp_path: Path, seed: int) -> None:
    """Records whose attempts opened the breaker, and probes that failed, are done when the service is up again."""
    report = serve(tmp_path, seed=seed)
    assert (report.records.completed, report.records.dead_lettered) == (60, 0)
    assert node_metrics(report)["service"].breaker.opens >= 1


@pytest.mark.parametrize("seed", range(20))
def test_a_record_that_fails_alone_is_given_up(tmp_path: Path, seed: int) -> None:
    """What fails while others succeed is at fault itself, also the last of a run, and does not hold up its end."""
    report = serve(tmp_path, params="{poison: [0, 7, 30, 59], down_s: 0}", seed=seed)
    assert sorted(letter["key"] for letter in dead_letters(report)) == [f"numbers/{n}" for n in (0, 30, 59, 7)]
    assert [letter["attempts"] for letter in dead_letters(report)] == [2] * 4
    assert report.records.completed == 56
    assert node_metrics(report)["service"].breaker.opens == 0


@pytest.mark.parametrize("seed", range(20))
def test_poison_in_an_outage_is_given_up_behind_it(tmp_path: Path, seed: int) -> None:
    """Records that always fail do not keep the breaker open once the service is up, and all others are done."""
    report = serve(tmp_path, params="{poison: [18, 19, 20, 21, 22, 23, 24]}", seed=seed)
    assert (report.records.completed, report.records.dead_lettered) == (53, 7)
    assert {letter["key"] for letter in dead_letters(report)} == {f"numbers/{n}" for n in range(18, 25)}


@pytest.mark.parametrize(
    ("more", "params"), [("", "{poison: [18, 19, 20, 21, 22, 23, 24]}"), (", max_open: 30s", "{down_s: 1000}")]
)
@pytest.mark.parametrize("seed", range(5))
def test_what_was_called_before_it_waited_is_counted(tmp_path: Path, more: str, params: str, seed: int) -> None:
    """A dead letter tells all calls for its record, also those before the breaker held it; and it came in once."""
    report = serve(tmp_path, more, params, seed)
    letters = dead_letters(report)
    assert {letter["key"]: letter["attempts"] for letter in letters} == {
        letter["key"]: BY_KEY[letter["key"]] for letter in letters
    }
    assert max(letter["attempts"] for letter in letters) >= 2
    assert node_metrics(report)["service"].items_in == sum(count > 0 for count in BY_KEY.values())


def test_a_breaker_that_sheds_gives_up_at_once(tmp_path: Path) -> None:
    """With `shed`, what failed for good is a dead letter, whoever is at fault."""
    report = serve(tmp_path, more=", when_open: shed")
    letters = dead_letters(report)
    assert sum(letter["code"] == "transient" for letter in letters) >= 5
    assert report.records.completed + len(letters) == 60


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_not_taken_apart_when_the_budget_is_used_up(tmp_path: Path, seed: int) -> None:
    """A service that is down is called for each batch, ten times more, and not for every part of each."""

    @node("test.down_batch", inputs={"record": "record"}, outputs={"record": "record"})
    class DownBatch(Node[Params]):
        """Fail."""

        def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Item]:
            CALLS.append(0.0)
            raise TransientError("busy")

    CALLS.clear()
    source = "{record: {from: numbers, batch: {max_items: 10, max_wait: 1h}}}"
    text = TEXT.replace("test.down", "test.down_batch").replace("input: numbers", f"input: {source}")
    more = "retry: {budget: 0, base_delay: 0s}, breaker: {failure_threshold: 1000}"
    metrics = node_metrics(simulate(executor_for(tmp_path, text.replace("MORE", more), DownBatch).run_async(), seed=seed))["down"]
    assert (metrics.retries, metrics.refused_retries) == (10, 100)
    assert len(CALLS) <= 20
