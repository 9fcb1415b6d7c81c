"""An event loop for tests, with a clock of its own, and workers that are no threads: the same seed gives the same run.

Theory of operation. Time passes only when nothing can run, and then jumps to the next timer: a back-off of a minute costs
nothing. Callbacks that are ready at the same time run in an order that the seed draws. A worker runs its calls one after another
in the loop's own thread; when a call begins, how long it takes, and whether its effects are there from its beginning or only at
its end, is drawn too. So retries, breakers, deadlines and stops meet in another order with each seed, while two runs with the
same one are equal. When nothing is ready and no timer is set, nobody can ever go on, and the loop says so.

A node that blocks blocks everything, and one that asks for the time gets the real one. Nodes with `run: process` have processes
as ever.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from phonograph.engine.threads import as_failure, resolve
from phonograph.errors import PhonographError

ResultT = TypeVar("ResultT")

_PAUSES_S = (0.0, 0.0, 0.0001, 0.001, 0.02, 1.0)
"""What lies before, within and behind a call: nothing, a hop, a quick node, a slow one, one that others do not wait for."""


class NothingCanHappenError(PhonographError):
    """Every task of a simulated run waits for another one."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose time is simulated, and whose order is drawn.

    Args:
        seed: decides everything that is drawn.
        longest_s: of simulated time; a run that takes longer will never end.
    """

    def __init__(self, seed: int, longest_s: float) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._selector = self  # what the base class asks for events from outside; there are none
        self._clock_resolution = 0.0  # no timer runs before its time, since time would stand still until it has come
        self._now = 0.0
        self._longest_s = longest_s

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def start_worker(self, name: str) -> SimulatedWorker:
        """What `phonograph.engine.threads.start_worker` gives in this loop."""
        return SimulatedWorker(self)

    def select(self, timeout_s: float | None) -> list[Any]:
        """Called by the base class before each of its turns, with the time until the next timer, 0 when something is ready."""
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]  # of the base class
        if timeout_s is None or self._now > self._longest_s:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(self))
            self._longest_s = float("inf")  # for the tasks that are cancelled now
            raise NothingCanHappenError(f"nothing can happen any more; waiting for each other: {', '.join(waiting)}")
        if not ready and scheduled:
            self._now = max(self._now, math.nextafter(scheduled[0].when(), math.inf))
        if len(ready) > 1:
            self.random.shuffle(ready)
        return []

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Wakes a loop that waits for events from outside; this one never does."""


class SimulatedWorker:
    """Runs calls as a `WorkerThread` does, in the loop's own thread."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._is_busy = False
        self._clock_ns = 0

    def call(self, function: Callable[..., ResultT], *arguments: Any) -> asyncio.Future[ResultT]:
        """Run a function when it is its turn."""
        future: asyncio.Future[ResultT] = self._loop.create_future()
        self._calls.append((future, function, arguments))
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_later(self._pause_s(), self._run)
        return future

    def stop(self) -> None:
        """There is nothing to end."""

    def join(self, timeout_s: float | None = None) -> None:
        """There is nothing to wait for."""

    def clock_ns(self) -> int:
        """A clock that goes on by what is drawn, whenever it is read."""
        self._clock_ns += round(self._pause_s() * 1e9)
        return self._clock_ns

    def _run(self) -> None:
        future, function, arguments = self._calls.popleft()
        result, error = None, None
        try:
            result = function(*arguments)
        except BaseException as raised:  # noqa: BLE001  # as in a thread: the loop decides what it means
            error = as_failure(raised)
        self._loop.call_later(self._pause_s(), self._ran, future, result, error)

    def _ran(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        resolve(future, result, error)
        if self._calls:
            self._loop.call_later(self._pause_s(), self._run)
        else:
            self._is_busy = False

    def _pause_s(self) -> float:
        return self._loop.random.choice(_PAUSES_S)
