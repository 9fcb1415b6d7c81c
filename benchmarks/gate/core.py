"""Whether a second thread has a share of the core that this process runs on.

Another virtual machine may have the core's other hardware thread. Nothing in this machine's own accounts tells: processor time
goes on as ever, and code that keeps many of the core's units busy takes half as long again, for seconds or minutes, while code
that waits for one result after the other takes no longer. So two such loops are timed beside each other.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import time
from pathlib import Path

from benchmarks.timing import pin

ROUNDS = 3000  # of a loop: some 5 us
TRIES = 3
SHARED = 1.1  # times the figure of a core that this process has to itself; with a second thread it is 1.3 and more
LOOK = 100  # figures from which that of a core alone is guessed where none is given
WAIT_S = 0.02


class Core:
    """The core that this process is on, and may leave for another.

    Args:
        library: the compiled references.
        alone: the figure of a core without a second thread, when it is known; else the lowest usual one of all cores counts.
        patience_s: how long to wait in all for a core without a second thread.
    """

    def __init__(self, library: Path, alone: float | None, patience_s: float) -> None:
        self._both = _loops(library)
        self._cores = sorted(os.sched_getaffinity(0))
        self._next = itertools.cycle(self._cores)
        self._patience_s = patience_s
        self.waited_s = 0.0
        seen = min(self._look(core) for core in self._cores)
        self.alone = seen if alone is None else min(alone, seen)
        self.move()

    def _look(self, core: int) -> float:
        pin(core)
        return sorted(self.figure() for _ in range(LOOK))[LOOK // 10]

    def figure(self) -> float:
        """Time of the loop that keeps many units busy over that of the other."""
        wide, narrow = (min(_timed(loop) for _ in range(TRIES)) for loop in self._both)
        return wide / narrow

    def is_shared(self) -> bool:
        """Whether a second thread has a share just now."""
        return self.figure() > SHARED * self.alone

    def move(self) -> None:
        """To another core, one without a second thread if there is; waits for one while the patience lasts."""
        while True:
            for _ in self._cores:
                pin(next(self._next))
                if not self.is_shared():
                    return
            if self.waited_s >= self._patience_s:
                return
            time.sleep(WAIT_S)
            self.waited_s += WAIT_S


def _loops(library: Path) -> tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer]:
    loaded = ctypes.CDLL(str(library))
    loops = loaded.wide, loaded.narrow
    for loop in loops:
        loop.argtypes, loop.restype = (ctypes.c_long,), ctypes.c_long
    return loops


def _timed(loop: ctypes._NamedFuncPointer) -> int:
    started = time.perf_counter_ns()
    loop(ROUNDS)
    return time.perf_counter_ns() - started
