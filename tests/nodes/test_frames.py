"""Tests of `SampleBuffer`, which gathers decoded blocks."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph_nodes.convert import convert, mix_to_mono
from phonograph_nodes.kernels._frames import SampleBuffer

FORMATS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1"}


def values(dtype: str, num_channels: int, num_samples: int, seed: int = 0) -> NDArray[Any]:
    chance = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return chance.normal(0, 0.3, (num_channels, num_samples)).astype(dtype)
    limits = np.iinfo(dtype)
    return chance.integers(limits.min, limits.max, (num_channels, num_samples), np.dtype(dtype), endpoint=True)


def block(sample_format: str, rows: NDArray[Any], rate: int = 8000) -> av.AudioFrame:
    """A block of PyAV's, filled plane by plane."""
    num_channels, num_samples = rows.shape
    frame = av.AudioFrame(format=sample_format, layout=LAYOUTS[num_channels], samples=num_samples)
    frame.sample_rate = rate
    stored = rows if frame.format.is_planar else np.ascontiguousarray(rows.T).reshape(1, -1)
    for plane, row in zip(frame.planes, stored, strict=True):
        plane.update(row.tobytes().ljust(plane.buffer_size, b"\0"))
    return frame


def floats(rows: NDArray[Any]) -> NDArray[np.float32]:
    if rows.dtype == np.int64:
        return (rows.astype(np.float64) / 2.0**63).astype(np.float32)
    return convert(rows, dtype="f32")


@pytest.mark.parametrize("planar", ["", "p"])
@pytest.mark.parametrize("sample_format", FORMATS)
@pytest.mark.parametrize("num_channels", LAYOUTS)
def test_every_format_is_gathered(sample_format: str, num_channels: int, planar: str) -> None:
    """Blocks of each format, planar and packed, become rows of float32, and their mean that of `mix_to_mono`."""
    rows = values(FORMATS[sample_format], num_channels, 2000)
    parts = [block(sample_format + planar, rows[:, start : start + 700]) for start in range(0, 2000, 700)]
    each, mean = SampleBuffer(num_channels, 8000, False, 2000), SampleBuffer(num_channels, 8000, True, 0)
    assert each.take(parts, 10**6) == mean.take(parts, 10**6) == 3
    gathered = each.finish()
    np.testing.assert_array_equal(gathered, floats(rows))
    np.testing.assert_array_equal(mean.finish(), mix_to_mono(gathered))


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("sample_format", ["flt", "fltp", "dblp"])
def test_what_is_not_finite_becomes_zero(sample_format: str, num_channels: int) -> None:
    """NaN, infinity and what overflows float32 are 0 in each channel and in the mean, and counted."""
    rows = values(FORMATS[sample_format.removesuffix("p")], num_channels, 3000).astype(FORMATS[sample_format.removesuffix("p")])
    rows[0, 5], rows[-1, 700], rows[0, 2999] = np.nan, np.inf, -np.inf
    clean = np.where(np.isfinite(rows), rows, 0).astype(np.float32)
    for mono, expected in ((False, clean), (True, mix_to_mono(clean))):
        out = SampleBuffer(num_channels, 8000, mono, 0)
        out.append(block(sample_format, rows), 0, 3000)
        assert out.non_finite == 3
        np.testing.assert_array_equal(out.finish(), expected)


def test_two_loud_channels_do_not_overflow() -> None:
    """The mean of two of the largest floats is that float."""
    largest = np.full((2, 10), np.finfo(np.float32).max)
    out = SampleBuffer(2, 8000, True, 0)
    out.append(block("fltp", largest), 0, 10)
    np.testing.assert_array_equal(out.finish(), largest[:1])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30), st.integers(0, 5000), st.booleans())
def test_any_parts_of_blocks_are_joined(parts: list[tuple[int, int]], claimed: int, mono: bool) -> None:
    """Whatever length was claimed, parts of blocks lie one after the other."""
    out, expected = SampleBuffer(2, 8000, mono, claimed), [np.empty((2, 0), np.float32)]
    for seed, (a, b) in enumerate(parts):
        rows = values("f4", 2, 300, seed)
        out.append(block("fltp", rows), min(a, b), max(a, b))
        expected.append(rows[:, min(a, b) : max(a, b)])
    joined = np.concatenate(expected, axis=1)
    assert out.length == joined.shape[1]
    result = out.finish()
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, mix_to_mono(joined) if mono else joined)


def test_what_does_not_fit_is_not_taken() -> None:
    """Blocks of another rate or number of channels, or beyond the limit, end the taking; the caller sees how many were taken."""
    mono, stereo, fast = (block("s16", values("i2", n, 100), rate) for n, rate in ((1, 8000), (2, 8000), (1, 16000)))
    for last, limit in ((stereo, 1000), (fast, 1000), (mono, 299)):
        out = SampleBuffer(1, 8000, False, 0)
        assert out.take([mono, mono, last], limit) == 2
        assert out.length == 200
    with pytest.raises(ValueError, match="samples 0 to 100 of 100, 2 channels"):
        out.append(stereo, 0, 100)
    with pytest.raises(ValueError, match="samples 5 to 101 of 100"):
        out.append(mono, 5, 101)


def test_the_last_samples_can_be_dropped() -> None:
    """What is dropped is gone; more than there is cannot be."""
    out = SampleBuffer(2, 8000, False, 0)
    rows = values("i2", 2, 100)
    out.append(block("s16p", rows), 0, 100)
    out.drop(40)
    with pytest.raises(ValueError, match="61 of 60 samples"):
        out.drop(61)
    np.testing.assert_array_equal(out.finish(), floats(rows)[:, :60])


def test_a_claim_takes_no_memory() -> None:
    """However much is claimed, 16 MiB are allocated before anything has come out."""
    out = SampleBuffer(1, 8000, False, 2**40)
    out.append(block("s16", values("i2", 1, 100)), 0, 100)
    assert out.finish().base is None
