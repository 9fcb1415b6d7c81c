"""Every conversion between sample formats against exact arithmetic: every level of 8 and 16 bits, every kind of float."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from phonograph_nodes.convert import convert, convert_counted
from reference.convert import BITS, DECISIONS, FULL_SCALE, LAWS, level_of, value_of

INTEGERS = (*BITS, *LAWS)
FORMATS = (*INTEGERS, "f32", "f64")
WIDTHS = {"u8": 1, "i16": 2, "i24": 3, "i32": 4, "f32": 4, "f64": 8, "alaw": 1, "mulaw": 1}
LONGEST = 2000


def packed(levels: list[int], sample_format: str) -> NDArray[Any]:
    """Levels as an array of the format, made from Python's own bytes."""
    signed = sample_format in ("i16", "i24", "i32")
    content = b"".join(level.to_bytes(WIDTHS[sample_format], "little", signed=signed) for level in levels)
    stored: NDArray[Any] = np.frombuffer(content, {2: "<i2", 4: "<i4"}.get(WIDTHS[sample_format], "u1"))
    return stored.reshape(-1, 3) if sample_format == "i24" else stored


def all_levels(sample_format: str) -> list[int]:
    """Every level of a short format; of i24 and i32 those around their ends, their middle and where rounding changes."""
    if sample_format in ("u8", *LAWS):
        return list(range(256))
    if sample_format == "i16":
        return list(range(-(2**15), 2**15))
    end = 2 ** (BITS[sample_format] - 1)
    ties = [
        sign * (step * 2**bits + half + beside)
        for bits in range(1, BITS[sample_format] - 1)
        for half in (0, 2 ** (bits - 1))
        for step in (0, 1, 2, 3, end // 2**bits - 1)
        for beside in (-1, 0, 1)
        for sign in (-1, 1)
    ]
    return sorted({level for level in (-end, 1 - end, -1, 0, 1, end - 1, *ties) if -end <= level < end})


@functools.cache
def expected_levels(source: str, target: str) -> list[int]:
    return [level_of(value_of(level, source), target) for level in all_levels(source)]


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", INTEGERS)
def test_integers_become_other_integers_as_exact_arithmetic_says(source: str, target: str) -> None:
    """From every level, to the nearest one or into the law's interval; a format to itself is a copy, bit for bit."""
    levels = all_levels(source)
    expected = levels if source == target else expected_levels(source, target)
    found = convert_counted(packed(levels, source), dtype=target, source=source)
    assert np.array_equal(found.samples, packed(expected, target))
    assert found.num_nan == 0


@pytest.mark.parametrize("source", INTEGERS)
def test_levels_are_exact_fractions(source: str) -> None:
    """In float64 each level is the fraction that it stands for, never a negative zero; in float32 the nearest to it."""
    exact = np.array([float(value_of(level, source)) for level in all_levels(source)]) + 0.0
    stored = packed(all_levels(source), source)
    assert convert(stored, dtype="f64", source=source).tobytes() == exact.tobytes()
    assert convert(stored, dtype="f32", source=source).tobytes() == exact.astype(np.float32).tobytes()


@functools.cache
def float_cases(dtype: str) -> NDArray[Any]:
    """Floats of every exponent and sign, denormals and NaN with payloads among them, and what lies around every border."""
    if dtype == "f32":
        tops = np.arange(2**16, dtype=np.uint32) << 16
        patterns = np.concatenate([tops, tops[::7] | 1, tops[::11] | 0xFFFF]).view(np.float32)
    else:
        tops = np.arange(2**16, dtype=np.uint64) << 48
        patterns = np.concatenate([tops[::3], tops[::7] | 1, tops[::11] | 0xFFFFFFFFFFFF]).view(np.float64)
    borders = [
        (step + 0.5) / 2 ** (bits - 1)
        for bits in BITS.values()
        for end in (2 ** (bits - 1),)
        for step in (*range(-6, 6), end // 2 - 1, end - 2, end - 1, end, -end - 1, -end, 1 - end)
    ]
    borders += [sign * border / FULL_SCALE[law] for law in LAWS for border in DECISIONS[law] for sign in (-1, 1)]
    exact = np.array(borders, patterns.dtype)
    return np.concatenate([patterns, exact, np.nextafter(exact, exact.dtype.type(9)), np.nextafter(exact, exact.dtype.type(-9))])


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", ["f32", "f64"])
def test_floats_are_quantised_as_exact_arithmetic_says(source: str, target: str) -> None:
    """Denormals, halves, the ends of the range, values beyond it, infinity; NaN of any payload is 0 and counted."""
    samples = float_cases(source)
    found = convert_counted(samples, dtype=target)
    expected = packed([level_of(value, target) for value in samples.tolist()], target)
    wrong = np.flatnonzero((found.samples != expected).reshape(len(samples), -1).any(axis=1))
    assert [(samples[i], found.samples[i].tolist(), expected[i].tolist()) for i in wrong[:5]] == []
    assert found.num_nan == np.isnan(samples).sum() > 0


@pytest.mark.parametrize(("source", "target"), [("f32", "f64"), ("f64", "f32")])
def test_floats_become_the_nearest_floats(source: str, target: str) -> None:
    """As NumPy casts them: nothing is clamped, what is too large is infinite, NaN stays NaN and is not counted."""
    samples = float_cases(source)
    found = convert_counted(samples, dtype=target)
    with np.errstate(all="ignore"):
        assert np.array_equal(found.samples, samples.astype(found.samples.dtype), equal_nan=True)
    assert found.num_nan == 0


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_float_format_to_itself_keeps_the_bits(dtype: str) -> None:
    """Payloads and signs of NaN too."""
    samples = float_cases(dtype)
    assert convert(samples, dtype=dtype).tobytes() == samples.tobytes()


@pytest.mark.parametrize("target", INTEGERS)
@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1.1, 1.1), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_float_is_quantised_as_exact_arithmetic_says(target: str, values: list[float]) -> None:
    """The same of what a search comes up with."""
    found = convert_counted(np.array(values, np.float64), dtype=target)
    assert np.array_equal(found.samples, packed([level_of(value, target) for value in values], target))
    assert found.num_nan == sum(map(math.isnan, values))


@given(values=npst.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32)))
@settings(max_examples=60, deadline=None)
def test_floats_come_back_from_wider_ones(values: NDArray[np.float32]) -> None:
    """f32 -> f64 -> f32 changes no value, NaN and infinity included, and counts nothing."""
    wide = convert_counted(values, dtype="f64")
    assert wide.num_nan == 0
    assert np.array_equal(convert(wide.samples, dtype="f32"), values, equal_nan=True)


