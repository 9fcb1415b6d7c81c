"""Marks and tables: as sets and mappings, in a few bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phonograph.item import Outcome
from phonograph.journal.finding import Marks, Moves, Table
from phonograph.journal.records import RecordRow, encoded
from phonograph.journal.sealed import SealedFile

NUMBERS = st.lists(st.integers(0, 5000), max_size=20)


@given(st.lists(st.tuples(st.booleans(), NUMBERS), max_size=8))
def test_marks_are_a_set(steps: list[tuple[bool, list[int]]]) -> None:
    """Whatever is marked and unmarked, the marks are those of a set; a number that comes a second time is told."""
    marks, expected = Marks(), set[int]()
    for adds, numbers in steps:
        if adds:
            assert marks.add(numbers) == (bool(expected & set(numbers)) or len(set(numbers)) < len(numbers))
            expected |= set(numbers)
        else:
            marks.remove(np.array(numbers, np.int64))
            expected -= set(numbers)
    every = np.arange(-2, 6000)
    assert marks.of(every).tolist() == [number in expected for number in every.tolist()]
    assert list(marks.numbers()) == sorted(expected)
    assert [number in marks for number in range(-2, 6000, 7)] == [number in expected for number in range(-2, 6000, 7)]


def test_moves_tell_what_ordinals_are_now() -> None:
    """Of each run its own; what has not moved, or was never taken over, is as it was."""
    moves = Moves()
    rows = [
        RecordRow(key=str(number), outcome=Outcome.COMPLETED, ordinal=number, run=run) for number, run in ((5, 1), (1, 1), (2, 2))
    ]
    moves.add(rows, first=0)
    asked = np.array([0, 1, 2, 5, 9])
    assert moves.of(1, asked).tolist() == [0, 1, 2, 0, 9]
    moves.add(rows[1:], first=7)
    assert moves.of(1, asked).tolist() == [0, 7, 2, 0, 9]
    assert moves.of(2, asked).tolist() == [0, 1, 8, 5, 9]
    assert moves.of(3, asked).tolist() == asked.tolist()


def test_a_table_finds_rows_by_key(tmp_path: Path) -> None:
    """Rows of any length are found, in groups before and behind one that is garbled, and keys that are not there are not."""
    path = tmp_path / "records"
    keys = ["a", "b" * 20_000, "c", os.fsdecode(b"caf\xe9")]
    file = SealedFile(path)
    for number, key in enumerate([*keys[:2], "lost", *keys[2:]]):
        file.append(encoded([RecordRow(key=key, outcome=Outcome.COMPLETED, ordinal=number)]))
    file.close()
    path.write_bytes(path.read_bytes().replace(b"lost", b"LOST"))
    table = Table(path, run=4)
    try:
        found = [table.row_of(key) for key in (*keys, "lost", "LOST", "z")]
    finally:
        table.close()
    assert [row and (row.key, row.run) for row in found] == [*((key, 4) for key in keys), None, None, None]
