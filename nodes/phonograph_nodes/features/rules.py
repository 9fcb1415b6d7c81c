"""The rules that a front end's constants must keep, alone and together.

Each broken rule raises ValueError: the field, what it was given, the range, and why where that is not plain. What is expected
is said in words that hold in manifests too, where null is the front end's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import numpy as np

from phonograph.errors import ParameterError
from phonograph_nodes.features.synonyms import suggestion

if TYPE_CHECKING:
    from phonograph_nodes.features.definition import FrontEnd

MAX_FFT_LENGTH = 65_536
"""Also of a hop: the kernel's workspace is some sixteen of them."""

MAX_MEL_BINS = 4096
MAX_ROWS = 1_000_000
"""Rows that may be joined into one, or filled up to a multiple of."""

_TINY = 1.2e-38  # the least normal float32, roughly
_HUGE = 1e30
_LOUD = 1e9  # of what levels are multiplied with or shifted by, so that no result overflows

_OFF = "None (in a manifest 0)"  # how a range below the peak is said to be none

_WHOLE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "sample_rate": (1, 2**31 - 1),
        "dither_seed": (0, 2**63 - 1),
        "min_samples": (0, 2**31 - 1),
        "fft_length": (2, MAX_FFT_LENGTH),
        "hop_length": (1, MAX_FFT_LENGTH),
        "num_mel_bins": (1, MAX_MEL_BINS),
        "stack": (1, MAX_ROWS),
        "pad_rows_to": (1, MAX_ROWS),
    }
)
"""Field -> least and greatest whole number."""

_REAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "scale": (1e-9, 1e9),
        "dither": (0.0, 1e9),
        "low_hz": (0.0, _HUGE),
        "floor": (_TINY, _HUGE),
        "shift": (-_LOUD, _LOUD),
        "deviation_floor": (1e-20, _LOUD),
        "padding_value": (-_LOUD, _LOUD),
    }
)
"""Field -> least and greatest number."""

_SWITCHES = (
    "normalize_signal",
    "quantise",
    "remove_mean",
    "straight_in_mel",
    "mel_area",
    "add_floor",
    "deltas",
    "unbiased",
)
_CHOICES = (
    "preemphasis_in",
    "window",
    "placement",
    "edges",
    "power",
    "mel_scale",
    "log",
    "normalisation",
    "deviation_floor_in",
)


def check(front_end: FrontEnd) -> None:
    """Raise ValueError for the first rule that the constants break."""
    for name in _SWITCHES:
        if not isinstance(getattr(front_end, name), bool):
            raise _wrong(front_end, name, "True or False")
    choices = get_type_hints(type(front_end))
    for name in _CHOICES:
        allowed = get_args(choices[name])
        if (value := getattr(front_end, name)) not in allowed:
            near = suggestion(value, allowed) if isinstance(value, str) and name != "power" else ""
            raise _wrong(front_end, name, f"one of {', '.join(map(str, allowed))}{near}")
    for name, (least, greatest) in _WHOLE.items():
        _check_whole(front_end, name, least, greatest)
    for name, (low, high) in _REAL.items():
        _check_real(front_end, name, low, high)
    _check_windows(front_end)
    _check_mel_bins(front_end)
    _check_levels(front_end)


def _check_windows(front_end: FrontEnd) -> None:
    _check_whole(front_end, "window_length", 1, front_end.fft_length, "fft_length")
    if not is_real(front_end.preemphasis) or not 0.0 <= front_end.preemphasis < 1.0:
        raise _wrong(front_end, "preemphasis", "at least 0 and below 1")
    for name in ("normalize_signal", "quantise"):
        if getattr(front_end, name) and front_end.scale != 1.0:
            raise _wrong(front_end, "scale", f"1 with {name}, which takes samples in [-1, 1]")
    for name, off in (("dither", "0"), ("quantise", "it off")):
        if front_end.normalize_signal and getattr(front_end, name):
            raise _wrong(
                front_end, name, f"{off} with normalize_signal, whose mean and peak are those of the samples as they are"
            )


def _check_mel_bins(front_end: FrontEnd) -> None:
    nyquist = front_end.sample_rate / 2
    if front_end.high_hz is not None and not is_real(front_end.high_hz):
        raise _wrong(front_end, "high_hz", "a frequency in Hz; 0 is the Nyquist frequency")
    top, high = front_end.top_hz, front_end.high_hz
    if top > nyquist:
        raise _wrong(front_end, "high_hz", f"at most {nyquist:g} Hz, half the sample rate")
    if front_end.low_hz >= top:
        given = f"{top:g} ({high:g} counted from the Nyquist frequency)" if high is not None and high <= 0 else f"{top:g}"
        raise ValueError(f"low_hz is {front_end.low_hz:g} and high_hz {given}; expected low_hz < high_hz")


def _check_levels(front_end: FrontEnd) -> None:
    peak = front_end.range_below_peak
    if peak is not None and (not is_real(peak) or not 0.0 < peak <= _LOUD):
        raise _wrong(
            front_end, "range_below_peak", f"more than 0 and at most {_LOUD:g}, or {_OFF} to leave all levels as they are"
        )
    if not is_real(front_end.gain) or not 1.0 / _LOUD <= abs(front_end.gain) <= _LOUD:
        raise _wrong(front_end, "gain", f"a number from {1.0 / _LOUD:g} to {_LOUD:g}, or as much below 0")
    _check_whole(front_end, "num_cepstra", 0, front_end.num_mel_bins, "the number of mel bins")
    if front_end.deltas and not front_end.num_cepstra:
        raise _wrong(front_end, "deltas", "it only with cepstra (num_cepstra)")
    for name, neutral, how in (("range_below_peak", None, _OFF), ("shift", 0.0, "0"), ("gain", 1.0, "1")):
        if front_end.num_cepstra and (value := getattr(front_end, name)) != neutral:
            why = f"0 beside {name}, which is {value:g} and would change levels before cepstra are taken of them"
            raise _wrong(front_end, "num_cepstra", f"{why}; for cepstra set {name} to {how}")
    if front_end.normalisation == "per_bin" and peak is not None:
        raise _wrong(front_end, "range_below_peak", f"{_OFF} with normalisation 'per_bin', which is of the levels as they are")
    if front_end.normalisation == "per_bin" and front_end.deltas:
        raise _wrong(front_end, "deltas", "it off with normalisation 'per_bin'")


def _check_whole(front_end: FrontEnd, name: str, least: int, greatest: int, limit: str = "") -> None:
    if not is_whole(getattr(front_end, name), least, greatest):
        raise _wrong(front_end, name, f"a whole number from {least} to {f'{limit}, {greatest}' if limit else greatest}")


def _check_real(front_end: FrontEnd, name: str, low: float, high: float) -> None:
    value = getattr(front_end, name)
    if not is_real(value) or not low <= value <= high:
        raise _wrong(front_end, name, f"a number from {low:g} to {high:g}")


def is_whole(value: Any, least: int, greatest: float = math.inf) -> bool:
    """Whether it is an integer of this range, Python's or NumPy's."""
    return not isinstance(value, bool) and isinstance(value, int | np.integer) and bool(least <= value <= greatest)


def is_real(value: Any) -> bool:
    """Whether it is a finite number."""
    return not isinstance(value, bool) and isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def _wrong(front_end: FrontEnd, name: str, expected: str) -> ParameterError:
    return ParameterError(name, getattr(front_end, name), expected)
