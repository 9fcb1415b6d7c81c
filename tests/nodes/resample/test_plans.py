"""Tests of what is chosen for a ratio: the way to resample it, lengths of blocks and of transforms."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from phonograph.errors import AudioFormatError
from phonograph_nodes import resample
from phonograph_nodes.resample import Quality
from phonograph_nodes.resample.bank import BankPlan
from phonograph_nodes.resample.blocks import BlockPlan, block_lengths, is_smooth
from phonograph_nodes.resample.plans import plan_for
from reference.resample import RATIOS


@pytest.mark.parametrize("quality", ["fast", "high", "best"])
def test_every_pair_of_rates_in_use_is_done_by_blocks(quality: Quality) -> None:
    """No ratio between the nine rates needs libsoxr, whole or with low latency."""
    for in_rate, out_rate in RATIOS:
        assert isinstance(plan_for(in_rate, out_rate, quality), BlockPlan)
        assert isinstance(plan_for(in_rate, out_rate, quality, "low"), BankPlan)


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
def test_lengths_hold_together(in_rate: int, out_rate: int) -> None:
    """Steps and blocks are whole periods of the ratio, and a step's outputs read nothing beyond the block."""
    common = math.gcd(in_rate, out_rate)
    up, down = out_rate // common, in_rate // common
    half_length = 72 * max(1.0, down / up)
    lengths = block_lengths(up, down, half_length)
    assert lengths is not None
    assert lengths.step_in * up == lengths.step_out * down
    assert lengths.step_in % down == lengths.block_in % down == lengths.step_out % 2 == 0
    assert lengths.block_in * up == 2 * math.prod(lengths.radices_out) * down
    assert lengths.lead - half_length >= -1
    last = lengths.lead + (lengths.step_out - 1) * down / up + half_length
    assert math.ceil(last) - 1 <= lengths.block_in - 1


@pytest.mark.parametrize(
    ("number", "smooth"), [(1, True), (441, True), (1280, True), (2**19, True), (11, False), (22, False), (44_101, False)]
)
def test_numbers_with_small_factors(number: int, smooth: bool) -> None:
    """Two, three, five and seven, and nothing else."""
    assert is_smooth(number) is smooth


def test_a_ratio_too_wide_for_blocks_is_left_to_libsoxr() -> None:
    """Where a filter is longer than the longest block there are no lengths."""
    assert block_lengths(1, 768, 72.0 * 768) is None
    assert plan_for(768_000, 1_000, "high") is None
    samples = np.ones(2000, np.float32)
    assert resample(samples, in_rate=768_000, out_rate=1_000).shape == (3,)


def test_threads_share_a_plan() -> None:
    """Calls at the same time give what they give alone."""
    samples = np.random.default_rng(2).uniform(-1, 1, (8, 30_000)).astype(np.float32)
    alone = [resample(one, in_rate=44_100, out_rate=16_000) for one in samples]

    def differs(number: int) -> bool:
        found = [resample(samples[number], in_rate=44_100, out_rate=16_000) for _ in range(20)]
        return any(not np.array_equal(one, alone[number]) for one in found)

    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(differs, range(len(samples))))


def test_a_result_given_by_the_caller() -> None:
    """`out` is written and returned, at equal rates too; one that does not fit is refused."""
    samples = np.random.default_rng(2).uniform(-1, 1, (2, 3000)).astype(np.float32)
    expected = resample(samples, in_rate=48_000, out_rate=16_000)
    out = np.full((2, 1000), np.nan, np.float32)
    assert resample(samples, in_rate=48_000, out_rate=16_000, out=out) is out
    assert np.array_equal(out, expected)
    same = np.empty_like(samples)
    assert resample(samples, in_rate=16_000, out_rate=16_000, out=same) is same
    assert np.array_equal(same, samples)
    with pytest.raises(AudioFormatError, match="out is float32 of shape"):
        resample(samples, in_rate=48_000, out_rate=16_000, out=np.empty((2, 999), np.float32))
    with pytest.raises(AudioFormatError, match="shares memory"):
        resample(samples, in_rate=16_000, out_rate=16_000, out=samples)
