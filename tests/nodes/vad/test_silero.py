"""The node vad.silero, with the model that its package brings."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from extras import skip_without
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.shipped import shipped_root
from phonograph.testing import item_with
from phonograph_nodes import load, resample
from phonograph_nodes.vad import EnergyVadNode
from phonograph_nodes.vad.silero import SileroVadNode, SileroVadParams, load_model, speech_runs

CLIP = "sense_and_sensibility_01_austen_64kb-0870.wav"


@pytest.fixture
def silero() -> None:
    skip_without("silero")


def judged(samples: NDArray[np.float32], sample_rate: int = 16_000, params: SileroVadParams | None = None) -> Item:
    node = SileroVadNode(params or SileroVadParams(), "vad")
    node.open()
    return node.process(item_with({"audio": AudioChunk(samples[np.newaxis], sample_rate)}), None)


def clip(sample_rate: int = 16_000) -> NDArray[np.float32]:
    """A second of silence, the bundled clip, a second of silence."""
    samples, rate = load(shipped_root("manifests") / "samples" / CLIP, sr=None)
    return np.pad(resample(samples, in_rate=int(rate), out_rate=sample_rate), sample_rate)


@pytest.mark.usefixtures("silero")
@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_speech_is_found_between_silences(sample_rate: int) -> None:
    """One clip between silences is one segment, at either rate; most frames in it are all but certain."""
    samples = clip(sample_rate)
    result = judged(samples, sample_rate)
    (segment,) = result.payload["segments"]
    duration = 1000 * len(samples) / sample_rate
    assert 1000 < segment.start_ms < 1600
    assert duration - 1600 < segment.end_ms < duration - 700
    assert segment.confidence > 0.9
    assert -30 < segment.energy_db < -15
    frames = result.payload["frames"]
    assert frames.dtype == np.float32
    assert frames.shape == (-(-len(samples) // (sample_rate * 32 // 1000)), 1)
    assert result.attributes["num_segments"] == 1
    assert 0.6 < result.attributes["speech_ratio"] < 0.8
    assert list(result.payload) == [port.name for port in EnergyVadNode.spec.outputs]


@pytest.mark.usefixtures("silero")
def test_loud_noise_is_no_speech() -> None:
    """A level that any threshold takes for speech is none to the network."""
    noise = (np.random.default_rng(1).standard_normal(32_000) * 0.1).astype(np.float32)
    assert judged(noise).payload["segments"] == ()


@pytest.mark.usefixtures("silero")
@pytest.mark.parametrize("length", [0, 1, 511, 512, 513])
def test_any_length_is_judged(length: int) -> None:
    """A last frame is filled up; no samples give no frames."""
    result = judged(clip()[16_000 : 16_000 + length])
    assert result.payload["frames"].shape == (-(-length // 512), 1)


@pytest.mark.usefixtures("silero")
def test_wrong_audio_is_refused() -> None:
    """Another rate than the model's, and samples that are not finite."""
    with pytest.raises(AudioFormatError, match=r"22050 Hz; expected 16000 or 8000 Hz for vad\.silero"):
        judged(np.zeros(1000, np.float32), 22_050)
    with pytest.raises(AudioFormatError, match="sample 5 is nan"):
        judged(np.where(np.arange(1000) == 5, np.nan, 0).astype(np.float32))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages, opening the node says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    load_model.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"vad\.silero needs silero-vad.*pip install 'phonograph\[silero\]'"):
        SileroVadNode(SileroVadParams(), "vad").open()


@pytest.mark.parametrize(
    ("probabilities", "rules", "expected"),
    [
        ([0.1, 0.5, 0.4, 0.36, 0.34, 0.45], (0, 0), [(10, 40)]),  # goes on to 0.15 below the threshold, and no longer
        ([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], (0, 0), [(0, 10), (20, 30), (50, 58)]),  # the last frame is short
        ([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], (11, 0), [(0, 30), (50, 58)]),
        ([0.9, 0.0, 0.9, 0.0, 0.0, 0.9], (11, 20), [(0, 30)]),
        ([], (11, 20), []),
    ],
)
def test_probabilities_become_runs(probabilities: list[float], rules: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    """Hysteresis, then short silences, then short speech; lengths are samples, frames of 10 here."""
    found = speech_runs(np.array(probabilities, np.float32), 10, 0.5, *rules, num_samples=58)
    assert found == expected


def test_speech_ends_however_low_the_threshold_is() -> None:
    """Below 0.01 nothing is speech, also where 0.15 below the threshold is less than nothing."""
    assert speech_runs(np.array([0, 0.9, 0, 0, 0.005, 0], np.float32), 10, 0.1, 0, 0, num_samples=58) == [(10, 20)]
