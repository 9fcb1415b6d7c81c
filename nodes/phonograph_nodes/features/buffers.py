"""The arrays that a stream keeps: samples that windows still read, rows that nobody has fetched yet."""

from __future__ import annotations

import numpy as np

from phonograph_nodes.features.levels import Features
from phonograph_nodes.validation import Samples

_FIRST_ROWS = 64


class SampleBuffer:
    """The last stretch of a signal.

    Args:
        capacity: samples that fit at first.

    Attributes:
        origin: place in the signal of the first sample that is kept.
        end: place behind the last one, which is the number of samples that came.
    """

    __slots__ = ("_array", "end", "origin")

    def __init__(self, capacity: int) -> None:
        self._array: Samples = np.empty(capacity, np.float32)
        self.origin = 0
        self.end = 0

    @property
    def samples(self) -> Samples:
        """Those from `origin` to `end`; a view."""
        return self._array[: self.end - self.origin]

    @property
    def room(self) -> int:
        """Samples that fit behind the last one."""
        return self._array.size - (self.end - self.origin)

    def append(self, samples: Samples) -> None:
        """Put samples behind the last one; there is room for them."""
        kept = self.end - self.origin
        self._array[kept : kept + samples.size] = samples
        self.end += samples.size

    def drop_before(self, place: int) -> None:
        """Forget the samples before a place in the signal, once they are more than those that stay."""
        gone = min(place, self.end) - self.origin
        kept = self.end - self.origin - gone
        if gone > 0 and gone >= kept:  # else both places would overlap, and NumPy copy by way of a third one
            self._array[:kept] = self._array[gone : gone + kept]
            self.origin += gone

    def grow(self, num_samples: int) -> None:
        """Make room for so many more; at least doubles, so that a signal in many pieces is not copied for each."""
        needed = self.end - self.origin + num_samples
        if needed > self._array.size:
            larger: Samples = np.empty(max(needed, 2 * self._array.size), np.float32)
            larger[: self.end - self.origin] = self.samples
            self._array = larger

    def clear(self) -> None:
        self.origin = self.end = 0


class RowBuffer:
    """Rows in the order in which they are made, handed out in that order.

    Args:
        width: values in a row.
        history: rows that are kept after they were handed out.

    Attributes:
        start: number of the row that is handed out next.
        end: number of the row that is made next.
    """

    __slots__ = ("_array", "_first", "_history", "end", "start")

    def __init__(self, width: int, history: int) -> None:
        self._array: Features = np.empty((_FIRST_ROWS, width), np.float32)
        self._history = history
        self._first = 0  # number of the row at place 0
        self.start = 0
        self.end = 0

    def reserve(self, num_rows: int) -> Features:
        """The place of the next rows, shape (num_rows, width), to be written and then added."""
        if self.end - self._first + num_rows > len(self._array):
            self._make_room(num_rows)
        place = self.end - self._first
        return self._array[place : place + num_rows]

    def add(self, num_rows: int) -> None:
        """Count rows as made that were written where `reserve` said."""
        self.end += num_rows

    def since(self, number: int) -> Features:
        """The rows from this number on, which are still there; to be changed in place."""
        return self._array[number - self._first : self.end - self._first]

    def take(self, num_rows: int) -> Features:
        """Hand out the next rows; a view that holds until place is reserved."""
        place = self.start - self._first
        self.start += num_rows
        return self._array[place : place + num_rows]

    def clear(self) -> None:
        self._first = self.start = self.end = 0

    def _make_room(self, num_rows: int) -> None:
        """Move the rows that are still needed to the front, into a larger array if they and the new ones need it."""
        keep = max(self.start - self._history, self._first)
        gone, kept = keep - self._first, self.end - keep
        rows = self._array[gone : gone + kept]
        if gone < kept or kept + num_rows > len(self._array):
            self._array = np.empty((max(2 * len(self._array), kept + num_rows), rows.shape[1]), np.float32)
        self._array[:kept] = rows
        self._first = keep
