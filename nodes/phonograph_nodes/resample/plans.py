"""Which of three ways a ratio is resampled: by blocks, by a bank of polyphase filters, or by libsoxr."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from phonograph_nodes.resample.bank import MOST_BYTES, BankPlan, bank_bytes
from phonograph_nodes.resample.blocks import BlockPlan, block_lengths, is_smooth
from phonograph_nodes.resample.filters import FILTERS, Quality

Latency = Literal["block", "low"]

SOXR_RECIPES: Mapping[Quality, str] = MappingProxyType({"fast": "HQ", "high": "HQ", "best": "VHQ"})
"""libsoxr's recipes of the same quality; its MQ aliases more than "fast" allows, by its coarser steps between phases."""


@functools.lru_cache(maxsize=64)
def plan_for(in_rate: int, out_rate: int, quality: Quality, latency: Latency = "block") -> BlockPlan | BankPlan | None:
    """What resamples between two rates; None for libsoxr.

    Blocks need terms without a prime factor above 7. A bank could do most other ratios too, but takes 1.3 to 2.5 times as long as
    libsoxr, so it is for streams that must not wait.
    """
    common = math.gcd(in_rate, out_rate)
    up, down, filter_ = out_rate // common, in_rate // common, FILTERS[quality]
    if latency == "low":
        return BankPlan(up, down, filter_) if bank_bytes(up, down, filter_) <= MOST_BYTES else None
    if not (is_smooth(up) and is_smooth(down)):
        return None
    lengths = block_lengths(up, down, filter_.half_length * max(1.0, down / up))
    return BlockPlan(up, down, filter_, lengths) if lengths is not None else None
