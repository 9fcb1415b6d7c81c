"""Session: a live stream through a graph, beside thousands of others.

Theory of operation. Each chunk that is sent is a record of its own, so that all that the engine knows about records holds for
chunks: outcomes, joins, dead letters. Behind them goes the end, which flushes the nodes; it is followed like a record and counts
as none. A session is bounded where it is sent to: so many chunks may be on their way, so many results unread; then `send` waits.
Lanes never wait for who receives.

    state       send        receive                              goes on with
    open        yes         waits for a result                   finish, cancel, time-out, closing
    finishing   no          waits, and ends behind the last one  cancel, time-out, closing
    ended       no          the reason                           -
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from phonograph.audio import AudioChunk
from phonograph.engine.delivery import END
from phonograph.engine.identity import Owner
from phonograph.engine.requests import described
from phonograph.engine.threads import require_loop
from phonograph.errors import PhonographError, SessionEndedError
from phonograph.item import Item, Outcome
from phonograph.journal import DeadLetter

_LETTERS = 100
"""Dead letters that a session keeps; a stream may fail for days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What one session may take.

    Args:
        in_flight: chunks on their way. unread, unread_bytes: results that nobody has received yet.
        idle_timeout_s: after so long without a chunk sent or a result received the session ends; None: never.
    """

    in_flight: int = 16
    unread: int = 256
    unread_bytes: int = 16 * 2**20
    idle_timeout_s: float | None = None


class Stage(Protocol):
    """What a session wants of the engine that it runs in."""

    def checked(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]: ...

    def admitted(self, owner: Owner, payload: Mapping[str, Any], key: str) -> Coroutine[Any, Any, None] | None: ...

    def let_in(self, owner: Owner, item: Item) -> asyncio.Task[None] | None: ...

    def control(self, owner: Owner, key: str, message: object) -> None: ...

    def session_ended(self, session: Session) -> None:
        """Let go of all that is kept for it."""


class Session:
    """Made by `Executor.session`. All methods are for the event loop of the executor; elsewhere they raise RuntimeError.

    It is an iterator of what comes to the manifest's outputs, as items whose payload is under the output's name.

    Attributes:
        id: names it in keys, logs and dead letters.
        dead_letters: what failed of it, the latest 100. num_failed: how many there were.
    """

    is_live = True

    def __init__(self, session_id: str, stage: Stage, limits: SessionLimits, inputs: tuple[str, ...]) -> None:
        self.id = session_id
        self.is_gone = False
        self.ends: dict[str, int] = {}
        self.dead_letters: deque[DeadLetter] = deque(maxlen=_LETTERS)
        self.num_failed = 0
        self._stage = stage
        self._limits = limits
        self._inputs = inputs
        self._num_sent = self._num_messages = 0
        self._start_sample = 0
        self._in_flight = 0
        self._unread: deque[tuple[Item, int]] = deque()
        self._unread_bytes = 0
        self._is_finishing = False
        self._is_over = False
        self._ended: PhonographError | None = None
        self._doom: PhonographError | None = None
        self._is_sending = False
        self._waiting: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if limits.idle_timeout_s is not None:
            self._timer = self._loop.call_later(limits.idle_timeout_s, self._look, limits.idle_timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Cancel what is not at its end yet. Waits for nothing."""
        self._cancel()

    async def send(self, chunk: Any, *, attributes: Mapping[str, Any] | None = None) -> None:
        """Send the next chunk; wait while too much of the session is on its way, or unread, or memory is short.

        Cancelled while it waits, it has sent nothing.

        Args:
            chunk: the payload for the manifest's input, or for several a mapping by name.
            attributes: facts about it that nodes can read.

        Raises:
            BadInputError, AudioFormatError: it is not what the manifest declares.
            MemoryLimitError: `limits.memory` cannot be kept however long it waits. The session goes on.
            SessionEndedError: the session has ended, or is finished.
        """
        payload = self._stage.checked(chunk if isinstance(chunk, Mapping) or len(self._inputs) != 1 else {self._inputs[0]: chunk})
        await self._turn()
        try:
            while self._is_full:
                await self._change()
                self._require_open()
            key = f"{self.id}#{self._num_sent:04d}"
            entering = self._stage.admitted(self, payload, key)
            if entering is not None:
                await self._wait_for_memory(entering)
            audio = next((value for value in payload.values() if isinstance(value, AudioChunk)), None)
            item = Item(
                key=key,
                ordinal=0,
                payload=payload,
                attributes=described(payload, attributes),
                session=self.id,
                index=self._num_sent,
                start_sample=self._start_sample,
                final=False,
            )
            self._num_sent += 1
            if audio is not None:
                self._start_sample += audio.num_samples
        except BaseException:
            self._next_turn()
            raise
        await self._let_in(item)

    async def finish(self) -> None:
        """Send the end: nodes are flushed behind the last chunk, and the iteration ends behind the last result.

        Raises:
            SessionEndedError: the session has ended, or is finished.
        """
        await self._turn()
        self._is_finishing = True
        end = Item(
            key=f"{self.id}#{self._num_sent:04d}",
            ordinal=0,
            payload=END,
            session=self.id,
            index=self._num_sent,
            start_sample=self._start_sample,
        )
        await self._let_in(end)

    async def receive(self) -> Item | None:
        """The next item that came to an output; None behind the last one, when the session was finished.

        Raises:
            SessionEndedError: it was cancelled or timed out.
            ExecutorClosedError: its executor was closed, or broke.
            NodeError: a chunk failed at a node with `on_error: fail`.
        """
        require_loop(self._loop)
        while not self._unread:
            if self._ended is not None:
                self._require_open()
            if self._is_over:
                return None
            await self._change()
        item, num_bytes = self._unread.popleft()
        self._unread_bytes -= num_bytes
        self._moved()
        return item

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        item = await self.receive()
        if item is None:
            raise StopAsyncIteration
        return item

    def cancel(self) -> None:
        """End now: what waits of it ends as cancelled, ahead of everything, and its state is let go of. May be called again."""
        require_loop(self._loop)
        self._cancel()

    def control(self, message: object) -> None:
        """Send a message to the nodes that have `control`, ahead of all chunks that wait. Returns at once.

        What nodes answer goes on through the graph, behind what they gave before.

        Raises:
            SessionEndedError: the session has ended.
        """
        require_loop(self._loop)
        if self._ended is not None or self._is_over:
            self._require_open()
        self._moved()
        number, self._num_messages = self._num_messages, self._num_messages + 1
        before = f"#{self._num_sent - 1:04d}" if self._num_sent else ""
        self._stage.control(self, f"{self.id}{before}+message-{number:04d}", message)

    # For the engine.

    def end(self, reason: PhonographError) -> None:
        """End with a reason, unless it is at its end."""
        if self._is_over or self._ended is not None:
            return
        self._ended = reason
        self.is_gone = True
        self._unread.clear()
        self._unread_bytes = 0
        self._leave()

    def end_soon(self, reason: PhonographError) -> None:
        """The same when the engine has done with what it does; until then the session does not come to its usual end."""
        if self._doom is None:
            self._loop.call_soon(self._meet_doom)
        if self._doom is None or isinstance(self._doom, SessionEndedError):  # else a node's error, which says more
            self._doom = reason

    def message_began(self) -> None:
        """A message is about to be told to some nodes; what comes of it is on its way until `record_ended`."""
        self._in_flight += 1

    def deliver(self, output: str, item: Item, num_bytes: int) -> None:
        self._unread.append((item, num_bytes))
        self._unread_bytes += num_bytes
        self._wake()

    def letter(self, letter: DeadLetter, error: PhonographError | None) -> None:
        self.dead_letters.append(letter)
        self.num_failed += 1
        if error is not None:
            self.end_soon(error)  # not at once: the engine is about to account for the letter

    def record_ended(self, outcome: Outcome) -> None:
        self._in_flight -= 1
        if self._is_finishing and not self._in_flight and self._ended is None and self._doom is None:
            self._is_over = True
            self._leave()
        self._wake()

    # Inside.

    def _cancel(self) -> None:
        self.end(SessionEndedError(self.id, "cancelled", "it was cancelled"))

    def _meet_doom(self) -> None:
        assert self._doom is not None, "the reason to call this"
        self.end(self._doom)

    @property
    def _is_full(self) -> bool:
        limits = self._limits
        return (
            self._in_flight >= limits.in_flight or len(self._unread) >= limits.unread or self._unread_bytes >= limits.unread_bytes
        )

    def _require_open(self) -> None:
        if isinstance(self._ended, SessionEndedError):
            raise SessionEndedError(self.id, self._ended.reason, str(self._ended).partition(": ")[2])
        if self._ended is not None:
            raise self._ended
        if self._is_finishing or self._is_over:
            raise SessionEndedError(self.id, "finished", "it was finished; expected nothing more to be sent; open another one")

    async def _wait_for_memory(self, entering: Coroutine[Any, Any, None]) -> None:
        self._in_flight += 1  # who waits for that is not idle
        try:
            await entering
        finally:
            self._in_flight -= 1
            self._moved_at = self._loop.time()
        self._require_open()

    async def _let_in(self, item: Item) -> None:
        """Let an item in; who is next may do so when that is done, also when this wait is cancelled."""
        self._in_flight += 1
        self._moved()
        entering = self._stage.let_in(self, item)
        if entering is None:
            self._next_turn()
        else:
            entering.add_done_callback(lambda _: self._next_turn())
            await asyncio.shield(entering)

    async def _turn(self) -> None:
        """Wait until those who wanted to send before have done so. Raises SessionEndedError."""
        require_loop(self._loop)
        self._require_open()
        while self._is_sending:
            await self._change()
            self._require_open()
        self._is_sending = True

    def _next_turn(self) -> None:
        self._is_sending = False
        self._wake()

    async def _change(self) -> None:
        """Return when anything has changed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _moved(self) -> None:
        self._moved_at = self._loop.time()
        self._wake()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stage.session_ended(self)
        self._wake()

    def _look(self, timeout_s: float) -> None:
        """End the session if nothing has moved for so long; what is on its way counts as moving."""
        now = self._loop.time()
        left_s = timeout_s if self._in_flight else self._moved_at + timeout_s - now
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look, timeout_s)
            return
        message = f"nothing was sent or received for {timeout_s:g} s; expected one of both, finish() or a longer idle_timeout"
        self.end(SessionEndedError(self.id, "idle", message))
