"""kaldi-native-fbank: Kaldi's filter-bank features in C++.

Its Python interface takes the samples as a sequence and converts them one by one, which costs half as much as the features; its
documentation hands over a list made from the array, which is faster than the array itself. So it is timed twice: as its
documentation calls it, and with all that the interface adds left out of the clock.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.peers.comparison import Comparison, Pair
from benchmarks.signals import SAMPLE_RATE, Features, Samples
from phonograph_nodes import log_mel

TOLERANCE = 1e-2  # of ln: the peer's own float32 noise, in bins some 20 nats below the window's peak


def _options(library: ModuleType) -> Any:
    options = library.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    return options


def _computed(library: ModuleType, options: Any, waveform: Any) -> Any:
    """The extractor after the whole signal; it computes while it accepts samples."""
    extractor = library.OnlineFbank(options)
    extractor.accept_waveform(SAMPLE_RATE, waveform)
    extractor.input_finished()
    return extractor


def _rows(extractor: Any) -> Features:
    return np.vstack([extractor.get_frame(number) for number in range(extractor.num_frames_ready)])


def _ours(samples: Samples) -> Features:
    return log_mel(samples, frontend="kaldi")


def _as_documented() -> Pair:
    library = import_module("kaldi_native_fbank")
    options = _options(library)
    return Pair(_ours, lambda samples: _rows(_computed(library, options, samples.tolist())))


def _arithmetic_alone() -> Pair:
    library = import_module("kaldi_native_fbank")
    options = _options(library)
    return Pair(
        _ours,
        lambda values: _computed(library, options, values),
        given=lambda samples: samples.tolist(),
        fetched=_rows,
    )


COMPARISONS = (
    Comparison(
        name="kaldi-native-fbank",
        peer="kaldi-native-fbank",
        frontend="kaldi",
        how="`OnlineFbank`, dither 0: `accept_waveform(16000, samples.tolist())`, `input_finished()`, every `get_frame` stacked",
        tolerance=TOLERANCE,
        prepare=_as_documented,
    ),
    Comparison(
        name="kaldi-native-fbank-arithmetic",
        peer="kaldi-native-fbank",
        frontend="kaldi",
        how="the same, without what its Python interface adds: samples as a list made before the clock runs, no row fetched",
        tolerance=TOLERANCE,
        prepare=_arithmetic_alone,
    ),
)
