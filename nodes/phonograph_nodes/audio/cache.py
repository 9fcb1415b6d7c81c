"""Keeps decoded audio in memory, for programs that load the same files again and again.

What is kept is handed out as it is, without a copy, and so is read-only. The least recently used goes first when there is too
much of it, by bytes or by number. Of several threads that ask for the same at the same time, one decodes it, and the others wait.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Loaded = tuple[NDArray[Any], int]
"""Samples, and their rate in Hz."""

MAX_BYTES = 512 * 2**20
MAX_FILES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """How a cache fares.

    Args:
        hits: answers without decoding; near `hits + misses` when it is large enough. waits: those of them that waited for another
            thread, which was decoding the same.
        misses: what was decoded.
        evictions: what had to go for others; many, and few hits: it is too small.
        num_files, num_bytes: in it now. max_files, max_bytes: what it may hold.
    """

    hits: int
    waits: int
    misses: int
    evictions: int
    num_files: int
    num_bytes: int
    max_files: int
    max_bytes: int


class AudioCache:
    """Holds audio by key; for any number of threads.

    Args:
        max_bytes, max_files: at most so much is kept. What is larger by itself is never kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._max_bytes, self._max_files = max_bytes, max_files
        self._kept: OrderedDict[Hashable, Loaded] = OrderedDict()
        self._begin()

    def find(self, key: Hashable) -> Loaded | None:
        """What is kept under a key; counted when there is some."""
        with self._lock:
            loaded = self._kept.get(key)
            if loaded is not None:
                self._kept.move_to_end(key)
                self._hits += 1
            return loaded

    def get(self, key: Hashable, make: Callable[[], tuple[Loaded, bool]]) -> Loaded:
        """What is kept under a key, or else what `make` makes.

        Args:
            make: gives the audio, and whether it may be kept. What it raises goes to its caller alone: another thread that waited
                tries for itself, since a time limit or a cancellation is not its own.

        Returns:
            Audio whose samples are read-only, the same array for everybody.
        """
        waited = False
        while True:
            with self._lock:
                loaded = self._kept.get(key)
                if loaded is not None:
                    self._kept.move_to_end(key)
                    self._hits += 1
                    self._waits += waited
                    return loaded
                flight = self._flights.get(key)
                if flight is None:
                    own = self._flights[key] = _Flight()
                    break
            flight.done.wait()
            waited = True
            if flight.loaded is not None:  # which need not have been kept
                with self._lock:
                    self._hits += 1
                    self._waits += 1
                return flight.loaded
        try:
            loaded, may_be_kept = make()
            samples = _read_only(loaded[0])
            own.loaded = (samples, loaded[1])
            with self._lock:
                self._misses += 1
                if may_be_kept and self._flights.get(key) is own:  # else it was cleared meanwhile
                    self._keep(key, own.loaded)
        finally:
            with self._lock:
                if self._flights.get(key) is own:
                    del self._flights[key]
            own.done.set()
        return own.loaded

    def info(self) -> CacheInfo:
        with self._lock:
            return CacheInfo(
                hits=self._hits,
                waits=self._waits,
                misses=self._misses,
                evictions=self._evictions,
                num_files=len(self._kept),
                num_bytes=self._num_bytes,
                max_files=self._max_files,
                max_bytes=self._max_bytes,
            )

    def clear(self) -> None:
        """Forget everything, statistics too. What is being decoded now will not be kept."""
        with self._lock:
            self._reset()

    def set_size(self, max_bytes: int | None, max_files: int | None) -> None:
        """Change what it may hold; None leaves as it is. What is too much goes at once."""
        for name, given in (("max_bytes", max_bytes), ("max_files", max_files)):
            if given is not None and given < 0:
                raise ValueError(f"{name} is {given}; expected 0 or more")
        with self._lock:
            self._max_bytes = self._max_bytes if max_bytes is None else max_bytes
            self._max_files = self._max_files if max_files is None else max_files
            self._shrink()

    def _begin(self) -> None:
        """Begin anew. In a forked process too, whose parent's threads may have held the lock, or been decoding."""
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._kept.clear()
        self._flights: dict[Hashable, _Flight] = {}
        self._num_bytes = self._hits = self._waits = self._misses = self._evictions = 0

    def _keep(self, key: Hashable, loaded: Loaded) -> None:
        if loaded[0].nbytes <= self._max_bytes:
            self._kept[key] = loaded
            self._num_bytes += loaded[0].nbytes
            self._shrink()

    def _shrink(self) -> None:
        while self._num_bytes > self._max_bytes or len(self._kept) > self._max_files:
            _, (samples, _) = self._kept.popitem(last=False)
            self._num_bytes -= samples.nbytes
            self._evictions += 1


class _Flight:
    """One thread decodes, and others may wait for it."""

    __slots__ = ("done", "loaded")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.loaded: Loaded | None = None


def _read_only(samples: NDArray[Any]) -> NDArray[Any]:
    """A view of the same samples that cannot be made writeable again, for what owns them is not."""
    owner: Any = samples
    while isinstance(owner, np.ndarray):
        owner.setflags(write=False)
        owner = owner.base
    return samples.view()


CACHE = AudioCache()
"""The one that `load(..., cache=True)` uses."""

os.register_at_fork(after_in_child=CACHE._begin)


def cache_info() -> CacheInfo:
    """Statistics of the cache that `load(..., cache=True)` uses."""
    return CACHE.info()


def clear_cache() -> None:
    """Forget all audio that `load(..., cache=True)` keeps, and the statistics."""
    CACHE.clear()


def set_cache_size(*, max_bytes: int | None = None, max_files: int | None = None) -> None:
    """Change how much audio `load(..., cache=True)` may keep: 512 MiB and 4096 files unless told otherwise.

    Args:
        max_bytes: of samples; 0 keeps none. max_files: pieces of audio, of which one file may give several.

    Raises:
        ValueError: a negative number.
    """
    CACHE.set_size(max_bytes, max_files)
