"""Tests of the log-mel front ends against float64 truth."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import reference.log_mel
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes.features import LogMel, LogMelNode, LogMelParams, log_mel
from phonograph_nodes.frontends import FRONT_ENDS
from phonograph_nodes.kernels import _log_mel

LENGTHS = [1, 2, 159, 160, 161, 199, 200, 201, 399, 400, 401, 559, 560, 561, 720, 801, 4000]
CONFIGURATIONS = [("squeezeformer", 80), ("zipformer", 80), ("whisper", 80), ("whisper", 128)]


def noise(length: int, seed: int = 7) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(length) * 0.1).astype(np.float32)


def agree(features: NDArray[np.float32], truth: NDArray[np.float64]) -> bool:
    """Equal up to the rounding of the float32 result; the kernel itself works in float64."""
    return np.allclose(features, truth, rtol=2e-7, atol=1e-6)


def impulse(length: int) -> NDArray[np.float32]:
    samples = np.zeros(length, np.float32)
    samples[length // 2] = 1.0
    return samples


def barely_above_the_floor() -> NDArray[np.float32]:
    """An impulse so faint that, normalised, its strongest mel energy is 1.00003 times the floor."""
    faint = impulse(2500).astype(np.float64)
    emphasised = np.concatenate([faint[:1], faint[1:] - 0.97 * faint[:-1]])
    strongest = reference.log_mel.log_mel(emphasised, "zipformer", 80).max()
    return np.asarray(faint * 1e-6 * np.sqrt(1.00003e-5 / np.exp(strongest)), np.float32)


SIGNALS = {
    "noise": noise(2500),
    "silence": np.zeros(2500, np.float32),
    "constant": np.full(2500, 0.3, np.float32),
    "impulse": impulse(2500),
    "full_scale": np.sign(noise(2500)),
    "full_scale_sine": np.sin(2 * np.pi * 1000 / 16000 * np.arange(2500)).astype(np.float32),
    "quiet": noise(2500) * np.float32(1e-6),
    "fainter_than_the_least_peak": noise(2500) * np.float32(1e-8),
    "deviations_at_their_least": barely_above_the_floor(),
    "beyond_full_scale": noise(2500) * np.float32(1e6),
}


@pytest.mark.parametrize(("frontend", "n_mels"), CONFIGURATIONS)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_around_a_window_edge_agrees_with_the_truth(frontend: str, n_mels: int, length: int) -> None:
    """Features are the truth's, in number and value, at lengths around hop, window and padding."""
    samples = noise(length)
    features = log_mel(samples, frontend=frontend, n_mels=n_mels)
    truth = reference.log_mel.log_mel(samples, frontend, n_mels)
    assert features.dtype == np.float32
    assert features.shape == truth.shape
    assert agree(features, truth)


@pytest.mark.parametrize(("frontend", "n_mels"), CONFIGURATIONS)
@pytest.mark.parametrize("name", SIGNALS)
def test_extreme_signals_agree_with_the_truth(frontend: str, n_mels: int, name: str) -> None:
    """Silence, constants, impulses and full scale give the truth's features."""
    features = log_mel(SIGNALS[name], frontend=frontend, n_mels=n_mels)
    truth = reference.log_mel.log_mel(SIGNALS[name], frontend, n_mels)
    assert agree(features, truth)


@given(length=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1), frontend=st.sampled_from(sorted(FRONT_ENDS)))
@settings(max_examples=40, deadline=None)
def test_any_noise_agrees_with_the_truth(length: int, seed: int, frontend: str) -> None:
    """Features are the truth's for noise of any length."""
    samples = noise(length, seed)
    truth = reference.log_mel.log_mel(samples, frontend, 80)
    assert agree(log_mel(samples, frontend=frontend), truth)


@pytest.mark.parametrize("length", [0, 1, 159])
def test_whisper_gives_no_row_for_less_than_a_hop(length: int) -> None:
    """Fewer than 160 samples give (0, n_mels)."""
    assert log_mel(noise(length), frontend="whisper").shape == (0, 80)


@pytest.mark.parametrize("length", [0, 1, 4000, 24000])
def test_whisper_pads_or_cuts_to_the_length_asked_for(length: int) -> None:
    """`pad_to_s` gives the features of the signal cut, or filled up with zeros, to that length."""
    samples = noise(length)
    padded = np.concatenate([samples, np.zeros(16000, np.float32)])[:16000]
    features = log_mel(samples, frontend="whisper", pad_to_s=1.0)
    assert features.shape == (100, 80)
    assert np.array_equal(features, log_mel(padded, frontend="whisper"))


