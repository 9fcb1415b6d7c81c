"""Runs a graph several times, each time as if it were the first: outputs and run directory go into folders that end with the run.

All runs share this process, so that imports and the first use of every library fall to the runs that warm up.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from phonograph.benching.document import Figures, NodeFigures, Setting, Spread, Work
from phonograph.errors import BenchError
from phonograph.executor import Executor
from phonograph.graph.model import Graph, GraphNode
from phonograph.metrics import PipelineMetrics
from phonograph.spec import path_fields

Told = Callable[[str, PipelineMetrics], None]
"""Hears of a run when it has ended: which one it was, and its metrics."""


async def measure(graph: Graph, *, runs: int, warmup: int, setting: Setting, work: Work, told: Told) -> Figures:
    """Run the graph `warmup` and then `runs` times; the figures are of the latter.

    Raises:
        BenchError: a run failed, or one ended other than the first, so that their times are not those of the same work.
        GraphError: the graph wants inputs from outside.
    """
    measured: list[PipelineMetrics] = []
    for number in range(warmup + runs):
        name = f"run {number - warmup + 1} of {runs}" if number >= warmup else f"warm-up {number + 1} of {warmup}"
        metrics = await _one_run(graph, name)
        told(name, metrics)
        if number >= warmup:
            measured.append(metrics)
        if measured and metrics.records != measured[0].records:
            raise BenchError(
                name,
                f"its records ended otherwise: {_counts(metrics)}",
                f"those of run 1: {_counts(measured[0])}",
                "let the sources read the same and no service decide what fails",
            )
    return Figures(
        version=1,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        setting=setting,
        work=work,
        runs=runs,
        records=measured[0].records,
        total_time_ms=Spread.of([one.total_time_ms for one in measured]),
        process_peak_mb=Spread.of([one.process_peak_mb for one in measured]),
        nodes=_by_node(measured),
    )


async def _one_run(graph: Graph, name: str) -> PipelineMetrics:
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-", ignore_cleanup_errors=True) as folder:
        executor = Executor(_writing_below(graph, Path(folder) / "out"), run_dir=Path(folder) / "run")
        _forget_peak()
        report = await executor.run_async()
    assert report.metrics is not None
    if report.exit_code:
        reason = graph.secrets.clean(str(report.error)) if report.error else f"its status is {report.status}"
        raise BenchError(name, f"failed: {reason}", "a run that ends well", "`run-pipeline MANIFEST` shows more of it")
    return report.metrics.pipeline_execution


def _writing_below(graph: Graph, folder: Path) -> Graph:
    """The graph with every path that a node writes to in that folder, each node's in one of its own."""
    return replace(graph, nodes={node.id: _moved(node, folder / node.id) for node in graph.nodes.values()})


def _moved(node: GraphNode, folder: Path) -> GraphNode:
    paths = {
        name: str(folder / name / Path(path).name)  # its last part may have a suffix that means something
        for name in path_fields(node.spec.params, "output")
        if isinstance(path := getattr(node.params, name), str)
    }
    return replace(node, params=msgspec.structs.replace(node.params, **paths)) if paths else node


def _forget_peak() -> None:
    """Make the peak of the process's memory start anew from what it has now, where the kernel lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _by_node(measured: Sequence[PipelineMetrics]) -> tuple[NodeFigures, ...]:
    return tuple(
        NodeFigures(id=same[0].id, type=same[0].type, execution_time_ms=Spread.of([one.execution_time_ms for one in same]))
        for same in zip(*(one.nodes for one in measured), strict=True)
    )


def _counts(metrics: PipelineMetrics) -> str:
    return ", ".join(f"{count} {name}" for name, count in msgspec.structs.asdict(metrics.records).items() if count) or "none"
