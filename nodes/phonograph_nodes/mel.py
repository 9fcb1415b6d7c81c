"""Mel filter banks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

MelScale = Literal["htk", "slaney"]
Floats = NDArray[np.float64]

# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, 15 mel, then logarithmic with 27 steps for a factor of 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = 15.0
_SLANEY_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: Floats, scale: MelScale) -> Floats:
    """Mel values of frequencies in Hz; HTK: 2595 log10(1 + f / 700)."""
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = _SLANEY_BREAK_MEL + np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_STEP
    return np.where(hz < _SLANEY_BREAK_HZ, hz / _SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel: Floats, scale: MelScale) -> Floats:
    """Frequencies in Hz of mel values; the inverse of `hz_to_mel`."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_STEP * (np.maximum(mel, _SLANEY_BREAK_MEL) - _SLANEY_BREAK_MEL))
    return np.where(mel < _SLANEY_BREAK_MEL, mel * _SLANEY_HZ_PER_MEL, above)


def mel_filters(num_mel_bins: int, *, scale: MelScale, area: bool, num_bins: int, high_hz: float) -> Floats:
    """Triangles whose corners are equally spaced in mel, from 0 to `high_hz`; their sides are straight in Hz.

    Args:
        area: divide each triangle by half its width in Hz, so that its area is 1.
        num_bins: of the power spectrum, from 0 to `high_hz`.

    Returns:
        float64, shape (num_mel_bins, num_bins).
    """
    bins_hz = np.linspace(0.0, high_hz, num_bins)
    high_mel = hz_to_mel(np.array(high_hz), scale)
    corners = mel_to_hz(np.linspace(0.0, float(high_mel), num_mel_bins + 2), scale)
    low, centre, high = corners[:-2, np.newaxis], corners[1:-1, np.newaxis], corners[2:, np.newaxis]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    filters: Floats = np.maximum(0.0, np.minimum(rising, falling))
    return filters * (2.0 / (high - low)) if area else filters
