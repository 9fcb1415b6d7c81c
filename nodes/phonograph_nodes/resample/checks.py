"""Checks of what a resampler is asked for, and of what it is given."""

from __future__ import annotations

import operator

from phonograph.errors import AudioFormatError
from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample.filters import FILTERS
from phonograph_nodes.validation import Samples, non_finite

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Hz; wider ratios make the resampler's filters grow until a short clip takes gigabytes."""

MAX_SAMPLES = 2**30
"""Per channel of the result: 4 GiB, or 18 hours at 16 kHz."""


def checked_rate(name: str, rate: int) -> int:
    """The rate as Python's own integer: NumPy's would overflow in the length."""
    try:
        whole = operator.index(rate)
    except TypeError:
        raise AudioFormatError(f"{name} is {rate!r}; expected a whole number of Hz") from None
    if not MIN_RATE <= whole <= MAX_RATE:
        raise AudioFormatError(f"{name} is {whole} Hz; expected {MIN_RATE} to {MAX_RATE} Hz")
    return whole


def check_quality(quality: str) -> None:
    """Refuse a quality that there is not."""
    if quality not in FILTERS:
        raise ValueError(f"quality is {quality!r}; expected one of {', '.join(FILTERS)}")


def resampled_length(num_samples: int, in_rate: int, out_rate: int) -> int:
    """Samples that so many become, rounded up."""
    length = -(-num_samples * out_rate // in_rate)
    if length > MAX_SAMPLES:
        raise AudioFormatError(
            f"{num_samples} samples at {in_rate} Hz become {length} at {out_rate} Hz; "
            f"expected at most {MAX_SAMPLES} (cut the clip)"
        )
    return length


def refuse_input(samples: Samples, of: str = "") -> None:
    """Raise if any sample is NaN or infinite, which a filter would spread."""
    if not _resample.all_finite(samples.reshape(-1)):
        raise non_finite(samples, of)


def refuse_result(resampled: Samples) -> None:
    """Raise if what was made of finite samples is not finite."""
    if not _resample.all_finite(resampled.reshape(-1)):
        raise non_finite(resampled, "the resampled audio (scale the samples to [-1, 1] first)")
