"""Load: the entries that a worker takes in one thread hop, so that a hop is paid for many quick items and not for each.

Theory of operation. A hop to a thread and back costs as much as dozens of calls of a quick node. So a worker is given as many of
the waiting entries as it ran of late within `TURN_NS`, and comes back when it has run them, when that time is over, or when
anything out of the ordinary came of one: a failure, a refusal, a node with more to give. What it has not begun then goes back to
the head of the queue. So whatever is decided about an item is decided before the same worker calls a node for the next one, as if
each item had its own hop. The first load is a single entry.

Slow nodes get one entry at a time, and the next one ahead: a second call waits in the thread, so that the worker does not stand
still while the event loop settles what is done. That call takes nothing when the one before came to something out of the
ordinary, and of a node of which something out of the ordinary came last (a filter, one that makes several) none is made. Entries
are given ahead only while no worker waits for one; a worker that finds nothing takes what another has ahead. A queue that drops
its oldest gives none ahead, for that would be older still when its turn comes.

Both ends are deques, whose operations at either end are atomic. So the event loop can take back what has not begun, and settle
what is done, while the worker is busy: when an item takes much longer than those before it, and when the run is stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

from phonograph.engine.delivery import Entry
from phonograph.item import Item

if TYPE_CHECKING:
    from phonograph.engine.worker import Pass

TURN_NS = 1_000_000  # a hop takes some 25 us, so it costs little beside this; and nobody waits much longer for a turn
MOST_ENTRIES = 64
MOST_BYTES = 2**20
LATE_S = 0.005  # after which what is done is not withheld any longer, and what has not begun may be run by others


class Runs(Protocol):
    """A worker, as far as a load is concerned."""

    def run(self, item: Item, position: int, attempt: int, is_probe: bool, given: int = 0) -> Pass | Item: ...


class Load:
    """What one worker is given at a time.

    Attributes:
        waiting: not begun, oldest first. done: with what came of each; a plain item where one item came of one, and nothing else.
        running: that the worker has begun. most: entries that it may take now. is_slow: of late, one of them took a turn or
            longer.
        is_stopped: what ran last came to something out of the ordinary; a call ahead runs nothing then.
    """

    __slots__ = ("done", "is_slow", "is_stopped", "most", "running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Entry] = deque()
        self.done: deque[tuple[Entry, Pass | Item]] = deque()
        self.running: Entry | None = None
        self.most = 1
        self.is_slow = False
        self.is_stopped = False

    def run(self, worker: Runs, clock_ns: Callable[[], int] = perf_counter_ns, *, is_ahead: bool = False) -> None:
        """Run what is waiting, until something speaks against going on. In the worker's thread."""
        if is_ahead and self.is_stopped:
            return
        started = now = clock_ns()
        num_run, is_usual = 0, True
        while is_usual and now - started < TURN_NS:
            try:
                entry = self.running = self.waiting.popleft()
            except IndexError:
                break
            result = worker.run(entry.item, entry.position, entry.attempt, entry.is_probe, entry.given)
            is_usual = type(result) is Item
            self.running = None  # before others can see that it is done, and what they have called next
            self.done.append((entry, result))
            del entry, result  # the thread must not hold an item while it waits
            num_run += 1
            now = clock_ns()
        self.is_stopped = not is_usual
        if num_run:
            self.most = max(1, min(MOST_ENTRIES, num_run * TURN_NS // max(1, now - started)))
            self.is_slow = now - started >= num_run * TURN_NS

    def take_back(self) -> list[Entry]:
        """What the worker has not begun, and will not, oldest first."""
        entries: list[Entry] = []
        while True:
            try:
                entries.append(self.waiting.popleft())
            except IndexError:
                return entries
