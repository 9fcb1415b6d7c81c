"""How far features that are computed in float32 may lie from the float64 truth.

The bound is derived, not tuned, in the order of the arithmetic. u = 2^-24 is the relative error of one float32 rounding.

1. *Windowed samples.* Each operation on the way (offset, gain, emphasis, mean, window) rounds once, relative to its operands,
   which may be far larger than its result: DC that is subtracted, neighbours that nearly cancel. So the chain is run again with
   absolute values, minus signs turned into plus; of what comes out, the norm g times u bounds the norm of each operation's error.
2. *Spectrum.* A transform of N points multiplies norms by sqrt(N), and rounds twice for each doubling of the length (a turn and a
   sum). A factor p of N that has no fast butterfly is summed as it stands: p roundings instead of 2 log2 p. Roundings are nearly
   independent, hence k of them have norm u sqrt(k) (Higham, Accuracy and Stability of Numerical Algorithms, chapter 24). Half of
   a real signal's spectrum holds half of its energy, so over all its bins the error has norm d = u sqrt(k) sqrt(N / 2) g. How it
   is spread over them depends on the signal, so all of it may be in one.
3. *Mel energies.* e = sum w |X|^2 then moves by at most 2 d sqrt(max w) sqrt(e) + max w d^2 (Cauchy and Schwarz), amplitudes
   sum w |X| by d |w|; a sum of n positive terms rounds n times, by u of what is summed so far, on average e / 2; the products
   add a few u e. Where a corner and a bin of the spectrum are the same, as at half the sample rate, the weight is 0 up to
   float64's rounding. Hence a bin far below the window's strongest may be off by much, relative to itself: that is what float32
   spectra are.
4. *Logarithm, floor, lift to the peak* grow with their argument, so they map the ends of an interval to its ends.
5. *Cepstra and deltas* are linear: bounds add up with the absolute values of the weights.
6. *Normalisation.* Mean and deviation are taken in float64. A mean moves by at most the mean of the bounds, a deviation by at
   most their root mean square, and the quotient by the sum of both over the smallest deviation possible; no quotient of n values
   is above sqrt(n). A column of which every value is certainly the same (silence, levels at the floor) gives zeros, however
   small its deviation's floor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.features.levels import dct, log_levels, normalised, stacked, with_cepstra
from reference.features.mel import mel_filters, triangle_heights
from reference.features.settings import Settings
from reference.features.spectra import spectra, values_at, window_function, window_starts

Floats = NDArray[np.float64]

UNIT = 2.0**-24
CORNER = 1e-13  # relative to the height of a triangle: its weight at a bin where float64 cannot tell the bin from the corner
OPERATIONS = 6  # offset, gain, emphasis (two), mean, window
LAST_FAST_FACTOR = 5  # the largest prime factor of a transform's length for which a butterfly is worth while
ROUNDINGS = 4  # of what is done to a few values: products, weighting, a logarithm by polynomial


def assert_agrees(features: NDArray[np.float32], samples: NDArray[Any], settings: Settings, of: str = "") -> None:
    """Fails when features (num_rows, num_columns) are not float32, of another shape, or further from the truth than the bound.

    The message begins with `of`, which says whose features they are.
    """
    truth, bound = truth_and_bound(samples, settings)
    assert features.dtype == np.float32
    assert features.shape == truth.shape
    if not truth.size:
        return
    ratio = np.abs(features - truth) / bound
    row, column = np.unravel_index(int(np.nanargmax(np.where(np.isnan(ratio), np.inf, ratio))), ratio.shape)
    assert ratio[row, column] <= 1.0, (
        f"{of} row {row} column {column} of {features.shape} is {features[row, column]!r}; expected {truth[row, column]!r} "
        f"+- {bound[row, column]:.2g}, the error is {ratio[row, column]:.3g} of that"
    )


def truth_and_bound(samples: NDArray[Any], settings: Settings) -> tuple[Floats, Floats]:
    """The true features and the bound of each value's error, both (num_rows, num_columns)."""
    spectrum = spectra(samples, settings)
    energies = spectrum @ mel_filters(settings).T
    levels = log_levels(energies, settings)
    rows = with_cepstra(levels, settings)
    truth = stacked(normalised(rows, settings), settings)
    if not truth.size:
        return truth, truth
    moved = energy_bounds(energies, spectrum, amplitude_bounds(samples, settings), settings)
    low, high = (log_levels(np.maximum(ends, 0.0), settings) for ends in (energies - moved, energies + moved))
    certain = (high.max(axis=0) == low.min(axis=0)) & (settings.num_cepstra == 0)
    bound = np.maximum(high - levels, levels - low) + _rounding_of_levels(levels, settings)
    bound = _through_cepstra(bound, levels, settings)
    if settings.normalisation == "per_bin":
        bound = np.where(certain, 0.0, _through_normalisation(bound, rows, 0, settings))
    elif settings.normalisation == "per_row":
        bound = _through_normalisation(bound, rows, 1, settings)
    filled = np.concatenate([bound, np.zeros((-len(bound) % settings.stack, bound.shape[1]))])
    filled = filled.reshape(-1, truth.shape[1])
    filled = np.concatenate([filled, np.zeros((len(truth) - len(filled), truth.shape[1]))])
    return truth, filled + 2 * UNIT * np.maximum(np.abs(truth), 1.0)


