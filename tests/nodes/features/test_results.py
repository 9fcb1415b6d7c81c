"""Tests of where features go and who may compute them: layouts, the caller's array, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from front_end_cases import CASES
from phonograph.errors import AudioFormatError
from phonograph_nodes import LogMel, log_mel
from reference.features.signals import noise

UNSTACKED = [name for name, case in CASES.items() if case.settings.stack == 1]


@pytest.mark.parametrize("name", UNSTACKED)
def test_bins_first_is_the_transposed_result_bit_for_bit(name: str) -> None:
    """(D, T) holds what (T, D) does, C-contiguous, for any number of rows that are computed side by side."""
    arguments = CASES[name].arguments
    for length in (1, 399, 400, 1439, 2500, 2577, 12_000):
        bins_first = log_mel(noise(length), **arguments, bins_first=True)
        assert bins_first.flags.c_contiguous
        assert np.array_equal(bins_first, log_mel(noise(length), **arguments).T), length


@pytest.mark.parametrize("bins_first", [False, True])
@pytest.mark.parametrize("name", UNSTACKED)
def test_result_is_written_into_the_callers_array(name: str, bins_first: bool) -> None:
    """All of `out` is written, and it is what is returned."""
    plan = LogMel(**CASES[name].arguments, bins_first=bins_first)
    expected = plan(noise(2600))
    out = np.full(expected.shape, np.nan, np.float32)
    assert plan(noise(2600), out=out) is out
    assert np.array_equal(out, expected)
    assert log_mel(noise(2600), **CASES[name].arguments, bins_first=bins_first, out=out) is out


def test_stacked_rows_are_written_into_the_callers_array() -> None:
    """Rows that are filled up leave nothing of what was in the array."""
    expected = log_mel(noise(2577), frontend="w2v-bert", pad_rows_to=5)
    out = np.full(expected.shape, np.nan, np.float32)
    assert np.array_equal(log_mel(noise(2577), frontend="w2v-bert", pad_rows_to=5, out=out), expected)
    assert np.isfinite(out).all()


def read_only(shape: tuple[int, ...]) -> Any:
    array = np.empty(shape, np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "wrong",
    [
        np.empty((16, 80)),
        np.empty((15, 80), np.float32),
        np.empty((17, 80), np.float32),
        np.empty((80, 16), np.float32),
        np.empty(16 * 80, np.float32),
        np.empty((16, 160), np.float32)[:, ::2],
        np.empty((80, 16), np.float32).T,
        read_only((16, 80)),
        [[0.0] * 80] * 16,
    ],
    ids=["float64", "too few rows", "too many rows", "transposed", "flat", "gaps", "Fortran order", "read-only", "list"],
)
def test_array_that_the_result_does_not_fit_is_refused(wrong: Any) -> None:
    """The error is about `out`, and says what would fit."""
    with pytest.raises(AudioFormatError, match=r"out .*expected"):
        log_mel(noise(2400), frontend="zipformer", out=wrong)


def test_array_that_cannot_be_written_says_why() -> None:
    """Of a read-only array and one with gaps the error names what it is, of one that is both, both."""
    gaps = np.empty((16, 160), np.float32)[:, ::2]
    both = gaps.view()
    both.flags.writeable = False
    for out, what in ((read_only((16, 80)), "read-only"), (gaps, "not C-contiguous"), (both, "read-only and not C-contiguous")):
        with pytest.raises(AudioFormatError, match=f"out is {what}; expected"):
            log_mel(noise(2400), frontend="zipformer", out=out)


def test_one_array_serves_clips_of_any_length() -> None:
    """The first rows of a larger array are an `out` that fits."""
    plan, memory = LogMel("kaldi"), np.empty((100, 80), np.float32)
    for length in (16_000, 400, 9000):
        out = memory[: plan.num_rows(length)]
        assert plan(noise(length), out=out) is out
        assert np.array_equal(out, plan(noise(length)))


def test_array_that_shares_memory_with_the_samples_is_refused() -> None:
    """Results would be written over samples that are still to be read."""
    memory = np.zeros(16 * 80 + 2400, np.float32)
    with pytest.raises(AudioFormatError, match="out"):
        log_mel(memory[:2400], frontend="zipformer", out=memory[: 16 * 80].reshape(16, 80))


@pytest.mark.parametrize("name", CASES)
def test_strided_and_read_only_samples_are_taken(name: str) -> None:
    """Memory layout does not change the features, nor do the features change the samples."""
    arguments = CASES[name].arguments
    interleaved = np.stack([noise(2000), noise(2000, 1)], axis=1)
    frozen = noise(2000)
    frozen.flags.writeable = False
    expected = log_mel(frozen, **arguments)
    assert np.array_equal(log_mel(interleaved[:, 0], **arguments), expected)
    assert np.array_equal(log_mel(frozen[np.newaxis], **arguments), expected)
    assert np.array_equal(log_mel(frozen[::-1].copy()[::-1], **arguments), expected)


@pytest.mark.parametrize("offset", range(1, 17, 3))
def test_samples_may_begin_anywhere_in_memory(offset: int) -> None:
    """A signal that no vector is aligned with has the same bits."""
    shifted = np.empty(2600, np.float32)[offset : offset + 2500]
    shifted[:] = noise(2500)
    for name in ("zipformer", "kaldi", "speaker-mfcc"):
        assert np.array_equal(log_mel(shifted, frontend=name), log_mel(noise(2500), frontend=name))


@pytest.mark.parametrize("name", ["squeezeformer", "whisper", "w2v-bert", "speaker-mfcc"])
def test_one_plan_serves_several_threads(name: str) -> None:
    """Concurrent calls of one plan give what single calls give."""
    plan = LogMel(name)
    clips = [noise(3000 + 97 * i, i) for i in range(24)]
    expected = [plan(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert all(map(np.array_equal, pool.map(plan, clips), expected))


@pytest.mark.parametrize("name", CASES)
def test_call_leaves_nothing_behind_for_the_next(name: str) -> None:
    """A plan that has seen another signal gives the bits of a new one."""
    used = LogMel(**CASES[name].arguments)
    used(noise(5000, 1) * np.float32(1e4))
    used(noise(1))
    assert np.array_equal(used(noise(2345)), LogMel(**CASES[name].arguments)(noise(2345)))
