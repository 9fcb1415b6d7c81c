"""transformers: the feature extractors that come with Whisper and with w2v-BERT 2.0, their NumPy path."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.peers.comparison import Comparison, Pair
from benchmarks.signals import SAMPLE_RATE, Features, Samples
from phonograph_nodes import log_mel


def _fetched(batch: Any) -> Features:
    features: Features = batch["input_features"][0]
    return features


def _whisper() -> Pair:
    extractor = import_module("transformers").WhisperFeatureExtractor()

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="whisper", bins_first=True)

    def theirs(samples: Samples) -> Any:
        return extractor(samples, sampling_rate=SAMPLE_RATE, padding="do_not_pad", truncation=False, return_tensors="np")

    return Pair(ours, theirs, fetched=_fetched)


def _w2v_bert() -> Pair:
    extractor = import_module("transformers").SeamlessM4TFeatureExtractor()

    def ours(samples: Samples) -> Features:
        return log_mel(samples, frontend="w2v-bert")

    def theirs(samples: Samples) -> Any:
        return extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")

    return Pair(ours, theirs, fetched=_fetched)


COMPARISONS = (
    Comparison(
        name="transformers-whisper",
        peer="transformers",
        frontend="whisper",
        how='`WhisperFeatureExtractor()(samples, padding="do_not_pad", truncation=False, return_tensors="np")`, without torch',
        tolerance=1e-4,  # of (log10 + 4) / 4
        prepare=_whisper,
    ),
    Comparison(
        name="transformers-w2v-bert",
        peer="transformers",
        frontend="w2v-bert",
        how='`SeamlessM4TFeatureExtractor()(samples, return_tensors="np")`',
        tolerance=4e-3,  # of standard deviations; what our golden references allow
        prepare=_w2v_bert,
    ),
)
