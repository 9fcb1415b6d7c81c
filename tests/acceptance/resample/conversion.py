"""Claims about sample formats and layouts: exact on every instruction set, and as fast as memory.

Speed is measured by `benchmarks/convert_speed.py`, on one core with one thread, into arrays that are there already; bars are for
a machine with AVX-512.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.measured import measured
from acceptance.variants import tests_pass
from phonograph_nodes.convert import convert, convert_counted

TESTS = tuple(f"tests/nodes/test_convert{part}.py" for part in ("", "_channels", "_exact"))


@claim(issue="resample", bar="each >= 0.80 of the speed of np.copyto of as many bytes, median", fast=False)
def conversions_are_as_fast_as_copies() -> Figure:
    """f32 to i16 and back, planar to interleaved and back, both at once: a minute takes at most a quarter longer than a copy."""
    return _beside_copies(measured("convert_speed")["minute"])


@claim(issue="resample", bar="each of the two < 100 us", fast=False)
def a_million_samples_take_less_than_100_microseconds() -> Figure:
    """A million samples from i16 to f32, called from Python, into a given array and into one that the call makes."""
    found = {name: spread["median"] * 1e6 for name, spread in measured("convert_speed")["million"].items()}
    return Figure(", ".join(f"{name} {us:.1f} us" for name, us in found.items()), all(us < 100 for us in found.values()))


@claim(issue="resample", bar="the ratio is reported", fast=False)
def mixing_is_reported_beside_a_copy() -> Figure:
    """How much of a copy's speed a mix of interleaved i16 stereo to float32 mono has, all in one pass."""
    entry = measured("convert_speed")["mix"]
    return Figure(_shown(entry), met=True)


@claim(issue="resample", bar="65 536 of 65 536 levels; every NaN counted", fast=True)
def i16_through_f32_is_the_identity() -> Figure:
    """i16 -> f32 -> i16 changes no level, and NaN of any payload is 0 and counted."""
    levels = np.arange(-(2**15), 2**15).astype(np.int16)
    same = int(np.count_nonzero(convert(convert(levels, dtype="f32"), dtype="i16") == levels))
    payloads = (np.arange(1, 2**16, dtype=np.uint32) | 0x7F800000).view(np.float32)
    found = convert_counted(np.concatenate([payloads, -payloads, np.zeros(5, np.float32)]), dtype="i16")
    met = same == len(levels) and found.num_nan == 2 * len(payloads) and not found.samples.any()
    return Figure(f"{same} of {len(levels)} levels; {found.num_nan} of {2 * len(payloads)} NaN", met)


@claim(issue="resample", bar="the tests pass with each instruction set", fast=False)
def every_variant_of_the_conversions_passes_its_tests() -> Figure:
    """All pairs of formats, every layout and the mix equal exact arithmetic, for each instruction set that this processor has."""
    return tests_pass(*TESTS)


def _beside_copies(entries: list[dict[str, Any]]) -> Figure:
    slow = [entry["name"] for entry in entries if entry["ratio"]["median"] < 0.8]
    return Figure("; ".join(map(_shown, entries)), not slow, f"below the bar: {', '.join(slow)}" if slow else "")


def _shown(entry: dict[str, Any]) -> str:
    ratio = entry["ratio"]
    return f"{entry['name']} {ratio['median']:.2f} ({ratio['lower']:.2f} - {ratio['upper']:.2f})"
