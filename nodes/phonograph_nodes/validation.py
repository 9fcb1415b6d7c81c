"""Checks of sample arrays that come from outside."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError

Samples = NDArray[np.float32]

_CONVERTIBLE = frozenset(map(np.dtype, ("u1", "<i2", "<i4", "<f8")))
"""What `phonograph_nodes.convert` makes float32 of."""

_FAR_LONGER = 16  # times as many channels as samples: the axes must have been meant the other way round
_MANY = 256  # channels, from which that is sure where several are taken


def audio_samples(samples: NDArray[Any]) -> Samples:
    """One- or two-dimensional float32 samples, C-contiguous; copied only when their layout demands it.

    Raises:
        AudioFormatError: another dtype, another number of dimensions, or no channel at all.
    """
    array = np.asarray(samples)
    if array.dtype != np.float32:
        raise _wrong_type(samples, array.dtype)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[0] == 0):
        raise AudioFormatError(
            f"samples have shape {array.shape}; expected (num_samples,) or (num_channels, num_samples), with at least one channel"
        )
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def refuse_turned(shape: tuple[int, ...]) -> None:
    """Raise AudioFormatError for two axes that can only be (num_samples, num_channels), as other libraries read files."""
    if len(shape) == 2 and shape[0] >= max(_MANY, _FAR_LONGER * shape[1]) and shape[1]:
        raise AudioFormatError(
            f"samples have shape {shape}, which looks like (num_samples, num_channels); expected (num_channels, num_samples): "
            "pass samples.T"
        )


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
        raise _several_channels(*array.shape)
    channel: Samples = array[0]
    return channel


def _several_channels(num_channels: int, num_samples: int) -> AudioFormatError:
    remedy = "mix first: samples.mean(axis=0), in a manifest the node audio.resample with channels: 1"
    if num_channels >= _FAR_LONGER * num_samples > 0:
        turned = "samples.T" if num_samples == 1 else "samples.T, or mix them: samples.mean(axis=1)"
        remedy = f"shape {(num_channels, num_samples)} looks like (num_samples, num_channels): pass {turned}"
    return AudioFormatError(f"samples have {num_channels} channels; expected 1 ({remedy})")


def _wrong_type(samples: object, dtype: np.dtype[Any]) -> AudioFormatError:
    """The error for what is not float32, with the way to it where there is one."""
    found, remedy = f"samples are {dtype}", ""
    if samples is None:
        found = "samples are None"
    elif isinstance(samples, str | os.PathLike):
        found, remedy = f"samples are {str(samples)[:60]!r}", "phonograph_nodes.load reads a file"
    elif isinstance(samples, bytes | bytearray | memoryview):
        found = f"samples are {memoryview(samples).nbytes} bytes"
        remedy = 'for 16-bit PCM, phonograph_nodes.convert(np.frombuffer(pcm, "<i2"), dtype="f32") makes them so'
    elif dtype in _CONVERTIBLE:
        remedy = 'phonograph_nodes.convert(samples, dtype="f32") makes them so'
    elif dtype.kind == "f":
        remedy = "samples.astype(np.float32) makes them so"
    elif dtype.kind in "iu":
        remedy = "samples.astype(np.float32) makes them so, divided by their full scale (32768 for 16-bit values)"
    return AudioFormatError(f"{found}; expected float32 in [-1, 1]{f' ({remedy})' if remedy else ''}")


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


def check_result(out: NDArray[Any], shape: tuple[int, ...], apart_from: Samples | None = None, *, wanted: str = "") -> None:
    """Refuse an array that a result of this shape cannot be written into, or that shares memory with what is read.

    Args:
        wanted: the shape in words, where others would do too.

    Raises:
        AudioFormatError: another type, shape or layout; read-only; memory shared with `apart_from`.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        given = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise AudioFormatError(f"out is {given}; expected float32 of shape {wanted or shape}")
    if not out.flags.carray:
        flags = {"read-only": not out.flags.writeable, "not C-contiguous": not out.flags.c_contiguous}
        found = " and ".join(fault for fault, is_so in flags.items() if is_so) or "not aligned"
        raise AudioFormatError(f"out is {found}; expected a writeable C-contiguous array")
    if apart_from is not None and np.may_share_memory(out, apart_from):
        raise AudioFormatError("out shares memory with the samples; expected an array of its own")
