"""Tests of front ends of one's own: any constants that hold together give the truth's features."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from phonograph_nodes import LogMel, LogMelStream, log_mel
from phonograph_nodes.features import FRONT_ENDS, FrontEnd
from reference.features.bounds import assert_agrees
from reference.features.mel import mel_filters
from reference.features.settings import NAMED, Settings
from reference.features.signals import noise, voice

FFT_LENGTHS = [2, 3, 8, 16, 30, 74, 82, 97, 128, 200, 256, 400, 441, 448, 512, 600, 640, 800, 1000, 1001, 1021, 1024, 1200, 2048]
CONSTANTS = {field.name for field in fields(Settings)}


def settings_of(front_end: FrontEnd) -> Settings:
    """The reference's settings for the same constants."""
    return Settings(**{name: value for name, value in asdict(front_end).items() if name in CONSTANTS})


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """Constants of the signal and its windows."""
    fft_length = draw(st.sampled_from(FFT_LENGTHS) | st.integers(2, 700))
    emphasis: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"preemphasis": 0.97},
                {"preemphasis": 0.5, "preemphasis_in": "window"},
                {"remove_mean": True},
                {"preemphasis": 0.97, "preemphasis_in": "window", "remove_mean": True},
                {"normalize_signal": True},
                {"normalize_signal": True, "preemphasis": 0.97},
                {"normalize_signal": True, "preemphasis": 0.97, "preemphasis_in": "window", "remove_mean": True},
                {"quantise": True},
                {"quantise": True, "preemphasis": 0.9, "remove_mean": True},
            ]
        )
    )
    return emphasis | {
        "sample_rate": draw(st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000])),
        "scale": draw(st.sampled_from([1.0, 32768.0])) if not emphasis.keys() & {"normalize_signal", "quantise"} else 1.0,
        "min_samples": draw(st.sampled_from([0, 0, 100, 400])),
        "fft_length": fft_length,
        "window_length": draw(st.just(fft_length) | st.integers(1, fft_length)),
        "hop_length": draw(st.sampled_from([1, 10, 64, 100, 160, 256]) | st.integers(1, 600)),
        "window": draw(
            st.sampled_from(["hann", "hann_symmetric", "hamming", "hamming_symmetric", "blackman", "povey", "rectangular"])
        ),
        "placement": draw(st.sampled_from(["centred", "centred_but_last", "inside", "inside_transform", "covering"])),
        "edges": draw(st.sampled_from(["zero", "reflect", "symmetric", "repeat"])),
        "power": draw(st.sampled_from([1, 2])),
    }


@st.composite
def mel_bins(draw: st.DrawFn) -> dict[str, Any]:
    """Constants of the mel bins."""
    return {
        "num_mel_bins": draw(st.sampled_from([1, 2, 15, 16, 17, 26, 40, 80, 128]) | st.integers(1, 150)),
        "mel_scale": draw(st.sampled_from(["htk", "slaney", "kaldi"])),
        "low_hz": draw(st.sampled_from([0.0, 20.0, 60.0, 133.33])),
        "high_hz": draw(st.sampled_from([None, 0.0, -400.0, 3400.0, 4000.0])),
        "straight_in_mel": draw(st.booleans()),
        "mel_area": draw(st.booleans()),
    }


@st.composite
def levels(draw: st.DrawFn) -> dict[str, Any]:
    """Constants of the levels and rows, as far as they may stand together."""
    kind: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"range_below_peak": 8.0, "shift": 4.0, "gain": 0.25},
                {"shift": -1.5, "gain": 2.0},
                {"normalisation": "per_bin"},
                {"normalisation": "per_bin", "gain": 0.5},
                {"normalisation": "per_row"},
            ]
        )
    )
    return kind | {
        "log": draw(st.sampled_from(["ln", "log10", "db"])),
        "floor": draw(st.sampled_from([1e-12, 1e-10, 1e-5, 2.0**-24])),
        "add_floor": draw(st.booleans()),
        "unbiased": draw(st.booleans()),
        "deviation_floor_in": draw(st.sampled_from(["max", "add", "add_to_variance"])),
        "deviation_floor": draw(st.sampled_from([1e-5, 1e-3])),
        "stack": draw(st.sampled_from([1, 1, 2, 3])),
        "padding_value": draw(st.sampled_from([0.0, 1.0])),
        "pad_rows_to": draw(st.sampled_from([1, 1, 4, 16])),
    }


