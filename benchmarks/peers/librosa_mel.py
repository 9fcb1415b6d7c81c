"""librosa: its mel spectrogram, with Whisper's logarithm on top in NumPy, and with its own decibels."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from benchmarks.peers.comparison import Comparison, Pair
from benchmarks.signals import SAMPLE_RATE, Features, Samples
from phonograph_nodes import log_mel

TOLERANCE = 1e-4  # of (log10 + 4) / 4
WHISPER = {"n_fft": 400, "hop_length": 160, "pad_mode": "reflect"}


def _ours(samples: Samples) -> Features:
    return log_mel(samples, frontend="whisper", bins_first=True)


def whisper_levels(mel: Features) -> Features:
    """Whisper's logarithm, limited to 8 decades below the highest level, in place: (max(log10 e, peak - 8) + 4) / 4."""
    np.maximum(mel, 1e-10, out=mel)
    np.log10(mel, out=mel)
    np.maximum(mel, mel.max() - 8, out=mel)
    mel += 4
    mel /= 4
    return mel


def _as_documented() -> Pair:
    librosa = import_module("librosa")

    def theirs(samples: Samples) -> Features:
        mel = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_mels=80, power=2.0, **WHISPER)
        return whisper_levels(mel[:, :-1])

    return Pair(_ours, theirs)


def _filters_kept() -> Pair:
    librosa = import_module("librosa")
    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=400, n_mels=80)

    def theirs(samples: Samples) -> Features:
        spectrum = librosa.stft(samples, **WHISPER)[:, :-1]
        power = spectrum.real**2
        power += spectrum.imag**2
        return whisper_levels(filters @ power)

    return Pair(_ours, theirs)


def _defaults() -> Pair:
    librosa = import_module("librosa")

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="librosa", bins_first=True)

    def theirs(samples: Samples) -> Features:
        levels: Features = librosa.power_to_db(librosa.feature.melspectrogram(y=samples))
        return levels

    return Pair(ours, theirs)


COMPARISONS = (
    Comparison(
        name="librosa",
        peer="librosa",
        frontend="whisper",
        how="`librosa.feature.melspectrogram`, then clamp, log10 and scale in place with NumPy; float32 throughout",
        tolerance=TOLERANCE,
        prepare=_as_documented,
    ),
    Comparison(
        name="librosa-kept",
        peer="librosa",
        frontend="whisper",
        how="`librosa.stft` and a product with a filter bank that is made once; faster than `melspectrogram` for short audio",
        tolerance=TOLERANCE,
        prepare=_filters_kept,
    ),
    Comparison(
        name="librosa-defaults",
        peer="librosa",
        frontend="librosa",
        how="`librosa.power_to_db(librosa.feature.melspectrogram(y=samples))`; for both the same samples count as 22 050 Hz",
        tolerance=1e-3,  # dB
        prepare=_defaults,
    ),
)
