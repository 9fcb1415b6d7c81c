"""From samples to the energies of each analysis window's spectrum, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.features.settings import Settings

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def spectra(samples: NDArray[Any], settings: Settings) -> Floats:
    """|X|^power of every window, shape (num_windows, fft_length // 2 + 1).

    A window that is shorter than the transform is followed by zeros; where it stands among them does not change |X|.
    """
    windowed = analysis_windows(prepared(samples, settings), settings) * window_function(settings.window, settings.window_length)
    return np.asarray(np.abs(np.fft.rfft(windowed, settings.fft_length, axis=1)) ** settings.power)


def prepared(samples: NDArray[Any], settings: Settings) -> Floats:
    """The signal that windows are taken from: scaled, normalised, quantised, emphasised, then filled up."""
    x = samples.astype(np.float64) * settings.scale
    if settings.normalize_signal:
        x = x - np.mean(x)
        x = x / max(np.max(np.abs(x)), 1e-6)
    if settings.quantise:
        x = np.rint(x * 32768.0) / 32767.0
    if settings.preemphasis_in == "signal":
        x = np.concatenate([x[:1], x[1:] - settings.preemphasis * x[:-1]])
    return np.concatenate([x, np.zeros(max(0, settings.min_samples - len(x)))])


def analysis_windows(signal: Floats, settings: Settings) -> Floats:
    """The windows before they are multiplied by the window function, shape (num_windows, window_length)."""
    starts = window_starts(len(signal), settings)
    if len(starts) == 0:
        return np.empty((0, settings.window_length))
    windows = values_at(signal, starts[:, np.newaxis] + np.arange(settings.window_length), settings.edges)
    if settings.remove_mean:
        windows = windows - windows.mean(axis=1, keepdims=True)
    if settings.preemphasis_in == "window":
        previous = np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
        windows = windows - settings.preemphasis * previous
    return windows


def window_starts(num_samples: int, settings: Settings) -> Integers:
    """Where each window begins; before 0 when it reaches over the beginning.

    "centred" and "inside_transform", as librosa and torch have center true and false: the window stands in the middle of a
    transform, and as many of those as fit stand every hop in the signal, which "centred" pads with half of one at both ends.
    "centred_but_last": without the last of them. "inside" and "covering": Kaldi's snip_edges true and false.
    """
    window, hop, transform = settings.window_length, settings.hop_length, settings.fft_length
    inset, half = (transform - window) // 2, transform // 2
    match settings.placement:
        case "inside":
            number, first = 1 + (num_samples - window) // hop, 0
        case "inside_transform":
            number, first = 1 + (num_samples - transform) // hop, inset
        case "covering":
            number, first = (num_samples + hop // 2) // hop, hop // 2 - window // 2
        case "centred" | "centred_but_last":
            number, first = 1 + (num_samples + 2 * half - transform) // hop, inset - half
            number -= settings.placement == "centred_but_last"
        case _:
            raise ValueError(f"no placement {settings.placement!r}")
    return first + hop * np.arange(max(number, 0))


def values_at(signal: Floats, places: Integers, edges: str) -> Floats:
    """What the signal holds at each place, of which some may lie before its beginning or behind its end."""
    last = len(signal) - 1
    if edges == "zero" or last < 0:
        return np.asarray(np.where((places >= 0) & (places <= last), signal[np.clip(places, 0, last)] if last >= 0 else 0.0, 0.0))
    if edges == "repeat":
        return signal[np.clip(places, 0, last)]
    if edges == "symmetric":  # ... 1 0 | 0 1 ... last | last ...: repeats every 2 (last + 1)
        folded = places % (2 * (last + 1))
        return signal[np.minimum(folded, 2 * last + 1 - folded)]
    period = max(2 * last, 1)  # ... 2 1 | 0 1 ... last | last-1 ...
    folded = places % period
    return signal[np.minimum(folded, period - folded)] if last else signal[np.zeros_like(places)]


def window_function(name: str, length: int) -> Floats:
    """Values of the window function; those called symmetric, and Povey's, end where they began, the others one step before.

    A window of one sample leaves it as it is.
    """
    if length == 1:
        return np.ones(1)
    steps = length - 1 if name in ("hann_symmetric", "hamming_symmetric", "povey") else length
    return np.array([_window_value(name, 2 * math.pi * i / steps) for i in range(length)])


def _window_value(name: str, turn: float) -> float:
    match name:
        case "hann" | "hann_symmetric":
            return 0.5 - 0.5 * math.cos(turn)
        case "hamming" | "hamming_symmetric":
            return 0.54 - 0.46 * math.cos(turn)
        case "blackman":
            return 0.42 - 0.5 * math.cos(turn) + 0.08 * math.cos(2 * turn)
        case "povey":
            return math.pow(0.5 - 0.5 * math.cos(turn), 0.85)
        case "rectangular":
            return 1.0
    raise ValueError(f"no window function {name!r}")