def amplitude_bounds(samples: NDArray[Any], settings: Settings) -> Floats:
    """Norm of the error of each window's spectrum, shape (num_windows, 1): steps 1 and 2."""
    magnitudes = _magnitudes(samples, settings) * window_function(settings.window, settings.window_length)
    norms = np.sqrt((magnitudes**2).sum(axis=1, keepdims=True))
    roundings = OPERATIONS + _roundings(settings.fft_length)
    return np.asarray(UNIT * math.sqrt(roundings * settings.fft_length / 2) * norms)


def energy_bounds(energies: Floats, spectrum: Floats, amplitudes: Floats, settings: Settings) -> Floats:
    """Error of each mel energy, shape (num_windows, num_mel_bins): step 3."""
    filters = mel_filters(settings)
    if settings.power == 1:
        moved = amplitudes * np.sqrt((filters**2).sum(axis=1))
    else:
        largest = filters.max(axis=1)
        moved = 2 * amplitudes * np.sqrt(largest * energies) + largest * amplitudes**2
    roundings = ROUNDINGS + (filters > 0.0).sum(axis=1) / 2
    corners = CORNER * spectrum.sum(axis=1, keepdims=True) * np.array(triangle_heights(settings))
    return np.asarray(moved + roundings * UNIT * energies + corners)


def _magnitudes(samples: NDArray[Any], settings: Settings) -> Floats:
    """The windows of the chain in which nothing cancels, before the window function."""
    x = np.abs(samples.astype(np.float64)) * settings.scale
    if settings.normalize_signal:
        scaled = samples.astype(np.float64) * settings.scale
        x = (x + abs(scaled.mean())) / max(np.abs(scaled - scaled.mean()).max(), 1e-6)
    if settings.preemphasis_in == "signal":
        x = np.concatenate([x[:1], x[1:] + settings.preemphasis * x[:-1]])
    x = np.concatenate([x, np.zeros(max(0, settings.min_samples - len(x)))])
    starts = window_starts(len(x), settings)
    windows = values_at(x, starts[:, np.newaxis] + np.arange(settings.window_length), settings.edges)
    if settings.remove_mean:
        windows = windows + windows.mean(axis=1, keepdims=True)
    if settings.preemphasis_in == "window":
        windows = windows + settings.preemphasis * np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
    return windows


def _roundings(length: int) -> float:
    """Roundings that a transform adds: two for each doubling, p for a prime factor p without a butterfly."""
    number, factor = 0.0, 2
    while length > 1:
        if length % factor:
            factor += 1
            continue
        number += 2 * math.log2(factor) if factor <= LAST_FAST_FACTOR else factor
        length //= factor
    return number


def _rounding_of_levels(levels: Floats, settings: Settings) -> Floats:
    """Of the logarithm, in which an error of u in the argument makes 1 u (ln), 0.43 u (log10) or 4.3 u (dB), and of scaling."""
    unit = {"ln": 1.0, "log10": 1 / math.log(10), "db": 10 / math.log(10)}[settings.log]
    logarithms = np.abs(levels / settings.gain - settings.shift)
    return np.asarray(UNIT * abs(settings.gain) * (ROUNDINGS * (logarithms + unit) + abs(settings.shift)))


def _through_cepstra(bound: Floats, levels: Floats, settings: Settings) -> Floats:
    if settings.num_cepstra:
        weights = np.abs(dct(settings.num_cepstra, settings.num_mel_bins)).T
        bound = bound @ weights + ROUNDINGS * UNIT * np.abs(levels) @ weights
    if not settings.deltas:
        return bound
    first = _sums_of_neighbours(bound)
    return np.concatenate([bound, first, _sums_of_neighbours(first)], axis=1)


def _sums_of_neighbours(bound: Floats) -> Floats:
    return np.asarray((np.concatenate([bound[1:], bound[-1:]]) + np.concatenate([bound[:1], bound[:-1]])) / 2)


def _through_normalisation(bound: Floats, rows: Floats, axis: int, settings: Settings) -> Floats:
    """Step 6."""
    number = rows.shape[axis]
    divisor = max(number - 1, 1) if settings.unbiased else number
    mean = rows.mean(axis=axis, keepdims=True)
    deviation = np.sqrt(((rows - mean) ** 2).sum(axis=axis, keepdims=True) / divisor)
    mean_moved = bound.mean(axis=axis, keepdims=True) + UNIT * np.abs(mean)
    deviation_moved = np.sqrt((bound**2).sum(axis=axis, keepdims=True) / divisor)
    smallest = np.maximum(deviation - deviation_moved, 0.0)
    floor = settings.deviation_floor
    divided_by = {"max": np.maximum(smallest, floor), "add": smallest + floor, "add_to_variance": np.sqrt(smallest**2 + floor)}
    quotient = np.abs(normalised(rows, settings))
    moved = bound + mean_moved + quotient * deviation_moved
    bounded = np.minimum(moved / divided_by[settings.deviation_floor_in], quotient + math.sqrt(number))
    return np.asarray(bounded + ROUNDINGS * UNIT * (1 + quotient))
