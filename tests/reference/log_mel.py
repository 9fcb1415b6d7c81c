"""Slow log-mel truth in float64, written from the formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def log_mel(samples: NDArray[Any], frontend: str, n_mels: int) -> Floats:
    """Features of `frontend` (squeezeformer, zipformer, whisper) for 16 kHz mono samples; shape (num_rows, n_mels)."""
    x = samples.astype(np.float64)
    if frontend == "whisper":
        levels = np.log10(np.maximum(_mel_energies(x, len(x) // 160, _slaney_filters(n_mels)), 1e-10))
        return np.asarray((np.maximum(levels, levels.max(initial=-10.0) - 8.0) + 4.0) / 4.0)
    if frontend == "squeezeformer":
        x = x - x.mean()
        x = x / max(np.abs(x).max(), 1e-6)
        x = np.concatenate([x[:1], x[1:] - 0.97 * x[:-1]])
    x = np.concatenate([x, np.zeros(max(0, 400 - len(x)))])
    levels = np.log(np.maximum(_mel_energies(x, len(x) // 160 + 1, _htk_filters(n_mels)), 1e-5))
    if frontend == "squeezeformer":
        levels = (levels - levels.mean(axis=0)) / np.maximum(levels.std(axis=0), 1e-5)
    return levels


def _mel_energies(x: Floats, num_rows: int, filters: Floats) -> Floats:
    if num_rows == 0:
        return np.empty((0, len(filters)))
    padded = np.pad(x, 200, mode="reflect")
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / 400) for i in range(400)])
    spectra = np.array([np.fft.rfft(padded[160 * row : 160 * row + 400] * hann) for row in range(num_rows)])
    return np.asarray(np.abs(spectra) ** 2 @ filters.T)


def _htk_filters(n_mels: int) -> Floats:
    top = 2595 * math.log10(1 + 8000 / 700)
    corners = [700 * (10 ** (top * i / (n_mels + 1) / 2595) - 1) for i in range(n_mels + 2)]
    return _triangles(corners)


def _slaney_filters(n_mels: int) -> Floats:
    top = 15 + 27 * math.log(8000 / 1000) / math.log(6.4)
    mels = [top * i / (n_mels + 1) for i in range(n_mels + 2)]
    corners = [mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27) for mel in mels]
    widths = np.array([high - low for low, high in zip(corners[:-2], corners[2:], strict=True)])
    return _triangles(corners) * (2 / widths)[:, np.newaxis]


def _triangles(corners: list[float]) -> Floats:
    filters = np.zeros((len(corners) - 2, 201))
    for row, (low, centre, high) in enumerate(zip(corners[:-2], corners[1:-1], corners[2:], strict=True)):
        for k in range(201):
            hz = 40.0 * k
            filters[row, k] = max(0.0, min((hz - low) / (centre - low), (high - hz) / (high - centre)))
    return filters
