"""Slow log-mel truth: the whole chain in float64, written from the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.features.levels import log_levels, normalised, stacked, with_cepstra
from reference.features.mel import mel_filters
from reference.features.settings import Settings
from reference.features.spectra import spectra

Floats = NDArray[np.float64]


def log_mel(samples: NDArray[Any], settings: Settings) -> Floats:
    """Features of mono samples in [-1, 1], shape (num_rows, num_columns)."""
    levels = log_levels(mel_energies(samples, settings), settings)
    return stacked(normalised(with_cepstra(levels, settings), settings), settings)


def mel_energies(samples: NDArray[Any], settings: Settings) -> Floats:
    """Energies (amplitudes for power 1) of every mel bin, shape (num_windows, num_mel_bins)."""
    return spectra(samples, settings) @ mel_filters(settings).T


def padded_or_cut(samples: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """The signal cut, or filled up with zeros, to this length."""
    return np.concatenate([samples[:num_samples], np.zeros(max(0, num_samples - len(samples)), np.float32)])
