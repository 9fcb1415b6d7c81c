"""Tests of resampling audio that comes in pieces."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes import ResampleStream, resample
from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample import Quality
from phonograph_nodes.resample.bank import BankPlan
from phonograph_nodes.resample.filters import FILTERS
from phonograph_nodes.resample.plans import Latency
from reference.resample import RATES, RATIOS

Samples = NDArray[np.float32]
SOME = ((44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (16_000, 48_000), (11_025, 16_000), (96_000, 44_100))


class _Tables(dict[str, Any]):
    """In the place of the binding's bank: keeps what it would get."""

    scratch_length = 0


def noise(length: int, channels: int | None = None) -> Samples:
    shape = (length,) if channels is None else (channels, length)
    return np.random.default_rng(length).uniform(-1, 1, shape).astype(np.float32)


def in_pieces(stream: ResampleStream, samples: Samples, cuts: Sequence[int]) -> Samples:
    """All outputs of a stream that gets the samples cut at these places."""
    places = [0, *sorted(cuts), samples.shape[-1]]
    pieces = [stream.push(samples[..., begin:end]) for begin, end in pairwise(places)]
    return np.concatenate([*pieces, stream.flush()], axis=-1)


@given(
    ratio=st.sampled_from(RATIOS),
    quality=st.sampled_from(["fast", "high", "best"]),
    length=st.integers(0, 9000),
    channels=st.sampled_from([None, 1, 2, 3]),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_pieces_of_any_length(
    ratio: tuple[int, int], quality: Quality, length: int, channels: int | None, data: st.DataObject
) -> None:
    """However a signal is cut, its outputs are bit for bit those of one call."""
    samples = noise(length, channels)
    cuts = data.draw(st.lists(st.integers(0, length), max_size=12))
    stream = ResampleStream(*ratio, num_channels=channels or 1, quality=quality)
    found = in_pieces(stream, samples, cuts) if channels != 1 else in_pieces(stream, samples[0], cuts)[np.newaxis]
    assert np.array_equal(found, resample(samples, in_rate=ratio[0], out_rate=ratio[1], quality=quality))


@given(ratio=st.sampled_from(RATIOS), length=st.integers(0, 4000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_low_latency_in_pieces_of_any_length(ratio: tuple[int, int], length: int, data: st.DataObject) -> None:
    """However a signal is cut, with low latency too, the bits are the same; and within 1e-6 of the block form."""
    samples = noise(length)
    stream = ResampleStream(*ratio, latency="low")
    whole = in_pieces(stream, samples, [])
    assert np.array_equal(in_pieces(stream, samples, data.draw(st.lists(st.integers(0, length), max_size=12))), whole)
    blocks = resample(samples, in_rate=ratio[0], out_rate=ratio[1])
    assert whole.shape == blocks.shape
    assert np.abs(whole - blocks).max(initial=0) < 1e-6


@pytest.mark.parametrize("latency", ["block", "low"])
@pytest.mark.parametrize(("in_rate", "out_rate"), SOME)
def test_one_sample_at_a_time(in_rate: int, out_rate: int, latency: Latency) -> None:
    """Nothing depends on pieces having a length, and no output comes later than the latency that is declared."""
    samples = noise(5000)
    stream = ResampleStream(in_rate, out_rate, latency=latency)
    assert stream.latency_samples is not None
    pieces, longest, count = [], 0.0, 0
    for number, sample in enumerate(samples, start=1):
        piece = stream.push(np.array([sample]))
        if piece.size:
            longest = max(longest, number - count * in_rate / out_rate)
            count += piece.size
        pieces.append(piece)
    assert longest == stream.latency_samples
    whole = in_pieces(ResampleStream(in_rate, out_rate, latency=latency), samples, [])
    assert np.array_equal(np.concatenate([*pieces, stream.flush()]), whole)


@pytest.mark.parametrize("quality", ["fast", "high", "best"])
def test_forms_agree_on_noise_of_full_scale(quality: Quality) -> None:
    """For every ratio the low-latency form is within 1e-6 of the block form."""
    for in_rate, out_rate in RATIOS:
        samples = np.float32(0.5) * np.sign(noise(3000))  # the loudest that stays within full scale between its samples
        low = in_pieces(ResampleStream(in_rate, out_rate, quality=quality, latency="low"), samples, [])
        assert np.abs(low - resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)).max() < 1e-6


@pytest.mark.parametrize("latency", ["block", "low"])
@pytest.mark.parametrize(("in_rate", "out_rate"), [(44_100, 16_001), (16_000, 44_101), (22_000, 16_000), (44_100, 22_000)])
def test_odd_ratios(in_rate: int, out_rate: int, latency: Latency) -> None:
    """What libsoxr or a bank resamples keeps the length law, in every cut, and the values of a tone."""
    tone = np.asarray(0.5 * np.sin(2 * np.pi * 997 / in_rate * np.arange(in_rate // 2)), np.float32)
    stream = ResampleStream(in_rate, out_rate, num_channels=2, latency=latency)
    whole = in_pieces(stream, np.stack([tone, -tone]), [])
    assert whole.shape == (2, -(-len(tone) * out_rate // in_rate))
    assert np.array_equal(in_pieces(stream, np.stack([tone, -tone]), [1, 1, 500, 9000]), whole)
    expected = 0.5 * np.sin(2 * np.pi * 997 / out_rate * np.arange(whole.shape[1]))
    middle = slice(1000, -1000)
    assert np.abs(whole[0, middle] - expected[middle]).max() < 1e-5
    assert np.array_equal(whole[0], -whole[1])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rates", [(44_100, 16_001), (44_101, 8_000), (22_000, 16_000), (97_000, 96_000), (48_000, 11_000)])
def test_odd_ratios_lose_no_tail(rates: tuple[int, int], channels: int) -> None:
    """The last of libsoxr's outputs come out whatever it rounds; pieces and one call give the same bits."""
    stream = ResampleStream(*rates, num_channels=channels)
    for length in [*range(1, 40), 441, 1000, 4999]:
        samples = noise(length, channels if channels > 1 else None)
        whole = resample(samples, in_rate=rates[0], out_rate=rates[1])
        found = in_pieces(stream, samples, [length // 3])
        assert found.shape == whole.shape and found.shape[-1] == -(-length * rates[1] // rates[0])
        assert np.array_equal(found, whole)


@pytest.mark.parametrize("quality", ["fast", "high", "best"])
def test_a_bank_reads_nothing_that_it_does_not_wait_for(quality: Quality) -> None:
    """Whatever the ratio, a tap of a sample later than the latency says is 0, so that pieces give the bits of one call."""
    wrong = []
    for up, down in itertools.product(range(1, 61), range(1, 61)):
        if math.gcd(up, down) == 1 and up != down:
            with mock.patch.object(_resample, "Bank", _Tables):
                plan = BankPlan(up, down, FILTERS[quality])
                kept: Any = plan._kernel
            if kept["taps"][:, kept["lead"] + plan.latency_samples :].any():
                wrong.append((up, down))
    assert wrong == []


@pytest.mark.parametrize("latency", ["block", "low"])
def test_a_signal_after_another(latency: Latency) -> None:
    """What comes after `flush`, or `reset`, is a signal of its own."""
    stream = ResampleStream(44_100, 16_000, latency=latency)
    first = in_pieces(stream, noise(5000), [1234])
    assert np.array_equal(in_pieces(stream, noise(5000), []), first)
    stream.push(noise(777))
    stream.reset()
    assert np.array_equal(in_pieces(stream, noise(5000), [3]), first)


@pytest.mark.parametrize("latency", ["block", "low"])
def test_nothing_pushed(latency: Latency) -> None:
    """A signal without samples has no outputs, in the dimensions of its channels."""
    assert ResampleStream(44_100, 16_000, latency=latency).flush().shape == (0,)
    assert ResampleStream(44_100, 16_000, num_channels=2, latency=latency).flush().shape == (2, 0)
    stream = ResampleStream(44_100, 16_001)
    assert stream.push(np.empty(0, np.float32)).shape == stream.flush().shape == (0,)


@pytest.mark.parametrize("channels", [1, 2])
def test_equal_rates_copy(channels: int) -> None:
    """The samples come back at once, in an array of their own."""
    stream, samples = ResampleStream(16_000, 16_000, num_channels=channels), noise(100, channels)
    given = stream.push(samples)
    assert np.array_equal(given, samples)
    assert not np.may_share_memory(given, samples)
    assert stream.flush().shape == ((0,) if channels == 1 else (2, 0))
    assert stream.latency_samples == 0


def test_one_channel_in_two_dimensions() -> None:
    """What is pushed as (1, n) comes back as (1, m)."""
    stream = ResampleStream(48_000, 16_000)
    assert stream.push(noise(9000, 1)).ndim == 2
    assert stream.push(noise(9000)).ndim == 1


@pytest.mark.parametrize("rates", [(44_100, 16_000), (44_100, 16_001)])
def test_a_refused_piece_is_not_taken(rates: tuple[int, int]) -> None:
    """The error says where the sample is, and the signal goes on as if the piece had not come."""
    samples, bad = noise(5000), noise(100)
    bad[42] = np.nan
    stream = ResampleStream(*rates)
    pieces = [stream.push(samples[:3000])]
    with pytest.raises(AudioFormatError, match="chunk from sample 3000 on: sample 42"):
        stream.push(bad)
    pieces += [stream.push(samples[3000:]), stream.flush()]
    assert np.array_equal(np.concatenate(pieces), in_pieces(ResampleStream(*rates), samples, [3000]))


def test_samples_that_overflow_end_the_signal() -> None:
    """What float32 cannot hold is an error, and the stream is as new."""
    huge = np.full(20_000, np.finfo(np.float32).max, np.float32)
    stream = ResampleStream(44_100, 16_000)
    with pytest.raises(AudioFormatError, match="the resampled audio"):
        stream.push(huge)
    again = in_pieces(stream, noise(5000), [])
    assert np.array_equal(again, resample(noise(5000), in_rate=44_100, out_rate=16_000))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"in_rate": 999}, AudioFormatError, "in_rate is 999 Hz"),
        ({"out_rate": 16_000.5}, AudioFormatError, "out_rate is 16000.5; expected a whole number"),
        ({"quality": "ultra"}, ValueError, "quality is 'ultra'; expected one of fast, high, best"),
        ({"latency": "none"}, ValueError, "latency is 'none'; expected block or low"),
        ({"num_channels": 0}, ValueError, "num_channels is 0"),
    ],
)
def test_streams_that_make_no_sense(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """What is wrong is said when the stream is made."""
    with pytest.raises(error, match=message):
        ResampleStream(**({"in_rate": 44_100, "out_rate": 16_000} | arguments))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(10), "samples are float64"),
        (np.zeros((2, 10), np.float32), "samples have 2 channels; expected 1"),
        (np.zeros((1, 1, 10), np.float32), "shape"),
    ],
)
def test_pieces_of_the_wrong_kind(samples: NDArray[Any], message: str) -> None:
    """Only float32 with the stream's channels is taken."""
    with pytest.raises(AudioFormatError, match=message):
        ResampleStream(44_100, 16_000).push(samples)


@pytest.mark.parametrize("latency", ["block", "low"])
def test_a_long_signal_in_small_pieces_holds_no_more_memory(latency: Latency) -> None:
    """What is kept does not grow with the signal."""
    stream, piece = ResampleStream(48_000, 16_000, latency=latency), noise(480)
    for _ in range(20):
        stream.push(piece)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            stream.push(piece)
        assert tracemalloc.get_traced_memory()[0] - before < 40_000
    finally:
        tracemalloc.stop()


def test_rates_of_the_claims_are_all_there() -> None:
    """The ratios that are tried are all pairs of the nine rates."""
    assert len(RATIOS) == len(RATES) * (len(RATES) - 1) == 72
