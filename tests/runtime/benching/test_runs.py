"""Runs that do not do the same are no measurement."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from phonograph.benching.document import Figures
from phonograph.benching.runs import Run, measure
from phonograph.benching.setting import setting, work
from phonograph.engine.plan import make_plan
from phonograph.errors import BenchError
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.shipped import shipped_root

SAMPLES = Path(str(shipped_root("manifests"))) / "samples"
SHORT, LONG = (sorted(SAMPLES.glob("*.wav"), key=lambda path: path.stat().st_size)[number] for number in (0, -1))


def measured(corpus: Path, change: Path, to: str) -> Figures:
    """Figures of two runs, between which a clip is copied into the corpus."""
    graph = load_graph(SAMPLES.parent / "features.yaml", Registry.installed(), params={"corpus": str(corpus)})

    def told(name: str, run: Run) -> None:
        shutil.copy(change, corpus / to)

    plan = make_plan(graph)
    return asyncio.run(measure(graph, runs=2, warmup=0, setting=setting(), work=work(plan), told=told))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    shutil.copy(SHORT, tmp_path / "clips" / "a.wav")
    return tmp_path / "clips"


def test_a_corpus_that_stays_is_measured(corpus: Path) -> None:
    """Its records, bytes and items are those of each run."""
    amounts = measured(corpus, SHORT, "a.wav").amounts
    assert (amounts.records.completed, amounts.bytes_read) == (1, SHORT.stat().st_size)
    assert (amounts.nodes["mel"].items_in, amounts.nodes["mel"].items_out) == (1, 1)


@pytest.mark.parametrize("to", ["b.wav", "a.wav"], ids=["one more clip", "a longer clip"])
def test_a_corpus_that_changes_between_runs_is_refused(corpus: Path, to: str) -> None:
    """The run is named, with what it did and what the first did."""
    with pytest.raises(
        BenchError, match=r"run 2 of 2: it did other work: .* bytes; expected that of run 1: 1 read = 1 completed"
    ):
        measured(corpus, LONG, to)
