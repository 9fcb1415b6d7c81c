"""ProcessGuard: as Guard, for a worker whose nodes run in a process, where a call that takes too long can be ended.

The process says in shared memory which node it calls, since when, and when that has taken too long. Then it is killed, without a
grace: nothing of it is lost to this side that a thread would save. The call ends as it does when a process dies.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from phonograph.cancellation import NEVER
from phonograph.engine.guard import Attempt, Guard
from phonograph.errors import AttemptTimeoutError
from phonograph.item import Item


class Process(Protocol):
    """What there is to see of a process, and to do about it."""

    @property
    def bounded_call(self) -> tuple[int, float, float] | None:
        """Position, beginning and latest end of the call that runs; None: none does, or it may take for ever."""

    def kill(self) -> None: ...


class BoundedCalls:
    """The calls of one worker in processes, one after another. `attempt`, `called` and `interrupt` are for the event loop.

    Args:
        ids: of the nodes in its segment.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._item: Item | None = None  # None: no call runs
        self._attempt: Attempt | None = None
        self._bounds: tuple[int, float, float] | None = None  # of that attempt, as the process tells them
        self._is_overdue = False

    def begin(self, process: Process, item: Item | None) -> None:
        """A process is asked about an item."""
        with self._lock:
            self._process, self._item, self._attempt, self._is_overdue = process, item, None, False

    def end(self) -> None:
        """It has answered."""
        with self._lock:
            self._item = None

    def late(self, position: int) -> AttemptTimeoutError | None:
        """It has died in a call of the node at this position. Why, if it was killed because that took too long."""
        with self._lock:
            attempt, self._item = self._attempt, None
            if not self._is_overdue or attempt is None:
                return None
        return AttemptTimeoutError(self._ids[position], attempt.due - attempt.began, "ended with its process, which was killed")

    @property
    def attempt(self) -> Attempt | None:
        """The call that runs, where it may take only so long; the same object as long as it does."""
        with self._lock:
            return self._current()

    @property
    def called(self) -> str:
        """The node that is called, where that is bounded in time; else all of the line."""
        return "+".join(self._ids) if (attempt := self.attempt) is None else self._ids[attempt.position]

    def interrupt(self, attempt: Attempt) -> None:
        """Kill the process, unless the attempt has ended."""
        with self._lock:
            if self._process is not None and self._current() is attempt:
                self._is_overdue = True
                self._process.kill()

    def _current(self) -> Attempt | None:
        if self._item is None or self._process is None:
            return None
        if not self._is_overdue:
            bounds = self._process.bounded_call
            if bounds is None:
                return None
            if self._attempt is None or bounds != self._bounds:
                position, began, due = self._bounds = bounds
                self._attempt = Attempt(position, self._item, 0, NEVER, began, due)
                self._attempt.is_unseen = True
        return self._attempt


class ProcessGuard(Guard):
    """Guards a worker whose calls are ended with their process.

    Attributes:
        calls: of the worker, once there is one.
    """

    calls: BoundedCalls | None = None

    def _current(self) -> Attempt | None:
        return None if self.calls is None else self.calls.attempt

    def _cancel(self, attempt: Attempt) -> None:
        assert self.calls is not None
        self.calls.interrupt(attempt)
