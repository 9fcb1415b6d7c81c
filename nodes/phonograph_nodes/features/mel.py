"""Mel filter banks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import FrontEnd, MelScale

Floats = NDArray[np.float64]

# O'Shaughnessy's scale (Speech Communication, 1987) as HTK writes it, 2595 log10, and as Kaldi does, 1127 ln: nearly the same.
_HTK_FACTOR = 2595.0 / np.log(10.0)
_KALDI_FACTOR = 1127.0
_CORNER_HZ = 700.0

# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, 15 mel, then logarithmic with 27 steps for a factor of 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = 15.0
_SLANEY_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: Floats, scale: MelScale) -> Floats:
    """Mel values of frequencies in Hz; HTK: 2595 log10(1 + f / 700), Kaldi: 1127 ln(1 + f / 700)."""
    if scale != "slaney":
        return np.asarray(_factor(scale) * np.log1p(hz / _CORNER_HZ))
    above = _SLANEY_BREAK_MEL + np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_STEP
    return np.where(hz < _SLANEY_BREAK_HZ, hz / _SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel: Floats, scale: MelScale) -> Floats:
    """Frequencies in Hz of mel values; the inverse of `hz_to_mel`."""
    if scale != "slaney":
        return np.asarray(_CORNER_HZ * np.expm1(mel / _factor(scale)))
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_STEP * (np.maximum(mel, _SLANEY_BREAK_MEL) - _SLANEY_BREAK_MEL))
    return np.where(mel < _SLANEY_BREAK_MEL, mel * _SLANEY_HZ_PER_MEL, above)


def mel_filters(front_end: FrontEnd) -> Floats:
    """Triangles whose corners are equally spaced in mel, from `low_hz` to `top_hz`.

    Their sides are straight in Hz, or in mel (`straight_in_mel`, as Kaldi has them); with `mel_area` each is divided by half its
    width in Hz, so that its area is 1. A triangle may be so narrow that no bin of the spectrum lies inside; it is all zeros then.

    Returns:
        float64, shape (num_mel_bins, fft_length // 2 + 1).
    """
    scale = front_end.mel_scale
    bins_hz: Floats = np.arange(front_end.fft_length // 2 + 1, dtype=np.float64) * (front_end.sample_rate / front_end.fft_length)
    low_mel, high_mel = hz_to_mel(np.array([front_end.low_hz, front_end.top_hz]), scale)
    corners_mel = np.linspace(low_mel, high_mel, front_end.num_mel_bins + 2, dtype=np.float64)
    corners_hz = mel_to_hz(corners_mel, scale)
    corners, bins = (corners_mel, hz_to_mel(bins_hz, scale)) if front_end.straight_in_mel else (corners_hz, bins_hz)
    low, centre, high = corners[:-2, np.newaxis], corners[1:-1, np.newaxis], corners[2:, np.newaxis]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    filters: Floats = np.maximum(0.0, np.minimum(rising, falling))
    if front_end.mel_area:
        filters *= (2.0 / (corners_hz[2:] - corners_hz[:-2]))[:, np.newaxis]
    return filters


def _factor(scale: MelScale) -> float:
    return float(_HTK_FACTOR) if scale == "htk" else _KALDI_FACTOR
