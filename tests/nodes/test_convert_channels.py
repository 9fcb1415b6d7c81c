"""Layouts of channels and their mix, in every sample format, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.convert import Layout, convert, convert_counted, deinterleave, interleave, mix_to_mono
from reference.convert import mixed

FORMATS = ("u8", "i16", "i24", "i32", "f32", "f64", "alaw", "mulaw")
# A block is 2048 samples of at most 16 channels: around its edges, with counts of channels that are moved in every way there is.
SHAPES = [
    (2, 1023),
    (2, 1025),
    (3, 700),
    (4, 513),
    (5, 411),
    (6, 342),
    (8, 257),
    (15, 137),
    (16, 129),
    (17, 130),
    (37, 129),
    (1, 3000),
]
SHAPES += [(2, 0), (2, 1), (3, 1), (2, 2), (7, 3), (40, 1)]


def planar_noise(sample_format: str, num_channels: int, num_samples: int) -> NDArray[Any]:
    """Planar samples of the format; one in 50 of the float ones is NaN."""
    rng = np.random.default_rng(num_channels * 5000 + num_samples)
    if sample_format in ("f32", "f64"):
        values = rng.standard_normal((num_channels, num_samples)) * 0.5
        values[rng.random(values.shape) < 0.02] = np.nan
        return values.astype(np.float32 if sample_format == "f32" else np.float64)
    if sample_format in ("i16", "i32"):
        limits = np.iinfo(np.int16 if sample_format == "i16" else np.int32)
        return rng.integers(limits.min, limits.max + 1, (num_channels, num_samples), limits.dtype)
    shape = (num_channels, num_samples, 3) if sample_format == "i24" else (num_channels, num_samples)
    return rng.integers(0, 256, shape, np.uint8)


def turned(samples: NDArray[Any]) -> NDArray[Any]:
    """The other layout, sample by sample."""
    result = np.empty((samples.shape[1], samples.shape[0], *samples.shape[2:]), samples.dtype)
    for channel in range(len(samples)):
        for t in range(samples.shape[1]):
            result[t, channel] = samples[channel, t]
    return result


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("sample_format", FORMATS)
def test_channels_are_turned_sample_by_sample(sample_format: str, shape: tuple[int, int]) -> None:
    """Planar to interleaved and back, for few and many channels, at lengths around a block."""
    planar = planar_noise(sample_format, *shape)
    expected = turned(planar)
    mixed_up = convert(planar, dtype=sample_format, source=sample_format, layout="interleaved")
    assert mixed_up.flags.c_contiguous
    assert mixed_up.tobytes() == expected.tobytes()
    assert convert(mixed_up, dtype=sample_format, source=sample_format, layout="planar").tobytes() == planar.tobytes()


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_format_and_layout_change_in_one_call(source: str, target: str) -> None:
    """As one after the other: the same bits, and the same number of NaN."""
    for shape in [(2, 1500), (3, 101), (18, 120)]:
        planar = planar_noise(source, *shape)
        apart = convert_counted(planar, dtype=target, source=source)
        at_once = convert_counted(planar, dtype=target, source=source, layout="interleaved")
        assert at_once.samples.tobytes() == turned(apart.samples).tobytes()
        back = convert_counted(turned(planar), dtype=target, source=source, layout="planar")
        assert back.samples.tobytes() == apart.samples.tobytes()
        assert at_once.num_nan == back.num_nan == apart.num_nan
        assert (apart.num_nan > 0) == (source in ("f32", "f64") and target not in ("f32", "f64"))


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


def test_a_stretch_of_planar_samples_is_interleaved() -> None:
    """Rows of a larger array are taken where they lie apart."""
    samples = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert interleave(samples[:, 3:6]).tolist() == [[3, 13], [4, 14], [5, 15]]


@pytest.mark.parametrize("turn", [interleave, deinterleave])
def test_a_given_array_gets_the_turned_samples(turn: Any) -> None:
    """`out` is written and returned."""
    samples = planar_noise("i16", 3, 50)
    out = np.empty((50, 3), np.int16)
    assert turn(samples, out=out) is out
    assert np.array_equal(out, samples.T)


def test_one_axis_cannot_be_interleaved() -> None:
    """There are no channels to tell apart."""
    with pytest.raises(AudioFormatError, match="expected two axes"):
        interleave(np.zeros(4, np.float32))
    with pytest.raises(AudioFormatError, match=r"shape \(4, 3\); expected two axes \(a third of length 3"):
        convert(np.zeros((4, 3), np.uint8), dtype="f32", source="i24", layout="planar")


def test_an_unknown_layout_is_refused() -> None:
    """The error names the two there are."""
    wrong: Any = "mixed"
    with pytest.raises(ValueError, match="layout is 'mixed'; expected 'planar' or 'interleaved'"):
        convert(np.zeros((4, 2), np.float32), dtype="i16", layout=wrong)
    with pytest.raises(ValueError, match="layout is 'mixed'"):
        mix_to_mono(np.zeros((4, 2), np.float32), layout=wrong)


@pytest.mark.parametrize("sample_format", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mix_is_the_sum_of_products_in_float64(sample_format: str, weighted: bool) -> None:
    """Bit for bit, in the order of the channels, from either layout; without weights, the mean."""
    for num_channels, num_samples in [(1, 70), (2, 1100), (3, 700), (4, 30), (7, 300), (16, 5), (19, 140), (2, 0)]:
        planar = planar_noise(sample_format, num_channels, num_samples)
        weights = np.random.default_rng(num_channels).standard_normal(num_channels).tolist() if weighted else None
        values = convert(planar, dtype="f64", source=sample_format)
        expected = mixed(list(values), weights or [1.0] * num_channels, 1.0 if weighted else num_channels)
        found = mix_to_mono(planar, weights=weights, source=sample_format)
        assert found.shape == (1, num_samples)
        assert np.array_equal(found[0], expected, equal_nan=True)
        layout: Layout = "interleaved"
        other = mix_to_mono(turned(planar), weights=weights, source=sample_format, layout=layout)
        assert np.array_equal(other, found, equal_nan=True)


def test_mixing_is_the_mean_of_the_channels() -> None:
    """Channels weigh the same; mono is handed back."""
    samples = np.array([[0.5, 1.0], [-0.5, 0.5], [0.75, 0.0]], np.float32)
    assert mix_to_mono(samples).tolist() == [[0.25, 0.5]]
    mono = samples[:1].copy()
    assert mix_to_mono(mono) is mono
    assert mix_to_mono(mono.T, layout="interleaved").tolist() == mono.tolist()


def test_weights_are_taken_as_they_are() -> None:
    """They need not add up to 1, and nothing is clamped; one of them alone scales a single channel."""
    samples = np.array([[0.5, 1.0], [-0.5, 0.5]], np.float32)
    assert mix_to_mono(samples, weights=[1, 0]).tolist() == [[0.5, 1.0]]
    assert mix_to_mono(samples, weights=[1.5, -2]).tolist() == [[1.75, 0.5]]
    assert mix_to_mono(samples[:1], weights=[0.5]).tolist() == [[0.25, 0.5]]


def test_mixing_one_axis_is_one_channel() -> None:
    """Samples without a channel axis get one and are not mixed with each other."""
    assert mix_to_mono(np.array([0.5, -0.25], np.float32)).tolist() == [[0.5, -0.25]]
    assert mix_to_mono(np.array([0.5], np.float32)).tolist() == [[0.5]]
    assert mix_to_mono(np.array([16384, -8192], np.int16), layout="interleaved").tolist() == [[0.5, -0.25]]


def test_mixing_loses_nothing_to_large_channels() -> None:
    """The mean is taken in float64: what cancels out does not take the rest with it, and nothing overflows."""
    largest = np.finfo(np.float32).max
    samples = np.array([[2.0**30, largest], [0.75, largest], [-(2.0**30), largest]], np.float32)
    assert mix_to_mono(samples).tolist() == [[0.25, float(largest)]]


def test_a_given_array_gets_the_mix() -> None:
    """`out` is written and returned, for one channel too."""
    samples, out = planar_noise("i16", 2, 90), np.empty((1, 90), np.float32)
    assert mix_to_mono(samples, out=out) is out
    assert np.array_equal(out, mix_to_mono(samples))
    mono = np.linspace(-1, 1, 90, dtype=np.float32)
    assert mix_to_mono(mono, out=out) is out
    assert np.array_equal(out[0], mono)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (np.zeros((0, 4), np.float32), {}, "at least one channel"),
        (np.zeros((2, 2, 2), np.float32), {}, "expected two axes"),
        (np.zeros((2, 4), np.int64), {}, "samples are int64"),
        (np.zeros((2, 4), np.float32), {"weights": [0.5, 0.25, 0.25]}, "expected a finite number for each of 2 channels"),
        (np.zeros((2, 4), np.float32), {"weights": [0.5, np.inf]}, "expected a finite number for each of 2 channels"),
        (np.zeros((2, 4), np.float32), {"out": np.empty(4, np.float32)}, r"expected float32 of shape \(1, 4\)"),
    ],
)
def test_what_cannot_be_mixed_is_refused(samples: NDArray[Any], options: dict[str, Any], message: str) -> None:
    """The error says what was found and what is expected."""
    with pytest.raises(AudioFormatError, match=message):
        mix_to_mono(samples, **options)
