"""Times two calls against each other: in turns, on one core, as medians with quartiles.

Other work on the machine, and the processor's clock, change from one second to the next. So what is compared is timed in the
same round, a ratio is taken within each round, and what is reported is the median of the ratios with their quartiles.

What is read is the processor time of the whole process, with all its threads and what the kernel does for it. Nothing that is
timed here waits for anything, so where the core is free it is the time on the wall; where other programs want the core too, their
part of it does not count.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

ONE_THREAD: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""Environment under which the libraries that have thread pools use one thread; it counts when they are imported."""

SHORTEST_S = 0.002  # a turn takes at least this long, by calling often enough, so that reading the clock does not count
MOST_REPEATS = 10_000


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of a measured quantity."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least two values. Quartiles are interpolated between the values beside them."""
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper)

    def as_json(self) -> dict[str, float]:
        """With six significant digits."""
        return {name: float(f"{value:.6g}") for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Race:
    """Seconds a call for ours and theirs, and theirs / ours: above 1, ours is faster."""

    ours: Spread
    theirs: Spread
    ratio: Spread


def pin(core: int | None = None) -> int:
    """Keep this process on one core, the last that it may use unless told; returns which."""
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def repeats_for(call: Callable[[], object]) -> int:
    """How often to call in a turn, so that it takes at least SHORTEST_S."""
    call()
    once = min(seconds_per_call(call, 1) for _ in range(3))
    return max(1, min(MOST_REPEATS, round(SHORTEST_S / once + 0.5)))


def seconds_per_call(call: Callable[[], object], repeats: int) -> float:
    """Mean seconds of processor time a call of one turn.

    One call goes before, untimed: it brings code, tables and buffers back into the caches that the other side has used. The
    garbage collector is off meanwhile.
    """
    call()
    collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.process_time_ns()
        for _ in range(repeats):
            call()
        return (time.process_time_ns() - started) / repeats * 1e-9
    finally:
        if collecting:
            gc.enable()


def race(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> Race:
    """Time both in turns, in every second round the other first."""
    sides = (ours, theirs)
    repeats = [repeats_for(side) for side in sides]
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            seconds[side].append(seconds_per_call(sides[side], repeats[side]))
    return judged(*seconds)


def judged(ours: Sequence[float], theirs: Sequence[float]) -> Race:
    """The spreads of what was timed, and of theirs / ours round by round."""
    ratios = [their_s / our_s for our_s, their_s in zip(ours, theirs, strict=True)]
    return Race(Spread.of(ours), Spread.of(theirs), Spread.of(ratios))
