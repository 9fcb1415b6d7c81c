"""Many loads in one process: what they leave behind in memory and in open handles."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from phonograph.errors import AudioError
from phonograph_nodes.audio import load

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Left(NamedTuple):
    """What loads left behind.

    Args:
        levels: of the process's memory in bytes, after each tenth of the loads.
        num_handles: open file descriptors afterwards, less those before.
        num_failed: loads that ended in an AudioError.
    """

    levels: list[int]
    num_handles: int
    num_failed: int

    @property
    def growth(self) -> int:
        """Bytes from the second tenth, when all tables are built and the allocator has its pools, to the last."""
        return self.levels[-1] - self.levels[1]


def loads(paths: Sequence[Path], num_loads: int) -> Left:
    """Load files in turn: whole and in part, from disk and from memory, as they are and resampled, good ones and bad ones."""
    ways: list[Callable[[Path], object]] = [
        lambda path: load(path, sr=16_000),
        lambda path: load(path, sr=None, mono=False, offset=0.3, duration=0.4),
        lambda path: load(path.read_bytes(), sr=None),
        lambda path: load(path, sr=8_000, duration=0.2, keep_truncated=True, non_finite="zero"),
    ]
    turns = itertools.cycle(itertools.product(paths, ways))
    before, levels, num_failed = len(os.listdir("/proc/self/fd")), [], 0
    for number in range(num_loads):
        path, way = next(turns)
        try:
            way(path)
        except AudioError:
            num_failed += 1
        if (number + 1) % max(num_loads // 10, 1) == 0:
            gc.collect()
            levels.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES)
    return Left(levels, len(os.listdir("/proc/self/fd")) - before, num_failed)
