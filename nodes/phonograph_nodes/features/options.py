"""The options of `log_mel`, `LogMel` and `LogMelStream`, resolved to what they compute with."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import ParameterError
from phonograph_nodes.features.definition import (
    DeviationFloor,
    Edges,
    FrontEnd,
    Log,
    MelScale,
    Normalisation,
    Placement,
    Power,
    PreemphasisIn,
    Window,
)
from phonograph_nodes.features.mel import mel_filters
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.rules import MAX_MEL_BINS, is_real, is_whole
from phonograph_nodes.features.synonyms import suggestion, unknown_argument

NonFinite = Literal["refuse", "zero"]

MIN_PAD_S = 0.01
MAX_PAD_S = 3600.0


class Overrides(TypedDict, total=False):
    """What may be given to replace a constant of a front end, besides its sample rate; `FrontEnd` says what each means."""

    scale: float
    normalize_signal: bool
    quantise: bool
    dither: float
    dither_seed: int
    preemphasis: float
    preemphasis_in: PreemphasisIn
    min_samples: int
    window_length: int
    hop_length: int
    fft_length: int
    window: Window
    placement: Placement
    edges: Edges
    remove_mean: bool
    power: Power
    num_mel_bins: int
    mel_scale: MelScale
    low_hz: float
    high_hz: float | None
    straight_in_mel: bool
    mel_area: bool
    log: Log
    floor: float
    add_floor: bool
    range_below_peak: float | None
    shift: float
    gain: float
    num_cepstra: int
    deltas: bool
    normalisation: Normalisation
    unbiased: bool
    deviation_floor_in: DeviationFloor
    deviation_floor: float
    stack: int
    padding_value: float
    pad_rows_to: int


OVERRIDES: tuple[str, ...] = tuple(field.name for field in fields(FrontEnd))
_ARGUMENTS = ("n_mels", "pad_to_s", "bins_first", "non_finite", *OVERRIDES)

# Where lengths are samples at any rate, and not so many milliseconds.
_LENGTHS_ARE_SAMPLES = {"librosa"}


@dataclass(frozen=True, slots=True)
class Options:
    """A front end with what its callers want of it.

    Args:
        name: of the front end whose constants these are but for overrides; "" for a definition of one's own.
        pad_to: samples to which the signal is cut or filled up; None leaves it.
        bins_first: the result is (num_columns, num_rows).
        scrubs: samples that are not finite count as 0.
    """

    name: str
    front_end: FrontEnd
    pad_to: int | None
    bins_first: bool
    scrubs: bool

    def num_windows(self, num_samples: int) -> int:
        """Windows of a signal of this length."""
        return self.front_end.num_windows(num_samples if self.pad_to is None else self.pad_to)

    def padded(self, num_samples: int) -> int:
        """Where the signal ends once it is filled up; the edge rule stands there."""
        return max(num_samples, self.front_end.min_samples, self.pad_to or 0)

    def __str__(self) -> str:
        """As arguments of a call, those that differ from what they would be anyway."""
        own = FRONT_ENDS[self.name] if self.name else FrontEnd()
        pairs = ((name, getattr(self.front_end, name)) for name in OVERRIDES)
        changes = [f"{name}={value!r}" for name, value in pairs if value != getattr(own, name)]
        told = [repr(self.name), *changes] if self.name else [f"FrontEnd({', '.join(changes)})"]
        if self.pad_to is not None:
            told.append(f"pad_to_s={self.pad_to / self.front_end.sample_rate:g}")
        if self.bins_first:
            told.append("bins_first=True")
        if self.scrubs:
            told.append("non_finite='zero'")
        return ", ".join(told)


def resolved(
    frontend: str | FrontEnd,
    n_mels: int | None,
    pad_to_s: float | None,
    bins_first: bool,
    non_finite: str,
    overrides: Mapping[str, Any],
    sample_rate: int | None = None,
) -> Options:
    """The options, checked; None and what is not in `overrides` are the front end's own.

    Raises:
        ValueError: a name that there is not, a value outside its range, values that contradict each other.
        TypeError: an override that is no field of `FrontEnd`.
    """
    front_end = _front_end(frontend, n_mels, overrides if sample_rate is None else {**overrides, "sample_rate": sample_rate})
    if non_finite not in get_args(NonFinite):
        raise ParameterError("non_finite", non_finite, f"one of {', '.join(get_args(NonFinite))}")
    if not isinstance(bins_first, bool | np.bool_):
        raise ParameterError("bins_first", bins_first, "True or False")
    if bins_first and front_end.stack > 1:
        raise ParameterError("bins_first", True, f"it off with stack ({front_end.stack}), whose rows are of several windows")
    name = frontend if isinstance(frontend, str) else ""
    return Options(name, front_end, _pad_to(front_end, pad_to_s), bool(bins_first), non_finite == "zero")


def warn_of_kept_lengths(options: Options, given: Mapping[str, Any], stacklevel: int) -> None:
    """Warn of a named front end at another rate than its own whose lengths stay: they last longer or shorter then.

    Args:
        given: the overrides; one that gives a window or hop knows what it does.
    """
    if options.name in {"", *_LENGTHS_ARE_SAMPLES} or given.keys() & {"window_length", "hop_length"}:
        return
    own, front_end = FRONT_ENDS[options.name], options.front_end
    if own.sample_rate == front_end.sample_rate:
        return
    names = ("window_length", "hop_length", "fft_length")
    lasts = [
        " and ".join(f"{1000 * getattr(own, name) / rate:.3g}" for name in names[:2])
        for rate in (front_end.sample_rate, own.sample_rate)
    ]
    fitting = (f"{name}={round(getattr(own, name) * front_end.sample_rate / own.sample_rate)}" for name in names)
    warnings.warn(
        f"sample_rate is {front_end.sample_rate} Hz, and the lengths of {options.name!r} stay {own.window_length} (window) and "
        f"{own.hop_length} samples (hop), which last {lasts[0]} ms and not {lasts[1]} ms as at {own.sample_rate} Hz. "
        f"To keep the times, pass {', '.join(fitting)}; to keep the samples, pass window_length={own.window_length}",
        stacklevel=stacklevel + 1,
    )


def warn_of_empty_bins(front_end: FrontEnd, stacklevel: int) -> None:
    """Warn, as librosa does, of mel triangles so narrow that no bin of the spectrum lies inside: their level is the floor.

    Raises:
        ValueError: all of them are.
    """
    empty = _empty_bins(front_end)
    if not empty.any():
        return
    spacing = f"{front_end.sample_rate / front_end.fft_length:g} Hz"
    found = f"{int(empty.sum())} of {len(empty)} mel bins (the first: {int(np.argmax(empty))}) hold no bin of the spectrum"
    remedy = f"the spectrum's bins are {spacing} apart; take a longer fft_length, fewer mel bins or a wider band"
    if empty.all():
        raise ValueError(f"{found}; {remedy}")
    warnings.warn(f"{found} and stay at the floor; {remedy}", stacklevel=stacklevel + 1)


@functools.lru_cache(maxsize=32)
def _empty_bins(front_end: FrontEnd) -> NDArray[np.bool_]:
    return np.asarray(~mel_filters(front_end).any(axis=1))


def _front_end(frontend: str | FrontEnd, n_mels: int | None, overrides: Mapping[str, Any]) -> FrontEnd:
    if isinstance(frontend, str):
        if frontend not in FRONT_ENDS:
            known = f"one of {', '.join(FRONT_ENDS)}{suggestion(frontend, FRONT_ENDS)}"
            raise ParameterError("frontend", frontend, known)
        frontend = FRONT_ENDS[frontend]
    elif not isinstance(frontend, FrontEnd):
        raise ParameterError("frontend", frontend, f"a FrontEnd or one of {', '.join(FRONT_ENDS)}")
    for name in overrides:
        if name not in OVERRIDES:
            raise unknown_argument(name, _ARGUMENTS)
    if n_mels is not None:
        if not is_whole(n_mels, 1, MAX_MEL_BINS):
            raise ParameterError("n_mels", n_mels, f"a whole number from 1 to {MAX_MEL_BINS}")
        if overrides.get("num_mel_bins", n_mels) != n_mels:
            raise ValueError(f"n_mels is {n_mels} and num_mel_bins {overrides['num_mel_bins']}; expected one of the two")
        overrides = {**overrides, "num_mel_bins": n_mels}
    return replace(frontend, **overrides) if overrides else frontend


def _pad_to(front_end: FrontEnd, pad_to_s: float | None) -> int | None:
    if pad_to_s is None:
        return None
    if front_end.normalize_signal or front_end.normalisation == "per_bin":
        why = "what it would fill up with would count in means and deviations"
        raise ParameterError("pad_to_s", pad_to_s, f"none with a front end that normalises over time: {why}")
    if not is_real(pad_to_s) or not MIN_PAD_S <= pad_to_s <= MAX_PAD_S:
        raise ParameterError("pad_to_s", pad_to_s, f"{MIN_PAD_S:g} to {MAX_PAD_S:g} s")
    return max(1, round(pad_to_s * front_end.sample_rate))
