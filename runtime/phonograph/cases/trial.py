"""Runs a test case through the engine itself, and tells what is not as expected.

The part of the graph that a case names runs with its parameters, policies and inserted conversions, between ends of its own
(`phonograph.cases.ends`). Retries, breakers, contracts and dead letters are those of a run; its run directory is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phonograph.cases.case import Case, ExpectedItem, Outcomes
from phonograph.cases.comparison import ABSENT, Difference, Entries, shown
from phonograph.cases.ends import Kept, closed
from phonograph.errors import ErrorBudgetError, PhonographError
from phonograph.executor import Executor, RunReport
from phonograph.flow.gather import child_order
from phonograph.graph.model import Graph
from phonograph.language.about import Limits
from phonograph.log import command_logger
from phonograph.redaction import Secrets

_ALL = "expect"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case; it has passed when there are no differences."""

    case: Case
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def run_case(case: Case, graph: Graph) -> Verdict:
    """Run a case. For code without an event loop.

    The case's time-out covers the run, and in the main thread also the comparison, where a regular expression can take for ever.

    Args:
        graph: the one that the case was read for.
    """
    started = time.monotonic()
    kept: list[Kept] = []
    nodes = closed(case, kept)
    manifest = replace(graph.manifest, inputs={}, outputs={})  # what they brought in comes from the case
    part = replace(
        graph,
        nodes=MappingProxyType(nodes),
        manifest=manifest,
        limits=Limits(),
        inputs={},
        outputs={},
        edges=(),
        conversions=(),
        warnings=(),
    )
    with tempfile.TemporaryDirectory(prefix="phonograph-case-") as folder:
        silent = command_logger("console", "critical", io.StringIO())
        executor = Executor(part, run_dir=Path(folder) / "run", workers=1, metrics=False, log=silent)
        try:
            report = asyncio.run(_within(case.timeout_s, executor))
        except TimeoutError:
            return _overdue(case, "none")
        except PhonographError as error:
            return Verdict(case, (_without_secrets(Difference(_ALL, "a run", str(error)), graph.secrets),))
        failures = [json.loads(line) for line in report.dead_letters_path.read_text("utf-8").splitlines()]
    kept.sort(key=lambda one: (one.item.ordinal, child_order(one.item.key)))
    try:
        with _time_limit(case.timeout_s - (time.monotonic() - started)):
            found = tuple(_differences(case.expected, kept, failures, report))
    except TimeoutError:
        return _overdue(case, "none, while what came was compared")
    return Verdict(case, tuple(_without_secrets(difference, graph.secrets) for difference in found))


def _overdue(case: Case, got: str) -> Verdict:
    return Verdict(case, (Difference(_ALL, f"an end within {case.timeout_s:g} s", got),))


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so long; in other threads than the main one, nothing can.

    By a signal, because `re` holds the interpreter's lock while it searches, so that no other thread gets to run; signals it lets
    through.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _without_secrets(difference: Difference, secrets: Secrets) -> Difference:
    return replace(difference, expected=secrets.clean(difference.expected), got=secrets.clean(difference.got))


async def _within(timeout_s: float, executor: Executor) -> RunReport:
    async with asyncio.timeout(timeout_s):
        return await executor.run_async()


def _differences(
    expected: Outcomes, kept: Sequence[Kept], failures: Sequence[Mapping[str, Any]], report: RunReport
) -> Iterator[Difference]:
    error = None if isinstance(report.error, ErrorBudgetError) or failures else report.error
    if error is not None:  # of the run, and not of an item: a node that could not be opened
        failures = [{"code": error.code, "message": str(error), "node": getattr(error, "node", ""), "key": None}]
    yield from _of_failures(expected, failures)
    skipped = report.records.skipped
    if expected.skipped is not None:
        yield from expected.skipped.compare(skipped, f"{_ALL}.skipped")
    elif skipped:
        yield Difference(_ALL, "no failure", f"{skipped} skipped, as 'on_error: skip' says")
    if expected.filtered:
        if kept:
            yield Difference(f"{_ALL}.filtered", "nothing to leave", _listed(kept))
        elif not report.records.read:
            yield Difference(f"{_ALL}.filtered", "something to filter", "no records")
    if expected.count is not None:
        yield from expected.count.compare(len(kept), f"{_ALL}.count")
    if expected.items is not None:
        yield from _of_items(expected.items, kept)


def _of_failures(expected: Outcomes, failures: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    if expected.error is not None and not failures:
        yield Difference(f"{_ALL}.error", expected.error, "no failure")
    for failure in failures:
        told = f"{failure['code']}: {failure['message']}"
        where = f" at node {failure['node']!r}" if failure["node"] else ""
        of = f" of {failure['key']!r}" if failure["key"] else ""
        if expected.error is None:
            yield Difference(_ALL, "no failure", f"a failure{of}{where}, {told}")
            continue
        if failure["code"] != expected.error:
            yield Difference(f"{_ALL}.error", expected.error, f"{told}{where}")
        if expected.message is not None and expected.message not in failure["message"]:
            yield Difference(f"{_ALL}.message", f"something that contains {shown(expected.message)}", shown(failure["message"]))
        if expected.at is not None and failure["node"] != expected.at:
            yield Difference(f"{_ALL}.at", expected.at, failure["node"] or "no node")


def _of_items(expected: Sequence[ExpectedItem], kept: Sequence[Kept]) -> Iterator[Difference]:
    if len(expected) != len(kept):
        yield Difference(_ALL, f"items: {len(expected)}", f"{len(kept)}{_listed(kept, ': ')}")
    for number, (wanted, got) in enumerate(zip(expected, kept, strict=False)):
        place = f"[{number}]"
        if wanted.key is not None:
            yield from wanted.key.compare(got.item.key, f"{place}.key")
        if wanted.attributes:
            yield from Entries(wanted.attributes).compare(got.item.attributes, f"{place}.attributes")
        if wanted.port is not None and wanted.port != got.port:
            yield Difference(f"{place}.port", wanted.port, str(got.port))
        for port, value in wanted.payload.items():
            if port in got.item.payload:
                yield from value.compare(got.item.payload[port], f"{place}.{port}")
            else:
                for difference in value.compare(ABSENT, f"{place}.{port}"):
                    yield replace(difference, got=f"nothing there; it left by {got.port!r}")


def _listed(kept: Sequence[Kept], before: str = "") -> str:
    """The keys of what left, a few of them."""
    keys = [one.item.key for one in kept[:5]] + (["..."] if len(kept) > 5 else [])
    return before + ", ".join(keys) if keys else ""