def test_whisper_padded_to_thirty_seconds_has_three_thousand_rows() -> None:
    """30 s are 3000 rows, as Whisper's encoder takes them."""
    assert log_mel(noise(400), frontend="whisper", n_mels=128, pad_to_s=30.0).shape == (3000, 128)


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-0.5, 0.5))
@settings(max_examples=20, deadline=None)
def test_squeezeformer_does_not_hear_gain_or_offset(gain: float, offset: float) -> None:
    """Normalisation of the signal takes out gain and offset, up to the rounding of the float32 samples."""
    samples = noise(3000)
    altered = ((samples + np.float32(offset)) * np.float32(gain)).astype(np.float32)
    assert np.allclose(log_mel(samples), log_mel(altered), rtol=0, atol=2e-3)


def test_squeezeformer_of_silence_is_exactly_zero() -> None:
    """A bin that never changes is standardised to 0, however long it is."""
    assert not log_mel(np.zeros(160_000, np.float32)).any()


@pytest.mark.parametrize("frontend", ["squeezeformer", "zipformer"])
def test_empty_audio_is_refused(frontend: str) -> None:
    """Without a sample there is nothing to normalise or to reflect."""
    with pytest.raises(AudioFormatError, match="samples are empty"):
        log_mel(noise(0), frontend=frontend)


@pytest.mark.parametrize("frontend", sorted(FRONT_ENDS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 402, 999])
def test_a_sample_that_is_not_finite_is_refused_with_its_place(frontend: str, value: float, place: int) -> None:
    """NaN and infinity do not spread: the error says where the first one is."""
    samples = noise(1000)
    samples[place] = value
    with pytest.raises(AudioFormatError, match=f"sample {place} is"):
        log_mel(samples, frontend=frontend)


def test_opposite_infinities_are_refused() -> None:
    """Infinities of both signs do not cancel out."""
    samples = noise(1000)
    samples[[3, 500]] = np.inf, -np.inf
    with pytest.raises(AudioFormatError, match="sample 3 is inf, and 2 of 1000"):
        log_mel(samples)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(800), "float64; expected float32"),
        (np.zeros(800, np.int16), "int16; expected float32"),
        (np.zeros((2, 800), np.float32), "2 channels; expected 1"),
        (np.zeros((1, 1, 800), np.float32), r"shape \(1, 1, 800\)"),
        (np.float32(0.5), r"shape \(\)"),
    ],
)
def test_wrong_arrays_are_refused(samples: NDArray[Any], message: str) -> None:
    """Each error says what was given and what is taken."""
    with pytest.raises(AudioFormatError, match=message):
        log_mel(samples)


def test_another_rate_is_refused() -> None:
    """The error names the remedy."""
    with pytest.raises(AudioFormatError, match=r"44100 Hz; expected 16000 .*audio\.resample"):
        log_mel(noise(800), sample_rate=44100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frontend": "mfcc"}, "'mfcc'; expected one of squeezeformer, zipformer, whisper"),
        ({"n_mels": 64}, "n_mels is 64; frontend 'squeezeformer' has 80"),
        ({"frontend": "whisper", "n_mels": 81}, "'whisper' has 80 or 128"),
        ({"pad_to_s": 30.0}, "does not pad"),
        ({"frontend": "whisper", "pad_to_s": 0.0}, "expected 0.01 to 3600"),
        ({"frontend": "whisper", "pad_to_s": float("nan")}, "expected 0.01 to 3600"),
    ],
)
def test_parameters_that_do_not_exist_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Each error names the parameter and what it takes; the node's parameters have the same rules."""
    with pytest.raises(ValueError, match=message):
        log_mel(noise(800), **arguments)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(arguments, LogMelParams)


def test_strided_and_read_only_arrays_are_taken() -> None:
    """Memory layout does not change the features."""
    interleaved = np.stack([noise(2000), noise(2000, 1)], axis=1)
    frozen = noise(2000)
    frozen.flags.writeable = False
    assert np.array_equal(log_mel(interleaved[:, 0]), log_mel(frozen))
    assert np.array_equal(log_mel(frozen[np.newaxis]), log_mel(frozen))


