"""Tests of samples so large that float32 cannot hold their energy, or only just can."""

from __future__ import annotations

import numpy as np
import pytest

from phonograph.errors import AudioFormatError
from phonograph_nodes.features import log_mel
from reference.features.log_mel import log_mel as truth
from reference.features.settings import NAMED


@pytest.mark.parametrize("name", ["zipformer", "kaldi", "icefall"])
def test_tones_on_the_way_to_overflow_are_right_or_refused(name: str) -> None:
    """A tone whose energy some bins can hold and others cannot gives no floor in their place."""
    times = np.arange(2000)
    refused = 0
    for frequency in (0.0131, 0.1234, 0.3071, 0.490647):
        for exponent in np.linspace(13.0, 19.6, 24):
            tone = (10.0**exponent * np.sin(2.0 * np.pi * frequency * times)).astype(np.float32)
            try:
                features = log_mel(tone, frontend=name)
            except AudioFormatError as error:
                assert "float32 cannot hold" in str(error)
                refused += 1
                continue
            expected = truth(tone, NAMED[name])
            loud = expected > expected.max(axis=1, keepdims=True) - 18.0  # nats; below is the rounding of the peak
            assert np.abs(features - expected)[loud].max() < 0.5
    assert 0 < refused < 96
