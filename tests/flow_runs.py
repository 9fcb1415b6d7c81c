"""Runs small manifests with nodes that gather, and keeps what reaches the sinks."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import assume

from flow_graphs import TYPES
from phonograph.errors import GraphError, NodeError
from phonograph.executor import RunReport
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.sink import Part, Sink, Written
from small_runs import executor_for, run_text

HANGS_AFTER_S = 120.0  # thousands of times what such a graph takes
HEAD = "defaults: {breaker: {failure_threshold: 1000}}\nlimits: {error_rate: 1.0}\nnodes:\n"

KEPT: dict[str, list[Item]] = {}
"""Sink -> the items that it stored, of the latest run."""


class _Nothing(Part):
    def commit(self) -> Written:
        return Written("", 0, "")

    def discard(self) -> None:
        pass


@node("test.keep", inputs={"item": "any"})
class Keep(Sink[Params]):
    """Keep what comes, in the order in which it comes."""

    writers = "single_writer"

    def stage(self, item: Item) -> Part:
        KEPT.setdefault(self.node_id, []).append(item)
        return _Nothing()


def run_flow(folder: Path, nodes: str, *targets: Any, **options: Any) -> tuple[RunReport, dict[str, list[Item]]]:
    """The report of a run, and what its `test.keep` sinks stored.

    Args:
        nodes: lines `id: {...}`.
    """
    KEPT.clear()
    text = HEAD + "".join(f"  {line.strip()}\n" for line in nodes.strip().splitlines())
    report = run_text(folder, text, *TYPES, Keep, *targets, **options)
    return report, dict(KEPT)


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items]


def run_graph(text: str, workers: int) -> RunReport:
    """Run one of the random graphs to its end; what its sinks have is in `KEPT`. Raises TimeoutError when it has none."""
    KEPT.clear()
    with tempfile.TemporaryDirectory() as folder:
        try:
            executor = executor_for(Path(folder), text, *TYPES, Keep, workers=workers)
        except GraphError as error:
            assume({complaint.code for complaint in error.complaints} != {"no_common_ancestor"})
            raise

        async def finish() -> RunReport:
            return await asyncio.wait_for(executor.run_async(), HANGS_AFTER_S)

        return asyncio.run(finish())


def is_lawful(report: RunReport) -> bool:
    """Whether each record ended once, and as cancelled only where a node stopped the run."""
    ends = report.records
    total = ends.completed + ends.filtered + ends.skipped + ends.dropped + ends.dead_lettered + ends.cancelled
    return total == ends.read and (not ends.cancelled or isinstance(report.error, NodeError))
