"""BoundedQueue: the back-pressure between two parts of a graph, bounded by items as well as bytes; or what it drops instead."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from phonograph.graph.model import Full

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """First in, first out, for one event loop; `put` waits while the queue is full, unless its policy is to drop.

    One entry is always let into an empty queue, however large it is: a record bigger than the byte bound passes alone, and does
    not stop the graph.

    Args:
        max_items, max_bytes: bounds on what is waiting.
        num_producers: who may put; the queue closes when all of them have closed it.
        full: what becomes of what `put` finds no room for, see `Full`.

    Attributes:
        drop: is called with what is dropped, and has to account for it. It answers False for what may not be dropped; when there
            is nothing else, `put` waits. To be set where `full` is not "block".
    """

    def __init__(
        self,
        max_items: int,
        max_bytes: int,
        num_producers: int = 1,
        *,
        full: Full = "block",
    ) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._full = full
        self.drop: Callable[[T], bool] = lambda entry: False
        self._entries: deque[tuple[T, int]] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._num_producers = num_producers

    def __len__(self) -> int:
        return len(self._entries)

    def has_room_for(self, num_bytes: int) -> bool:
        return not self._entries or (len(self._entries) < self.max_items and self.num_bytes + num_bytes <= self.max_bytes)

    async def put(self, entry: T, num_bytes: int) -> None:
        """Append an entry that holds `num_bytes`, waiting for room; or drop it, or what has waited longest."""
        if self._full == "newest" and not self.has_room_for(num_bytes) and self.drop(entry):
            return
        while not self.has_room_for(num_bytes):
            if self._full != "oldest" or not self._drop_oldest():
                await self._wait_in(self._putters)
        self.append(entry, num_bytes)

    def append(self, entry: T, num_bytes: int = 0) -> None:
        """Append an entry without asking for room."""
        self._entries.append((entry, num_bytes))
        self.num_bytes += num_bytes
        _wake_one(self._getters)
        if self._putters and self.has_room_for(0):
            _wake_one(self._putters)

    def get_nowait(self) -> T | None:
        """The oldest entry, or None when there is none now."""
        if not self._entries:
            return None
        entry, num_bytes = self._entries.popleft()
        self.num_bytes -= num_bytes
        _wake_one(self._putters)
        return entry

    def get_some(self, most: int, max_bytes: int) -> list[T]:
        """The oldest entries, at most so many, and none behind one with which they hold `max_bytes`."""
        taken: list[T] = []
        num_bytes = 0
        while self._entries and len(taken) < most and num_bytes < max_bytes:
            entry, size = self._entries.popleft()
            taken.append(entry)
            num_bytes += size
        self.num_bytes -= num_bytes
        for _ in range(min(len(taken), len(self._putters))):
            _wake_one(self._putters)
        return taken

    def put_back(self, entry: T, num_bytes: int) -> None:
        """Make an entry that was taken the oldest one again, whatever room there is: it had its place before."""
        self._entries.appendleft((entry, num_bytes))
        self.num_bytes += num_bytes
        _wake_one(self._getters)

    async def wait(self) -> None:
        """Return when something changed for a reader: an entry came, the queue closed, or `nudge` was called."""
        await self._wait_in(self._getters)

    def nudge(self) -> None:
        """Wake every reader, for a reason that lies outside the queue."""
        while self._getters:
            _wake_one(self._getters)

    def close(self) -> None:
        """One producer will put no more; what is queued can still be read."""
        self._num_producers -= 1
        self.nudge()

    @property
    def is_exhausted(self) -> bool:
        return self._num_producers <= 0 and not self._entries

    def _drop_oldest(self) -> bool:
        """Drop the oldest entry that may be dropped; False when there is none."""
        for place, (entry, num_bytes) in enumerate(self._entries):
            if self.drop(entry):  # what it appends stands behind
                del self._entries[place]
                self.num_bytes -= num_bytes
                return True
        return False

    @staticmethod
    async def _wait_in(line: deque[asyncio.Future[None]]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future in line:
                line.remove(future)
            elif not future.cancelled():
                _wake_one(line)  # the wake-up was meant for someone who still waits
            raise


def _wake_one(line: deque[asyncio.Future[None]]) -> None:
    while line:
        future = line.popleft()
        if not future.done():
            future.set_result(None)
            return
