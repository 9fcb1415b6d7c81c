"""Tells facts of arrays and audio, and compares arrays value by value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.cases.comparison import ABSENT, Difference, shown


@dataclass(frozen=True, slots=True)
class Values:
    """Every value of an array, each off by `within` at most.

    Args:
        make: makes the expected array.
        within: None: equal, in the precision of what came.
    """

    make: Callable[[], NDArray[Any]]
    within: float | None

    def compare(self, got: Any, place: str) -> Iterator[Difference]:
        expected = np.asarray(self.make())
        if expected.ndim == 1 and got.ndim == 2 and got.shape[0] == 1:  # mono audio, written as one list
            got, place = got[0], f"{place}[0]"
        if expected.shape != got.shape:
            yield Difference(place, f"values of shape {list(expected.shape)}", f"shape {list(got.shape)}")
            return
        is_off = _off(expected, got, self.within)
        if not is_off.any():
            return
        distances = np.where(is_off, _distance(expected, got), -1.0)
        worst = np.unravel_index(int(np.argmax(distances)), got.shape)
        trail = "".join(f"[{index}]" for index in worst)
        wanted = shown(expected[worst]) if self.within is None else f"{shown(expected[worst])} within {shown(self.within)}"
        share = f"{shown(got[worst])} (the worst of {int(is_off.sum())} of {got.size} values that differ)"
        yield Difference(place + trail, wanted, share)


def _off(expected: NDArray[Any], got: NDArray[Any], within: float | None) -> NDArray[np.bool_]:
    both_nan = np.isnan(expected) & np.isnan(got)
    if within is None:
        return np.asarray((expected.astype(got.dtype) != got) & ~both_nan)
    slack = 1e-12 * np.maximum(1.0, np.abs(np.where(np.isfinite(expected), expected, 0.0)))
    with np.errstate(invalid="ignore"):
        is_near = np.abs(expected - got.astype(np.float64)) <= within + slack
    return np.asarray(~(is_near | (expected == got) | both_nan))


def _distance(expected: NDArray[Any], got: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(np.abs(expected.astype(np.float64) - got), nan=math.inf, posinf=math.inf), np.float64)


def array_of(value: AudioChunk | NDArray[Any]) -> NDArray[Any]:
    return value.samples if isinstance(value, AudioChunk) else value


def _reduced(reduce: Callable[[NDArray[Any]], Any]) -> Callable[[AudioChunk | NDArray[Any]], Any]:
    """A figure of all values; of no values there is none."""

    def figure(value: AudioChunk | NDArray[Any]) -> Any:
        array = array_of(value)
        return reduce(array) if array.size else ABSENT

    return figure


def _level(chunk: AudioChunk) -> float:
    """The mean level in dBFS; 0 is a full-scale square wave."""
    if not chunk.samples.size:
        return -math.inf
    power = float(np.mean(np.square(chunk.samples, dtype=np.float64)))
    return 10 * math.log10(power) if power > 0 else (power if math.isnan(power) else -math.inf)


ARRAY_FACTS: Mapping[str, Callable[[Any], Any]] = {
    "shape": lambda value: tuple(array_of(value).shape),
    "min": _reduced(np.min),
    "max": _reduced(np.max),
    "mean": _reduced(lambda array: float(np.mean(array, dtype=np.float64))),
    "finite": lambda value: bool(np.isfinite(array_of(value)).all()),
}
"""Fact -> what tells it of an array, or of audio."""

AUDIO_FACTS: Mapping[str, Callable[[Any], Any]] = {
    "rate": lambda chunk: chunk.sample_rate,
    "channels": lambda chunk: chunk.num_channels,
    "num_samples": lambda chunk: chunk.num_samples,
    "duration": lambda chunk: chunk.duration_s,
    "level": _level,
}
"""Fact -> what tells it of an AudioChunk, besides what is true of its samples as an array."""
