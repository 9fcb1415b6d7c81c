"""Forming: gathers items into batches by count, by seconds of audio, by how long they wait; pure, with the time passed in.

Theory of operation. Items wait in open batches, one for each range of durations, or a single one. A batch is full when it has
`max_items`, or when the next item would bring its audio above `max_audio`; then it is closed, and the next item opens another. It
is due when its first item has waited for `max_wait`. Whoever can work on a batch takes the full or due one whose first item came
first; nobody takes one that is neither, unless nothing more can come.

Ranges of durations. A node that pads works on the longest item's length for each of them. With ranges whose ends are a factor of
sqrt(2) apart, no item is padded by more than that factor, and at most 15 % of the work is for padding where durations are spread
evenly within a range. Closer ends would mean more ranges, each of which waits for items of its own.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from phonograph.language.batches import Batching

T = TypeVar("T")

SHORTEST_S = 0.25
"""Clips below are of one range: padding them costs less than a call."""

RATIO = math.sqrt(2)
"""Of the longest duration in a range to the shortest."""


def range_of(duration_s: float) -> int:
    """The number of the range that a duration is in; 0: up to `SHORTEST_S`.

    Range n > 0 is from SHORTEST_S * RATIO**(n - 1), exclusive, to SHORTEST_S * RATIO**n.
    """
    if duration_s <= SHORTEST_S:
        return 0
    return math.ceil(math.log(duration_s / SHORTEST_S, RATIO) - 1e-9)  # ends belong to the range below, whatever the rounding


class _Batch(Generic[T]):
    """Items that go together, and when the first of them has waited long enough."""

    __slots__ = ("due", "items", "seconds")

    def __init__(self, due: float, item: T, seconds: float) -> None:
        self.due = due
        self.items = [item]
        self.seconds = seconds

    def add(self, item: T, seconds: float, due: float) -> None:
        self.items.append(item)
        self.seconds += seconds
        self.due = min(self.due, due)


class Forming(Generic[T]):
    """The batches of one node that are not taken yet."""

    def __init__(self, batching: Batching) -> None:
        self._rules = batching
        self._open: dict[int, _Batch[T]] = {}  # range of durations -> the batch that more can join
        self._full: list[_Batch[T]] = []

    def __len__(self) -> int:
        return sum(len(batch.items) for batch in (*self._open.values(), *self._full))

    @property
    def has_full(self) -> bool:
        return bool(self._full)

    @property
    def due(self) -> float | None:
        """When the first of the batches that are not full is to be taken; None: there are none."""
        return min((batch.due for batch in self._open.values()), default=None)

    def add(self, item: T, seconds: float | None, since: float) -> None:
        """Let an item join a batch.

        Args:
            seconds: how long its audio is. None: unknown; where it matters, it goes alone.
            since: when it began to wait.
        """
        rules = self._rules
        limit = math.inf if rules.max_audio_s is None else rules.max_audio_s
        if seconds is None:
            seconds = math.inf if rules.by_duration or rules.max_audio_s is not None else 0.0
        due = since + rules.max_wait_s
        if seconds >= limit:
            self._full.append(_Batch(due, item, seconds))
            return
        number = range_of(seconds) if rules.by_duration else 0
        batch = self._open.get(number)
        if batch is not None and batch.seconds + seconds <= limit:
            batch.add(item, seconds, due)
        else:
            if batch is not None:
                self._full.append(batch)
            batch = self._open[number] = _Batch(due, item, seconds)
        if len(batch.items) >= rules.max_items:
            self._full.append(self._open.pop(number))

    def take(self, now: float, *, is_last: bool = False) -> list[T] | None:
        """A batch to work on now; None while there is none.

        Args:
            is_last: nothing more will come, so that no batch waits for more.
        """
        waiting = [*self._full, *(batch for batch in self._open.values() if is_last or batch.due <= now)]
        if not waiting:
            return None
        first = min(waiting, key=lambda batch: batch.due)
        self._remove(first)
        return first.items

    def take_all(self) -> list[T]:
        """Everything that waits, for it is not to be worked on."""
        batches = [*self._full, *self._open.values()]
        self._full.clear()
        self._open.clear()
        return [item for batch in batches for item in batch.items]

    def _remove(self, batch: _Batch[T]) -> None:
        if batch in self._full:
            self._full.remove(batch)
        else:
            self._open = {number: one for number, one in self._open.items() if one is not batch}
