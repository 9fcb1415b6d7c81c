"""Tests of front ends at another rate than their own."""

from __future__ import annotations

import warnings
from typing import Any

import msgspec
import pytest

from acceptance.golden_names import SETTINGS
from phonograph_nodes import LogMel, LogMelStream
from phonograph_nodes.features import FRONT_ENDS, FrontEnd, LogMelNode, LogMelParams

TELLS = (
    r"sample_rate is 8000 Hz, and the lengths of 'kaldi' stay 400 \(window\) and 160 samples \(hop\), which last 50 and 20 ms "
    r"and not 25 and 10 ms as at 16000 Hz\. To keep the times, pass window_length=200, hop_length=80, fft_length=256; to keep "
    r"the samples, pass window_length=400"
)


def test_lengths_that_stay_at_another_rate_are_warned_of() -> None:
    """The warning stands at the caller's line, tells the lengths in milliseconds, and those to pass; the node warns as well."""
    for build in (LogMel, LogMelStream):
        with pytest.warns(UserWarning, match=TELLS) as caught:
            build("kaldi", sample_rate=8000)
        assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match=TELLS):
        LogMelNode(msgspec.convert({"frontend": "kaldi", "sample_rate": 8000}, LogMelParams), "mel").open()


@pytest.mark.parametrize(
    "arguments",
    [
        {"frontend": "kaldi", "sample_rate": 8000, "window_length": 200, "hop_length": 80, "fft_length": 256, "n_mels": 40},
        {"frontend": "zipformer", "sample_rate": 24_000, "window_length": 400, "n_mels": 40},
        {"frontend": "zipformer", "sample_rate": 24_000, "hop_length": 240, "n_mels": 40},
        {"frontend": "kaldi", "sample_rate": 16_000},
        {"frontend": "speaker-mfcc", "sample_rate": 44_100},
        {"frontend": "librosa", "sample_rate": 16_000},
        {"frontend": FrontEnd(num_mel_bins=40), "sample_rate": 24_000},
        *SETTINGS.values(),
    ],
    ids=str,
)
def test_lengths_that_are_meant_are_not_warned_of(arguments: dict[str, Any]) -> None:
    """Lengths that are given, a rate that is the front end's own, librosa's lengths, which are samples at any rate."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogMel(**arguments)
        LogMelStream(**arguments)


def test_lengths_in_the_warning_keep_the_times() -> None:
    """What is to be passed gives the rows that the front end's own rate gives."""
    with pytest.warns(UserWarning, match="window_length=800, hop_length=320, fft_length=800"):
        LogMel("zipformer", sample_rate=32_000, n_mels=26)
    twice = LogMel("zipformer", sample_rate=32_000, window_length=800, hop_length=320, fft_length=800)
    assert twice.num_rows(32_000) == LogMel("zipformer").num_rows(16_000)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_named_front_ends_warn_of_nothing(name: str) -> None:
    """As they are, at their own rates."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogMel(name, sample_rate=FRONT_ENDS[name].sample_rate)
