"""Change of the sample rate of whole signals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.resample.blocks import BlockPlan, Check, Pcm
from phonograph_nodes.resample.checks import check_quality, checked_rate, refuse_input, refuse_result, resampled_length
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.plans import SOXR_RECIPES, plan_for
from phonograph_nodes.validation import Samples, audio_samples, check_result, refuse_turned


def resample(
    samples: NDArray[Any],
    *,
    in_rate: int,
    out_rate: int,
    quality: Quality = "high",
    out: Samples | None = None,
    check: Check | None = None,
) -> Samples:
    """Change the sample rate with a windowed-sinc filter.

    The pass band is the lowest 90 % of the lower Nyquist frequency, the stop band all above that frequency. Ratios whose terms
    have no prime factor above 7, such as all between the rates in use, are resampled in the frequency domain, others by libsoxr.
    The tables of the last 64 ratios are kept.

    Args:
        samples: float32, shape (num_samples,) or (num_channels, num_samples).
        in_rate, out_rate: Hz, whole numbers, 1000 to 768000.
        quality: "fast", "high" or "best": what is above the band is at least 115, 122 or 130 dB down, the pass band even within
            0.07, 0.02 or 0.01 dB. The longer filter of each step costs up to a tenth more time.
        out: float32, C-contiguous, of the result's shape: is written and returned. Saves allocating.
        check: called at the beginning and after every few million samples; what it raises ends the call. libsoxr takes each
            channel whole.

    Returns:
        float32, as many dimensions as given, ceil(num_samples * out_rate / in_rate) samples; no delay. The array itself when
        the rates are equal and no `out` is given, whatever its samples are: nothing reads them.

    Raises:
        AudioFormatError: wrong dtype or shape; a rate that is no whole number or out of range; at unequal rates NaN or infinity
            (a filter would spread them), a result of more than 2^30 samples a channel, or one beyond the range of float32; an
            `out` that does not fit.
        ValueError: an unknown quality.
    """
    check_quality(quality)
    in_rate, out_rate = checked_rate("in_rate", in_rate), checked_rate("out_rate", out_rate)
    signal = audio_samples(samples)
    refuse_turned(signal.shape)
    if in_rate == out_rate and out is None:
        return signal
    shape = (*signal.shape[:-1], resampled_length(signal.shape[-1], in_rate, out_rate))
    if out is None:
        resampled = np.empty(shape, np.float32)
    else:
        check_result(out, shape, signal)
        resampled = out
    if in_rate == out_rate:
        resampled[...] = signal
        return resampled
    if not _fill(signal, in_rate, out_rate, quality, resampled, check):
        refuse_input(signal)
        refuse_result(resampled)
    return resampled


def resample_pcm16(samples: NDArray[np.int16], *, in_rate: int, out_rate: int, quality: Quality = "high") -> Samples:
    """Resample 16-bit audio to mono float32 in one pass: bit for bit what `mix_to_mono` and `resample` give.

    Saves a pass over the audio, and its array. Ratios that `resample` leaves to libsoxr take both.

    Args:
        samples: int16, shape (num_samples,), or interleaved, (num_samples, 1) or (num_samples, 2), C-contiguous or copied.
            Two channels are mixed with equal weights.
        in_rate, out_rate, quality: as `resample`.

    Returns:
        float32 in [-1, 1) but for the filter's overshoot, shape (ceil(num_samples * out_rate / in_rate),).

    Raises:
        AudioFormatError: wrong dtype or shape; rates or a length as `resample` refuses them.
        ValueError: an unknown quality.
    """
    check_quality(quality)
    in_rate, out_rate = checked_rate("in_rate", in_rate), checked_rate("out_rate", out_rate)
    array = np.asarray(samples)
    if array.dtype != np.int16:
        raise AudioFormatError(f"samples are {array.dtype}; expected int16")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] not in (1, 2)):
        raise AudioFormatError(f"samples have shape {array.shape}; expected (num_samples,), (num_samples, 1) or (num_samples, 2)")
    pairs = np.ascontiguousarray(array[:, np.newaxis] if array.ndim == 1 else array)
    pcm = Pcm(pairs.reshape(-1).view(np.uint8), "i16", False, pairs.shape[1], len(pairs))
    resampled = resample_pcm(pcm, in_rate=in_rate, out_rate=out_rate, quality=quality)
    if resampled is None:
        mono: Samples = mix_to_mono(pairs, layout="interleaved")[0]
        return resample(mono, in_rate=in_rate, out_rate=out_rate, quality=quality)
    return resampled


def resample_pcm(pcm: Pcm, *, in_rate: int, out_rate: int, quality: Quality, check: Check | None = None) -> Samples | None:
    """Resample a signal as files store it to mono float32 in one pass: bit for bit what `mix_to_mono` and `resample` give.

    Args:
        in_rate, out_rate: Hz, checked.
        check: as for `resample`.

    Returns:
        Shape (ceil(num_samples * out_rate / in_rate),); None for ratios that `resample` leaves to libsoxr, for equal rates, and
        where samples or results are not finite.

    Raises:
        AudioFormatError: a length as `resample` refuses it.
        EOFError, OSError: as `BlockPlan.fill_from_pcm`.
    """
    plan = plan_for(in_rate, out_rate, quality) if in_rate != out_rate else None
    if not isinstance(plan, BlockPlan):
        return None
    resampled = np.empty(resampled_length(pcm.num_samples, in_rate, out_rate), np.float32)
    return resampled if plan.fill_from_pcm(pcm, resampled, check) else None


def _fill(signal: Samples, in_rate: int, out_rate: int, quality: Quality, resampled: Samples, check: Check | None) -> bool:
    """Write the result; False if something may not be finite."""
    plan = plan_for(in_rate, out_rate, quality)
    finite = True
    for channel, out in zip(np.atleast_2d(signal), np.atleast_2d(resampled), strict=True):
        if isinstance(plan, BlockPlan):
            finite = plan.fill(channel, 0, 0, out, check) and finite
            continue
        if check is not None:
            check()
        refuse_input(signal)
        import soxr  # type: ignore[import-untyped]  # ships neither stubs nor a marker; few programs need it

        # libsoxr rounds the length to the nearest; silence worth two samples of the result makes sure that the last one exists.
        silence = np.zeros(2 * in_rate // out_rate + 2, np.float32)
        padded = np.concatenate([channel, silence])
        if out.size:
            out[:] = soxr.resample(padded, in_rate, out_rate, quality=SOXR_RECIPES[quality])[: out.size]
        finite = False
    return finite
