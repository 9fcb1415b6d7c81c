"""Runs small manifests with nodes that gather, and keeps what reaches the sinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flow_graphs import TYPES
from phonograph.executor import RunReport
from phonograph.item import Item
from phonograph.node import Params, node
from phonograph.sink import Part, Sink, Written
from small_runs import run_text

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
