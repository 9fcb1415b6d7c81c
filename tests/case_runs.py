"""Manifests with test cases, read and run over the installed node types and those of phonograph.testing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phonograph.cases import Case, read_cases
from phonograph.cases.trial import Verdict, run_case
from phonograph.errors import Complaint
from phonograph.graph.builder import load_graph
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.testing import Discard, FlakyNode, NumberSource, PassOn


def registry(*targets: Any) -> Registry:
    made = Registry.installed()
    for target in (NumberSource, PassOn, FlakyNode, Discard, *targets):
        made.register(target)
    return made


def read(path: Path, *targets: Any) -> tuple[Graph, tuple[Case, ...], tuple[Complaint, ...]]:
    """The graph of a manifest, its cases, and what is wrong with them."""
    graph = load_graph(path, registry(*targets), inputs_in_place=False)
    return (graph, *read_cases(graph.manifest, graph))


def read_text(folder: Path, text: str, *targets: Any) -> tuple[Graph, tuple[Case, ...]]:
    """The same for the text of a manifest, whose cases have to be right."""
    path = folder / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + text, encoding="utf-8")
    graph, cases, complaints = read(path, *targets)
    assert complaints == ()
    return graph, cases


def verdicts(folder: Path, text: str, *targets: Any) -> list[Verdict]:
    """What comes of each case."""
    graph, cases = read_text(folder, text, *targets)
    return [run_case(case, graph) for case in cases]


def told(verdict: Verdict) -> list[str]:
    """The differences, each in a line."""
    return [f"{one.place}: {one.expected} / {one.got}" for one in verdict.differences]
