"""Many loads in one process: what they leave behind in memory and in open handles."""

from __future__ import annotations

import ctypes
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
        heap: bytes that malloc has given out and not got back, at the same times; 0 where it does not tell.
        num_handles: open file descriptors afterwards, less those before.
        num_failed: loads that ended in an AudioError.
    """

    levels: list[int]
    heap: list[int]
    num_handles: int
    num_failed: int

    @property
    def growth(self) -> int:
        """Bytes by which the highest level of the second half is above that of the first; the allocator's pools come and go."""
        half = len(self.levels) // 2
        return max(self.levels[half:]) - max(self.levels[:half])

    @property
    def heap_growth(self) -> int:
        """The same of the heap, which holds still where nothing leaks."""
        half = len(self.heap) // 2
        return max(self.heap[half:]) - max(self.heap[:half])


class _Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    )


def _heap() -> int:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Mallinfo
    return int(library.mallinfo2().uordblks)


def loads(paths: Sequence[Path], num_loads: int) -> Left:
    """Load files in turn: whole and in part, from disk and from memory, as they are and resampled, good ones and bad ones."""
    ways: list[Callable[[Path], object]] = [
        lambda path: load(path, sr=16_000),
        lambda path: load(path, sr=None, mono=False, offset=0.3, duration=0.4),
        lambda path: load(path.read_bytes(), sr=None),
        lambda path: load(path, sr=8_000, duration=0.2, keep_truncated=True, non_finite="zero"),
    ]
    turns = itertools.cycle(itertools.product(paths, ways))
    before, levels, heap, num_failed = len(os.listdir("/proc/self/fd")), [], [], 0
    for number in range(num_loads):
        path, way = next(turns)
        try:
            way(path)
        except AudioError:
            num_failed += 1
        if (number + 1) % max(num_loads // 10, 1) == 0:
            gc.collect()
            levels.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES)
            heap.append(_heap())
    return Left(levels, heap, len(os.listdir("/proc/self/fd")) - before, num_failed)
