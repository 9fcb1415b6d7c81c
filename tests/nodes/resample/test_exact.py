"""Tests that resampled audio is what the filter's formula says, for every ratio, quality and length."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph_nodes import ResampleStream, resample
from phonograph_nodes.resample import Quality
from phonograph_nodes.resample.blocks import BlockPlan
from phonograph_nodes.resample.plans import plan_for
from reference.resample import LEVELS, RATIOS, kernel, output, resampled

QUALITIES: tuple[Quality, ...] = ("fast", "high", "best")
TOLERANCE = 1e-6  # of full scale


def noise(length: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)


def blocks_of(in_rate: int, out_rate: int, quality: Quality = "high") -> BlockPlan:
    plan = plan_for(in_rate, out_rate, quality)
    assert isinstance(plan, BlockPlan)
    return plan


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_noise_at_any_ratio(in_rate: int, out_rate: int, quality: Quality) -> None:
    """White noise of full scale comes out as the sum over the filter says, at the edges and around a block's end."""
    plan = blocks_of(in_rate, out_rate, quality)
    samples = noise(2 * plan.lengths.step_in + 100)
    found = resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)
    step = plan.lengths.step_out
    numbers = [*range(8), *range(step - 8, step + 8), *range(len(found) - 8, len(found))]
    expected = [output(samples, in_rate, out_rate, quality, number) for number in numbers]
    assert np.abs(found[numbers] - expected).max() < TOLERANCE


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("in_rate", "out_rate"), [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000), (16_000, 44_100)])
def test_every_output_of_many_blocks(in_rate: int, out_rate: int, quality: Quality) -> None:
    """More blocks than any instruction set takes at once, and some left over, have the outputs that the filter's sum has."""
    samples = noise(blocks_of(in_rate, out_rate, quality).lengths.step_in * 19 + 1234)
    found = resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)
    numbers = range(0, len(found), 11)  # in every lane, at all places of a block
    expected = [output(samples, in_rate, out_rate, quality, number) for number in numbers]
    assert np.abs(found[::11] - expected).max() < TOLERANCE


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_an_impulse_in_the_last_sample(in_rate: int, out_rate: int) -> None:
    """Whatever the length, the last outputs show what the last sample is: no tail is lost."""
    plan, scale = blocks_of(in_rate, out_rate), min(1.0, out_rate / in_rate)
    step = plan.lengths.step_in
    edges = [edge + near for edge in (step, 2 * step, plan.lengths.block_in, 16 * step) for near in (-1, 0, 1)]
    for length in [*range(1, 30), *edges, 4999, 5000]:
        samples = np.zeros(length, np.float32)
        samples[-1] = 1.0
        found = resample(samples, in_rate=in_rate, out_rate=out_rate)
        assert len(found) == -(-length * out_rate // in_rate)
        numbers = np.arange(max(0, len(found) - 20), len(found))
        times = numbers * in_rate / out_rate - (length - 1)
        assert np.abs(found[numbers] - scale * kernel(times * scale, "high")).max() < 1e-6, length


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_silence_after_the_end_changes_nothing(in_rate: int, out_rate: int) -> None:
    """A signal's outputs are the same bits when zeros follow it."""
    samples = noise(5000)
    for length in (1, 2, 77, 1000, 2345, 4999):
        padded = np.where(np.arange(5000) < length, samples, np.float32(0))
        alone = resample(samples[:length], in_rate=in_rate, out_rate=out_rate)
        assert np.array_equal(alone, resample(padded, in_rate=in_rate, out_rate=out_rate)[: len(alone)]), length


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("hertz", [8_001, 8_016, 8_100, 8_800, 9_500, 14_000, 21_000])
def test_a_full_scale_tone_above_the_band(quality: Quality, hertz: int) -> None:
    """A tone that the lower rate cannot hold is down by what the quality promises."""
    samples = np.sin(2 * np.pi * hertz / 44_100 * np.arange(44_100)).astype(np.float32)
    found = resample(samples, in_rate=44_100, out_rate=16_000, quality=quality)[2000:-2000]
    assert 20 * np.log10(np.abs(found).max()) < {"fast": -113, "high": -120, "best": -126}[quality]


@pytest.mark.parametrize("quality", QUALITIES)
def test_filters_have_the_response_that_is_said(quality: Quality) -> None:
    """Up to 0.90 of the Nyquist frequency the gain is 1, from 1.0 on it is 0, both within the figures of the documentation."""
    fine = 16
    steps = np.arange(-100 * fine, 100 * fine + 1)
    taps = kernel(steps / fine, quality) / fine
    frequencies = np.concatenate([np.linspace(0, 0.9, 400), np.linspace(1.0, 3.0, 1500)])
    gains = np.cos(np.pi * np.outer(frequencies, steps) / fine) @ taps
    passed, stopped = np.abs(gains[:400] - 1).max(), np.abs(gains[400:]).max()
    ripple, rejection = {"fast": (-43, -117), "high": (-55, -123), "best": (-69, -132)}[quality]
    assert 20 * np.log10(passed) < ripple
    assert 20 * np.log10(stopped) < rejection


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("in_rate", "out_rate"), [(44_100, 16_000), (16_000, 44_100), (44_100, 22_000), (96_000, 8_000)])
def test_a_bank_of_filters(in_rate: int, out_rate: int, quality: Quality) -> None:
    """What comes with low latency is the sum over the filter too, also at ratios that blocks cannot do."""
    samples = noise(2000)
    stream = ResampleStream(in_rate, out_rate, quality=quality, latency="low")
    found = np.concatenate([stream.push(samples), stream.flush()])
    assert np.abs(found - resampled(samples, in_rate, out_rate, quality)).max() < 1e-6


def test_the_reference_is_about_the_same_levels() -> None:
    """Each quality has a truth to be held against."""
    assert set(LEVELS) == set(QUALITIES)