@pytest.mark.filterwarnings("ignore:.*hold no bin of the spectrum")
@given(windows=windows(), mel_bins=mel_bins(), levels=levels(), length=st.integers(1, 2500), seed=st.integers(0, 9))
@settings(max_examples=250, deadline=None)
def test_any_constants_give_the_features_of_the_truth(
    windows: dict[str, Any], mel_bins: dict[str, Any], levels: dict[str, Any], length: int, seed: int
) -> None:
    """Transforms of any length, prime or odd, any window, hop, placement, edge, scale and level: whole and in pieces."""
    constants = Settings(**windows, **mel_bins, **levels)
    assume(windows["hop_length"] > 1 or length < 400)  # thousands of rows would only cost time
    assume((mel_filters(constants) > 1e-9).any())  # at the Nyquist frequency the last corner's rounding decides
    samples = noise(length, seed)
    front_end = FrontEnd(**windows, **mel_bins, **levels)
    features = log_mel(samples, frontend=front_end)
    assert_agrees(features, samples, constants)
    stream = LogMelStream(front_end)
    for piece in np.array_split(samples, 1 + seed):
        stream.push(piece)
    stream.flush()
    assert np.array_equal(stream.pop(), features)


@pytest.mark.filterwarnings("ignore:.*hold no bin of the spectrum")
@pytest.mark.parametrize("fft_length", [length for length in FFT_LENGTHS if length >= 8])
def test_every_transform_length_gives_the_features_of_the_truth(fft_length: int) -> None:
    """Powers of two, products of small factors, odd and prime lengths."""
    constants: dict[str, Any] = {
        "fft_length": fft_length,
        "window_length": fft_length,
        "num_mel_bins": min(40, max(1, fft_length // 4)),
        "mel_scale": "htk",
        "floor": 1e-10,
    }
    samples = voice(6000)
    assert_agrees(log_mel(samples, frontend=FrontEnd(**constants)), samples, Settings(**constants))


@pytest.mark.parametrize("name", [name for name in NAMED if name != "older nemo"])
def test_names_stand_for_the_constants_of_the_reference(name: str) -> None:
    """Each named front end's constants, one by one."""
    assert settings_of(FRONT_ENDS[name]) == NAMED[name]


def test_every_front_end_has_a_reference() -> None:
    """There is no name without a truth to hold it against."""
    assert set(FRONT_ENDS) == set(NAMED) - {"older nemo"}


@pytest.mark.parametrize(
    "overrides",
    [
        {"num_cepstra": 13},
        {"num_cepstra": 13, "deltas": True},
        {"num_cepstra": 26, "num_mel_bins": 26, "normalisation": "per_bin"},
        {"num_cepstra": 1, "num_mel_bins": 1},
    ],
)
def test_cepstra_give_the_truth_without_normalisation_too(overrides: dict[str, Any]) -> None:
    """The scale of the DCT, which normalised rows do not show, is that of the formula."""
    samples = voice(8000)
    front_end = FrontEnd(**overrides)
    assert_agrees(log_mel(samples, frontend=front_end), samples, settings_of(front_end))
    assert_agrees(log_mel(samples, frontend="librosa", range_below_peak=None, **overrides), samples, librosa_with(overrides))


def librosa_with(overrides: dict[str, Any]) -> Settings:
    return Settings(**(asdict(NAMED["librosa"]) | {"range_below_peak": None} | overrides))


@given(name=st.sampled_from(sorted(FRONT_ENDS)), length=st.integers(0, 5000), changes=windows())
@settings(max_examples=200, deadline=None)
def test_number_of_rows_is_told_beforehand(name: str, length: int, changes: dict[str, Any]) -> None:
    """`num_rows` says how many rows a signal gives, for named front ends and any other windows."""
    plan = LogMel(name)
    if length or plan.front_end.num_windows(0) == 0:
        assert plan(noise(length)).shape == (plan.num_rows(length), plan.num_columns)
    front_end = FrontEnd(**changes, num_mel_bins=1)
    lengths = [length, length + front_end.hop_length]
    fewer, more = (front_end.num_rows(front_end.num_windows(given)) for given in lengths)
    assert more - fewer == 1 or length < max(front_end.min_samples, front_end.fft_length)


def test_triangles_without_a_bin_are_warned_of() -> None:
    """Too many mel bins for the transform: the warning says how many are empty and what to change, the others are right."""
    with pytest.warns(UserWarning, match=r"mel bins .* hold no bin of the spectrum.*fft_length"):
        plan = LogMel("zipformer", n_mels=128)
    samples = noise(3000)
    constants = Settings(**(asdict(NAMED["zipformer"]) | {"num_mel_bins": 128}))
    assert not mel_filters(constants).any(axis=1).all()
    assert_agrees(plan(samples), samples, constants)


def test_front_end_whose_triangles_are_all_empty_is_refused() -> None:
    """Nothing but floors is no feature."""
    with pytest.raises(ValueError, match="hold no bin of the spectrum"):
        LogMel("zipformer", n_mels=1, low_hz=41.0, high_hz=79.0)
