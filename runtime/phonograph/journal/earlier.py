"""What earlier runs in a run directory have done, for one that goes on where they stopped.

Theory of operation. A run's file of records has a row for each record that ended, in the order of their ends, which is nearly
that of the source. So it is read beside the source: rows that come before their record wait in memory, and they are about as many
as records were in flight. Which places of a source have a row at all is found out before, at a bit a place, so that nobody looks
for one that is not there. That goes on while the source gives the same keys in the same order. From the first place where it does
not, rows are looked up by a hash of their key, at 16 bytes a row.

A run that goes on writes the rows that it takes over into its own file, which is complete therefore when the run is. The file of
the runs before is kept until then; where both are there, because the later run was killed too, they are merged first.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from phonograph.errors import NodeContractError, RunDirectoryError
from phonograph.item import Record
from phonograph.journal.finding import Marks, Moves, Numbers, Table
from phonograph.journal.fingerprint import differences, digest_of
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.journal.records import (
    EARLIER,
    ENDED_WELL,
    RECORDS,
    Again,
    Began,
    Ended,
    RecordRow,
    beginning_of,
    contents_of,
    decoded,
    encoded,
    fault_among,
    places_of,
    refuse_unreadable,
    rows_of,
    write_beginning,
)
from phonograph.journal.redrive import Redrive, RedrivenRecords, closed_at_end
from phonograph.journal.sealed import SealedFile, groups
from phonograph.node import Source
from phonograph.redaction import Secrets
from phonograph.sink import sync_folder

Resume = Literal["same", "verify", "reuse", "new"]
"""What becomes of earlier runs: taken over if they were of the same manifest (`verify`: and the content of every output is still
what was written), taken over whatever they were of, or taken over if they were of the same manifest, and else replaced."""

_MOST_TOLD = 20
_OF_RESUME = "take it as it is with --resume=reuse, or begin anew with --resume=new"
_OF_REDRIVE = "run the dead letters all the same with --reuse"


class Earlier:
    """Earlier runs that are taken over.

    Args:
        journal: the folder. began: the first row of the latest run.
        secrets: what is hidden in keys. verifies: the content of outputs counts, and not only size and time.
        takes: False: no record is taken over, because what becomes of one depends on others; but what was made of it is known.
        redrive: which records are done again, if all others are taken over as they ended.

    Attributes:
        superseded: (run, ordinal) of what ended well and is done again.
        has_lost: records are done again because something that was made of them is gone; other lists may have rows of them.
        moves: what ordinals have become; None: no list is in the order of the sources, so that nobody asks.
        changed: why records that had ended well are done again, in words, the first few. num_changed: how many are.
    """

    def __init__(
        self, journal: Path, began: Began, secrets: Secrets, *, verifies: bool, takes: bool, redrive: Redrive | None = None
    ) -> None:
        self.began = began
        self.redrive = redrive
        self.path = journal / EARLIER
        self.secrets = secrets
        self.superseded: set[tuple[int, int]] = set()
        self.has_lost = False
        self.moves: Moves | None = None
        self.changed: list[str] = []
        self.num_changed = 0
        self.num_rows = 0
        self.garbled: list[int] = []
        self.verifies = verifies
        self._read: list[EarlierRecords] = []
        self._live: dict[int, Marks] = {}
        self._present: dict[int, Marks] = {}
        self._shuffled: set[int] = set()  # sources of which two rows have the same place
        self._unplaced: set[int] = set()  # sources of which a row has none
        self._table: Table | None = None
        self._readings: list[Generator[list[RecordRow]]] = []
        self._lock = threading.Lock()
        self._scan(takes=takes)
        if redrive is not None:
            redrive.looked()

    def live(self, run: int) -> Marks:
        """The records of a run of which stands what it made."""
        return self._live.setdefault(run, Marks())

    def lose(self, run: int, ordinals: Numbers) -> None:
        """What was made of these records is no longer there, so that they are done again."""
        if self.live(run).of(ordinals).any():
            self._lose()
            self.live(run).remove(ordinals)

    def lose_until(self, run: int) -> bool:
        """The same for all records of the runs up to this one; whether there were any."""
        lost = [live for number, live in self._live.items() if number <= run and live]
        for live in lost:
            self._lose()
            live.clear()
        return bool(lost)

    def of_source(self, number: int) -> EarlierRecords | RedrivenRecords:
        """What is known of one source's records."""
        present = None if number in self._shuffled else self._present.get(number, Marks())
        records = EarlierRecords(self, number, present, has_unplaced=number in self._unplaced)
        self._read.append(records)
        if self.redrive is None:
            return records
        return RedrivenRecords(self, self.redrive, self.redrive.wanted(number), records)

    def close(self) -> None:
        for reading in self._readings:  # those of sources that were not read to their end
            with contextlib.suppress(ValueError):  # a source that was left behind reads on, and ends with its thread
                reading.close()
        if self._table is not None:
            self._table.close()

    @property
    def is_exhausted(self) -> bool:
        """Whether every row was met by its record, so that the file is not needed any more."""
        return not self.num_unmet and not self.garbled

    @property
    def num_unmet(self) -> int:
        """Rows that have not come to their records, which the sources no longer have when all has been seen."""
        return self.num_rows - sum(records.num_met for records in self._read)

    def rows(self, source: int | None = None) -> Iterator[list[RecordRow]]:
        """Of one source or of all, as they are in the file; until `close`."""
        reading = self._rows(source)
        self._readings.append(reading)  # other sources' threads do so too
        return reading

    def _rows(self, source: int | None) -> Generator[list[RecordRow]]:
        for rows in rows_of(self.path):
            for row in rows:
                row.run = row.run or self.began.run
            yield rows if source is None else [row for row in rows if row.source == source]

    def table(self) -> Table:
        """Where the row of each key is."""
        with self._lock:
            self._table = self._table or Table(self.path, self.began.run)
            return self._table

    def supersede(self, row: RecordRow, reason: str) -> None:
        """What was made of a record is to be replaced."""
        self.num_changed += 1
        self.tell(f"{row.key}: {reason}")
        self.superseded.add((row.run, row.ordinal))

    def tell(self, words: str) -> None:
        """Keep why something is done again."""
        if len(self.changed) < _MOST_TOLD:
            self.changed.append(words)

    def _lose(self) -> None:
        if self.redrive is not None:
            raise RunDirectoryError(
                "rows of earlier runs are not in their file any more, or that has another name now; expected them as they were, "
                "for a redrive adds to them and makes no others; make all anew that is missing with --resume"
            )
        self.has_lost = True

    def _scan(self, *, takes: bool) -> None:
        size = self.num_torn = self.path.stat().st_size
        for group in groups(self.path):
            self.num_torn = size - group.end
            if not group.is_whole:
                self.garbled.append(group.line)
                continue
            rows = decoded(group.body)
            self.num_rows += len(rows)
            for source in {row.source for row in rows}:
                places = places_of(row for row in rows if row.source == source)
                if self._present.setdefault(source, Marks()).add(places):
                    self._shuffled.add(source)
                if min(places) < 0:
                    self._unplaced.add(source)
            if self.redrive is not None:
                for row in rows:
                    self.redrive.look_at(row)
            stand = rows if self.redrive is not None else []
            if takes and self.redrive is None:
                stand = [row for row in rows if row.outcome in ENDED_WELL and not row.is_hidden]
            for run in {row.run for row in stand}:
                ordinals = [row.ordinal for row in stand if row.run == run]
                self.live(run or self.began.run).add(ordinals)


