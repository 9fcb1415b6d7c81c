"""The options of `log_mel`, `LogMel` and `LogMelStream`, resolved to what they compute with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, get_args

import numpy as np

from phonograph.errors import nearest
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
from phonograph_nodes.features.rules import MAX_MEL_BINS

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


@dataclass(frozen=True, slots=True)
class Options:
    """A front end with what its callers want of it.

    Args:
        pad_to: samples to which the signal is cut or filled up; None leaves it.
        bins_first: the result is (num_columns, num_rows).
        scrubs: samples that are not finite count as 0.
    """

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
        raise ValueError(f"non_finite is {non_finite!r}; expected one of {', '.join(get_args(NonFinite))}")
    if bins_first and front_end.stack > 1:
        raise ValueError(f"bins_first is True; expected False with stack ({front_end.stack}), whose rows are of several windows")
    return Options(front_end, _pad_to(front_end, pad_to_s), bool(bins_first), non_finite == "zero")


def warn_of_empty_bins(front_end: FrontEnd, stacklevel: int) -> None:
    """Warn, as librosa does, of mel triangles so narrow that no bin of the spectrum lies inside: their level is the floor.

    Raises:
        ValueError: all of them are.
    """
    empty = np.asarray(~mel_filters(front_end).any(axis=1))
    if not empty.any():
        return
    spacing = f"{front_end.sample_rate / front_end.fft_length:g} Hz"
    found = f"{int(empty.sum())} of {len(empty)} mel bins (the first: {int(np.argmax(empty))}) hold no bin of the spectrum"
    remedy = f"the spectrum's bins are {spacing} apart; take a longer fft_length, fewer mel bins or a wider band"
    if empty.all():
        raise ValueError(f"{found}; {remedy}")
    warnings.warn(f"{found} and stay at the floor; {remedy}", stacklevel=stacklevel + 1)


def _front_end(frontend: str | FrontEnd, n_mels: int | None, overrides: Mapping[str, Any]) -> FrontEnd:
    if isinstance(frontend, str):
        if frontend not in FRONT_ENDS:
            close = nearest(frontend, FRONT_ENDS)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"frontend is {frontend!r}; expected one of {', '.join(FRONT_ENDS)}{hint}")
        frontend = FRONT_ENDS[frontend]
    elif not isinstance(frontend, FrontEnd):
        raise ValueError(f"frontend is {frontend!r}; expected a FrontEnd or one of {', '.join(FRONT_ENDS)}")
    for name in overrides:
        if name not in OVERRIDES:
            close = nearest(name, OVERRIDES)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise TypeError(f"unexpected keyword argument {name!r}; expected a field of FrontEnd{hint}")
    if n_mels is not None:
        if isinstance(n_mels, bool) or not isinstance(n_mels, int | np.integer) or not 1 <= n_mels <= MAX_MEL_BINS:
            raise ValueError(f"n_mels is {n_mels!r}; expected a whole number from 1 to {MAX_MEL_BINS}")
        if overrides.get("num_mel_bins", n_mels) != n_mels:
            raise ValueError(f"n_mels is {n_mels} and num_mel_bins {overrides['num_mel_bins']}; expected one of the two")
        overrides = {**overrides, "num_mel_bins": n_mels}
    return replace(frontend, **overrides) if overrides else frontend


def _pad_to(front_end: FrontEnd, pad_to_s: float | None) -> int | None:
    if pad_to_s is None:
        return None
    if front_end.normalize_signal or front_end.normalisation == "per_bin":
        why = "what it would fill up with would count in means and deviations"
        raise ValueError(f"pad_to_s is {pad_to_s}; expected None for a front end that normalises over time: {why}")
    if isinstance(pad_to_s, bool) or not isinstance(pad_to_s, int | float) or not MIN_PAD_S <= pad_to_s <= MAX_PAD_S:
        raise ValueError(f"pad_to_s is {pad_to_s!r}; expected {MIN_PAD_S:g} to {MAX_PAD_S:g} s")
    return max(1, round(pad_to_s * front_end.sample_rate))
