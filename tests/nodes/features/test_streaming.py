"""Tests of audio that comes in pieces: bit for bit what one call gives, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from front_end_cases import CASES
from phonograph.errors import AudioFormatError
from phonograph_nodes import LogMel, LogMelStream
from phonograph_nodes.features import FRONT_ENDS
from reference.features.signals import Samples, noise, voice

CAUSAL = [name for name, front_end in FRONT_ENDS.items() if front_end.streaming == "causal"]
POST_NORMALISED = [name for name, front_end in FRONT_ENDS.items() if front_end.streaming == "post-normalised"]
WHOLE = [name for name, front_end in FRONT_ENDS.items() if front_end.streaming == "whole"]

# What no front end with a name has: gaps between windows, odd lengths, windows inside the transform, dither, rows filled up.
OTHERS: dict[str, dict[str, Any]] = {
    "hop beyond the window": {"frontend": "zipformer", "window_length": 100, "fft_length": 128, "hop_length": 300, "n_mels": 16},
    "hop beyond the window, means removed": {
        "frontend": "kaldi",
        "window_length": 200,
        "fft_length": 256,
        "hop_length": 330,
        "n_mels": 23,
    },
    "odd lengths": {
        "frontend": "librosa",
        "window_length": 301,
        "fft_length": 441,
        "hop_length": 97,
        "edges": "symmetric",
        "n_mels": 30,
    },
    "power of one sample a hop": {"frontend": "zipformer", "window_length": 16, "fft_length": 16, "hop_length": 1, "n_mels": 4},
    "inside the transform": {"frontend": "librosa", "window_length": 300, "placement": "inside_transform"},
    "repeated edges": {"frontend": "zipformer", "preemphasis": 0.9, "edges": "repeat"},
    "dither": {"frontend": "icefall", "scale": 32768.0, "dither": 1.0, "dither_seed": 5},
    "quantised, with differences": {"frontend": "speaker-mfcc", "placement": "covering", "window_length": 400, "hop_length": 160},
    "quantised and emphasised": {"frontend": "speaker-mfcc", "preemphasis": 0.9},
    "normalised, means removed": {"frontend": "squeezeformer", "remove_mean": True, "preemphasis_in": "window"},
    "rows filled up": {"frontend": "nemo", "pad_rows_to": 16},
    "causal rows, stacked": {"frontend": "kaldi", "stack": 3, "padding_value": -1.0, "pad_rows_to": 4},
    "bins first": {"frontend": "zipformer", "bins_first": True},
    "normalised bins first": {"frontend": "nemo", "bins_first": True, "pad_rows_to": 8},
    "cut to a length": {"frontend": "whisper", "pad_to_s": 0.1},
    "filled up to a length": {"frontend": "whisper", "pad_to_s": 0.5},
    "causal, filled up to a length": {"frontend": "kaldi", "pad_to_s": 0.5},
}
ALL: dict[str, dict[str, Any]] = {name: case.arguments for name, case in CASES.items()} | OTHERS


def in_pieces(stream: LogMelStream, samples: Samples, cuts: Iterable[int], *, bins_first: bool = False) -> Samples:
    """The features of a signal that is pushed cut at these places, popped after each piece."""
    found = []
    for piece in np.split(samples, sorted(cuts)):
        stream.push(piece)
        found.append(stream.pop().copy())
    stream.flush()
    found.append(stream.pop().copy())
    return np.concatenate(found, axis=1 if bins_first else 0)


def layout(name: str) -> dict[str, bool]:
    return {"bins_first": ALL[name].get("bins_first", False)}


@given(
    name=st.sampled_from(sorted(ALL)),
    length=st.integers(1, 2500),
    cuts=st.lists(st.integers(0, 2500), max_size=12),
    seed=st.integers(0, 99),
)
@settings(max_examples=200, deadline=None)
def test_any_pieces_give_the_bits_of_one_call(name: str, length: int, cuts: list[int], seed: int) -> None:
    """However a signal is cut, empty pieces included, the stream gives what one call gives."""
    samples = noise(length, seed)
    whole = LogMel(**ALL[name])(samples)
    pieces = in_pieces(LogMelStream(**ALL[name]), samples, [min(cut, length) for cut in cuts], **layout(name))
    assert pieces.dtype == np.float32
    assert np.array_equal(pieces, whole)


@pytest.mark.parametrize("name", ALL)
def test_single_samples_give_the_bits_of_one_call(name: str) -> None:
    """A signal that comes sample by sample gives what one call gives."""
    samples = noise(1300)
    pieces = in_pieces(LogMelStream(**ALL[name]), samples, range(1, 1300), **layout(name))
    assert np.array_equal(pieces, LogMel(**ALL[name])(samples))


@pytest.mark.parametrize("name", ALL)
def test_long_signals_in_pieces_of_any_size_give_the_bits_of_one_call(name: str) -> None:
    """Buffers that are moved and reused many times lose nothing: 5 s in pieces from 1 sample to 2 s."""
    samples = voice(80_000)
    cuts = np.cumsum([1, 399, 7, 1600, 160, 32_000, 512, 3, 4000, 161, 20_000, 1])
    pieces = in_pieces(LogMelStream(**ALL[name]), samples, cuts, **layout(name))
    assert np.array_equal(pieces, LogMel(**ALL[name])(samples))


@pytest.mark.parametrize("name", ALL)
def test_stream_that_ended_starts_anew(name: str) -> None:
    """Signals one after the other give what each of them gives alone, and so does one after a reset."""
    stream, plan = LogMelStream(**ALL[name]), LogMel(**ALL[name])
    for length in (2500, 1, 900):
        samples = noise(length, length)
        assert np.array_equal(in_pieces(stream, samples, [length // 3, length // 2], **layout(name)), plan(samples))
    stream.push(noise(1234, 3))
    stream.reset()
    assert np.array_equal(in_pieces(stream, noise(700), [], **layout(name)), plan(noise(700)))


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_rows_are_there_as_soon_as_their_window_is(name: str) -> None:
    """After every push the windows that lie within what has come are out, those for differences two windows later."""
    stream = LogMelStream(name)
    front_end = stream.front_end
    later = 2 if front_end.deltas else 0
    num_rows = 0
    for received in range(50, 6000, 50):
        stream.push(noise(6000)[received - 50 : received])
        num_rows += len(stream.pop())
        ended = 1 + (received - front_end.first_start - front_end.window_length) // front_end.hop_length
        mirrored = received > front_end.window_length  # a window over the beginning reads it again in the mirror
        assert num_rows <= max(ended - later, 0)
        assert num_rows == max(ended - later, 0) or not mirrored


@pytest.mark.parametrize("name", POST_NORMALISED + WHOLE)
def test_rows_that_depend_on_the_whole_signal_come_with_its_end(name: str) -> None:
    """`push` has nothing to give, `flush` all rows."""
    stream = LogMelStream(name)
    assert stream.streaming in ("post-normalised", "whole")
    for piece in np.split(noise(8000), 5):
        assert stream.push(piece) == 0
        assert stream.pop().size == 0
    num_rows = LogMel(name).num_rows(8000)
    assert stream.flush() == num_rows
    assert stream.pop().shape == (num_rows, stream.num_columns)


def test_streams_say_what_they_wait_for() -> None:
    """The front ends of each kind, as the node catalogue tells them."""
    assert set(CAUSAL) == {"zipformer", "kaldi", "icefall", "speaker-mfcc"}
    assert set(POST_NORMALISED) == {"whisper", "nemo", "w2v-bert", "librosa"}
    assert set(WHOLE) == {"squeezeformer", "paraformer"}
    assert {LogMelStream(name).streaming for name in WHOLE} == {"whole"}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_flush_without_a_sample_gives_no_row(name: str) -> None:
    """A signal that never began has no features, and the next one has all of its own."""
    stream = LogMelStream(name)
    stream.push(noise(0))
    assert stream.flush() == 0
    assert stream.pop().shape == (0, stream.num_columns)
    assert np.array_equal(in_pieces(stream, noise(3000), [100]), LogMel(name)(noise(3000)))


@pytest.mark.parametrize("bins_first", [False, True])
@pytest.mark.parametrize("name", ["zipformer", "nemo", "squeezeformer", "speaker-mfcc"])
def test_rows_are_popped_into_the_callers_array_as_far_as_they_fit(name: str, bins_first: bool) -> None:
    """`pop(out=...)` fills the array, gives back the part that is filled, and keeps what did not fit for the next call."""
    stream = LogMelStream(name, bins_first=bins_first)
    shape = (stream.num_columns, 7) if bins_first else (7, stream.num_columns)
    found = []
    for piece in np.split(noise(20_000), 10):
        stream.push(piece)
        while stream.num_ready:
            out = np.full(shape, np.nan, np.float32)
            part = stream.pop(out=out)
            assert np.shares_memory(part, out)
            found.append(part)
    stream.flush()
    while stream.num_ready:
        found.append(stream.pop(out=np.empty(shape, np.float32)))
    whole = LogMel(name, bins_first=bins_first)(noise(20_000))
    assert np.array_equal(np.concatenate(found, axis=1 if bins_first else 0), whole)


def test_array_that_rows_do_not_fit_is_refused_and_the_rows_stay() -> None:
    """A wrong dtype, number of columns or layout is named, and the rows can still be popped."""
    stream = LogMelStream("zipformer")
    stream.push(noise(4000))
    ready = stream.num_ready
    unfit: list[Any] = [
        np.empty((9, 80)),
        np.empty((9, 81), np.float32),
        np.empty(80, np.float32),
        np.empty((9, 160), np.float32)[:, ::2],
    ]
    for wrong in unfit:
        with pytest.raises(AudioFormatError, match="out"):
            stream.pop(out=wrong)
    with pytest.raises(AudioFormatError, match=r"shape \(80,\); expected float32 of shape \(n, 80\), into which at most n rows"):
        stream.pop(out=unfit[2])
    assert stream.num_ready == ready > 0
    assert np.array_equal(stream.pop(), LogMel("zipformer")(noise(4000))[:ready])


def test_next_signal_waits_for_the_rows_of_the_last_one() -> None:
    """Rows of two signals do not mix: a push after flush is refused as long as rows wait."""
    stream = LogMelStream("kaldi")
    stream.push(noise(4000))
    stream.flush()
    with pytest.raises(RuntimeError, match="pop"):
        stream.push(noise(10))
    stream.pop()
    assert np.array_equal(in_pieces(stream, noise(4000), []), LogMel("kaldi")(noise(4000)))


@pytest.mark.parametrize("name", WHOLE + POST_NORMALISED)
def test_signal_beyond_the_cap_is_refused(name: str) -> None:
    """The error names the cap and what to do; nothing of the piece is taken."""
    stream = LogMelStream(name, max_samples=5000)
    stream.push(noise(4000))
    with pytest.raises(AudioFormatError, match=r"5000.*max_samples"):
        stream.push(noise(1001))
    stream.push(noise(5000)[4000:])
    stream.flush()
    assert np.array_equal(stream.pop(), LogMel(name)(noise(5000)))


def test_causal_streams_have_no_cap() -> None:
    """What a causal stream keeps does not grow with the signal."""
    stream = LogMelStream("zipformer", max_samples=5000)
    for piece in np.split(noise(20_000), 10):
        stream.push(piece)
        stream.pop()
    assert stream.flush() > 0


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_piece_with_a_sample_that_is_not_finite_leaves_the_stream_as_it_was(name: str) -> None:
    """The error says where in the signal it is, and the stream goes on as if the piece had not come."""
    stream = LogMelStream(name)
    stream.push(noise(1000))
    for value in (np.nan, np.inf, -np.inf):
        bad = noise(500)
        bad[123] = value
        with pytest.raises(AudioFormatError, match=f"from sample 1000 on: sample 123 is {value}"):
            stream.push(bad)
    stream.push(noise(3000)[1000:])
    stream.flush()
    assert np.array_equal(stream.pop(), LogMel(name)(noise(3000)))


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_samples_that_are_not_finite_are_zeroed_and_counted(name: str) -> None:
    """With non_finite="zero" the stream gives the features of the signal with zeros there, and says how many there were."""
    dirty, clean = noise(3000), noise(3000)
    dirty[[5, 1700, 1701, 2999]] = np.nan, np.inf, -np.inf, np.nan
    clean[[5, 1700, 1701, 2999]] = 0.0
    stream = LogMelStream(name, non_finite="zero")
    stream.push(dirty[:1701])
    assert stream.num_non_finite == 2
    stream.push(dirty[1701:])
    assert stream.num_non_finite == 4
    stream.flush()
    assert np.array_equal(stream.pop(), LogMel(name)(clean))


def test_pieces_of_the_wrong_kind_are_refused() -> None:
    """As whole signals are: dtype, channels, rate."""
    stream = LogMelStream("zipformer")
    with pytest.raises(AudioFormatError, match="float64; expected float32"):
        stream.push(np.zeros(100))
    with pytest.raises(AudioFormatError, match="2 channels; expected 1"):
        stream.push(np.zeros((2, 100), np.float32))
    with pytest.raises(AudioFormatError, match="8000 Hz; expected 16000"):
        stream.push(noise(100), sample_rate=8000)
    with pytest.raises(ValueError, match="max_samples is 0"):
        LogMelStream("zipformer", max_samples=0)


@pytest.mark.parametrize("name", ["zipformer", "kaldi", "whisper", "speaker-mfcc"])
def test_pieces_may_be_strided_and_read_only(name: str) -> None:
    """Memory layout does not change the features, and pieces are not kept by reference."""
    interleaved = np.stack([noise(3000), noise(3000, 1)], axis=1)
    stream = LogMelStream(name)
    for start in range(0, 3000, 500):
        piece = interleaved[start : start + 500, 0].copy()
        piece.flags.writeable = False
        stream.push(piece if start % 1000 else interleaved[start : start + 500, 0])
    interleaved[:] = 0.0
    stream.flush()
    assert np.array_equal(stream.pop(), LogMel(name)(noise(3000)))