class EarlierRecords:
    """The earlier records of one source, which is read from its beginning. For the thread that reads it.

    Args:
        present: its places that have a row; None: rows are found by their keys alone. has_unplaced: there are rows without one.

    Attributes:
        num_met: rows that have come to their record.
    """

    def __init__(self, earlier: Earlier, number: int, present: Marks | None, *, has_unplaced: bool) -> None:
        self.num_met = 0
        self._earlier = earlier
        self._number = number
        self._has_unplaced = has_unplaced
        self._placed = None if present is None else chain.from_iterable(self._in_places(present))

    def read(self, source: Source[Any]) -> Iterator[Record | RecordRow | Again]:
        """What is to become of each record: its row when it is taken over; itself when it is new; else it is done again."""
        return self._met(iter(source.read()))

    def in_order(self) -> Iterator[RecordRow]:
        """All rows of the source, those whose places are known in the order of these, and before the others."""
        if self._placed is None:
            yield from chain.from_iterable(self._earlier.rows(self._number))
            return
        for _, row in self._placed:
            yield row
        yield from (row for rows in self._earlier.rows(self._number) for row in rows if row.place < 0)

    def _met(self, records: Iterator[Record]) -> Iterator[Record | RecordRow | Again]:
        secrets = self._earlier.secrets if self._earlier.secrets else None
        with closed_at_end(records):
            placed, coming = self._placed, None if self._placed is None else next(self._placed, None)
            run, live = -1, Marks()
            for place, record in enumerate(records):
                if not isinstance(record, Record):
                    raise NodeContractError(f"the source yielded {type(record).__name__}; expected Record")
                key = record.key if secrets is None else secrets.clean(record.key)
                row = None
                if placed is not None and coming is not None and coming[0] == place:
                    row, coming = coming[1], next(placed, None)
                    if row.key != key:
                        placed = row = None
                if row is None and (placed is None or coming is not None or self._has_unplaced):
                    row = self._found(key, place)  # also where a place has no row: another's record may have come there
                if row is None:
                    yield record
                    continue
                if row.run != run:
                    run, live = row.run, self._earlier.live(row.run)
                self.num_met += 1
                if row.ordinal not in live:
                    yield Again(record, row)
                elif record.size != row.size or record.mtime_ns != row.mtime_ns or record.digest != row.digest:
                    yield self._again(record, row, "its input has changed")
                elif row.parts and (fault := fault_among(row.parts, verifies=self._earlier.verifies)):
                    yield self._again(record, row, fault)
                else:
                    yield row

    def _found(self, key: str, place: int) -> RecordRow | None:
        row = self._earlier.table().row_of(key)
        if row is not None:
            row.source, row.index = self._number, -1 if place == row.ordinal else place
        return row

    def _again(self, record: Record, row: RecordRow, reason: str) -> Again:
        self._earlier.supersede(row, reason)
        return Again(record, row)

    def _in_places(self, present: Marks) -> Iterator[list[tuple[int, RecordRow]]]:
        """The rows whose places are known, in the order of these."""
        places = present.numbers()
        ahead: dict[int, RecordRow] = {}
        place = next(places, -1)
        for rows in self._earlier.rows(self._number):
            ahead.update(zip(places_of(rows), rows, strict=True))
            ordered = []
            while (row := ahead.pop(place, None)) is not None:
                ordered.append((place, row))
                place = next(places, -1)
            yield ordered


