"""Runs small manifests made of test nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phonograph.executor import Executor, RunReport
from phonograph.graph.registry import Registry
from phonograph.journal.directory import JOURNAL
from phonograph.journal.records import RECORDS
from phonograph.language.manifest import load_manifest
from phonograph.testing import Discard, FlakyNode, NumberSource, PassOn

LINE = """
nodes:
  numbers: {type: testing.numbers, params: {count: 20}}
  work: {type: TYPE, input: numbers}
  out: {type: testing.discard, input: work}
"""


def registry_with(*targets: Any) -> Registry:
    registry = Registry()
    for target in (NumberSource, PassOn, FlakyNode, Discard, *targets):
        registry.register(target)
    return registry


def executor_for(folder: Path, text: str, *targets: Any, **options: Any) -> Executor:
    """An executor for a manifest's text; nodes are those of phonograph.testing and the given ones."""
    path = folder / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + text)
    return Executor(load_manifest(path), registry=registry_with(*targets), run_dir=folder / "run", **options)


def run_text(folder: Path, text: str, *targets: Any, **options: Any) -> RunReport:
    return executor_for(folder, text, *targets, **options).run()


def dead_letters(report: RunReport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.dead_letters_path.read_text().splitlines()]


def journalled(report: RunReport) -> list[dict[str, Any]]:
    return rows_in(report.run_directory)


def rows_in(run_directory: Path) -> list[dict[str, Any]]:
    """What the journal has of records, in the order of their ends."""
    lines = (run_directory / JOURNAL / RECORDS).read_text().splitlines()
    return [row for row in map(json.loads, lines) if "outcome" in row]


def node_metrics(report: RunReport) -> dict[str, Any]:
    assert report.metrics is not None
    return {node.id: node for node in report.metrics.pipeline_execution.nodes}


def line(type_name: str) -> str:
    """A manifest of 20 numbers, one node of this type and a sink."""
    return LINE.replace("TYPE", type_name)