def test_one_plan_serves_several_threads() -> None:
    """Concurrent calls of one plan give what single calls give."""
    plan = LogMel("squeezeformer")
    clips = [noise(3000 + 97 * i, i) for i in range(24)]
    expected = [plan(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert all(map(np.array_equal, pool.map(plan, clips), expected))


def test_the_node_is_as_streaming_as_its_most_demanding_front_end() -> None:
    """Squeezeformer needs the whole signal, so the type is declared so."""
    assert FRONT_ENDS["squeezeformer"].streaming == LogMelNode.spec.streaming == "whole"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": np.zeros(399)}, "wrong length"),
        ({"mel_begin": np.zeros(0, np.int32), "mel_end": np.zeros(0, np.int32)}, "expected as many, at least 1"),
        ({"mel_end": np.array([2, 3, 4], np.int32)}, "mel_begin has 2 rows, mel_end 3"),
        ({"mel_begin": np.array([-1, 2], np.int32)}, "mel row 0 is bins -1 to 2; expected 0 to 201"),
        ({"mel_begin": np.array([0, 4], np.int32)}, "mel row 1 is bins 4 to 3"),
        ({"mel_end": np.array([2, 202], np.int32)}, "mel row 1 is bins 2 to 202; expected 0 to 201"),
        ({"mel_weights": np.ones(2)}, "mel_weights has 2 values; the rows have 3 bins"),
        ({"mel_end": np.array([0, 2], np.int32), "mel_weights": np.zeros(0)}, "mel_weights has 0 values"),
    ],
)
def test_tables_that_do_not_fit_make_no_plan(changes: dict[str, Any], message: str) -> None:
    """The kernel reads where its tables say, so tables that lead outside are refused."""
    tables: dict[str, Any] = {
        "window": np.zeros(_log_mel.WINDOW_LENGTH),
        "twiddles": np.zeros(384),
        "splits": np.zeros(202),
        "mel_begin": np.array([0, 2], np.int32),
        "mel_end": np.array([2, 3], np.int32),
        "mel_weights": np.ones(3),
        "preemphasis": 0.0,
        "floor": 1e-5,
        "log_scale": 1.0,
    }
    assert _log_mel.Plan(*tables.values())
    with pytest.raises(ValueError, match=message):
        _log_mel.Plan(*(tables | changes).values())


def test_node_gives_the_features_of_its_audio() -> None:
    """The node gives what the function gives and keeps the item's attributes."""
    samples = noise(4000)
    node = LogMelNode(LogMelParams(frontend="whisper", n_mels=128), "mel")
    node.open()
    item = Item(
        key="a/b",
        ordinal=0,
        payload={"audio": AudioChunk(samples[np.newaxis], 16000)},
        attributes=MappingProxyType({"text": "x"}),
    )
    result = node.process(item, None)
    assert np.array_equal(result.payload["features"], log_mel(samples, frontend="whisper", n_mels=128))
    assert result.attributes == {"text": "x"}


def test_node_declares_its_ports() -> None:
    """Audio of the wrong rate or channel count can be refused before a run."""
    assert [str(port.type) for port in LogMelNode.spec.inputs] == ["audio[rate=16000, channels=1]"]
    assert [port.name for port in LogMelNode.spec.outputs] == ["features"]


@pytest.mark.parametrize(
    "frontend", ["squeezeformer", "zipformer", "whisper80", "whisper128", "whisper80_pad30", "whisper128_pad30"]
)
def test_golden_clips_are_met_as_closely_as_float64_can(shared: Path, frontend: str) -> None:
    """On every golden clip the largest error is below the strict tolerance."""
    folder = shared / "golden" / "dev"
    index = json.loads((folder / "index.json").read_text())
    whisper = frontend.startswith("whisper")
    plan = (
        LogMel("whisper", n_mels=128 if "128" in frontend else 80, pad_to_s=30.0 if frontend.endswith("pad30") else None)
        if whisper
        else LogMel(frontend)
    )
    errors = {}
    for clip in index["clips"]:
        entry = clip["features"][frontend]
        with np.load(folder / clip["file"]) as arrays:
            features, golden = plan(arrays["audio"]), arrays[entry.get("alias_of", frontend)]
        assert features.shape == golden.shape
        errors[clip["name"]] = float(np.abs(features - golden).max(initial=0.0)) / entry["tol_strict"]
    assert len(errors) > 20
    assert max(errors.values()) <= 1.0, errors
