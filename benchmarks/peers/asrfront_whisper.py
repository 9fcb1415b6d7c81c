"""asrfront: a C front end for Whisper with AVX2 kernels, the fastest peer that we know."""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.comparison import Comparison, Pair
from benchmarks.signals import Features, Samples
from phonograph_nodes import log_mel

TOLERANCE = 1e-4  # of (log10 + 4) / 4; what float32 leaves of quiet bins


def _whisper(num_mel_bins: int) -> Pair:
    asrfront = import_module("asrfront")

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="whisper", n_mels=num_mel_bins, bins_first=True)

    def theirs(samples: Samples) -> Features:
        features: Features = asrfront.whisper.log_mel(samples, n_mels=num_mel_bins, pad_or_trim=False)
        return features

    return Pair(ours, theirs, instructions=asrfront._ext.kernel_isa())


def _whisper_rows() -> Pair:
    pair = _whisper(80)

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="whisper")

    return Pair(ours, pair.theirs, fetched=lambda features: features.T, instructions=pair.instructions)


COMPARISONS = (
    Comparison(
        name="asrfront",
        peer="asrfront",
        frontend="whisper",
        how="`asrfront.whisper.log_mel(samples, pad_or_trim=False)`; both give (bins, rows)",
        tolerance=TOLERANCE,
        prepare=lambda: _whisper(80),
    ),
    Comparison(
        name="asrfront-128",
        peer="asrfront",
        frontend="whisper, 128 bins",
        how="the same with `n_mels=128`",
        tolerance=TOLERANCE,
        prepare=lambda: _whisper(128),
    ),
    Comparison(
        name="asrfront-rows",
        peer="asrfront",
        frontend="whisper",
        how="the same as `asrfront`; ours in its usual layout (rows, bins), the peer in its only one",
        tolerance=TOLERANCE,
        prepare=_whisper_rows,
    ),
)
