"""Sets of numbers, and rows by their keys, in a few bytes each: what earlier runs have done may be millions of records."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phonograph.journal.records import RecordRow, decoded
from phonograph.journal.sealed import groups

Numbers = npt.NDArray[np.int64]

_ROW_BYTES = 4096  # that are read at once; most rows are far shorter


class Marks:
    """Numbers from 0 that are marked, at a bit each up to the largest. Quick where those of one call are near each other."""

    def __init__(self) -> None:
        self._bytes = bytearray(128)  # single bits are looked up far quicker in it than in an array

    def add(self, numbers: Sequence[int]) -> bool:
        """Mark numbers, but for negative ones; whether one of them was marked already."""
        added = np.array(numbers, np.int64)
        if min(numbers, default=0) < 0:
            added = added[added >= 0]
        if not len(added):
            return False
        top = int(added.max()) >> 3
        if top >= len(self._bytes):
            self._bytes = self._bytes + bytes(top + 1 + len(self._bytes) // 8 - len(self._bytes))
        first, bits, places = self._around(added)
        num_before = np.count_nonzero(bits)
        bits[places] = 1
        self._put(first, bits)
        return int(np.count_nonzero(bits) - num_before) < len(added)

    def remove(self, numbers: Numbers) -> None:
        known = numbers[(numbers >= 0) & (numbers >> 3 < len(self._bytes))]
        if len(known):
            first, bits, places = self._around(known)
            bits[places] = 0
            self._put(first, bits)

    def clear(self) -> None:
        self._bytes = bytearray(128)

    def of(self, numbers: Numbers) -> npt.NDArray[np.bool_]:
        """Whether each number is marked."""
        known = (numbers >= 0) & (numbers >> 3 < len(self._bytes))
        looked_up = np.where(known, numbers, 0)
        marked: npt.NDArray[np.bool_] = (self._array[looked_up >> 3] >> (looked_up & 7) & 1).astype(np.bool_)
        return known & marked

    def numbers(self) -> Iterator[int]:
        """All that are marked, from the lowest on."""
        for start in range(0, len(self._bytes), 1 << 13):
            bits = np.unpackbits(self._array[start : start + (1 << 13)], bitorder="little")
            yield from (8 * start + np.flatnonzero(bits)).tolist()

    def __bool__(self) -> bool:
        return any(self._bytes)

    def __contains__(self, number: int) -> bool:
        return 0 <= number >> 3 < len(self._bytes) and self._bytes[number >> 3] >> (number & 7) & 1 == 1

    @property
    def _array(self) -> npt.NDArray[np.uint8]:
        """The same bytes."""
        return np.frombuffer(self._bytes, np.uint8)

    def _around(self, numbers: Numbers) -> tuple[int, npt.NDArray[np.uint8], Numbers]:
        """The bits from the byte of the smallest number to that of the largest, that byte, and where the numbers are in them."""
        first, last = int(numbers.min()) >> 3, int(numbers.max()) >> 3
        return first, np.unpackbits(self._array[first : last + 1], bitorder="little"), numbers - 8 * first

    def _put(self, first: int, bits: npt.NDArray[np.uint8]) -> None:
        packed = np.packbits(bits, bitorder="little")
        self._array[first : first + len(packed)] = packed


class Moves:
    """What ordinals of earlier runs are in this one, at 16 bytes for each that is another one."""

    def __init__(self) -> None:
        self._moved: dict[int, array[int]] = {}  # of each run, before and now by turns

    def add(self, rows: Iterable[RecordRow], first: int) -> None:
        """Rows are taken over, with the ordinals from `first` on."""
        for ordinal, row in enumerate(rows, first):
            if ordinal != row.ordinal:
                self._moved.setdefault(row.run, array("q")).extend((row.ordinal, ordinal))

    def of(self, run: int, ordinals: Numbers) -> Numbers:
        """What ordinals of a run are in this one."""
        if run not in self._moved:
            return ordinals
        moved = np.array(self._moved[run], np.int64).reshape(-1, 2)
        before, now = moved[np.argsort(moved[:, 0])].T
        at = np.minimum(np.searchsorted(before, ordinals), len(before) - 1)
        return np.where(before[at] == ordinals, now[at], ordinals)


class Table:
    """Finds rows of a file by their keys, at 16 bytes a row. Of rows with the same key the first one counts."""

    def __init__(self, path: Path, run: int) -> None:
        self._file = path.open("rb")
        self._run = run
        hashes: list[int] = []
        offsets: list[int] = []
        parts: list[tuple[Numbers, Numbers]] = []
        end = 0
        for group in groups(path):
            start, end = end, group.end
            rows = decoded(group.body) if group.is_whole else []
            for row, line in zip(rows, group.body.splitlines(keepends=True), strict=False):
                hashes.append(hash(row.key))
                offsets.append(start)
                start += len(line)
            parts.append((np.array(hashes, np.int64), np.array(offsets, np.int64)))
            hashes.clear()
            offsets.clear()
        found = np.concatenate([hashed for hashed, _ in parts]) if parts else np.zeros(0, np.int64)
        order = np.argsort(found, kind="stable")
        self._hashes = found[order]
        self._offsets = np.concatenate([offset for _, offset in parts])[order] if parts else found

    def row_of(self, key: str) -> RecordRow | None:
        hashed = hash(key)
        at = int(np.searchsorted(self._hashes, hashed))
        while at < len(self._hashes) and self._hashes[at] == hashed:
            row = self._read(int(self._offsets[at]))
            if row.key == key:
                return row
            at += 1
        return None

    def close(self) -> None:
        self._file.close()

    def _read(self, offset: int) -> RecordRow:
        size = _ROW_BYTES
        while b"\n" not in (content := os.pread(self._file.fileno(), size, offset)):
            size *= 16
        (row,) = decoded(content[: content.index(b"\n") + 1])
        row.run = row.run or self._run
        return row
