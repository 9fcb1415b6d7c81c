"""Tests of several clips in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from front_end_cases import CASES
from phonograph.errors import AudioFormatError
from phonograph_nodes import LogMel
from reference.features.signals import noise

# Whisper and those that follow have no row for an empty clip.
TAKE_EMPTY_CLIPS = [name for name in CASES if LogMel(**CASES[name].arguments).front_end.num_windows(0) == 0]


@given(name=st.sampled_from(sorted(CASES)), lengths=st.lists(st.integers(1, 3000), max_size=5), bins_first=st.booleans())
@settings(max_examples=80, deadline=None)
def test_rows_of_a_batch_are_the_bits_of_single_calls(name: str, lengths: list[int], bins_first: bool) -> None:
    """Each clip's rows are what a call for it alone gives, the rest is padding, and the numbers of rows say where it begins."""
    arguments = CASES[name].arguments
    plan = LogMel(**arguments, bins_first=bins_first and CASES[name].settings.stack == 1)
    clips = [noise(length, number) for number, length in enumerate(lengths)]
    features, num_rows = plan.batch(clips, padding=-7.5)
    most = max(map(plan.num_rows, lengths), default=0)
    assert features.dtype == np.float32
    assert num_rows.dtype == np.int64
    assert features.shape == ((len(clips), plan.num_columns, most) if plan.bins_first else (len(clips), most, plan.num_columns))
    assert num_rows.tolist() == [plan.num_rows(length) for length in lengths]
    for clip, rows, number in zip(clips, features.swapaxes(1, 2) if plan.bins_first else features, num_rows, strict=True):
        single = plan(clip)
        assert np.array_equal(rows[:number], single.T if plan.bins_first else single)
        assert (rows[number:] == np.float32(-7.5)).all()


@pytest.mark.parametrize("name", TAKE_EMPTY_CLIPS)
def test_empty_clip_has_no_row_and_its_neighbours_have_theirs(name: str) -> None:
    """A clip without samples, or with too few for a window, is all padding."""
    plan = LogMel(**CASES[name].arguments)
    features, num_rows = plan.batch([noise(2000), noise(0), noise(3000, 1), noise(1)])
    assert num_rows.tolist() == [plan.num_rows(2000), 0, plan.num_rows(3000), plan.num_rows(1)]
    assert not features[1].any()
    assert np.array_equal(features[2, : num_rows[2]], plan(noise(3000, 1)))


def test_batch_without_a_clip_is_empty() -> None:
    """No clips give (0, 0, D) and no numbers."""
    features, num_rows = LogMel("whisper").batch([])
    assert features.shape == (0, 0, 80)
    assert num_rows.shape == (0,)


@pytest.mark.parametrize("bins_first", [False, True])
@pytest.mark.parametrize("name", ["whisper", "squeezeformer", "nemo", "speaker-mfcc"])
def test_batch_is_written_into_the_callers_array(name: str, bins_first: bool) -> None:
    """`out` may have more rows than the longest clip; all of it is written, and it is returned."""
    plan = LogMel(name, bins_first=bins_first)
    clips = [noise(4000), noise(2500, 1)]
    longest = plan.num_rows(4000) + 5
    out = np.full((2, plan.num_columns, longest) if bins_first else (2, longest, plan.num_columns), np.nan, np.float32)
    features, num_rows = plan.batch(clips, out=out)
    assert features is out
    expected, same = plan.batch(clips)
    most = expected.shape[2 if bins_first else 1]
    assert np.array_equal(num_rows, same)
    assert np.array_equal(out[:, :, :most] if bins_first else out[:, :most], expected)
    assert not (out[:, :, most:] if bins_first else out[:, most:]).any()


@pytest.mark.parametrize(
    "wrong",
    [
        np.empty((2, 40, 80)),
        np.empty((1, 40, 80), np.float32),
        np.empty((2, 40, 81), np.float32),
        np.empty((2, 10, 80), np.float32),
        np.empty((40, 80), np.float32),
        np.empty((2, 40, 160), np.float32)[:, :, ::2],
    ],
    ids=["float64", "clips", "columns", "rows", "dimensions", "gaps"],
)
def test_array_that_the_batch_does_not_fit_is_refused(wrong: Any) -> None:
    """The error is about `out`."""
    with pytest.raises(AudioFormatError, match="out"):
        LogMel("whisper").batch([noise(4000), noise(2000)], out=wrong)


def test_one_clip_is_no_batch() -> None:
    """An array that is not in a list is refused with the remedy; the rows of a matrix are clips."""
    plan = LogMel("kaldi")
    with pytest.raises(AudioFormatError, match=r"clips are one array of shape \(1000,\); expected a list.*\[samples\]"):
        plan.batch(noise(1000))
    features, _ = plan.batch(np.stack([noise(1000), noise(1000, 1)]))
    assert np.array_equal(features[1], plan(noise(1000, 1)))


@pytest.mark.parametrize("padding", ["0", None, True])
def test_padding_that_is_no_number_is_refused(padding: Any) -> None:
    """Text that NumPy would take for a number is not one; NaN is."""
    with pytest.raises(ValueError, match=f"padding is {padding!r}; expected a number"):
        LogMel("kaldi").batch([noise(1000)], padding=padding)
    features, _ = LogMel("kaldi").batch([noise(1000), noise(500)], padding=np.nan)
    assert np.isnan(features[1, 1:]).all()


def test_error_says_which_clip_it_is_about() -> None:
    """What is wrong with a clip is told with the clip's number."""
    plan = LogMel("squeezeformer")
    bad = noise(1000)
    bad[17] = np.nan
    with pytest.raises(AudioFormatError, match=r"clip 2.*sample 17 is nan"):
        plan.batch([noise(1000), noise(900), bad])
    with pytest.raises(AudioFormatError, match=r"clip 1.*float64; expected float32"):
        plan.batch([noise(1000), np.zeros(900)])
    with pytest.raises(AudioFormatError, match=r"clip 1.*empty"):
        plan.batch([noise(1000), noise(0)])
