"""Checks of sample arrays that come from outside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError

Samples = NDArray[np.float32]


def audio_samples(samples: NDArray[Any]) -> Samples:
    """One- or two-dimensional float32 samples, C-contiguous; copied only when their layout demands it.

    Raises:
        AudioFormatError: another dtype, another number of dimensions, or no channel at all.
    """
    array = np.asarray(samples)
    if array.dtype != np.float32:
        raise AudioFormatError(f"samples are {array.dtype}; expected float32 in [-1, 1] (see phonograph_nodes.convert)")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] == 0):
        raise AudioFormatError(f"samples have shape {array.shape}; expected (num_samples,) or (num_channels, num_samples)")
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def mono_samples(samples: NDArray[Any]) -> Samples:
    """The only channel of `samples` as a C-contiguous float32 array of shape (num_samples,).

    Raises:
        AudioFormatError: as `audio_samples`, or more than one channel.
    """
    # What is most often given, in a fraction of a microsecond.
    if type(samples) is np.ndarray and samples.dtype == np.float32 and samples.flags.c_contiguous and samples.flags.aligned:
        if samples.ndim == 1:
            return samples
        if samples.ndim == 2 and len(samples) == 1:
            only: Samples = samples[0]
            return only
    array = audio_samples(samples)
    if array.ndim == 1:
        return array
    if array.shape[0] != 1:
        raise AudioFormatError(f"samples have {array.shape[0]} channels; expected 1 (mix first: audio.resample, channels: 1)")
    channel: Samples = array[0]
    return channel


def refuse_non_finite(samples: Samples, of: str = "") -> None:
    """Raise `non_finite` if any sample is NaN or infinite. Costs one pass over the samples."""
    # One sum is far cheaper than a flag per sample, and no sum of finite float32 overflows float64.
    with np.errstate(invalid="ignore"):  # infinities of both signs add up to NaN, which is the answer
        total = samples.sum(dtype=np.float64)
    if not math.isfinite(total):
        raise non_finite(samples, of)


def non_finite(samples: Samples, of: str = "") -> AudioFormatError:
    """The error for samples that are known to hold NaN or infinity: says where the first one is, and `of` what they are."""
    bad = ~np.isfinite(samples)
    place = np.unravel_index(int(bad.argmax()), samples.shape)
    where = f"sample {place[-1]}" + (f" of channel {place[0]}" if samples.ndim == 2 else "")
    return AudioFormatError(
        f"{of + ': ' if of else ''}{where} is {samples[place]}, "
        f"and {int(bad.sum())} of {samples.size} samples are not finite; expected finite samples"
    )


def zeroed(samples: Samples) -> tuple[Samples, int]:
    """The samples with 0 for each that is NaN or infinite, copied only when there is one; and how many there are."""
    finite = np.isfinite(samples)
    num_bad = samples.size - int(np.count_nonzero(finite))
    return (np.where(finite, samples, np.float32(0.0)), num_bad) if num_bad else (samples, 0)


def too_large(samples: Samples, of: str = "") -> AudioFormatError:
    """The error for finite samples whose spectrum float32 cannot hold."""
    largest = float(np.abs(samples).max(initial=0.0))
    return AudioFormatError(
        f"{of + ': ' if of else ''}the largest sample is {largest:.3g}, whose energy float32 cannot hold; "
        "expected samples in [-1, 1] (see phonograph_nodes.convert)"
    )


def check_result(out: NDArray[Any], shape: tuple[int, ...], apart_from: Samples | None = None) -> None:
    """Refuse an array that a result of this shape cannot be written into, or that shares memory with what is read.

    Raises:
        AudioFormatError: another type, shape or layout; read-only; memory shared with `apart_from`.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        given = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise AudioFormatError(f"out is {given}; expected float32 of shape {shape}")
    if not out.flags.carray:
        raise AudioFormatError("out is read-only or not C-contiguous; expected a writeable C-contiguous array")
    if apart_from is not None and np.may_share_memory(out, apart_from):
        raise AudioFormatError("out shares memory with the samples; expected an array of its own")
