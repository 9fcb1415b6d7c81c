"""An event loop for tests, with a clock of its own, and workers that are no threads: the same seed gives the same run.

Theory of operation. Time passes only when nothing can run, and then jumps to the next timer: a back-off of a minute costs
nothing. Callbacks that are ready at the same time run in an order that the seed draws. A worker runs its calls one after another
in the loop's own thread; when a call begins, how long it takes, and whether its effects are there from its beginning or only at
its end, is drawn too. So retries, breakers, deadlines and stops meet in another order with each seed, while two runs with the
same one are equal. When nothing is ready and no timer is set, nobody can ever go on, and the loop says so.

A node that blocks blocks everything, and one that asks for the time gets the real one. Where calls have time-outs, the worker is
a thread all the same, so that a call may wait for simulated time (`pause`) while the loop goes on. Only one of all of them runs
at any moment: the loop waits for a thread that runs, and a thread that waits has given the turn back. Nodes with `run: process`
have processes as ever.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
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
        self._threads: list[SimulatedThread] = []
        self._longest_s = longest_s
        self.delay_s = 0.0  # of the call that is under way, besides what is drawn

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def start_worker(self, name: str, *, may_stay: bool = False) -> SimulatedWorker:
        """What `phonograph.engine.threads.start_worker` gives in this loop."""
        if not may_stay:
            return SimulatedWorker(self)
        self._threads.append(SimulatedThread(self, name))
        return self._threads[-1]

    def close(self) -> None:
        for thread in self._threads:
            thread.end()
        super().close()

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

    def frame(self) -> FrameType | None:
        """It has none of its own."""
        return None

    def _run(self) -> None:
        future, function, arguments = self._calls.popleft()
        result, error = None, None
        try:
            result = function(*arguments)
        except BaseException as raised:  # noqa: BLE001  # as in a thread: the loop decides what it means
            error = as_failure(raised)
        delay_s, self._loop.delay_s = self._loop.delay_s, 0.0
        self._loop.call_later(delay_s + self._pause_s(), self._ran, future, result, error)

    def _ran(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        resolve(future, result, error)
        if self._calls:
            self._loop.call_later(self._pause_s(), self._run)
        else:
            self._is_busy = False

    def _pause_s(self) -> float:
        return self._loop.random.choice(_PAUSES_S)


class SimulatedThread(SimulatedWorker):
    """The same for calls that may take some time, or never end: in a thread, which takes turns with the loop."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        super().__init__(loop)
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._call: Callable[[], None] | None = None
        self._pause: float | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name=f"phonograph-{name}", daemon=True)
        self._thread.start()

    def frame(self) -> FrameType | None:
        return sys._current_frames().get(self._thread.ident or 0)

    def pause(self, seconds: float) -> None:
        """Let simulated time pass. In the thread."""
        self._pause = seconds
        self._done.release()
        self._turn.acquire()
        if self._is_over:
            raise SystemExit

    def end(self) -> None:
        """End the thread, wherever its call waits."""
        self._is_over, self._call = True, None
        self._turn.release()
        self._thread.join()

    def _run(self) -> None:
        future, function, arguments = self._calls.popleft()

        def call() -> None:
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:  # noqa: BLE001  # as in a thread
                error = as_failure(raised)
            if not self._is_over:
                self._loop.call_later(self._pause_s(), self._ran, future, result, error)

        self._call = call
        self._go_on()

    def _go_on(self) -> None:
        """Let the thread run until its call has ended or waits."""
        self._turn.release()
        self._done.acquire()
        pause, self._pause = self._pause, None
        if pause is not None and pause < math.inf:
            self._loop.call_later(pause, self._go_on)

    def _work(self) -> None:
        _THREAD.worker = self
        asyncio._set_running_loop(self._loop)
        while True:
            self._turn.acquire()
            if self._call is None:
                return
            self._call()
            if self._is_over:
                return
            self._call = None
            self._done.release()


_THREAD = threading.local()


def pause(seconds: float) -> None:
    """See `phonograph.testing.pause`."""
    worker: SimulatedThread | None = getattr(_THREAD, "worker", None)
    if worker is None:
        raise RuntimeError("pause() was called outside a simulated run, or by a node without a time-out; expected one of both")
    worker.pause(seconds)


def delay(seconds: float) -> None:
    """Let the call under way take longer, in simulated time: a node without a time-out is not told until then that it is done.

    What runs in the event loop itself is not delayed, since nothing else could happen meanwhile.
    """
    worker: SimulatedThread | None = getattr(_THREAD, "worker", None)
    if worker is not None:
        worker.pause(seconds)
        return
    loop = asyncio._get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    loop.delay_s += seconds
