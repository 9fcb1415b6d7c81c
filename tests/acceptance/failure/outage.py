"""Claims about a service that is down for half a minute in the middle of a long run, in simulated time."""

from __future__ import annotations

import asyncio
import io
from itertools import pairwise
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from phonograph.errors import TransientError
from phonograph.executor import RunReport
from phonograph.flow.order import Order
from phonograph.item import Item
from phonograph.log import command_logger
from phonograph.metrics import BreakerMetrics
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from small_runs import dead_letters, executor_for, node_metrics

NUM_RECORDS = 10_000
DOWN_S = 30.0
SEEDS = (1, 2, 3)

TEXT = """
nodes:
  numbers: {type: testing.numbers, params: {count: 10000}}
  service: {type: claim.service, input: numbers, workers: 4, breaker: {reset_timeout: 5s, when_open: WHEN_OPEN}}
  out: {type: testing.discard, input: service}
"""

STANDING_IN = """
nodes:
  numbers: {type: testing.numbers, params: {count: 10000}}
  service: {type: claim.service, input: numbers, workers: 4, breaker: {reset_timeout: 20s, fallback: local}}
  local: {type: claim.local}
  ordered: {type: claim.keep, input: service, order: true}
  out: {type: testing.discard, input: ordered}
"""


class _Outage:
    """Since when the service of the latest run has been down; None: it has not been yet."""

    since: float | None = None
    num_calls = 0


@node("claim.service", inputs={"record": "record"}, outputs={"record": "record"})
class Service(Node[Params]):
    """Ask a service that goes down in the middle of the run."""

    def process(self, item: Item, state: None) -> Item:
        now = asyncio.get_running_loop().time()
        _Outage.num_calls += 1
        if _Outage.since is None and _Outage.num_calls >= NUM_RECORDS // 2:
            _Outage.since = now
        if _Outage.since is not None and now < _Outage.since + DOWN_S:
            raise TransientError("connection refused")
        MADE_AT.append(now)
        return item


@node("claim.local", inputs={"record": "record"}, outputs={"record": "record"})
class Local(Node[Params]):
    """Do it here."""

    def process(self, item: Item, state: None) -> Item:
        MADE_AT.append(asyncio.get_running_loop().time())
        return item


MADE_AT: list[float] = []
"""Simulated times of the latest run's results, of the service or of what stands in for it."""

KEPT: list[int] = []
"""Ordinals of what came to the end of the latest run."""


@node("claim.keep", inputs={"record": "record"}, outputs={"record": "record"}, run="inline")
class Keep(Node[Params]):
    """Note what comes."""

    def process(self, item: Item, state: None) -> Item:
        KEPT.append(item.ordinal)
        return item


def _run(folder: Path, text: str, seed: int) -> tuple[RunReport, BreakerMetrics]:
    _Outage.since, _Outage.num_calls = None, 0
    MADE_AT.clear()
    KEPT.clear()
    log = command_logger("console", "critical", io.StringIO())
    executor = executor_for(folder, text, Service, Local, Keep, Order, log=log)
    report = simulate(executor.run_async(), seed=seed, longest_s=1e5)
    breaker: BreakerMetrics = node_metrics(report)["service"].breaker
    return report, breaker


def _tells_all(breaker: BreakerMetrics) -> bool:
    """The transitions begin when the service goes down, follow the table of states, and end closed, when it is up again."""
    assert _Outage.since is not None
    states = [one.state for one in breaker.transitions]
    times_s = [one.at_ms / 1e3 for one in breaker.transitions]
    between = {("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}
    return (
        states[:1] == ["open"]
        and states[-1:] == ["closed"]
        and all(pair in between for pair in pairwise(states))
        and states.count("open") == breaker.opens
        and _Outage.since <= times_s[0]
        and times_s[-1] >= _Outage.since + DOWN_S
        and times_s == sorted(times_s)
    )


@claim(issue="failure", bar=f"all {NUM_RECORDS} completed in each order of events; transitions in the metrics", fast=True)
def a_breaker_that_waits_finishes_all() -> Figure:
    """A service is down for 30 s in the middle of 10 000 records, and the breaker holds them until it is back."""
    completed, told, opens = [], [], []
    with temporary_folder() as folder:
        for seed in SEEDS:
            report, breaker = _run(folder, TEXT.replace("WHEN_OPEN", "wait"), seed)
            completed.append(report.records.completed)
            told.append(_tells_all(breaker))
            opens.append(breaker.opens)
    value = f"{completed} completed in {len(SEEDS)} orders of events, breaker opened {opens} times, transitions told: {told}"
    return Figure(value, completed == [NUM_RECORDS] * len(SEEDS) and all(told))


@claim(issue="failure", bar=f"completed and dead letters sum to {NUM_RECORDS}; transitions in the metrics", fast=True)
def a_breaker_that_sheds_accounts_for_all() -> Figure:
    """The same, and the breaker refuses meanwhile: each record is completed, or one dead letter."""
    shares, is_right = [], True
    with temporary_folder() as folder:
        for seed in SEEDS:
            report, breaker = _run(folder, TEXT.replace("WHEN_OPEN", "shed"), seed)
            letters = dead_letters(report)
            counts = report.records
            shed = sum(letter["code"] == "breaker_open" for letter in letters)
            is_right &= counts.completed + counts.dead_lettered == counts.read == NUM_RECORDS
            is_right &= len({letter["key"] for letter in letters}) == len(letters) == counts.dead_lettered and shed > 0
            is_right &= _tells_all(breaker)
            shares.append(f"{counts.completed} + {counts.dead_lettered} ({shed} shed)")
    return Figure("; ".join(shares), is_right)


@claim(
    issue="failure", bar=f"all {NUM_RECORDS} completed once and in order; results never pause for reset_timeout, 20 s", fast=True
)
def a_fallback_takes_what_comes_in_an_outage() -> Figure:
    """The same, and another node stands in meanwhile: nothing is lost, and nothing waits for the service to come back.

    Whoever waited for a probe would wait for `reset_timeout` at least. The records that open the breaker are tried again first,
    and calls take up to two simulated seconds, so that results pause for some seconds, in an outage or not.
    """
    shares, is_right = [], True
    with temporary_folder() as folder:
        for seed in SEEDS:
            report, breaker = _run(folder, STANDING_IN, seed)
            assert _Outage.since is not None
            instead = node_metrics(report)["service"].items_to_fallback
            is_right &= report.records.completed == NUM_RECORDS and 0 < instead < NUM_RECORDS
            is_right &= list(range(NUM_RECORDS)) == KEPT and _tells_all(breaker)
            pauses_s = [(later, later - earlier) for earlier, later in pairwise(MADE_AT)]
            before_s = max(pause_s for time_s, pause_s in pauses_s if time_s < _Outage.since)
            longest_s = max(pause_s for time_s, pause_s in pauses_s if time_s >= _Outage.since)
            is_right &= longest_s < 20
            figures = f"{report.records.completed}, {instead} by the fallback"
            shares.append(f"{figures}, longest pause {longest_s:.2f} s (before: {before_s:.2f} s)")
    return Figure("; ".join(shares), is_right)
