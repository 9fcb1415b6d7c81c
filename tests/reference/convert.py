"""Slow truth for sample formats: exact rational arithmetic on single values; plain loops for layouts and mixes."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

BITS = {"u8": 8, "i16": 16, "i24": 24, "i32": 32}
LAWS = ("alaw", "mulaw")


def _borders(first: list[int], steps: list[tuple[int, int]]) -> list[int]:
    borders = first
    for step, times in steps:
        for _ in range(times):
            borders.append(borders[-1] + step)
    return borders


# ITU-T G.711, tables 1a and 2a: decision values, which are 129 borders of 128 intervals, in units of 1 / FULL_SCALE.
DECISIONS = {
    "alaw": _borders([0], [(2, 32), *((2**n, 16) for n in range(2, 8))]),
    "mulaw": _borders([0, 1], [(2, 15), *((2**n, 16) for n in range(2, 9))]),
}
FULL_SCALE = {"alaw": 4096, "mulaw": 8192}
INVERTED = {
    "alaw": 0x55,
    "mulaw": 0x7F,
}  # bits of the seven that are sent inverted; the eighth is 1 for values that are not negative


def value_of(level: int, sample_format: str) -> Fraction:
    """What an integer of the format stands for, full scale being 1."""
    if sample_format in LAWS:
        interval = (level & 0x7F) ^ INVERTED[sample_format]
        low, high = DECISIONS[sample_format][interval : interval + 2]
        middle = Fraction(0) if low == 0 and high == 1 else Fraction(low + high, 2 * FULL_SCALE[sample_format])
        return middle if level & 0x80 else -middle
    half: int = 2 ** (BITS[sample_format] - 1)
    return Fraction(level - half if sample_format == "u8" else level, half)


def level_of(value: float | Fraction, sample_format: str) -> int:
    """The integer of the format for `value`; NaN is as 0, what is beyond the range goes to its end.

    Of an integer format, the nearest, halves to even. Of a law, the code in whose interval the value lies; on a border between
    two, the one that stands for the greater value.
    """
    finite = 0.0 if math.isnan(value) else math.copysign(2.0, value) if math.isinf(value) else value
    exact = Fraction(finite)
    if sample_format in LAWS:
        borders, magnitude = DECISIONS[sample_format], abs(exact) * FULL_SCALE[sample_format]
        after = bisect_right(borders, magnitude) if exact >= 0 else bisect_left(borders, magnitude)
        interval = min(after - 1, 127)
        return (interval ^ INVERTED[sample_format]) | (0x80 if exact >= 0 else 0)
    half: int = 2 ** (BITS[sample_format] - 1)
    return min(max(round(exact * half), -half), half - 1) + (half if sample_format == "u8" else 0)


def mixed(channels: Sequence[NDArray[np.float64]], weights: Sequence[float], divisor: float) -> NDArray[np.float32]:
    """Sum of weight times sample over the channels, in their order, divided; each step in float64, the result as float32."""
    mix = np.empty(len(channels[0]), np.float32)
    for t in range(len(mix)):
        total = 0.0
        for weight, channel in zip(weights, channels, strict=True):
            total += weight * float(channel[t])
        mix[t] = np.float32(total / divisor)
    return mix
