"""From mel energies to feature rows, in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reference.features.settings import Settings

Floats = NDArray[np.float64]


def log_levels(energies: Floats, settings: Settings) -> Floats:
    """Logarithms above the floor, lifted to `range_below_peak` under the clip's highest, shifted and scaled; shape as given."""
    floored = energies + settings.floor if settings.add_floor else np.maximum(energies, settings.floor)
    levels = np.asarray(np.log(floored) if settings.log == "ln" else np.log10(floored) * (10.0 if settings.log == "db" else 1.0))
    if settings.range_below_peak is not None and levels.size:
        levels = np.maximum(levels, levels.max() - settings.range_below_peak)
    return (levels + settings.shift) * settings.gain


def with_cepstra(levels: Floats, settings: Settings) -> Floats:
    """The first cepstra in place of the levels and the deltas behind them, as far as the settings ask for either."""
    rows = levels @ dct(settings.num_cepstra, settings.num_mel_bins).T if settings.num_cepstra else levels
    if not settings.deltas:
        return rows
    first = differences(rows)
    return np.concatenate([rows, first, differences(first)], axis=1)


def dct(num_cepstra: int, num_mel_bins: int) -> Floats:
    """DCT-II without normalisation, 2 cos(pi c (2 m + 1) / (2 M)), shape (num_cepstra, num_mel_bins)."""
    turn = math.pi / (2 * num_mel_bins)
    return np.array([[2 * math.cos(turn * c * (2 * m + 1)) for m in range(num_mel_bins)] for c in range(num_cepstra)])


def differences(rows: Floats) -> Floats:
    """(next - previous) / 2 over time; beyond either end stands the edge row."""
    if len(rows) == 0:
        return rows
    return np.asarray((np.concatenate([rows[1:], rows[-1:]]) - np.concatenate([rows[:1], rows[:-1]])) / 2)


def normalised(rows: Floats, settings: Settings) -> Floats:
    """(v - mean) / deviation, over time or over each row; of a single value, the deviation divides by 1."""
    if settings.normalisation == "none" or rows.size == 0:
        return rows
    axis = 0 if settings.normalisation == "per_bin" else 1
    centred = rows - rows.mean(axis=axis, keepdims=True)
    number = rows.shape[axis]
    variance = (centred**2).sum(axis=axis, keepdims=True) / (max(number - 1, 1) if settings.unbiased else number)
    floor = settings.deviation_floor
    deviation = {
        "max": np.maximum(np.sqrt(variance), floor),
        "add": np.sqrt(variance) + floor,
        "add_to_variance": np.sqrt(variance + floor),
    }[settings.deviation_floor_in]
    return np.asarray(centred / deviation)


def stacked(rows: Floats, settings: Settings) -> Floats:
    """`stack` rows joined, the last filled up with `padding_value`; then rows of zeros up to a multiple of `pad_rows_to`."""
    missing = -len(rows) % settings.stack
    filled = np.concatenate([rows, np.full((missing, rows.shape[1]), settings.padding_value)])
    joined = filled.reshape(len(filled) // settings.stack, rows.shape[1] * settings.stack)
    return np.concatenate([joined, np.zeros((-len(joined) % settings.pad_rows_to, joined.shape[1]))])
