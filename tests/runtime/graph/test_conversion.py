"""Inserted conversions at work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.graph.builder import build_graph
from phonograph.language.manifest import load_manifest
from phonograph.metrics import ConversionMetrics, PipelineMetrics
from phonograph.node import Axes, node
from phonograph.testing import item_with
from phonograph_nodes.resample import Resample
from small_runs import dead_letters, node_metrics, registry_with, run_text

Speech = Annotated[AudioChunk, Axes(rate=16000, channels=1)]

LINE = """
nodes:
  numbers: {type: testing.numbers, params: {count: 6}}
  tone: {type: test.tone, input: numbers}
  take: {type: test.take, input: {audio: tone, label: tone.label}}
  out: {type: testing.discard, input: take}
"""


class Labelled(NamedTuple):
    audio: AudioChunk
    label: str


@node("test.tone")
def tone(record: Mapping[str, Any]) -> Labelled:
    """Make 16 kHz mono of even numbers, 44.1 kHz stereo of odd ones."""
    channels, rate = (2, 44_100) if record["number"] % 2 else (1, 16_000)
    return Labelled(AudioChunk(np.zeros((channels, rate // 10), np.float32), rate), str(record["number"]))


@node("test.take")
def take(audio: Speech, label: str) -> str:
    """Say what came."""
    return f"{label}: {audio.sample_rate} {audio.num_channels}"


def execution(folder: Path, text: str, *targets: Any) -> PipelineMetrics:
    report = run_text(folder, text, tone, Resample, *targets)
    assert report.metrics is not None
    return report.metrics.pipeline_execution


def test_a_run_converts_what_needs_it(tmp_path: Path) -> None:
    """Every item fits the node that takes it; the metrics announce the conversion, and count what it changed."""
    seen: list[str] = []

    @node("test.take")
    def listen(audio: Speech, label: str) -> str:
        """Remember what came."""
        seen.append(take(audio, label))
        return label

    metrics = execution(tmp_path, LINE, listen)
    assert sorted(seen) == [f"{number}: 16000 1" for number in range(6)]
    assert metrics.conversions == (
        ConversionMetrics(
            node="tone~resample",
            changes="rate to 16000, channels to 1",
            loses="down-sampling of items above 16000 Hz, mixing of items with more channels",
            items_changed=3,
        ),
    )
    assert [node.id for node in metrics.nodes] == ["numbers", "tone", "tone~resample", "take", "out"]


def test_payload_that_needs_no_conversion_is_the_same_object(tmp_path: Path) -> None:
    """Neither samples nor chunk are copied; other ports pass; what is changed is counted."""
    path = tmp_path / "manifest.yaml"
    path.write_text("version: 1\nname: test\n" + LINE)
    plan = build_graph(load_manifest(path), registry_with(tone, take, Resample)).nodes["tone~resample"]
    inserted = plan.spec.factory(plan.params, plan.id)
    fitting = AudioChunk(np.zeros((1, 160), np.float32), 16_000)
    inserted.open()
    result = inserted.process(item_with({"audio": fitting, "label": "x"}), None)
    assert result.audio is fitting
    assert result.payload["label"] == "x"
    assert inserted.num_changed == 0
    stereo = AudioChunk(np.zeros((2, 160), np.float32), 16_000)
    assert inserted.process(item_with({"audio": stereo, "label": "x"}), None).audio.num_channels == 1
    assert inserted.num_changed == 1
    inserted.close()


def test_a_conversion_that_fails_is_named(tmp_path: Path) -> None:
    """A dead letter of the inserted node has its id."""

    @node("test.tone")
    def broken(record: Mapping[str, Any]) -> Labelled:
        """Make audio that cannot be resampled."""
        return Labelled(AudioChunk(np.full((1, 800), np.nan, np.float32), 8_000), "x")

    report = run_text(tmp_path, LINE, broken, take, Resample)
    assert {letter["node"] for letter in dead_letters(report)} == {"tone~resample"}
    assert node_metrics(report)["tone~resample"].errors == 6


def test_a_type_that_is_known_per_item_only(tmp_path: Path) -> None:
    """An item of the wrong kind is its own fault: it becomes a dead letter that says what came and what is taken."""

    @node("test.take")
    def stereo(audio: Annotated[AudioChunk, Axes(channels=2)], label: str) -> str:
        """Take stereo audio only."""
        return label

    report = run_text(tmp_path, LINE, tone, stereo, Resample)
    assert report.records.completed == 3
    letters = dead_letters(report)
    assert {letter["code"] for letter in letters} == {"audio_format"}
    assert letters[0]["message"] == ("input 'audio' of test.take got audio[rate=16000, channels=1]; expected audio[channels=2]")
