"""Watchdog: says what a run waits for when nothing in it has moved for long: node, record, and where in the code that is.

What a thread is calling is read off its stack, so that calls themselves pay nothing for it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from types import FrameType

from phonograph.engine.course import Course
from phonograph.engine.threads import Worker
from phonograph.engine.under_way import call_under_way

_MOST_KEPT = 100
_LOOKS = 4  # in the time after which it barks


@dataclass(frozen=True, slots=True)
class Running:
    """A call that a thread is in; `key` is empty for a source, and where a node is opened, completed or closed."""

    node: str
    key: str
    stack: str


class Watchdog:
    """Watches one run while it is entered, from the opening of its nodes to their closing.

    Args:
        threads: that the run has now.
        after_s: how long nothing may move before it says so; then again after twice as long, and so on. inf: never.

    Attributes:
        stalls: (node, key, how long nothing had moved by then), of the first that it has told of.
    """

    def __init__(self, course: Course, threads: Callable[[], Iterable[Worker]], after_s: float) -> None:
        self.stalls: list[tuple[str, str, float]] = []
        self._course = course
        self._threads = threads
        self._after_s = after_s
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._after_s < inf:
            self._watching = asyncio.create_task(self._watch(), name="watchdog")

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))  # no task of a run is there when it has ended

    async def _watch(self) -> None:
        course = self._course
        seen, since, patience_s = course.num_events, course.now(), self._after_s
        while True:
            await asyncio.sleep(self._after_s / _LOOKS)
            now = course.now()
            if course.num_events != seen:
                seen, since, patience_s = course.num_events, now, self._after_s
            elif now - since >= patience_s:
                patience_s *= 2
                self._bark(now - since)

    def tell(self) -> None:
        """Log what every thread is doing, because somebody asked."""
        for one in self._running():
            self._course.tell("warning", "running", node=one.node, key=one.key, stack=one.stack)

    def _bark(self, stalled_s: float) -> None:
        for one in self._running():
            facts = {"node": one.node, "key": one.key, "stalled_s": round(stalled_s, 3), "stack": one.stack}
            self._course.tell("warning", "stalled", **facts)
            if len(self.stalls) < _MOST_KEPT:
                self.stalls.append((one.node, one.key, stalled_s))

    def _running(self) -> Iterator[Running]:
        for thread in self._threads():
            if (frame := thread.frame()) is not None and (call := call_under_way(frame)) is not None:
                yield Running(call.node, call.key, stack_in_words(frame))


def stack_in_words(frame: FrameType | None) -> str:
    """Where a thread is, as Python shows it, the innermost call last."""
    return "" if frame is None else "".join(traceback.format_stack(frame))
