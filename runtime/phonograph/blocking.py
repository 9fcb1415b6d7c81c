"""BlockingExecutor: submit and sessions for code without an event loop, and for threads beside one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Self, TypeVar

from phonograph.engine.requests import Result
from phonograph.engine.sessions import Session
from phonograph.errors import ExecutorClosedError
from phonograph.item import Item
from phonograph.journal import DeadLetter

if TYPE_CHECKING:
    from phonograph.executor import Executor

T = TypeVar("T")

_LOOK_EVERY_S = 1.0  # whether the event loop that is to answer is still there


class BlockingExecutor:
    """An executor whose calls block until they are done. Made by `Executor.blocking`; for any number of threads.

    As a context manager it opens the executor in a thread of its own, and closes it. One that is open in an event loop
    needs no opening, and serves all threads but that of the loop.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._thread: threading.Thread | None = None
        self._leave: Future[None] = Future()

    def __enter__(self) -> Self:
        """Open the executor. Raises what `Executor.__aenter__` does."""
        if self._thread is not None or self._executor.loop is not None:
            raise RuntimeError("the executor is open already; expected no `with` around the blocking view of it")
        opened: Future[None] = Future()
        self._leave = Future()
        try:
            self._thread = threading.Thread(
                target=self._live, args=(opened, self._leave), name="phonograph-blocking", daemon=True
            )
            self._thread.start()
            opened.result()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the executor: sessions at once, requests of other threads when they are done."""
        self._close()

    def submit(self, inputs: Mapping[str, Any], *, key: str | None = None, attributes: Mapping[str, Any] | None = None) -> Result:
        """As `Executor.submit`."""
        return self.call(lambda: self._executor.submit(inputs, key=key, attributes=attributes))

    def session(self, session_id: str | None = None, **limits: Any) -> BlockingSession:
        """As `Executor.session`."""

        made: list[Session] = []

        async def opened() -> Session:
            made.append(self._executor.session(session_id, **limits))
            return made[0]

        try:
            return BlockingSession(self, self.call(opened))
        except BaseException:  # interrupted: nobody has the session, and it may be open already
            loop = self._executor.loop
            if loop is not None:
                with contextlib.suppress(RuntimeError):  # it has just been closed
                    loop.call_soon_threadsafe(_cancel, made)
            raise

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the executor's event loop, and wait for it; interrupted, it is cancelled.

        Raises:
            ExecutorClosedError: the executor is not open, or its event loop has ended.
            RuntimeError: called in the thread of that event loop, which would wait for itself.
        """
        loop = self._executor.loop
        if loop is None or loop.is_closed():
            raise ExecutorClosedError(self._executor.graph.name)
        if asyncio._get_running_loop() is loop:
            raise RuntimeError("called in the event loop that is to answer; expected `await executor.submit(...)` there")
        coroutine = make()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:  # it has just been closed
            coroutine.close()
            raise ExecutorClosedError(self._executor.graph.name) from error
        try:
            while True:
                try:
                    return future.result(_LOOK_EVERY_S)
                except TimeoutError:
                    if future.done():
                        raise
                    if loop.is_closed():
                        raise ExecutorClosedError(self._executor.graph.name) from None
        except BaseException:
            future.cancel()
            raise

    def _live(self, opened: Future[None], leave: Future[None]) -> None:
        with contextlib.suppress(BaseException):  # which `opened` has, or the next call is told
            asyncio.run(self._serve(opened, leave))

    async def _serve(self, opened: Future[None], leave: Future[None]) -> None:
        living = asyncio.current_task()
        assert living is not None
        leaving = asyncio.wrap_future(leave)
        leaving.add_done_callback(lambda _: opened.done() or living.cancel())  # who waited for it to open was interrupted
        try:
            async with self._executor:
                opened.set_result(None)
                await leaving
        except BaseException as error:
            if not opened.done():
                opened.set_exception(error)
            raise
        finally:
            leaving.cancel()

    def _close(self) -> None:
        thread, self._thread = self._thread, None
        with contextlib.suppress(InvalidStateError):  # it has ended by itself
            self._leave.set_result(None)  # wherever the thread is, it ends; so it does when the wait for it is interrupted
        if thread is not None:
            with contextlib.suppress(RuntimeError):  # Ctrl-C came before it had been started
                thread.join()


class BlockingSession:
    """A session whose calls block. One thread may send while another receives."""

    def __init__(self, executor: BlockingExecutor, session: Session) -> None:
        self._executor = executor
        self._session = session
        self.id = session.id

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What failed of it, the latest 100."""
        return tuple(self._session.dead_letters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        """Cancel what is not at its end yet."""
        with contextlib.suppress(ExecutorClosedError):
            self.cancel()

    def send(self, chunk: Any, *, attributes: Mapping[str, Any] | None = None) -> None:
        """As `Session.send`."""
        self._executor.call(lambda: self._session.send(chunk, attributes=attributes))

    def finish(self) -> None:
        """As `Session.finish`."""
        self._executor.call(self._session.finish)

    def receive(self) -> Item | None:
        """As `Session.receive`."""
        return self._executor.call(self._session.receive)

    def __iter__(self) -> Iterator[Item]:
        while (item := self.receive()) is not None:
            yield item

    def cancel(self) -> None:
        """As `Session.cancel`."""
        self._executor.call(_later(self._session.cancel))

    def control(self, message: object) -> None:
        """As `Session.control`."""
        self._executor.call(_later(lambda: self._session.control(message)))


def _cancel(sessions: Iterable[Session]) -> None:
    for session in sessions:
        session.cancel()


def _later(function: Callable[[], T]) -> Callable[[], Coroutine[Any, Any, T]]:
    async def called() -> T:
        return function()

    return called
