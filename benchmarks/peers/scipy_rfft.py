"""SciPy: what one writes by hand, a batched real FFT and a product with the mel matrix."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from benchmarks.peers.comparison import Comparison, Pair
from benchmarks.peers.librosa_mel import whisper_levels
from benchmarks.signals import SAMPLE_RATE, Features, Samples
from phonograph_nodes import log_mel

TOLERANCE = 1e-4  # of (log10 + 4) / 4
ROWS_AT_ONCE = 256  # their spectra stay in the second-level cache, nearly twice as fast as all rows at once


def _prepare() -> Pair:
    fft = import_module("scipy.fft")
    filters = import_module("librosa").filters.mel(sr=SAMPLE_RATE, n_fft=400, n_mels=80).T.copy()
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)

    def theirs(samples: Samples) -> Features:
        padded = np.pad(samples, 200, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:-1]
        mel = np.empty((len(windows), 80), np.float32)
        for first in range(0, len(windows), ROWS_AT_ONCE):
            spectrum = fft.rfft(windows[first : first + ROWS_AT_ONCE] * window)
            power = spectrum.real**2
            power += spectrum.imag**2
            np.matmul(power, filters, out=mel[first : first + ROWS_AT_ONCE])
        return whisper_levels(mel)

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="whisper")

    return Pair(ours, theirs)


COMPARISONS = (
    Comparison(
        name="scipy",
        peer="scipy",
        frontend="whisper",
        how=f"`scipy.fft.rfft` of {ROWS_AT_ONCE} windows at a time, a float32 product with librosa's mel matrix, levels in place",
        tolerance=TOLERANCE,
        prepare=_prepare,
    ),
)
