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
        return item


def _run(folder: Path, when_open: str, seed: int) -> tuple[RunReport, BreakerMetrics]:
    _Outage.since, _Outage.num_calls = None, 0
    log = command_logger("console", "critical", io.StringIO())
    executor = executor_for(folder, TEXT.replace("WHEN_OPEN", when_open), Service, log=log)
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
            report, breaker = _run(folder, "wait", seed)
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
            report, breaker = _run(folder, "shed", seed)
            letters = dead_letters(report)
            counts = report.records
            shed = sum(letter["code"] == "breaker_open" for letter in letters)
            is_right &= counts.completed + counts.dead_lettered == counts.read == NUM_RECORDS
            is_right &= len({letter["key"] for letter in letters}) == len(letters) == counts.dead_lettered and shed > 0
            is_right &= _tells_all(breaker)
            shares.append(f"{counts.completed} + {counts.dead_lettered} ({shed} shed)")
    return Figure("; ".join(shares), is_right)
