"""Tests of dither: noise of the loudness asked for, which can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phonograph_nodes import LogMel, LogMelStream, log_mel
from phonograph_nodes.features import FrontEnd
from reference.features.mel import mel_filters
from reference.features.settings import Settings
from reference.features.signals import Samples, noise
from reference.features.spectra import window_function

KALDI: dict[str, Any] = {"frontend": "kaldi", "scale": 32768.0, "dither": 1.0}
SILENCE = np.zeros(160_000, np.float32)


def test_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    """Results can be repeated, and told apart."""
    samples = noise(4000)
    first = log_mel(samples, **KALDI)
    assert np.array_equal(first, log_mel(samples, **KALDI))
    assert np.array_equal(first, LogMel(**KALDI)(samples))
    assert (first != log_mel(samples, **KALDI, dither_seed=1)).mean() > 0.9


def test_dither_depends_on_the_place_in_the_signal_alone() -> None:
    """Neither the cut of a stream nor what else is in a batch changes it, and a longer signal begins with the same noise."""
    samples = noise(4000)
    whole = log_mel(samples, **KALDI)
    stream = LogMelStream(**KALDI)
    for piece in np.split(samples, [1, 2, 399, 1234, 1235]):
        stream.push(piece)
    stream.flush()
    assert np.array_equal(stream.pop(), whole)
    rows, _ = LogMel(**KALDI).batch([noise(3000, 1), samples])
    assert np.array_equal(rows[1], whole)
    assert np.array_equal(log_mel(samples[:2000], **KALDI), whole[: 1 + (2000 - 400) // 160])


@pytest.mark.parametrize(("scale", "dither"), [(1.0, 1e-3), (32768.0, 1.0), (32768.0, 3.5)])
def test_deviation_of_dither_is_as_asked_in_units_of_the_scaled_samples(scale: float, dither: float) -> None:
    """White noise of deviation d has the energy d^2 sum w^2 in every bin of the spectrum, on average over 999 windows."""
    front_end = FrontEnd(
        scale=scale,
        dither=dither,
        placement="inside",
        mel_scale="htk",
        low_hz=1000.0,
        high_hz=7000.0,
        num_mel_bins=1,
        floor=1e-12,
    )
    energies = np.exp(log_mel(SILENCE, frontend=front_end).astype(np.float64))
    loudness = dither**2 * (window_function("hann", 400) ** 2).sum()
    assert energies.mean() / weights(front_end) == pytest.approx(loudness, rel=0.02)


def weights(front_end: FrontEnd) -> float:
    """Sum of the weights of the only mel bin."""
    constants = Settings(mel_scale="htk", low_hz=front_end.low_hz, high_hz=front_end.top_hz, num_mel_bins=1)
    return float(mel_filters(constants).sum())


def samples_of_dither(length: int, seed: int) -> Samples:
    """Squares of the noise itself, one window of one sample each."""
    front_end = FrontEnd(
        dither=1.0,
        dither_seed=seed,
        window_length=1,
        hop_length=1,
        fft_length=8,
        placement="inside",
        mel_scale="htk",
        num_mel_bins=1,
        floor=1e-30,
    )
    levels = log_mel(np.zeros(length, np.float32), frontend=front_end)[:, 0]
    constants = Settings(fft_length=8, mel_scale="htk", num_mel_bins=1)
    return np.asarray(np.exp(levels) / mel_filters(constants).sum(), np.float32)


def test_dither_is_gaussian_and_white() -> None:
    """Squares of single values have the mean 1 and the fourth moment 3 of a normal distribution, and do not follow each other."""
    squares = samples_of_dither(100_000, 3)
    assert squares.mean() == pytest.approx(1.0, abs=0.02)
    assert (squares**2).mean() == pytest.approx(3.0, abs=0.15)
    assert (squares > 3.0**2).mean() == pytest.approx(0.0027, abs=0.0008)
    assert abs(np.corrcoef(squares[:-1], squares[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(squares, samples_of_dither(100_000, 4))[0, 1]) < 0.02


def test_without_dither_silence_stays_silent() -> None:
    """It is off unless asked for: silence is at the floor, with dither above it."""
    assert (log_mel(SILENCE, frontend="kaldi") == np.float32(np.log(2.0**-23))).all()
    assert (log_mel(SILENCE, **KALDI) > np.log(2.0**-23) + 3.0).all()
