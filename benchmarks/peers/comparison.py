"""One peer beside ours: the two calls, what they are given, and how close their answers must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.signals import Features, Samples
from benchmarks.timing import Race, race


class UnequalAnswersError(AssertionError):
    """A peer and ours do not compute the same, so their times must not be compared."""


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and theirs, ready to be called.

    Args:
        ours: what is timed of ours; samples -> features.
        theirs: what is timed of the peer.
        given: makes what the peer is given out of the samples, before the clock runs.
        fetched: makes features, in the shape of ours, out of what the peer returns, after the clock has stopped.
        instructions: the instruction set that the peer chose, where it tells.
    """

    ours: Callable[[Samples], Features]
    theirs: Callable[[Any], Any]
    given: Callable[[Samples], Any] = _as_it_is
    fetched: Callable[[Any], Features] = _as_it_is
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A peer's way to compute one of our front ends.

    Args:
        name: unique; what `--only` takes.
        peer: the distribution's name.
        frontend: ours, as `log_mel` names it.
        how: how the peer is called, one sentence for the report.
        tolerance: largest absolute deviation between the answers, in the unit of the features.
        prepare: imports the peer, which may be missing before, and builds what a user would build once.
    """

    name: str
    peer: str
    frontend: str
    how: str
    tolerance: float
    prepare: Callable[[], Pair]


@dataclass(frozen=True, slots=True)
class Result:
    """What one comparison gave for one length of audio."""

    deviation: float
    race: Race


def compare(comparison: Comparison, pair: Pair, samples: Samples, *, rounds: int) -> Result:
    """Compare the answers, then the times.

    Raises:
        UnequalAnswersError: shapes differ, or a value deviates by more than the tolerance.
    """
    given = pair.given(samples)
    ours = pair.ours(samples)
    deviation = deviation_of(ours, pair.fetched(pair.theirs(given)), comparison)
    raced = race(lambda: pair.ours(samples), lambda: pair.theirs(given), rounds=rounds)
    return Result(deviation, raced)


def deviation_of(ours: Features, theirs: Features, comparison: Comparison) -> float:
    """The largest absolute deviation. Raises UnequalAnswersError when it is above the tolerance, or none can be told."""
    if ours.shape != theirs.shape:
        raise UnequalAnswersError(f"{comparison.name}: ours gives shape {ours.shape}, {comparison.peer} gives {theirs.shape}")
    deviations = np.abs(ours.astype(np.float64) - theirs)
    if not deviations.size or not np.isfinite(deviations).all():
        raise UnequalAnswersError(f"{comparison.name}: nothing to compare, or values that are not finite, in shape {ours.shape}")
    at = np.unravel_index(int(np.argmax(deviations)), deviations.shape)
    deviation = float(deviations[at])
    if deviation > comparison.tolerance:
        raise UnequalAnswersError(
            f"{comparison.name}: ours and {comparison.peer} deviate by {deviation:.3g} at {tuple(map(int, at))} "
            f"({ours[at]:.6g} and {theirs[at]:.6g}); expected at most {comparison.tolerance:g}"
        )
    return deviation
