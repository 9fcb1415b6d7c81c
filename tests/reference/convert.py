"""Slow truth for sample formats: exact rational arithmetic on single values."""

from __future__ import annotations

import math
from fractions import Fraction

BITS = {"u8": 8, "i16": 16, "i24": 24, "i32": 32}


def value_of(level: int, sample_format: str) -> Fraction:
    """What an integer of the format stands for, full scale being 1."""
    half: int = 2 ** (BITS[sample_format] - 1)
    return Fraction(level - half if sample_format == "u8" else level, half)


def level_of(value: float, sample_format: str) -> int:
    """The integer of the format that is nearest to `value`; halves to even, NaN to 0, beyond the range to its end."""
    half: int = 2 ** (BITS[sample_format] - 1)
    centre = half if sample_format == "u8" else 0
    if math.isnan(value):
        return centre
    if math.isinf(value):
        return centre + (half - 1 if value > 0 else -half)
    return centre + min(max(round(Fraction(value) * half), -half), half - 1)
