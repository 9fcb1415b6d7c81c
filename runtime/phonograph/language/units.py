"""Reads quantities that carry their unit: durations such as `100ms`, sizes such as `512MiB`."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")
_NUMBER = re.compile(r"[0-9.]+")
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

DURATION = "a duration with its unit, such as 100ms, 30s, 10m or 1h"
SIZE = "a size with its unit, such as 512MiB or 1GB"


def parse_duration(text: str) -> float:
    """Seconds in `text`; `ms`, `s`, `m` and `h` are units.

    Raises:
        ValueError: not a number with one of these units; the message says what is expected.
    """
    return float(_parse(text, _SECONDS, DURATION, ("ms", "s")))


def parse_size(text: str) -> int:
    """Bytes in `text`, rounded to whole ones; `kB`, `MB`, ... are powers of 1000 and `KiB`, `MiB`, ... of 1024.

    Raises:
        ValueError: not a number with one of these units; the message says what is expected.
    """
    return round(_parse(text, {unit: Fraction(factor) for unit, factor in _BYTES.items()}, SIZE, ("MiB", "B")))


class Seconds(float):
    """A duration that a reference stands for: it knows its unit, where a bare number leaves open what is meant."""

    __slots__ = ()

    def __str__(self) -> str:
        return duration_in_words(self)


class NumBytes(int):
    """A size that a reference stands for: it knows its unit."""

    __slots__ = ()

    def __str__(self) -> str:
        return size_in_words(self)


def duration_in_words(seconds: float) -> str:
    """Seconds with the unit that makes the number short; `parse_duration` gives the same number of seconds for it."""
    for unit, factor in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= factor and (seconds / factor).is_integer():
            return f"{int(seconds / factor)}{unit}"
    number = Decimal(float.__repr__(float(seconds)))
    return f"{number.normalize():f}s" if seconds >= 1 or seconds == 0 else f"{(number * 1000).normalize():f}ms"


def size_in_words(num_bytes: int) -> str:
    """Bytes with the largest unit of which they are a whole number."""
    for unit in ("GiB", "MiB", "KiB"):
        if num_bytes >= _BYTES[unit] and num_bytes % _BYTES[unit] == 0:
            return f"{num_bytes // _BYTES[unit]}{unit}"
    return f"{int(num_bytes)}B"


def _parse(text: str, units: dict[str, Fraction], expected: str, common: tuple[str, str]) -> Fraction:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        bare = text.strip()
        remedy = f"; write {' or '.join(bare + unit for unit in common)}" if _NUMBER.fullmatch(bare) else ""
        raise ValueError(expected + remedy)
    return Fraction(match[1]) * units[match[2]]
