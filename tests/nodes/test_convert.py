"""Tests of sample-format conversion against exact arithmetic."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

import reference.convert
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes.convert import (
    Convert,
    ConvertParams,
    convert,
    convert_counted,
    deinterleave,
    interleave,
    mix_to_mono,
)

INTEGERS = ["u8", "i16", "i24", "i32"]
BOUNDS = {"u8": (0, 255), "i16": (-(2**15), 2**15 - 1), "i24": (-(2**23), 2**23 - 1), "i32": (-(2**31), 2**31 - 1)}
WIDTHS = {"u8": 1, "i16": 2, "i24": 3, "i32": 4}
EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 1e300, 5e-324, math.inf, -math.inf, math.nan, 0.5, 1 - 2**-16, -1 - 2**-9]


def packed(levels: list[int], sample_format: str) -> NDArray[Any]:
    """Levels as an array of the format, made from Python's own bytes."""
    width = WIDTHS[sample_format]
    content = b"".join(level.to_bytes(width, "little", signed=sample_format != "u8") for level in levels)
    stored: NDArray[Any] = np.frombuffer(content, {"u8": "u1", "i16": "<i2", "i24": "u1", "i32": "<i4"}[sample_format])
    return stored.reshape(-1, 3) if sample_format == "i24" else stored


@pytest.mark.parametrize("target", INTEGERS)
@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1.1, 1.1), max_size=40))
@settings(max_examples=60, deadline=None)
def test_floats_are_quantised_as_exact_arithmetic_does(target: str, values: list[float]) -> None:
    """Scaled, clamped, rounded to the nearest with halves to even; NaN is 0 and counted."""
    expected = packed([reference.convert.level_of(value, target) for value in values + EDGES], target)
    conversion = convert_counted(np.array(values + EDGES), dtype=target)
    assert conversion.samples.dtype == expected.dtype
    assert np.array_equal(conversion.samples, expected)
    assert conversion.num_nan == sum(math.isnan(value) for value in values + EDGES)


@pytest.mark.parametrize("target", INTEGERS)
def test_halves_round_to_even(target: str) -> None:
    """k + 1/2 goes to the even one of its neighbours."""
    half = 2 ** (reference.convert.BITS[target] - 1)
    steps = np.arange(-6, 6) + 0.5
    expected = packed([round(step) + (half if target == "u8" else 0) for step in steps.tolist()], target)
    assert np.array_equal(convert(steps / half, dtype=target), expected)


@pytest.mark.parametrize("source", INTEGERS)
@given(drawn=st.data())
@settings(max_examples=40, deadline=None)
def test_integers_stand_for_exact_fractions(source: str, drawn: st.DataObject) -> None:
    """In float64 every integer format is exact."""
    low, high = BOUNDS[source]
    levels = [low, high, *drawn.draw(st.lists(st.integers(low, high), max_size=40))]
    values = convert(packed(levels, source), dtype="f64", source=source)
    assert [float(reference.convert.value_of(level, source)) for level in levels] == values.tolist()


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (narrow, wide)
        for i, narrow in enumerate(INTEGERS)
        for wide in [*INTEGERS[i:], "f32", "f64"]
        if (narrow, wide) != ("i32", "f32")
    ],
)
@given(drawn=st.data())
@settings(max_examples=25, deadline=None)
def test_a_format_comes_back_from_every_wider_one(narrow: str, wide: str, drawn: st.DataObject) -> None:
    """Conversion to a format that holds as many bits, and back, is the identity."""
    low, high = BOUNDS[narrow]
    samples = packed([low, high, *drawn.draw(st.lists(st.integers(low, high), max_size=40))], narrow)
    there = convert(samples, dtype=wide, source=narrow)
    assert np.array_equal(convert(there, dtype=narrow, source=wide), samples)


def test_every_i16_comes_back_from_f32() -> None:
    """All 65536 levels survive i16 -> f32 -> i16, and are the level over 32768."""
    levels = np.arange(-(2**15), 2**15, dtype=np.int16)
    values = convert(levels, dtype="f32")
    assert np.array_equal(values, levels.astype(np.float64) / 32768)
    assert np.array_equal(convert(values, dtype="int16"), levels)


@given(values=npst.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32)))
@settings(max_examples=60, deadline=None)
def test_floats_keep_every_value(values: NDArray[np.float32]) -> None:
    """f32 -> f64 -> f32 changes no value, NaN and infinity included, and counts nothing."""
    wide = convert_counted(values, dtype="f64")
    assert wide.num_nan == 0
    assert np.array_equal(convert(wide.samples, dtype="f32"), values, equal_nan=True)


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 7), (2, 0), ()])
def test_the_shape_is_kept(shape: tuple[int, ...]) -> None:
    """Any shape goes through; i24 adds an axis of three bytes and takes it away again."""
    samples = np.full(shape, 0.25, np.float32)
    stored = convert(samples, dtype="i24")
    assert stored.shape == (*shape, 3)
    assert np.array_equal(convert(stored, dtype="f32", source="i24"), samples)
    assert convert(samples, dtype="i16").shape == shape


def test_a_strided_array_is_converted_in_its_own_order() -> None:
    """Memory layout does not matter, and the input is not touched."""
    samples = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert np.array_equal(convert(samples.T[::2], dtype="f32"), samples.T[::2] / np.float32(32768))
    assert np.array_equal(samples.ravel(), np.arange(12))


