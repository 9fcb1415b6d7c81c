"""Tests of the bound that features are held against: narrow, and narrow enough to tell every constant apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from front_end_cases import CASES
from reference.features.bounds import assert_agrees, truth_and_bound
from reference.features.log_mel import log_mel
from reference.features.settings import NAMED, Settings
from reference.features.signals import noise, voice

SLIPS: list[tuple[str, dict[str, Any]]] = [
    ("zipformer", {"window": "hann_symmetric"}),
    ("zipformer", {"floor": 1.0002e-5}),
    ("zipformer", {"mel_scale": "slaney"}),
    ("zipformer", {"high_hz": 7999.0}),
    ("zipformer", {"edges": "symmetric"}),
    ("zipformer", {"power": 1}),
    ("squeezeformer", {"preemphasis": 0.9701}),
    ("squeezeformer", {"unbiased": True}),
    ("squeezeformer", {"normalize_signal": False}),
    ("whisper", {"mel_area": False}),
    ("whisper", {"range_below_peak": 7.9999}),
    ("whisper", {"log": "ln"}),
    ("kaldi", {"remove_mean": False}),
    ("kaldi", {"preemphasis_in": "signal"}),
    ("kaldi", {"straight_in_mel": False}),
    ("kaldi", {"low_hz": 20.1}),
    ("kaldi", {"window": "hann_symmetric"}),
    ("icefall", {"edges": "reflect"}),
    ("nemo", {"add_floor": False}),
    ("nemo", {"window": "hann"}),
    ("nemo", {"edges": "reflect"}),
    ("nemo", {"unbiased": False}),
    ("w2v-bert", {"padding_value": 0.0}),
    ("w2v-bert", {"unbiased": False}),
    ("speaker-mfcc", {"quantise": False}),
    ("librosa", {"edges": "reflect"}),
]


@pytest.mark.parametrize("name", CASES)
def test_bound_is_narrow_for_noise_and_voice(name: str) -> None:
    """Half of the values may be off by at most 0.0005, none by more than 0.1: those in the spectrum's deepest gaps."""
    settings = CASES[name].settings
    unit = 10.0 if settings.log == "db" else 1.0
    for samples in (noise(8000), voice(8000)):
        _, bound = truth_and_bound(samples, settings)
        assert np.median(bound) < 5e-4 * unit
        assert bound.max() < 0.1 * unit


@pytest.mark.parametrize(("name", "slip"), SLIPS)
def test_slip_in_any_constant_is_outside_the_bound(name: str, slip: dict[str, Any]) -> None:
    """Features of a front end that differs in one constant do not pass for those of the front end."""
    right = NAMED[name]
    samples = np.concatenate([voice(8001), np.zeros(1100, np.float32)])  # an odd number of rows where they are stacked
    wrong = log_mel(samples, replace(right, **slip)).astype(np.float32)
    with pytest.raises(AssertionError):
        assert_agrees(wrong, samples, right)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_one_sample_that_is_not_where_it_belongs_is_outside_the_bound(name: str) -> None:
    """Features of a signal that is late by a sample do not pass for its features."""
    samples = noise(4000)
    wrong = log_mel(np.roll(samples, 1), NAMED[name]).astype(np.float32)
    with pytest.raises(AssertionError):
        assert_agrees(wrong, samples, NAMED[name])


def test_features_that_are_no_number_are_outside_the_bound() -> None:
    """NaN is not close to anything."""
    settings = Settings()
    wrong = log_mel(noise(2000), settings).astype(np.float32)
    wrong[3, 5] = np.nan
    with pytest.raises(AssertionError, match="row 3 column 5"):
        assert_agrees(wrong, noise(2000), settings)