def earlier_runs(
    journal: Path,
    fingerprint: Mapping[str, str],
    resume: Resume,
    secrets: Secrets,
    notes: list[str],
    *,
    takes: bool = True,
    redrive: Redrive | None = None,
) -> Earlier | None:
    """What there is to be taken over in a run directory's journal; None when there is nothing, or it is to be replaced.

    Args:
        notes: gets what is repaired, in words.
        redrive: see `Earlier`; its `begin` is called once it is known what the runs were of.

    Raises:
        RunDirectoryError: it is of another manifest or of another version of phonograph, or garbled. OSError: it cannot be read.
    """
    records, before = journal / RECORDS, journal / EARLIER
    began = None
    for path in (records, before):
        found = beginning_of(path)
        if found is None:
            refuse_unreadable(path)
            path.unlink(missing_ok=True)  # a run that was killed before it had said anything
        began = began or found
    if began is None:
        if any(journal.iterdir()):  # which a run makes when it has said what it is
            notes.append(f"{records}: does not say any more how records ended; all are done again")
        return None
    if redrive is not None:
        redrive.begin(journal.parent / DEAD_LETTERS, digest_of(began.fingerprint))
    if resume == "new" and dict(began.fingerprint) != dict(fingerprint):
        return None
    if resume != "reuse":
        remedy = _OF_RESUME if redrive is None else _OF_REDRIVE
        _refuse_differences(journal.parent, differences(began.fingerprint, fingerprint), remedy)
    if redrive is not None:
        began = msgspec.structs.replace(began, after=_how_ended(records, before, began))
    if records.exists():
        if before.exists():
            _merge(records, before, began)
        else:
            os.replace(records, before)
        sync_folder(str(journal))
        records.unlink(missing_ok=True)
    earlier = Earlier(journal, began, secrets, verifies=resume == "verify", takes=takes, redrive=redrive)
    if earlier.num_torn:
        notes.append(f"{records}: its last {earlier.num_torn} bytes are torn; what they said of records is done again")
    return earlier


def _how_ended(records: Path, before: Path, began: Began) -> Ended | None:
    """How the latest run ended; of a redrive that was killed, how the runs ended that it went on with."""
    return contents_of(records if records.exists() else before).ended or began.after


def refuse_changes(journal: Path, fingerprint: Mapping[str, str]) -> None:
    """Raises RunDirectoryError where the runs of a directory were of something else, before a redrive changes it further."""
    began = beginning_of(journal / RECORDS) or beginning_of(journal / EARLIER)
    if began is not None:
        _refuse_differences(journal.parent, differences(began.fingerprint, fingerprint), _OF_REDRIVE)


def _refuse_differences(run_directory: Path, differences: Sequence[str], remedy: str) -> None:
    if differences:
        raise RunDirectoryError(
            f"{run_directory}: what is there was made by something else: {'; '.join(differences)}; expected the same; {remedy}"
        )


def _merge(later: Path, before: Path, began: Began) -> None:
    """Put the rows of two files into the place of the first one; of the same key, the later run's."""
    hashes = np.sort(np.concatenate([np.zeros(0, np.int64), *(_hashes(rows) for rows in rows_of(later))]))
    before_run = (beginning_of(before) or began).run
    aside = before.with_suffix(".tmp")
    file = SealedFile(aside)
    try:
        write_beginning(file, began)
        present: dict[int, Marks] = {}
        for rows in rows_of(later):
            for row in rows:
                row.run = row.run or began.run
                present.setdefault(row.source, Marks()).add([row.place])
            file.append(encoded(rows))
        for rows in rows_of(before):
            kept = [row for row, is_later in zip(rows, np.isin(_hashes(rows), hashes), strict=True) if not is_later]
            for row in kept:
                row.run = row.run or before_run
                if row.place in present.get(row.source, ()):
                    row.index = -2  # the source has changed since, so that only the key tells its record
            if kept:
                file.append(encoded(kept))
        file.sync()
    finally:
        file.close()
    os.replace(aside, before)


def _hashes(rows: list[RecordRow]) -> Numbers:
    return np.array([hash(row.key) for row in rows], np.int64)