WIDER = {
    "u8": ("i16", "i24", "i32", "f32", "f64"),
    "i16": ("i24", "i32", "f32", "f64"),
    "i24": ("i32", "f32", "f64"),
    "i32": ("f64",),
    "alaw": ("i16", "i24", "i32", "f32", "f64"),
    "mulaw": ("i16", "i24", "i32", "f32", "f64"),
}


@pytest.mark.parametrize(("narrow", "wide"), [(narrow, wide) for narrow, formats in WIDER.items() for wide in formats])
def test_a_format_comes_back_from_every_wider_one(narrow: str, wide: str) -> None:
    """There and back is the identity for every level, all 65536 of i16 through f32 among them; mu-law's two zeros become one."""
    levels = all_levels(narrow)
    there = convert(packed(levels, narrow), dtype=wide, source=narrow)
    expected = [0xFF if narrow == "mulaw" and level == 0x7F else level for level in levels]
    assert np.array_equal(convert(there, dtype=narrow, source=wide), packed(expected, narrow))


def test_codes_of_the_laws_that_the_standard_prints() -> None:
    """Ends and middles of the tables of G.711, as levels of 16 bits."""
    alaw = np.array([0xD5, 0x55, 0xAA, 0x2A], np.uint8)
    assert convert(alaw, dtype="i16", source="alaw").tolist() == [8, -8, 32256, -32256]
    mulaw = np.array([0xFF, 0x7F, 0x80, 0x00], np.uint8)
    assert convert(mulaw, dtype="i16", source="mulaw").tolist() == [0, 0, 32124, -32124]


def stored_noise(sample_format: str, count: int) -> NDArray[np.uint8]:
    """Samples of the format, as bytes; float ones with some NaN and some beyond full scale."""
    rng = np.random.default_rng(17)
    if sample_format not in ("f32", "f64"):
        return rng.integers(0, 256, count * WIDTHS[sample_format], np.uint8)
    samples = rng.standard_normal(count) * 0.7
    samples[::13] = np.nan
    return samples.astype(np.float32 if sample_format == "f32" else np.float64).view(np.uint8)


def as_samples(stored: NDArray[np.uint8], sample_format: str) -> NDArray[Any]:
    """Bytes, wherever they begin, as an array of the format."""
    dtype = {"i16": "<i2", "i32": "<i4", "f32": "<f4", "f64": "<f8"}.get(sample_format, "u1")
    samples: NDArray[Any] = stored.view(dtype)
    return samples.reshape(-1, 3) if sample_format == "i24" else samples


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_any_length_at_any_byte(source: str, target: str) -> None:
    """0 to 2000 samples that begin at any byte of memory are as those of the whole, and nothing beyond them is written."""
    stored = stored_noise(source, LONGEST)
    whole = convert_counted(as_samples(stored, source), dtype=target, source=source)
    nan = np.isnan(as_samples(stored, source)) if source in ("f32", "f64") and target in INTEGERS else np.zeros(LONGEST, bool)
    num_nan = np.concatenate([[0], np.cumsum(nan)])
    expected = whole.samples.reshape(-1).view(np.uint8)
    taken, given = np.empty(len(stored) + 64, np.uint8), np.empty(len(expected) + 128, np.uint8)
    for length in range(LONGEST + 1):
        begin, out_begin = length % 61, length % 59
        used, size = length * WIDTHS[source], length * WIDTHS[target]
        taken[begin : begin + used] = stored[:used]
        given[out_begin + size : out_begin + size + 64] = 0xA5
        out = as_samples(given[out_begin : out_begin + size], target)
        found = convert_counted(as_samples(taken[begin : begin + used], source), dtype=target, source=source, out=out)
        assert found.samples is out
        assert np.array_equal(given[out_begin : out_begin + size], expected[:size]), length
        assert np.all(given[out_begin + size : out_begin + size + 64] == 0xA5), length
        assert found.num_nan == num_nan[length]
