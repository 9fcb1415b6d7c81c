"""The types that the shipped nodes declare, against what they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.executor import Executor
from phonograph.graph.builder import load_graph
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.shipped import find_manifest, shipped_manifests
from phonograph.testing import item_with
from phonograph_nodes.features import FRONT_ENDS, LogMel
from phonograph_nodes.resample import Resample, ResampleParams


def graph_of(folder: Path, *nodes: str) -> Graph:
    path = folder / "manifest.yaml"
    path.write_text("\n".join(["version: 1", "name: test", "nodes:", *(f"  {node}" for node in nodes), ""]))
    return load_graph(path, Registry.installed())


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_a_shipped_manifest_needs_no_conversion(name: str) -> None:
    """What it converts, it says."""
    graph = load_graph(find_manifest(name), Registry.installed())
    assert graph.conversions == ()
    assert [str(complaint) for complaint in graph.warnings if complaint.severity == "warning"] == []


def test_features_of_any_audio(tmp_path: Path) -> None:
    """A front end reads whatever the decoder gives; what is lost is announced, and the run does it."""
    samples = find_manifest("features").parent / "samples"
    graph = graph_of(
        tmp_path,
        f"files: {{type: source.files, params: {{paths: {samples}}}}}",
        "audio: {type: audio.decode, input: files}",
        "mel: {type: features.log_mel, input: audio}",
        "out: {type: sink.npy, input: mel, params: {path: out}}",
    )
    (conversion,) = graph.conversions
    assert conversion.changes == "rate to 16000, channels to 1"
    assert conversion.loses == "down-sampling of items above 16000 Hz, mixing of items with more channels"
    report = Executor(load_manifest(tmp_path / "manifest.yaml"), run_dir=tmp_path / "run").run()
    assert report.records.completed == report.records.read > 0
    assert {np.load(path).shape[1] for path in (tmp_path / "out").rglob("*.npy")} == {80}


def test_energy_of_any_rate(tmp_path: Path) -> None:
    """Only channels are mixed; the rate goes through the whole graph, into the segments."""
    graph = graph_of(
        tmp_path,
        "files: {type: source.files, params: {paths: .}}",
        "audio: {type: audio.decode, input: files}",
        "low: {type: audio.resample, input: audio, params: {sample_rate: 8000}}",
        "vad: {type: vad.energy, input: low}",
        "cut: {type: segment.cut, input: {audio: vad, segments: vad.segments}}",
        "fit: {type: audio.convert, input: cut, params: {dtype: i16}}",
        "out: {type: sink.wav, input: fit, params: {path: out}}",
        "frames: {type: sink.npy, input: vad.frames, params: {path: frames}}",
    )
    assert [(one.node, one.changes) for one in graph.conversions] == [("low~resample", "channels to 1")]
    given = {f"{edge.source}.{edge.source_port}": str(edge.given) for edge in graph.edges}
    assert given["low~resample.audio"] == given["cut.audio"] == given["fit.audio"] == "audio[rate=8000, channels=1]"
    assert given["vad.frames"] == "features[bins=1]"


@pytest.mark.parametrize("frontend", sorted(FRONT_ENDS))
def test_the_ports_of_a_front_end_are_what_it_takes_and_gives(tmp_path: Path, frontend: str) -> None:
    """features.log_mel takes audio at its front end's rate and gives as many bins as its type says."""
    graph = graph_of(
        tmp_path,
        "files: {type: source.files, params: {paths: .}}",
        "audio: {type: audio.decode, input: files}",
        f"mel: {{type: features.log_mel, input: audio, params: {{frontend: {frontend}}}}}",
        "out: {type: sink.npy, input: mel, params: {path: out}}",
    )
    taken = {edge.target: str(edge.taken) for edge in graph.edges}
    given = {edge.source: str(edge.given) for edge in graph.edges}
    rate = FRONT_ENDS[frontend].sample_rate
    assert taken["mel"] == f"audio[rate={rate}, channels=1]"
    features = LogMel(frontend)(np.zeros((1, rate), np.float32), sample_rate=rate)
    assert given["mel"] == f"features[bins={features.shape[1]}]"


def test_bins_that_come_first_are_no_last_axis(tmp_path: Path) -> None:
    """The type of features counts their last axis, which is time then."""
    graph = graph_of(
        tmp_path,
        "files: {type: source.files, params: {paths: .}}",
        "audio: {type: audio.decode, input: files}",
        "mel: {type: features.log_mel, input: audio, params: {bins_first: true}}",
        "out: {type: sink.npy, input: mel, params: {path: out}}",
    )
    assert [str(edge.given) for edge in graph.edges if edge.source == "mel"] == ["features"]


def test_resampling_that_leaves_the_rate_as_it_is() -> None:
    """With a null rate only the channels change, and nothing does where they are right."""
    resample = Resample(ResampleParams(sample_rate=None, channels=1), "n")
    stereo = AudioChunk(np.ones((2, 100), np.float32), 22_050)
    mono = AudioChunk(np.ones((1, 100), np.float32), 22_050)
    mixed = resample.whole(item_with({"audio": stereo})).audio
    assert (mixed.sample_rate, mixed.num_channels, mixed.num_samples) == (22_050, 1, 100)
    assert resample.whole(item_with({"audio": mono})).audio is mono
