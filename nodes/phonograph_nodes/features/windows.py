"""Window functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import Window

Floats = NDArray[np.float64]


def window_function(window: Window, length: int) -> Floats:
    """The values of a window function.

    "hann", "hamming" and "blackman" are periodic: one period of their cosines has `length` samples, as spectrograms want it.
    "hann_symmetric" and "hamming_symmetric" end as they begin, one period has `length` - 1; "povey", Kaldi's own, is the
    symmetric Hann window to the power of 0.85. Formulas: Harris, On the use of windows for harmonic analysis, 1978.

    Returns:
        float64, shape (length,).
    """
    symmetric = window in ("hann_symmetric", "hamming_symmetric", "povey")
    period = max(length - 1, 1) if symmetric else length
    turn = 2.0 * np.pi * np.arange(length) / period
    if length == 1:
        return np.ones(1)
    match window:
        case "hann" | "hann_symmetric":
            return np.asarray(0.5 - 0.5 * np.cos(turn))
        case "hamming" | "hamming_symmetric":
            return np.asarray(0.54 - 0.46 * np.cos(turn))
        case "blackman":
            return np.asarray(0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2.0 * turn))
        case "povey":
            return np.asarray((0.5 - 0.5 * np.cos(turn)) ** 0.85)
        case "rectangular":
            return np.ones(length)
