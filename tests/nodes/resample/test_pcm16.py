"""Tests of resampling 16-bit audio in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes import resample, resample_pcm16
from phonograph_nodes.convert import convert, mix_to_mono
from phonograph_nodes.resample.blocks import Pcm, PcmFormat
from phonograph_nodes.resample.whole import resample_pcm

RATIOS = [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (44_100, 16_001), (16_000, 16_000)]


def pcm(*shape: int) -> NDArray[np.int16]:
    return np.random.default_rng(5).integers(-32768, 32768, shape).astype(np.int16)


def as_mono(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Converted, then mixed, each step exact in float32."""
    channels = (samples if samples.ndim == 2 else samples[:, np.newaxis]).astype(np.float32) / np.float32(32768)
    mono: NDArray[np.float32] = channels.mean(axis=1, dtype=np.float32)
    return mono


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS)
@pytest.mark.parametrize("length", [0, 1, 2, 441, 5000, 60_001])
@pytest.mark.parametrize("channels", [(), (1,), (2,)])
def test_one_pass_equals_two(length: int, channels: tuple[int, ...], in_rate: int, out_rate: int) -> None:
    """Mixing and resampling in one pass gives the bits of doing one after the other."""
    samples = pcm(length, *channels)
    found = resample_pcm16(samples, in_rate=in_rate, out_rate=out_rate)
    assert found.dtype == np.float32
    assert np.array_equal(found, resample(as_mono(samples), in_rate=in_rate, out_rate=out_rate))


@pytest.mark.parametrize(("in_rate", "out_rate"), RATIOS[:3])
@pytest.mark.parametrize("length", [0, 1, 441, 60_001])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("source", ["i16", "i24", "i32", "f32"])
def test_other_formats_too(source: PcmFormat, num_channels: int, length: int, in_rate: int, out_rate: int) -> None:
    """What files store gives the bits of mixing and resampling, from any byte on; i32 and f32 where the mean is rounded, too."""
    noise = np.random.default_rng(6)
    levels = 10 ** noise.uniform(-9, 0, (length, 1))
    samples = convert(levels * noise.normal(0, 1, (length, num_channels)), dtype=source)
    pcm = np.frombuffer(b"x" + samples.tobytes(), np.uint8)[1:]
    found = resample_pcm(Pcm(pcm, source, False, num_channels, length), in_rate=in_rate, out_rate=out_rate, quality="high")
    mono = mix_to_mono(samples, source=source, layout="interleaved")[0]
    assert found is not None
    assert np.array_equal(found, resample(mono, in_rate=in_rate, out_rate=out_rate))


@pytest.mark.parametrize("place", [0, 1, 30_000, 60_000])
@pytest.mark.parametrize("values", [(np.nan, 0.0), (0.0, -np.inf), (3e38, 3e38)])
def test_what_is_not_finite_is_left_to_others(values: tuple[float, float], place: int) -> None:
    """NaN, infinity, and a sum beyond float32, although the mean is not."""
    samples = np.zeros((60_001, 2), np.float32)
    samples[place] = values
    pcm = Pcm(samples.reshape(-1).view(np.uint8), "f32", False, 2, len(samples))
    assert resample_pcm(pcm, in_rate=44_100, out_rate=16_000, quality="high") is None


def test_extremes() -> None:
    """The least and the greatest sample of both channels do not overflow on their way."""
    samples = np.tile(np.array([[-32768, -32768], [32767, 32767]], np.int16).repeat(4000, axis=0), (2, 1))
    found = resample_pcm16(samples, in_rate=48_000, out_rate=16_000)
    assert np.array_equal(found, resample(as_mono(samples), in_rate=48_000, out_rate=16_000))
    assert found[600] == pytest.approx(-1, abs=1e-4)
    assert found[2000] == pytest.approx(32767 / 32768, abs=1e-4)


def test_samples_with_gaps_are_copied() -> None:
    """Every second pair of a longer recording is taken as it is, not read through."""
    samples = pcm(10_000, 2)[::2]
    found = resample_pcm16(samples, in_rate=44_100, out_rate=16_000)
    assert np.array_equal(found, resample_pcm16(samples.copy(), in_rate=44_100, out_rate=16_000))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(10, np.float32), "samples are float32; expected int16"),
        (np.zeros((2, 100), np.int16), r"shape \(2, 100\)"),
        (np.zeros((10, 3), np.int16), r"shape \(10, 3\)"),
        (np.zeros((10, 2, 1), np.int16), r"shape \(10, 2, 1\)"),
    ],
)
def test_other_arrays_are_refused(samples: NDArray[Any], message: str) -> None:
    """Only 16-bit samples, mono or interleaved stereo."""
    with pytest.raises(AudioFormatError, match=message):
        resample_pcm16(samples, in_rate=44_100, out_rate=16_000)
