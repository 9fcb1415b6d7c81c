"""Tests of the change of sample rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes import ResampleStream, mix_to_mono
from phonograph_nodes.resample import MAX_RATE, MIN_RATE, Quality, Resample, ResampleParams, resample

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000]


def sine(hertz: float, rate: int, length: int) -> NDArray[np.float32]:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz / rate * np.arange(length)), np.float32)


@given(length=st.integers(0, 700), in_rate=st.sampled_from(RATES), out_rate=st.sampled_from(RATES))
@settings(max_examples=150, deadline=None)
def test_the_length_is_the_ratio_rounded_up(length: int, in_rate: int, out_rate: int) -> None:
    """No rate and no length loses the tail."""
    resampled = resample(np.ones(length, np.float32), in_rate=in_rate, out_rate=out_rate)
    assert resampled.shape == (math.ceil(length * out_rate / in_rate),)
    assert resampled.dtype == np.float32


@given(in_rate=st.integers(MIN_RATE, MAX_RATE), out_rate=st.integers(MIN_RATE, MAX_RATE), length=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_odd_rates_keep_the_length_law(in_rate: int, out_rate: int, length: int) -> None:
    """Any pair of accepted rates gives finite audio of the right length."""
    resampled = resample(np.ones(length, np.float32), in_rate=in_rate, out_rate=out_rate)
    assert resampled.shape == (-(-length * out_rate // in_rate),)
    assert np.isfinite(resampled).all()


@pytest.mark.parametrize("quality", ["fast", "high", "best"])
@pytest.mark.parametrize(("in_rate", "out_rate"), [(44100, 16000), (48000, 16000), (8000, 16000), (16000, 44100)])
def test_a_tone_stays_where_it_was(quality: Quality, in_rate: int, out_rate: int) -> None:
    """A tone in the pass band keeps level, pitch and phase: there is no delay."""
    resampled = resample(sine(997, in_rate, in_rate), in_rate=in_rate, out_rate=out_rate, quality=quality)
    expected = sine(997, out_rate, out_rate)
    middle = slice(out_rate // 4, -out_rate // 4)
    assert np.abs(resampled[middle] - expected[middle]).max() < {"fast": 5e-4, "high": 1e-5, "best": 1e-6}[quality]


def test_a_tone_above_the_new_band_is_rejected() -> None:
    """What the new rate cannot hold does not come back as an alias: 110 dB down."""
    resampled = resample(sine(9000, 48000, 48000), in_rate=48000, out_rate=16000)
    assert np.abs(resampled[4000:-4000]).max() < 0.5 * 10 ** (-110 / 20)


def test_channels_are_resampled_one_by_one() -> None:
    """Each channel gives what it gives alone."""
    stereo = np.stack([sine(440, 44100, 3000), sine(3000, 44100, 3000)])
    resampled = resample(stereo, in_rate=44100, out_rate=16000)
    assert resampled.shape == (2, 1089)
    assert resampled.flags.c_contiguous
    for channel, alone in zip(resampled, stereo, strict=True):
        assert np.array_equal(channel, resample(alone, in_rate=44100, out_rate=16000))


@pytest.mark.parametrize("shape", [(0,), (1, 0), (3, 0)])
def test_no_audio_stays_no_audio(shape: tuple[int, ...]) -> None:
    """Empty in, empty out, in the same dimensions."""
    assert resample(np.zeros(shape, np.float32), in_rate=44100, out_rate=16000).shape == shape


def test_equal_rates_give_back_the_array() -> None:
    """Nothing is computed and nothing copied."""
    samples = sine(440, 16000, 100)
    assert resample(samples, in_rate=16000, out_rate=16000) is samples


@pytest.mark.parametrize("rate", [-1, 0, 1, MIN_RATE - 1, MAX_RATE + 1, 10**12])
def test_rates_out_of_range_are_refused(rate: int) -> None:
    """Either end may be at fault; the error says which one."""
    with pytest.raises(AudioFormatError, match=f"in_rate is {rate} Hz"):
        resample(np.zeros(10, np.float32), in_rate=rate, out_rate=16000)
    with pytest.raises(AudioFormatError, match=f"out_rate is {rate} Hz"):
        resample(np.zeros(10, np.float32), in_rate=16000, out_rate=rate)


def test_a_result_without_bounds_is_refused_before_memory_is_taken() -> None:
    """A clip that would grow past 2^30 samples is refused, not attempted."""
    long_clip = np.broadcast_to(np.zeros(1, np.float32), (2_000_000,))
    with pytest.raises(AudioFormatError, match=r"1536000000 at 768000 Hz; expected at most 1073741824"):
        resample(long_clip, in_rate=1000, out_rate=768000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    """One NaN would be spread over the length of a filter."""
    samples = np.zeros((2, 100), np.float32)
    samples[1, 42] = value
    with pytest.raises(AudioFormatError, match="sample 42 of channel 1"):
        resample(samples, in_rate=44100, out_rate=16000)


@pytest.mark.parametrize(
    "samples", [np.zeros(10), np.zeros(10, np.int16), np.zeros((1, 1, 10), np.float32), np.zeros((0, 10), np.float32)]
)
def test_wrong_arrays_are_refused(samples: NDArray[Any]) -> None:
    """Only float32 with one or two dimensions, and at least one channel."""
    with pytest.raises(AudioFormatError):
        resample(samples, in_rate=44100, out_rate=16000)


def test_an_unknown_quality_is_refused() -> None:
    """The error lists the qualities."""
    quality: Any = "ultra"
    with pytest.raises(ValueError, match="expected one of fast, high, best"):
        resample(np.zeros(10, np.float32), in_rate=44100, out_rate=16000, quality=quality)


def processed(chunk: AudioChunk, params: ResampleParams) -> AudioChunk:
    return Resample(params, "mono").whole(Item(key="a", ordinal=0, payload={"audio": chunk})).audio


def test_node_hands_on_audio_that_needs_nothing() -> None:
    """Mono at the right rate is the same object afterwards."""
    chunk = AudioChunk(np.zeros((1, 100), np.float32), 16000)
    assert processed(chunk, ResampleParams(sample_rate=16000, channels=1)) is chunk


def test_node_mixes_and_resamples() -> None:
    """Stereo at 44.1 kHz becomes the resampled mean of both channels."""
    left, right = sine(440, 44100, 4410), sine(880, 44100, 4410)
    chunk = processed(AudioChunk(np.stack([left, right]), 44100), ResampleParams(sample_rate=16000, channels=1))
    assert chunk.sample_rate == 16000
    assert np.array_equal(chunk.samples[0], resample((left + right) / 2, in_rate=44100, out_rate=16000))


def test_node_keeps_channels_unless_told_otherwise() -> None:
    """Without `channels` stereo stays stereo; with it and the right rate it is only mixed."""
    chunk = AudioChunk(np.stack([sine(440, 16000, 160), sine(880, 16000, 160)]), 16000)
    assert processed(chunk, ResampleParams(sample_rate=8000)).samples.shape == (2, 80)
    assert processed(chunk, ResampleParams(channels=1)).samples.shape == (1, 160)


def test_numpys_integers_are_rates() -> None:
    """Rates of 16 or 32 bits do not overflow in the length."""
    clip = sine(440, 48000, 200_000)
    whole = resample(clip, in_rate=48000, out_rate=16000)
    in_rate: Any = np.uint16(48000)
    out_rate: Any = np.int32(16000)
    assert np.array_equal(resample(clip, in_rate=in_rate, out_rate=out_rate), whole)


@pytest.mark.parametrize("rate", [16000.0, np.float64(16000), "16000"])
def test_rates_that_are_not_whole_numbers_are_refused(rate: Any) -> None:
    """The error says which rate, and that a whole number is expected."""
    with pytest.raises(AudioFormatError, match=r"out_rate is .*; expected a whole number of Hz"):
        resample(np.zeros(10, np.float32), in_rate=44100, out_rate=rate)


def test_a_result_that_overflows_is_refused() -> None:
    """Samples at the end of float32's range that would ring to infinity are an error, not infinite audio."""
    square = np.where(np.arange(4000) // 50 % 2, 1, -1) * np.finfo(np.float32).max
    with pytest.raises(AudioFormatError, match=r"the resampled audio .*are not finite"):
        resample(square.astype(np.float32), in_rate=16000, out_rate=44100)


def test_attributes_say_what_the_audio_is() -> None:
    """What a node before said of the audio is replaced, also where the audio passes as it is."""
    old = {"duration": 9.0, "sample_rate": 44_100, "channels": 2, "text": "yes"}
    chunk = AudioChunk(np.zeros((2, 8_000), np.float32), 8_000)
    node = Resample(ResampleParams(sample_rate=16_000, channels=1), "mono")
    once = node.whole(Item(key="a", ordinal=0, payload={"audio": chunk}, attributes=old))
    expected = {"duration": 1.0, "sample_rate": 16_000, "channels": 1, "text": "yes"}
    assert once.attributes == node.whole(once).attributes == expected


def test_a_part_of_a_record_has_its_place_at_the_new_rate() -> None:
    """Where a part begins is told in samples of what comes out."""
    part = Item(
        key="a#0001", ordinal=0, payload={"audio": AudioChunk(np.zeros((1, 441), np.float32), 44_100)}, start_sample=66_150
    )
    assert Resample(ResampleParams(), "mono").whole(part).start_sample == 24_000


def test_axes_the_other_way_round_are_told() -> None:
    """A file as other libraries read it is no signal of thousands of channels; the error has the remedy."""
    with pytest.raises(AudioFormatError, match=r"\(4800, 2\), which looks like \(num_samples, num_channels\).*samples\.T"):
        resample(np.zeros((4800, 2), np.float32), in_rate=48000, out_rate=16000)
    with pytest.raises(AudioFormatError, match=r"960 channels; expected 2 \(pass samples\.T\)"):
        ResampleStream(48000, 16000, num_channels=2).push(np.zeros((960, 2), np.float32))
    with pytest.raises(AudioFormatError, match=r"looks like \(num_samples, num_channels\)"):
        mix_to_mono(np.zeros((4800, 2), np.float32))
    assert resample(np.zeros((300, 300), np.float32), in_rate=48000, out_rate=16000).shape == (300, 100)
