"""One sitting: a process in which subjects and their references are timed in turns: `python -m benchmarks.gate.sitting NAME ...`.

A ratio is that of two low quantiles, the tenth of a hundred times: what disturbs a turn makes it longer and never shorter. Times
are processor time, so that a core that other programs have meanwhile does not count; they leave cold caches behind all the same,
so a turn in which that happened is thrown away. So is one during which another virtual machine had a share of the core.

What a sitting cannot average out are the addresses that its code and tables got, which make a per cent or two; so the gate asks
for several.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gate.core import Core
from benchmarks.gate.references import Basis, Call, reference
from benchmarks.gate.subjects import SUBJECTS, Subject, clip

TURN_S = 0.0003  # of one side; short enough to fit between two interruptions
BLOCK = 6  # turns of each side before other subjects have theirs, so that most turns do not meet what those left in the caches
WANTED = 60  # undisturbed turns of each side
FEWEST = 10  # undisturbed turns of a side from which a low quantile means something
ENOUGH_S = 0.6  # for a subject and its reference in a sitting, when there are as few as that
MOST_S = 2.5  # for them when there are fewer still
MOST_WAITED = 0.05  # of a turn's processor time, that it may have waited for its core or its disk
QUANTILE = 0.1


ENVIRONMENT: Mapping[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**24),
}
"""Under which a sitting runs: freed memory stays with the process. Otherwise the C library decides from what came before whether
a large result is new pages each time, and the same call is 7 % slower alone than among others."""


@dataclass(slots=True)
class Side:
    """One of the two.

    Args:
        calls: the same work on arrays at different places in memory, which have their turns one after the other. What lies well
            in the caches at one place does not at another, now and then by half as much again; pages that were freed are given
            to the next process again, so another sitting may be no better.
        repeats: how often a call fills a turn.
        seconds: a call, in each undisturbed turn; processor time.
        on_the_wall: a call, in each turn on a core that was not shared, however long it waited.
    """

    calls: Sequence[Call]
    repeats: int = 1
    seconds: list[float] = field(default_factory=list)
    on_the_wall: list[float] = field(default_factory=list)
    _results: dict[int, object] = field(default_factory=dict)
    _place: int = 0

    def turn(self, core: Core) -> float:
        """Take a turn; returns how long it took, its untimed first call included."""
        began = time.perf_counter()
        self._place = (self._place + 1) % len(self.calls)
        call = self.calls[self._place]
        self._results[self._place] = call()  # brings its code and tables back into the caches; kept, so results change places too
        started, started_cpu = time.perf_counter(), time.process_time()
        for _ in range(self.repeats):
            call()
        cpu_s, ended = time.process_time() - started_cpu, time.perf_counter()
        if not core.is_shared():
            self.on_the_wall.append((ended - started) / self.repeats)
            if ended - started <= cpu_s * (1 + MOST_WAITED):
                self.seconds.append(cpu_s / self.repeats)
        return ended - began

    def size(self) -> None:
        """Find out how many calls fill a turn."""
        self.calls[0]()
        started = time.perf_counter()
        self.calls[0]()
        self.repeats = max(1, math.ceil(TURN_S / (time.perf_counter() - started)))


@dataclass(slots=True)
class Pair:
    """A subject beside its reference."""

    subject: Subject
    ours: Side
    theirs: Side
    basis: Basis
    spent_s: float = 0.0

    @property
    def num_turns(self) -> int:
        """Undisturbed turns, of the side that has fewer."""
        return min(len(self.ours.seconds), len(self.theirs.seconds))

    @property
    def is_done(self) -> bool:
        return self.num_turns >= WANTED or self.spent_s > (ENOUGH_S if self.num_turns >= FEWEST else MOST_S)

    @property
    def waits(self) -> bool:
        """Whether ours waits of itself: in nearly all turns, beside a reference that was left alone in as many."""
        return (
            len(self.ours.seconds) < FEWEST <= len(self.theirs.seconds)
            and len(self.ours.on_the_wall) >= FEWEST
            and 2 * len(self.theirs.seconds) >= len(self.theirs.on_the_wall)
        )

    def seconds(self) -> float | None:
        """A call of ours; None when too few turns were undisturbed."""
        return low(self.ours.seconds) if self.num_turns >= FEWEST else None

    def ratio(self) -> float | None:
        """The reference's time over ours; None when too few turns were undisturbed. What waits takes its time on the wall."""
        return ratio_of(self.ours.on_the_wall if self.waits else self.ours.seconds, self.theirs.seconds)


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Of the low quantiles of both sides' seconds."""
    if min(len(ours), len(theirs)) < FEWEST:
        return None
    return low(theirs) / low(ours)


def low(seconds: Sequence[float]) -> float:
    """The low quantile."""
    return sorted(seconds)[int(QUANTILE * len(seconds))]


def sit(subjects: Sequence[Subject], library: Path, folder: Path, core: Core) -> Mapping[str, object]:
    """Time the subjects, each turn on one core, which this process is then kept on; name -> figures."""
    pairs = []
    for subject in subjects:
        theirs = reference(subject.reference, library, clip(folder))
        ours = [subject.prepare(folder) for _ in theirs.calls]
        pair = Pair(subject, Side(ours), Side(theirs.calls), theirs.basis)
        for side in (pair.ours, pair.theirs):
            side.size()
        pairs.append(pair)
    while going := [pair for pair in pairs if not pair.is_done]:
        for pair in going:  # all of them again and again, so that what disturbs for a while does not hit one alone
            num_before = pair.num_turns
            for number in range(BLOCK):
                sides = (pair.ours, pair.theirs) if number % 2 == 0 else (pair.theirs, pair.ours)
                pair.spent_s += sum(side.turn(core) for side in sides)
            if pair.num_turns - num_before < BLOCK // 2:  # another program is on this core
                core.move()
    return {pair.subject.name: {"ratio": pair.ratio(), "seconds": pair.seconds(), "basis": pair.basis} for pair in pairs}


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where there is such a place, since what a disk does is not what is timed."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="phonograph-gate-", dir=where) as folder:
        yield Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate.sitting", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--library", type=Path, required=True, help="the compiled references")
    parser.add_argument("--alone", type=float, help="the figure of a core without a second thread; see benchmarks.gate.core")
    parser.add_argument("--patience", type=float, default=0.0, metavar="S", help="how long to wait for such a core")
    parser.add_argument("names", nargs="+", choices=[one.name for one in SUBJECTS])
    options = parser.parse_args(arguments)
    gc.disable()  # in turns of its own choosing it would disturb some
    with folder_in_memory() as folder:
        core = Core(options.library, options.alone, options.patience)
        found = sit([one for one in SUBJECTS if one.name in options.names], options.library, folder, core)
    print(json.dumps({"subjects": found, "alone": core.alone, "waited_s": core.waited_s}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
