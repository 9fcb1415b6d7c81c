"""Slow truth for the change of sample rate: the sum over a windowed sinc, output by output, in float64."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
RATIOS = tuple((in_rate, out_rate) for in_rate in RATES for out_rate in RATES if in_rate != out_rate)

LEVELS = {"fast": (67, 12.6, 0.94), "high": (72, 12.75, 0.9425), "best": (80, 13.75, 0.945)}
"""Half length in samples of the lower rate, Kaiser's beta, cutoff over the lower Nyquist frequency."""


def kernel(time: Floats, quality: str) -> Floats:
    """The filter, time in samples of the lower rate; its gain for a constant is 1."""
    return _shape(time, quality) / _area(quality)


def resampled(samples: NDArray[np.float32], in_rate: int, out_rate: int, quality: str) -> Floats:
    """All ceil(num_samples * out_rate / in_rate) outputs of a signal with silence around it."""
    num_outputs = -(-len(samples) * out_rate // in_rate)
    return np.array([output(samples, in_rate, out_rate, quality, number) for number in range(num_outputs)])


def output(samples: NDArray[np.float32], in_rate: int, out_rate: int, quality: str, number: int) -> float:
    """One output."""
    scale = min(1.0, out_rate / in_rate)
    time, reach = number * in_rate / out_rate, LEVELS[quality][0] / scale
    places = np.arange(max(0, math.ceil(time - reach)), min(len(samples) - 1, math.floor(time + reach)) + 1)
    return float(
        scale * np.dot(samples[places].astype(np.float64), kernel(np.asarray((time - places) * scale, np.float64), quality))
    )


@functools.cache
def _area(quality: str) -> float:
    return float(_shape(np.arange(-100 * 32, 100 * 32 + 1) / 32, quality).sum()) / 32


def _shape(time: Floats, quality: str) -> Floats:
    half_length, beta, cutoff = LEVELS[quality]
    window = np.i0(beta * np.sqrt(np.clip(1 - (time / half_length) ** 2, 0, None)))
    return np.where(np.abs(time) < half_length, cutoff * np.sinc(cutoff * time) * window, 0.0)
