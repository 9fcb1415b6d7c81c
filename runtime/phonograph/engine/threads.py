"""WorkerThread: runs calls for an event loop in one daemon thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol, TypeVar

ResultT = TypeVar("ResultT")


def require_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Raises RuntimeError outside the event loop that an executor is open in, where nobody would wake who waits."""
    if asyncio._get_running_loop() is not loop:
        raise RuntimeError(
            "called outside the event loop that the executor is open in; expected `executor.blocking()` in other threads"
        )


class Worker(Protocol):
    """Runs calls for an event loop, one after another."""

    def call(self, function: Callable[..., ResultT], *arguments: Any) -> asyncio.Future[ResultT]: ...
    def stop(self) -> None: ...
    def join(self, timeout_s: float | None = None) -> None: ...
    def clock_ns(self) -> int: ...
    def frame(self) -> FrameType | None: ...


def start_worker(name: str, *, may_stay: bool = False) -> Worker:
    """A thread that works for the running event loop; a simulated one brings workers of its own, see `phonograph.testing`.

    Args:
        may_stay: a call may never return, and then the thread is left behind.
    """
    start = getattr(asyncio.get_running_loop(), "start_worker", None)
    if start is None:
        return WorkerThread(name)
    worker: Worker = start(name, may_stay=may_stay)
    return worker


class WorkerThread:
    """A daemon thread that runs calls one after another and hands their results to an event loop.

    Not a ThreadPoolExecutor: its threads are joined when the interpreter exits, so that one node that never returns
    would keep the process alive for ever.
    """

    clock_ns = staticmethod(time.perf_counter_ns)

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name=f"phonograph-{name}", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., ResultT], *arguments: Any) -> asyncio.Future[ResultT]:
        """Run a function in the thread. Cancelling the future stops the wait, not the function."""
        future: asyncio.Future[ResultT] = self._loop.create_future()
        self._calls.put((future, function, arguments))
        return future

    def stop(self) -> None:
        """Let the thread end after the calls it has been given."""
        self._calls.put(None)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the thread's end, at most for the time given."""
        self._thread.join(timeout_s)

    def frame(self) -> FrameType | None:
        """The innermost call that it is in; None when it has ended."""
        return sys._current_frames().get(self._thread.ident or 0)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, arguments = call
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:  # noqa: BLE001  # the loop decides what it means
                error = as_failure(raised)
            with contextlib.suppress(RuntimeError):  # the loop is closed; nobody waits, but a node may still want its `close`
                self._loop.call_soon_threadsafe(resolve, future, result, error)
            del call, future, function, arguments, result, error  # the thread must not hold an item while it waits


def as_failure(error: BaseException) -> Exception:
    """What a future and an event loop can carry: SystemExit and its like would end the program, StopIteration cannot be set."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"{type(error).__name__}: {error}".removesuffix(": "))
    failure.__cause__ = error
    return failure


def resolve(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
