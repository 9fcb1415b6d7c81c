"""Tests of every front end against float64 truth, within the bound that float32 arithmetic has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acceptance.golden_names import SETTINGS
from front_end_cases import CASES
from phonograph_nodes import LogMel, log_mel
from reference.features.bounds import assert_agrees
from reference.features.golden import GOLDEN
from reference.features.log_mel import log_mel as true_log_mel
from reference.features.log_mel import padded_or_cut
from reference.features.settings import NAMED
from reference.features.signals import SIGNALS, Samples, impulse, noise

# Around hop, window and transform of every front end, and around the numbers of rows that a kernel takes at once.
LENGTHS = sorted(
    {1, 2, 3, 79, 80, 81, 200, 201, 256, 257, 720, 801, 2000}
    | {edge + step for edge in (160, 400, 512, 560, 800, 1200, 2048, 2560) for step in (-1, 0, 1)}
    | {400 + 160 * rows + step for rows in (3, 4, 7, 8, 15, 16) for step in (-1, 0)}
)


@pytest.mark.parametrize("name", CASES)
def test_every_length_around_an_edge_agrees_with_the_truth(name: str) -> None:
    """Features are the truth's, in number and value, at lengths around hop, window and transform."""
    case = CASES[name]
    plan = LogMel(**case.arguments)
    for length in LENGTHS:
        samples = noise(length)
        assert_agrees(plan(samples), samples, case.settings, f"{length} samples:")


@pytest.mark.parametrize("name", CASES)
def test_extreme_signals_agree_with_the_truth(name: str) -> None:
    """Silence, constants, impulses, tones, steps, faint and loud signals give the truth's features."""
    case = CASES[name]
    plan = LogMel(**case.arguments)
    for signal, samples in SIGNALS.items():
        assert_agrees(plan(samples), samples, case.settings, f"{signal}:")


@given(
    name=st.sampled_from(sorted(CASES)),
    length=st.integers(1, 2000),
    seed=st.integers(0, 2**32 - 1),
    decibels=st.integers(-90, 20),
)
@settings(max_examples=120, deadline=None)
def test_any_noise_agrees_with_the_truth(name: str, length: int, seed: int, decibels: int) -> None:
    """Features are the truth's for noise of any length and loudness."""
    samples = noise(length, seed) * np.float32(10 ** (decibels / 20))
    assert_agrees(log_mel(samples, **CASES[name].arguments), samples, CASES[name].settings)


@given(
    name=st.sampled_from(sorted(CASES)),
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=12),
    length=st.integers(1, 2000),
)
@settings(max_examples=80, deadline=None)
def test_any_repeated_pattern_agrees_with_the_truth(name: str, values: list[float], length: int) -> None:
    """Features are the truth's for periodic signals, whose spectra are lines with nothing between them."""
    samples = np.resize(np.array(values, np.float32), length)
    assert_agrees(log_mel(samples, **CASES[name].arguments), samples, CASES[name].settings)


def test_an_impulse_at_every_place_agrees_with_the_truth() -> None:
    """No sample is left out or counted twice, in the middle of a window or at its edge."""
    plan = LogMel("zipformer")
    for place in range(0, 1000, 7):
        samples = impulse(1000, place)
        assert_agrees(plan(samples), samples, NAMED["zipformer"])


@pytest.mark.parametrize("name", CASES)
def test_end_of_a_long_signal_has_not_drifted(name: str) -> None:
    """The rows at the end of 20 s are as close to the truth as those at the beginning."""
    case = CASES[name]
    samples = np.tile(noise(16_000), 20)
    assert_agrees(log_mel(samples, **case.arguments), samples, case.settings)


@pytest.mark.parametrize("length", [0, 1, 4000, 24_000])
@pytest.mark.parametrize("n_mels", [80, 128])
def test_whisper_pads_or_cuts_to_the_length_asked_for(length: int, n_mels: int) -> None:
    """`pad_to_s` gives the features of the signal cut, or filled up with zeros, to that length."""
    samples = noise(length)
    padded = padded_or_cut(samples, 16_000)
    features = log_mel(samples, frontend="whisper", n_mels=n_mels, pad_to_s=1.0)
    assert_agrees(features, padded, GOLDEN[f"whisper{n_mels}"])
    assert np.array_equal(features, log_mel(padded, frontend="whisper", n_mels=n_mels))


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


@pytest.mark.parametrize(
    ("frontend", "value"),
    [(name, value) for name in ("squeezeformer", "w2v-bert") for value in (0.0, 0.3, -1.0)] + [("nemo", 0.0)],
)
def test_bins_that_never_change_are_exactly_zero(frontend: str, value: float) -> None:
    """Silence, and a constant where it is taken out of signal or window, is standardised to 0, however long it is."""
    assert not log_mel(np.full(160_000, value, np.float32), frontend=frontend).any()


def faint_impulse() -> Samples:
    """So faint that, normalised by the least peak, its strongest mel energy is 1.00003 times the floor."""
    emphasised = impulse(2500).astype(np.float64)
    emphasised[1:] -= 0.97 * impulse(2500)[:-1]
    strongest = true_log_mel(emphasised, NAMED["zipformer"]).max()
    return np.asarray(impulse(2500) * 1e-6 * np.sqrt(1.00003e-5 / np.exp(strongest)), np.float32)


def test_deviations_at_their_least_agree_with_the_truth() -> None:
    """Where a bin's deviation is near its floor of 1e-5, the quotient is still the truth's."""
    assert_agrees(log_mel(faint_impulse()), faint_impulse(), NAMED["squeezeformer"])


@pytest.mark.parametrize("name", SETTINGS)
def test_golden_clips_are_met_within_their_tolerance(shared: Path, name: str) -> None:
    """On every golden clip largest and mean error are below the tolerance of that clip and front end."""
    folder = shared / "golden" / "dev"
    index = json.loads((folder / "index.json").read_text())
    plan = LogMel(**SETTINGS[name])
    ratios = {}
    for clip in index["clips"]:
        if name not in clip["features"]:
            continue
        entry = clip["features"][name]
        with np.load(folder / clip["file"]) as arrays:
            features, golden = plan(arrays["audio"]), arrays[entry.get("alias_of", name)]
        assert features.shape == golden.shape
        error = np.abs(features - golden.astype(np.float64))
        if error.size:
            ratios[clip["name"]] = float(max(error.max() / entry["tol"], np.sqrt((error**2).mean()) / entry["tol_rms"]))
    assert len(ratios) > 15
    assert not {clip: ratio for clip, ratio in ratios.items() if ratio > 1.0}
