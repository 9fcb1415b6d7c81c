"""Guard: sees to it that no call of one worker takes longer than its node may; see `timeout` in a manifest.

Theory of operation. The worker says in its thread when an attempt begins and ends. The event loop looks, while it waits for the
worker, whether the attempt that runs is overdue. Then it cancels it, which a node may ask for (`phonograph.cancellation`), and
gives it `GRACE_S` to end. An attempt that ends by then has timed out, whatever it gave. One that does not is left behind with its
thread: who waits for the call gets `LeftBehindError`, and the worker is not used again. When the thread comes back after all,
the lock decides that it is too late, and what it gives is thrown away.

    attempt    event                             next
    runs       ends                              its result counts
    runs       is overdue                        cancelled
    cancelled  ends                              timed out, and the worker goes on
    cancelled  has not ended after `GRACE_S`     timed out, and the worker is left behind

A sink that has begun to make its output visible is not cancelled any more, because it would be stored twice when it is tried
again. If that does not return, nobody knows whether it is stored, and the run ends; so it does when a sink does not return that
must be the only one to write.

Lanes in which nothing has a time-out have no guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from phonograph import cancellation
from phonograph.cancellation import NEVER, CancellationToken
from phonograph.engine.durations import durations
from phonograph.errors import AttemptTimeoutError, OutputError
from phonograph.graph.model import GraphNode
from phonograph.item import Item
from phonograph.timeout import TimeoutPolicy

if TYPE_CHECKING:
    from phonograph.engine.delivery import Entry
    from phonograph.engine.step import Step

ResultT = TypeVar("ResultT")

GRACE_S = 5.0
"""How long a call that was cancelled may take to end: a block of audio or a request, and not so long that others starve."""

_LEAST_S = 0.01  # between two looks, where limits say nothing before they know the audio
_ENDED = "ended when it was told to"
_UNBOUNDED = contextlib.nullcontext(NEVER)
_LEFT = "did not end when it was told to, and was left behind"


class LeftBehindError(Exception):
    """What is got in place of a call's result when its worker is left behind.

    Args:
        attempt: that did not end. error: what comes of its item.
    """

    def __init__(self, attempt: Attempt, error: Exception) -> None:
        super().__init__()
        self.attempt = attempt
        self.error = error


class Attempt:
    """One call of a node, as long as it runs.

    Attributes:
        began, due: on the clock of the event loop. began_ns: on the performance counter.
        is_final: it makes its output visible. is_unseen: the item is the one that its segment was given, see `Failure`.
        leave_at: when the worker is left behind; None until it is overdue.
    """

    __slots__ = ("began", "began_ns", "due", "given", "is_final", "is_unseen", "item", "leave_at", "position", "token")

    def __init__(self, position: int, item: Item, given: int, token: CancellationToken, began: float, due: float) -> None:
        self.position = position
        self.item = item
        self.given = given
        self.began = began
        self.began_ns = time.perf_counter_ns()
        self.due = due
        self.is_final = self.is_unseen = False
        self.leave_at: float | None = None
        self.token = token


class _Guarded(Attempt):
    """A context in which the node is called. Not a generator, which would cost each call three times as much."""

    __slots__ = ("_guard", "_num_made", "_reset", "_step")

    def of(self, guard: Guard, step: Step) -> _Guarded:
        self._guard, self._step = guard, step
        return self

    def __enter__(self) -> CancellationToken:
        stats = self._step.stats
        self._num_made = 0 if stats is None else stats.items_out
        self._reset = cancellation.enter(self.token)
        self._guard.running = self
        return self.token

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_too_late = self._guard.ends(self)
        cancellation.leave(self._reset)
        if not is_too_late:
            return
        stats = self._step.stats
        if error is None and stats is not None:  # it was counted as a success
            stats.items_out = self._num_made
            stats.errors += 1
        raise self._guard.timed_out(self, _ENDED) from error


class Allowances:
    """How long the nodes of a segment may take for what they are given."""

    def __init__(self, nodes: Sequence[GraphNode]) -> None:
        self._by_position = [(node.timeout, durations(node)) for node in nodes]
        self._fixed = [_fixed(node.timeout) for node in nodes]
        self.shortest_s = max(min((node.timeout.shortest_s for node in nodes if node.timeout.is_set), default=inf), _LEAST_S)

    def limit_s(self, position: int, items: Sequence[Item]) -> float:
        """Seconds that one call may take for these items together; inf: for ever."""
        fixed = self._fixed[position]
        if fixed is not None:
            return fixed
        policy, seconds = self._by_position[position]
        audio_s = [one for item in items if (one := seconds(item)) is not None]
        return policy.limit_s(sum(audio_s) if len(audio_s) == len(items) else None)


def _fixed(policy: TimeoutPolicy) -> float | None:
    """The limit, where it is the same for all audio; None where it is not."""
    return None if policy.per_audio or not policy.base_s else policy.limit_s(None)


class Guard:
    """Guards one worker. `attempt` and `end_is_final` are for its thread, all else for the event loop.

    Args:
        may_be_left: another worker can take its place.
        on_left: is called with the attempt, and the call that it is in, when the worker is left behind, before others hear of it.

    Attributes:
        is_left: the worker is not to be used any more.
        running: the attempt that does.
    """

    def __init__(
        self, nodes: Sequence[GraphNode], *, may_be_left: bool, on_left: Callable[[Attempt, asyncio.Future[Any]], None]
    ) -> None:
        self.is_left = False
        self._ids = [node.id for node in nodes]
        self._allowances = Allowances(nodes)
        self._may_be_left = may_be_left
        self._on_left = on_left
        self._lock = threading.Lock()
        self.running: Attempt | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[Any], asyncio.Future[Any], Entry | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    # In the worker's thread.

    def attempt(
        self, step: Step, position: int, items: Sequence[Item], given: int = 0, token: CancellationToken = NEVER
    ) -> contextlib.AbstractContextManager[CancellationToken]:
        """The node is called within.

        Args:
            given: how many items of its generator were handed on. token: that the generator has; a call gets one of its own.

        Raises:
            AttemptTimeoutError: at its end: the call took too long, whatever came of it.
        """
        limit_s = self._allowances.limit_s(position, items)
        if limit_s == inf:
            return _UNBOUNDED
        step.began = began = self._loop.time()
        token = CancellationToken() if token is NEVER else token
        return _Guarded(position, items[0], given, token, began, began + limit_s).of(self, step)

    def ends(self, attempt: Attempt) -> bool:
        """The attempt that runs has come back; whether it is too late."""
        with self._lock:
            self.running = None
            return self.is_left or attempt.token.is_cancelled

    def begin_final(self) -> None:
        """What the attempt that runs does from now on cannot be undone.

        Raises:
            AttemptTimeoutError: it is too late for it.
        """
        attempt = self.running
        if attempt is None:
            return
        with self._lock:
            is_too_late = self.is_left or attempt.token.is_cancelled
            attempt.is_final = not is_too_late
        if is_too_late:
            raise self.timed_out(attempt, _ENDED)

    def timed_out(self, attempt: Attempt, how: str) -> AttemptTimeoutError:
        return AttemptTimeoutError(self._ids[attempt.position], attempt.due - attempt.began, how)

    # In the event loop.

    def watched(self, call: asyncio.Future[ResultT], entry: Entry | None = None) -> asyncio.Future[ResultT]:
        """The same call, but ended by `LeftBehindError` when the worker is left behind.

        Args:
            entry: that the call begins with, which may have less time left than an attempt has.
        """
        watched: asyncio.Future[ResultT] = self._loop.create_future()
        self._waiting.append((watched, call, entry))
        call.add_done_callback(self._returned)
        if self._timer is None:
            deadline = inf if entry is None else entry.deadline
            self._look_in(min(self._allowances.shortest_s, deadline - self._loop.time()))
        return watched

    def _returned(self, call: asyncio.Future[Any]) -> None:
        error = call.exception()
        if self.is_left:  # and so is what it gives
            return
        watched, *_ = self._waiting.popleft()  # a thread runs its calls in order
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if watched.done():  # nobody waits
            return
        if error is not None:
            watched.set_exception(error)
        else:
            watched.set_result(call.result())

    def _look_in(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(max(delay_s, _LEAST_S), self._look)

    def _current(self) -> Attempt | None:
        """The attempt that runs, the same object as long as it does."""
        return self.running

    def _look(self) -> None:
        now, attempt = self._loop.time(), self._current()
        if attempt is None:
            self._look_in(self._allowances.shortest_s)
            return
        entry = self._waiting[0][2]
        if entry is not None and entry.position == attempt.position:
            attempt.due = min(attempt.due, entry.deadline)
        if now < attempt.due:
            self._look_in(min(attempt.due - now, self._allowances.shortest_s))
        elif attempt.leave_at is None:
            attempt.leave_at = now + GRACE_S
            self._cancel(attempt)
            self._look_in(GRACE_S)
        elif now < attempt.leave_at:
            self._look_in(attempt.leave_at - now)
        else:
            self._leave(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        with self._lock:
            if not attempt.is_final:
                attempt.token.is_cancelled = True

    def _leave(self, attempt: Attempt) -> None:
        with self._lock:
            if self._current() is not attempt:  # it has ended just now
                self._look_in(_LEAST_S)
                return
            self.is_left = True
        self._timer = None
        error: Exception = self.timed_out(attempt, _LEFT)
        if attempt.is_final or not self._may_be_left:
            what = "began to store a record and has not returned" if attempt.is_final else "has not returned"
            error = OutputError(
                f"node {self._ids[attempt.position]!r} {what} for {attempt.due - attempt.began + GRACE_S:g} s, so that nobody "
                "knows what is stored; expected it to return; check the disk or the network file system, or raise its 'timeout'"
            )
        (watched, call, _), *others = self._waiting
        self._on_left(attempt, call)
        self._waiting.clear()
        if not watched.done():
            watched.set_exception(LeftBehindError(attempt, error))
        for other, *_ in others:
            other.cancel()
