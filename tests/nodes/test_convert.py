"""Sample-format conversion as a function and as a node; the arithmetic is held in test_convert_exact.py."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes.convert import FormatName, convert, convert_counted, mix_to_mono
from phonograph_nodes.convert_node import Convert, ConvertParams

INTEGERS = ["u8", "i16", "i24", "i32", "alaw", "mulaw"]


def test_names_of_numpy_are_taken() -> None:
    """int16 is i16, float32 is f32."""
    levels = np.array([-32768, 0, 16384], np.int16)
    assert convert(levels, dtype="float32", source="int16").tolist() == [-1, 0, 0.5]


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 7), (2, 0), ()])
def test_the_shape_is_kept(shape: tuple[int, ...]) -> None:
    """Any shape goes through; i24 adds an axis of three bytes and takes it away again."""
    samples = np.full(shape, 0.25, np.float32)
    stored = convert(samples, dtype="i24")
    assert stored.shape == (*shape, 3)
    assert np.array_equal(convert(stored, dtype="f32", source="i24"), samples)
    assert convert(samples, dtype="i16").shape == shape
    assert convert(samples, dtype="i16").dtype == np.int16


def test_a_strided_array_is_converted_in_its_own_order() -> None:
    """Memory layout does not matter, and the input is not touched."""
    samples = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert np.array_equal(convert(samples.T[::2], dtype="f32"), samples.T[::2] / np.float32(32768))
    assert np.array_equal(samples.ravel(), np.arange(12))


def test_the_result_is_always_a_new_array() -> None:
    """Also where nothing changes, so that the caller may write into it."""
    samples = np.zeros(4, np.float32)
    assert not np.shares_memory(convert(samples, dtype="f32"), samples)


@pytest.mark.parametrize("dtype", ["u8", "i16", "i24", "i32", "f32", "f64", "alaw", "mulaw"])
def test_a_given_array_gets_the_result(dtype: str) -> None:
    """`out` is written and returned, with the same bytes as a new one would have."""
    samples = np.linspace(-1.5, 1.5, 77, dtype=np.float32).reshape(7, 11)
    expected = convert(samples, dtype=dtype)
    out = np.full_like(expected, 77)
    assert convert(samples, dtype=dtype, out=out) is out
    assert out.tobytes() == expected.tobytes()
    turned = np.empty((11, 7, *expected.shape[2:]), expected.dtype)
    assert convert(samples, dtype=dtype, layout="interleaved", out=turned) is turned
    assert turned.tobytes() == expected.swapaxes(0, 1).tobytes()


def test_an_array_that_cannot_take_the_result_is_refused() -> None:
    """The error says what was given and what is expected."""
    samples = np.zeros(8, np.float32)
    aside: dict[str, tuple[Any, str]] = {
        "dtype": (np.empty(8, np.int32), r"out is int32 of shape \(8,\); expected int16 of shape \(8,\)"),
        "shape": (np.empty(9, np.int16), r"out is int16 of shape \(9,\); expected int16 of shape \(8,\)"),
        "type": ([0] * 8, "out is list; expected int16"),
        "gaps": (np.empty(16, np.int16)[::2], "not C-contiguous"),
        "shared": (samples.view(np.int16)[4:12], "out shares memory with the samples"),
    }
    for out, message in aside.values():
        with pytest.raises(AudioFormatError, match=message):
            convert(samples, dtype="i16", out=out)
    fixed = np.empty(8, np.int16)
    fixed.flags.writeable = False
    with pytest.raises(AudioFormatError, match="read-only"):
        convert(samples, dtype="i16", out=fixed)


@pytest.mark.parametrize(
    ("samples", "source", "message"),
    [
        (np.zeros(3, np.int64), None, "int64; expected uint8, int16"),
        (np.zeros(3, ">i2"), None, ">i2; expected"),
        (np.zeros(3, np.int16), "i32", "i32 samples are int32"),
        (np.zeros(3, np.int16), "mulaw", "mulaw samples are uint8"),
        (np.zeros((3, 2), np.uint8), "i24", "last axis of 3"),
    ],
)
def test_arrays_in_another_format_are_refused(samples: NDArray[Any], source: str | None, message: str) -> None:
    """The error says what the format's arrays look like."""
    with pytest.raises(AudioFormatError, match=message):
        convert(samples, dtype="f32", source=source)


def test_unknown_formats_are_refused() -> None:
    """The error lists the formats."""
    with pytest.raises(ValueError, match="dtype is 'mp3'; expected one of u8, i16, i24, i32, f32, f64, alaw, mulaw"):
        convert(np.zeros(3, np.float32), dtype="mp3")


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
    """channels: 1 gives the mean of what came in, or the mix that weights ask for."""
    samples = np.array([[0.5], [0.25]], np.float32)
    assert converted(samples, ConvertParams(dtype="i16", channels=1)).audio.samples.tolist() == [[0.375]]
    weighted = converted(samples, ConvertParams(dtype="i16", channels=1, weights=(1.0, -2.0)))
    assert weighted.audio.samples.tolist() == [[0.0]]
    assert weighted.attributes["channels"] == 1


def test_node_refuses_weights_for_other_channels() -> None:
    """The error says how many there are."""
    with pytest.raises(AudioFormatError, match="expected a finite number for each of 1 channels"):
        converted(np.zeros((1, 4), np.float32), ConvertParams(channels=1, weights=(0.5, 0.5)))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"weights": [0.5, 0.5]}, "expected `channels: 1`"), ({"weights": [0.5, float("nan")], "channels": 1}, "expected finite")],
)
def test_weights_that_make_no_mix_are_refused_before_a_run(given: dict[str, Any], message: str) -> None:
    """Weights without a mix, or that are no numbers, are wrong parameters."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(given, ConvertParams)


def test_counting_is_part_of_every_conversion() -> None:
    """NaN are counted on the way to another layout too, and not where the target can hold them."""
    samples = np.full((2, 40), np.nan, np.float32)
    assert convert_counted(samples, dtype="alaw", layout="interleaved").num_nan == 80
    assert convert_counted(samples, dtype="f64", layout="interleaved").num_nan == 0
    assert np.isnan(mix_to_mono(samples)).all()


@pytest.mark.parametrize("name", ["int16", np.int16, np.dtype("int16")])
def test_formats_by_the_names_of_numpy(name: FormatName) -> None:
    """A dtype of NumPy's is taken for the format that it is, in either place."""
    assert convert(np.array([0.5], np.float32), dtype=name, source=np.float32).tolist() == [16384]
    with pytest.raises(ValueError, match=r"dtype is <class 'numpy\.int64'>; expected one of u8"):
        convert(np.array([0.5], np.float32), dtype=np.int64)
