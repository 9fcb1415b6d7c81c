"""The closing summary of a run, as text for people."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from phonograph.executor import RunReport
from phonograph.graph.model import Graph, GraphNode
from phonograph.item import Outcome
from phonograph.metrics import NodeMetrics, RedriveMetrics
from phonograph.spec import path_fields

_REASONS_SHOWN = 5
_STATUS_WORDS = {
    "success": "done",
    "completed_with_errors": "done, with errors",
    "failed": "FAILED",
    "interrupted": "interrupted",
}
_HEADINGS = ("node", "type", "status", "items", "busy ms", "p95 ms", "wait ms", "array MB", "errors")


def summarise(report: RunReport, graph: Graph) -> str:
    """Status, the conservation law in figures, a row a node, where everything lies."""
    secrets = graph.secrets

    def shown(path: str) -> str:
        # Of a path only what is secret: those of nodes hide as wholes.
        return secrets.clean(graph.manifest.secrets.clean(path))

    lines = [_headline(report, graph), "", _law(report)]
    if report.resumed:
        lines.append(f"  {report.resumed} of them had ended in earlier runs, and were taken over")
    if report.gone:
        lines.append(f"  {report.gone} of earlier runs are no longer in the sources; what was made of them stays")
    if report.redrive is not None:
        lines += [f"  {line}" for line in _redriven(report.redrive, report.notes)]
    lines += [
        f"  {line}"
        for line in (
            *_stood_in(report, graph),
            *_dropped(report, graph),
            *_left_behind(report, shown),
            *_dead_letters(report, graph, shown),
        )
    ]
    if report.metrics is not None and report.records.read:
        lines += ["", *_table([_HEADINGS, *(_row(node) for node in report.metrics.pipeline_execution.nodes)])]
    lines.append("")
    lines += [f"output         {shown(path)}" for path in _outputs(graph)]
    lines.append(f"run directory  {shown(str(report.run_directory))}")
    if report.status in ("failed", "interrupted") and report.redrive is None:
        lines.append("to go on       the same command with --resume, which keeps what has been done")
    return "\n".join(lines)


def _headline(report: RunReport, graph: Graph) -> str:
    text = f"{graph.name}: {_STATUS_WORDS[report.status]} in {report.total_time_s:.2f} s"
    if report.metrics is not None:
        audio_s = max((node.audio_seconds for node in report.metrics.pipeline_execution.nodes), default=0.0)
        if audio_s:
            text += f", {audio_s:.1f} s of audio, {audio_s / report.total_time_s:.0f}x real time"
    return text


def _law(report: RunReport) -> str:
    counts = [(outcome.value.replace("_", " "), getattr(report.records, outcome.value)) for outcome in Outcome]
    parts = [f"{count} {name}" for name, count in counts if count]
    return f"records: {report.records.read} read = " + (" + ".join(parts) or "0")


def _redriven(redrive: RedriveMetrics, notes: Sequence[str]) -> Iterator[str]:
    """What became of the records that were run again."""
    told = {"healed": redrive.healed, "failed again": redrive.failed_again, "no longer there": redrive.gone}
    told["not done"] = redrive.records - sum(told.values())
    yield f"{redrive.records} of them run again: " + (
        ", ".join(f"{count} {name}" for name, count in told.items() if count) or "none"
    )
    yield from notes


def _stood_in(report: RunReport, graph: Graph) -> Iterator[str]:
    """What fallbacks took."""
    for node in report.metrics.pipeline_execution.nodes if report.metrics is not None else ():
        if node.items_to_fallback:
            what = "1 item" if node.items_to_fallback == 1 else f"{node.items_to_fallback} items"
            yield f"{graph.nodes[node.id].fallback[0].target} stood in for {node.id}: {what}"


def _dropped(report: RunReport, graph: Graph) -> Iterator[str]:
    """What full queues dropped, and where."""
    for node in report.metrics.pipeline_execution.nodes if report.metrics is not None else ():
        if node.items_dropped:
            full = next(link.queue.full for link in graph.nodes[node.id].inputs if link.queue is not None)
            what = "1 item" if node.items_dropped == 1 else f"{node.items_dropped} items"
            yield f"dropped in front of {node.id}, whose queue was full: {what} (full: {full})"


def _left_behind(report: RunReport, shown: Callable[[str], str]) -> Iterator[str]:
    """Calls that did not come back after their time-outs."""
    for one in report.metrics.pipeline_execution.left_behind if report.metrics is not None else ():
        if not one.returned:
            of = f" of record {shown(one.key)}" if one.key else ""
            yield f"a call of {one.node}{of} has not come back after its time-out; its thread was left behind"


def _dead_letters(report: RunReport, graph: Graph, shown: Callable[[str], str]) -> Iterator[str]:
    """Why records failed, and where all dead letters lie; those that a node read lie where that put them."""
    yield from _reasons(report)
    if not report.records.dead_lettered:
        return
    path = report.dead_letters_path
    readers = _readers_of_dead_letters(graph)
    if not readers:
        yield f"all dead letters: {shown(str(path))}"
        return
    if path.exists() and path.stat().st_size:
        yield f"dead letters that no node took: {shown(str(path))}"
    for reader in readers:
        places = " and ".join(map(shown, _written_by(reader)))
        yield f"dead letters went to {reader.id}" + (f": {places}" if places else "")


def _reasons(report: RunReport) -> Iterator[str]:
    """The most frequent reasons, each with its first item."""
    for reason in report.failures[:_REASONS_SHOWN]:
        words = reason.message.replace("\n", " ")
        if reason.count == 1:
            yield f"{reason.example} at {reason.node}: {words}"
        else:
            yield f"{reason.count} at {reason.node}, such as {reason.example}: {words}"
    rest = sum(reason.count for reason in report.failures[_REASONS_SHOWN:]) + report.failures_untold
    if rest:
        yield f"... and {rest} for other reasons"


def _readers_of_dead_letters(graph: Graph) -> list[GraphNode]:
    """The sinks to which dead letters lead, directly or over other nodes."""
    behind: set[str] = set()
    for node in graph.nodes.values():  # each stands after those that feed it
        if any(link.is_dead_letters or link.source in behind for link in node.inputs):
            behind.add(node.id)
    return [node for node in graph.nodes.values() if node.id in behind and node.spec.kind == "sink"]


def _row(node: NodeMetrics) -> tuple[str, ...]:
    items = node.items_in or node.items_out
    errors = f"{node.errors}" + (f" ({node.retries} retries)" if node.retries else "")
    return (
        node.id,
        node.type,
        node.status,
        str(items),
        f"{node.execution_time_ms:.1f}",
        f"{node.latency_ms.p95:.2f}",
        f"{node.queue_wait_ms:.1f}",
        f"{node.array_peak_mb:.1f}",
        errors,
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _outputs(graph: Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        yield from _written_by(node)


def _written_by(node: GraphNode) -> Iterator[str]:
    for name in path_fields(node.spec.params, "output"):
        path = str(getattr(node.params, name))
        if os.path.exists(path):
            yield path