def test_the_result_is_always_a_new_array() -> None:
    """Also where nothing changes, so that the caller may write into it."""
    samples = np.zeros(4, np.float32)
    assert not np.shares_memory(convert(samples, dtype="f32"), samples)


@pytest.mark.parametrize(
    ("samples", "source", "message"),
    [
        (np.zeros(3, np.int64), None, "int64; expected uint8, int16"),
        (np.zeros(3, ">i2"), None, ">i2; expected"),
        (np.zeros(3, np.int16), "i32", "i32 samples are int32"),
        (np.zeros((3, 2), np.uint8), "i24", "last axis of 3"),
    ],
)
def test_arrays_in_another_format_are_refused(samples: NDArray[Any], source: str | None, message: str) -> None:
    """The error says what the format's arrays look like."""
    with pytest.raises(AudioFormatError, match=message):
        convert(samples, dtype="f32", source=source)


def test_unknown_formats_are_refused() -> None:
    """The error lists the formats."""
    with pytest.raises(ValueError, match="dtype is 'mp3'; expected one of u8, i16, i24, i32, f32, f64"):
        convert(np.zeros(3, np.float32), dtype="mp3")


@given(samples=npst.arrays(np.int16, st.tuples(st.integers(1, 6), st.integers(0, 30))))
@settings(max_examples=40, deadline=None)
def test_interleaving_is_undone_by_its_opposite(samples: NDArray[np.int16]) -> None:
    """Planar to interleaved to planar is the identity; both are contiguous."""
    frames = interleave(samples)
    assert frames.flags.c_contiguous
    assert [frames[i].tolist() for i in range(samples.shape[1])] == samples.T.tolist()
    assert np.array_equal(deinterleave(frames), samples)


def test_packed_samples_interleave_as_wholes() -> None:
    """The three bytes of an i24 sample stay together."""
    samples = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    assert interleave(samples)[1, 0].tolist() == samples[0, 1].tolist()
    assert np.array_equal(deinterleave(interleave(samples)), samples)


def test_one_axis_cannot_be_interleaved() -> None:
    """There are no channels to tell apart."""
    with pytest.raises(AudioFormatError, match="expected two axes"):
        interleave(np.zeros(4, np.float32))


def test_mixing_is_the_mean_of_the_channels() -> None:
    """Channels weigh the same; mono is handed back."""
    samples = np.array([[0.5, 1.0], [-0.5, 0.5], [0.75, 0.0]], np.float32)
    assert mix_to_mono(samples).tolist() == [[0.25, 0.5]]
    mono = samples[:1].copy()
    assert mix_to_mono(mono) is mono


def test_mixing_one_axis_is_one_channel() -> None:
    """Samples without a channel axis get one and are not mixed with each other."""
    assert mix_to_mono(np.array([0.5, -0.25], np.float32)).tolist() == [[0.5, -0.25]]
    assert mix_to_mono(np.array([0.5], np.float32)).tolist() == [[0.5]]


def test_mixing_loses_nothing_to_large_channels() -> None:
    """The mean is taken in float64: what cancels out does not take the rest with it, and nothing overflows."""
    largest = np.finfo(np.float32).max
    samples = np.array([[2.0**30, largest], [0.75, largest], [-(2.0**30), largest]], np.float32)
    assert mix_to_mono(samples).tolist() == [[0.25, float(largest)]]


def converted(samples: NDArray[np.float32], params: ConvertParams) -> Item:
    item = Item(key="a", ordinal=0, payload={"audio": AudioChunk(samples, 8000)})
    return Convert(params, "convert").process(item, None)


@pytest.mark.parametrize("sample_format", INTEGERS)
def test_node_gives_audio_that_the_format_holds_exactly(sample_format: Any) -> None:
    """What the node hands on goes into the format and back without further loss."""
    samples = (np.random.default_rng(5).standard_normal((2, 500)) * 0.5).astype(np.float32)
    result = converted(samples, ConvertParams(dtype=sample_format))
    audio = result.audio.samples
    stored = convert(audio, dtype=sample_format)
    assert audio.dtype == np.float32
    assert audio.shape == samples.shape
    assert np.array_equal(convert(stored, dtype="f32", source=sample_format), audio)
    assert result.attributes == {"sample_format": sample_format, "num_nan": 0, "channels": 2}
    assert result.audio.sample_rate == 8000


@pytest.mark.parametrize("sample_format", ["f32", "f64"])
def test_node_refuses_formats_that_would_change_nothing(sample_format: str) -> None:
    """Audio is float32 already, so only integer formats can be asked for."""
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value"):
        msgspec.convert({"dtype": sample_format}, ConvertParams)


def test_node_clamps_and_counts() -> None:
    """Integer formats end at full scale, and NaN becomes 0."""
    result = converted(np.array([[2.0, -2.0, np.nan, 0.5]], np.float32), ConvertParams(dtype="i16"))
    assert result.audio.samples.tolist() == [[32767 / 32768, -1.0, 0.0, 0.5]]
    assert result.attributes["num_nan"] == 1


def test_node_mixes_before_it_quantises() -> None:
    """channels: 1 gives the mean of what came in."""
    result = converted(np.array([[0.5], [0.25]], np.float32), ConvertParams(dtype="i16", channels=1))
    assert result.audio.samples.tolist() == [[0.375]]
