"""Tests of down-mixes by the weights of ITU-R BS.775."""

from __future__ import annotations

import numpy as np
import pytest

from phonograph.errors import AudioFormatError
from phonograph_nodes.audio import bs775_weights
from phonograph_nodes.audio.mixing import LAYOUTS, mix

A = 0.5**0.5


def test_five_one_becomes_two_channels() -> None:
    """Front channels count once, centre and surround 1/sqrt(2) times, the low-frequency channel not at all; scaled to sum 1."""
    scale = 1 / (1 + 2 * A)
    expected = [[scale, 0, A * scale, 0, A * scale, 0], [0, scale, A * scale, 0, 0, A * scale]]
    np.testing.assert_allclose(bs775_weights("5.1", 2), expected, rtol=1e-15)
    np.testing.assert_allclose(bs775_weights("5.1(side)", 2), expected, rtol=1e-15)
    np.testing.assert_allclose(bs775_weights("5.0", 2), np.delete(expected, 3, axis=1), rtol=1e-15)


def test_five_one_becomes_one_channel() -> None:
    """To one channel: 1/sqrt(2) of the front, the whole centre, half of each surround; scaled to sum 1."""
    weights = np.array([[A, A, 1, 0, 0.5, 0.5]])
    np.testing.assert_allclose(bs775_weights("5.1", 1), weights / weights.sum(), rtol=1e-15)


def test_seven_one_and_quad_follow() -> None:
    """Of 7.1, both pairs of surrounds count as such; of quad, the pair at the back."""
    seven = np.array([1, 0, A, 0, A, 0, A, 0])
    np.testing.assert_allclose(bs775_weights("7.1", 2)[0], seven / seven.sum(), rtol=1e-15)
    quad = np.array([0, 1, 0, A])
    np.testing.assert_allclose(bs775_weights("quad", 2)[1], quad / quad.sum(), rtol=1e-15)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_channels", [1, 2])
def test_no_mix_leaves_the_range(layout: str, num_channels: int) -> None:
    """Of every layout the weights of a channel add up to 1 and none is negative."""
    weights = bs775_weights(layout, num_channels)  # type: ignore[arg-type]
    assert weights.shape == (num_channels, len(LAYOUTS[layout]))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_mix_is_the_weighted_sum() -> None:
    """Each output is the sum of weight times sample, rounded to float32 once."""
    samples = np.random.default_rng(1).uniform(-1, 1, (6, 1000)).astype(np.float32)
    weights = bs775_weights("5.1", 2)
    mixed = mix(samples, weights)
    assert mixed.flags.c_contiguous
    np.testing.assert_allclose(mixed, weights @ samples.astype(np.float64), rtol=0, atol=6e-8)


def test_channels_of_unknown_places_are_refused() -> None:
    """Where nothing says which channel is which, there are no weights, and the message says what to do."""
    with pytest.raises(AudioFormatError, match=r"its channels are '16 channels'; .*; take the mean"):
        bs775_weights("16 channels", 2)
