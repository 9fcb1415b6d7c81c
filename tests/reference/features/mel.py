"""Mel filter banks in float64, one triangle after the other."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from reference.features.settings import Settings

Floats = NDArray[np.float64]


@functools.cache
def mel_filters(settings: Settings) -> Floats:
    """Weights of every mel bin, shape (num_mel_bins, fft_length // 2 + 1).

    The corners of the triangles are equally spaced in mel from `low_hz` to `high_hz`; the sides are straight in Hz, or in mel
    (Kaldi).
    """
    mels = corners_in_mel(settings)
    hertz = [to_hz(mel, settings.mel_scale) for mel in mels]
    bins_hz = [settings.sample_rate * k / settings.fft_length for k in range(settings.fft_length // 2 + 1)]
    corners, places = (mels, [to_mel(hz, settings.mel_scale) for hz in bins_hz]) if settings.straight_in_mel else (hertz, bins_hz)
    filters = np.zeros((settings.num_mel_bins, len(bins_hz)))
    for row, height in enumerate(triangle_heights(settings)):
        left, centre, right = corners[row : row + 3]
        sides = [min((place - left) / (centre - left), (right - place) / (right - centre)) for place in places]
        filters[row] = np.maximum(sides, 0.0) * height
    return filters


def triangle_heights(settings: Settings) -> list[float]:
    """1, or with `mel_area` (Slaney) one over half the triangle's width in Hz."""
    hertz = [to_hz(mel, settings.mel_scale) for mel in corners_in_mel(settings)]
    return [2.0 / (right - left) if settings.mel_area else 1.0 for left, right in zip(hertz[:-2], hertz[2:], strict=True)]


def corners_in_mel(settings: Settings) -> list[float]:
    """Where the triangles begin, peak and end; each begins where the one before it peaks."""
    nyquist = settings.sample_rate / 2
    high_hz = nyquist if settings.high_hz is None else settings.high_hz if settings.high_hz > 0 else nyquist + settings.high_hz
    low, high = (to_mel(hz, settings.mel_scale) for hz in (settings.low_hz, high_hz))
    return [low + (high - low) * i / (settings.num_mel_bins + 1) for i in range(settings.num_mel_bins + 2)]


def to_mel(hz: float, scale: str) -> float:
    """HTK: O'Shaughnessy's formula. Kaldi: the same curve in natural logarithms. Slaney: Auditory Toolbox, linear below 1 kHz."""
    if scale == "htk":
        return 2595.0 * math.log10(1.0 + hz / 700.0)
    if scale == "kaldi":
        return 1127.0 * math.log(1.0 + hz / 700.0)
    return 3.0 * hz / 200.0 if hz < 1000.0 else 15.0 + 27.0 * math.log(hz / 1000.0) / math.log(6.4)


def to_hz(mel: float, scale: str) -> float:
    """The inverse of `to_mel`."""
    if scale == "htk":
        return 700.0 * (math.pow(10.0, mel / 2595.0) - 1.0)
    if scale == "kaldi":
        return 700.0 * (math.exp(mel / 1127.0) - 1.0)
    return 200.0 * mel / 3.0 if mel < 15.0 else 1000.0 * math.pow(6.4, (mel - 15.0) / 27.0)
