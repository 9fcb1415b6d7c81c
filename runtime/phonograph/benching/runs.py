"""Runs a graph several times, each time as if it were the first: outputs and run directory go into folders that end with the run.

All runs share this process, so that imports and the first use of every library fall to the runs that warm up.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import process_time_ns
from typing import TypeVar

import msgspec

from phonograph.benching.clocks import Clock
from phonograph.benching.document import Amounts, Figures, NodeAmounts, NodeFigures, Setting, Spread, Work, records_in_words
from phonograph.errors import BenchError
from phonograph.executor import Executor
from phonograph.graph.instances import writing_below
from phonograph.graph.model import Graph
from phonograph.journal.directory import JOURNAL
from phonograph.journal.records import RECORDS, rows_of
from phonograph.metrics import NodeMetrics, PipelineMetrics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, measured. `node_processor_ms` is None for a node that cannot be seen to work, see `Clock.time_ms`."""

    metrics: PipelineMetrics
    amounts: Amounts
    processor_ms: float
    node_processor_ms: Mapping[str, float | None]


Told = Callable[[str, Run], None]
"""Hears of a run when it has ended: which one it was, and its figures. What it raises ends the measurement."""


async def measure(graph: Graph, *, runs: int, warmup: int, setting: Setting, work: Work, told: Told) -> Figures:
    """Run the graph `warmup` and then `runs` times; the figures are of the latter.

    Raises:
        BenchError: a run failed, or one ended other than the first, so that their times are not those of the same work.
        GraphError: the graph wants inputs from outside.
    """
    measured: list[Run] = []
    for number in range(warmup + runs):
        name = f"run {number - warmup + 1} of {runs}" if number >= warmup else f"warm-up {number + 1} of {warmup}"
        run = await _one_run(graph, name)
        told(name, run)
        if number >= warmup:
            measured.append(run)
            _refuse_other_work(name, run.amounts, measured[0].amounts)
    return Figures(
        version=2,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        setting=setting,
        work=work,
        runs=runs,
        amounts=_in_common([run.amounts for run in measured]),
        total_time_ms=Spread.of([run.metrics.total_time_ms for run in measured]),
        processor_time_ms=Spread.of([run.processor_ms for run in measured]),
        process_peak_mb=Spread.of([run.metrics.process_peak_mb for run in measured]),
        nodes=tuple(_node(number, graph, measured) for number in range(len(measured[0].metrics.nodes))),
    )


async def _one_run(graph: Graph, name: str) -> Run:
    clocks = {node_id: Clock() for node_id in graph.nodes}
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-", ignore_cleanup_errors=True) as folder:
        moved = writing_below(graph, Path(folder) / "out")
        nodes = {node_id: clocks[node_id].around(node) for node_id, node in moved.nodes.items()}
        executor = Executor(replace(moved, nodes=nodes), run_dir=Path(folder) / "run")
        _forget_peak()
        before = process_time_ns()
        report = await executor.run_async()
        processor_ms = (process_time_ns() - before) / 1e6
        bytes_read = _bytes_read(Path(folder) / "run")
    assert report.metrics is not None
    if report.exit_code:
        reason = graph.secrets.clean(str(report.error)) if report.error else f"its status is {report.status}"
        raise BenchError(name, f"failed: {reason}", "a run that ends well", "`run-pipeline MANIFEST` shows more of it")
    metrics = report.metrics.pipeline_execution
    amounts = Amounts(
        records=metrics.records, bytes_read=bytes_read, nodes={node.id: _node_amounts(node) for node in metrics.nodes}
    )
    return Run(metrics, amounts, processor_ms, {node_id: clock.time_ms for node_id, clock in clocks.items()})


def _bytes_read(run_directory: Path) -> int:
    """The sizes that the journal has of the files behind the records."""
    return sum(row.size or 0 for rows in rows_of(run_directory / JOURNAL / RECORDS) for row in rows)


def _node_amounts(node: NodeMetrics) -> NodeAmounts:
    return NodeAmounts(items_in=node.items_in, items_out=node.items_out, audio_seconds=round(node.audio_seconds, 3))


def _refuse_other_work(name: str, amounts: Amounts, first: Amounts) -> None:
    if (amounts.records, amounts.bytes_read) != (first.records, first.bytes_read):
        raise BenchError(
            name,
            f"it did other work: {_in_words(amounts)}",
            f"that of run 1: {_in_words(first)}",
            "let the sources read the same and no service decide what fails",
        )


def _in_words(amounts: Amounts) -> str:
    return f"{records_in_words(amounts.records)}, {amounts.bytes_read} bytes"


def _in_common(amounts: Sequence[Amounts]) -> Amounts:
    """What all have: a node that makes one item of what came within a time may make other numbers of them in each run."""
    nodes = {
        node_id: NodeAmounts(
            items_in=_agreed([one.nodes[node_id].items_in for one in amounts]),
            items_out=_agreed([one.nodes[node_id].items_out for one in amounts]),
            audio_seconds=_agreed([one.nodes[node_id].audio_seconds for one in amounts]),
        )
        for node_id in amounts[0].nodes
    }
    return msgspec.structs.replace(amounts[0], nodes=nodes)


def _agreed(values: Sequence[T]) -> T | None:
    return values[0] if all(value == values[0] for value in values) else None


def _node(number: int, graph: Graph, measured: Sequence[Run]) -> NodeFigures:
    node = measured[0].metrics.nodes[number]
    processor = [run.node_processor_ms[node.id] for run in measured]
    seen = [value for value in processor if value is not None]
    return NodeFigures(
        id=node.id,
        type=node.type,
        kind=graph.nodes[node.id].spec.kind,
        execution_time_ms=Spread.of([run.metrics.nodes[number].execution_time_ms for run in measured]),
        processor_time_ms=Spread.of(seen) if len(seen) == len(processor) else None,
    )


def _forget_peak() -> None:
    """Make the peak of the process's memory start anew from what it has now, where the kernel lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
