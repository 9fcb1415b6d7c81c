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

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from phonograph.errors import RunDirectoryError
from phonograph.item import Record
from phonograph.journal.finding import Marks, Numbers, Table
from phonograph.journal.fingerprint import digest_of
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.journal.records import (
    EARLIER,
    ENDED_WELL,
    RECORDS,
    VERSION,
    Again,
    Began,
    Ended,
    RecordRow,
    beginning_of,
    contents_of,
    decoded,
    encoded,
    fault_of,
    rows_of,
    version_of,
    write_beginning,
)
from phonograph.journal.redrive import Redrive, RedrivenRecords
from phonograph.journal.sealed import SealedFile, groups
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
        places: (run, ordinal) -> ordinal in this run, where it is another one.
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
        self.places: dict[tuple[int, int], int] = {}
        self.changed: list[str] = []
        self.num_changed = 0
        self.num_rows = 0
        self.num_met = 0
        self.garbled: list[int] = []
        self._verifies = verifies
        self._live: dict[int, Marks] = {}
        self._present: dict[int, Marks] = {}
        self._shuffled: set[int] = set()  # sources of which two rows have the same place
        self._table: Table | None = None
        self._lock = threading.Lock()
        self._scan(takes=takes)
        if redrive is not None:
            redrive.looked()

    def is_live(self, run: int, ordinal: int) -> bool:
        """Whether what a run made of one of its records stands."""
        marks = self._live.get(run)
        return marks is not None and ordinal in marks

    def are_live(self, run: int, ordinals: Numbers) -> npt.NDArray[np.bool_]:
        marks = self._live.get(run)
        return np.zeros(len(ordinals), np.bool_) if marks is None else marks.of(ordinals)

    def lose(self, run: int, ordinals: Numbers) -> None:
        """What was made of these records is no longer there, so that they are done again."""
        if run in self._live:
            if self.redrive is not None and self._live[run].of(ordinals).any():
                raise _lost()
            self._live[run].remove(ordinals)

    def lose_until(self, run: int) -> None:
        """The same for all records of the runs up to this one."""
        lost = [number for number in self._live if number <= run]
        if self.redrive is not None and lost:
            raise _lost()
        for number in lost:
            del self._live[number]

    def of_source(self, number: int) -> EarlierRecords | RedrivenRecords:
        """What is known of one source's records."""
        present = None if number in self._shuffled else self._present.get(number, Marks())
        records = EarlierRecords(self, number, present)
        if self.redrive is None:
            return records
        return RedrivenRecords(self, self.redrive, self.redrive.wanted(number), records.in_order())

    def close(self) -> None:
        if self._table is not None:
            self._table.close()

    @property
    def is_exhausted(self) -> bool:
        """Whether every row was met by its record, so that the file is not needed any more."""
        return not self.num_unmet and not self.garbled

    @property
    def num_unmet(self) -> int:
        """Rows that have not come to their records, which the sources no longer have when all has been seen."""
        return self.num_rows - self.num_met

    def rows(self) -> Iterator[RecordRow]:
        for rows in rows_of(self.path):
            for row in rows:
                row.run = row.run or self.began.run
                yield row

    def table(self) -> Table:
        """Where the row of each key is."""
        with self._lock:
            self._table = self._table or Table(self.path, self.began.run)
            return self._table

    def judge(self, record: Record, row: RecordRow) -> str | None:
        """Why a record must be done again, in words; empty when it had not ended well; None when it need not."""
        self.met()
        if not self.is_live(row.run, row.ordinal):
            return ""
        if (record.size, record.mtime_ns, record.digest) != (row.size, row.mtime_ns, row.digest):
            return "its input has changed"
        for part in row.parts:
            if fault := fault_of(part, verifies=self._verifies):
                return fault
        return None

    def met(self) -> None:
        """A row has come to its record."""
        with self._lock:
            self.num_met += 1

    def supersede(self, row: RecordRow, reason: str) -> None:
        """What was made of a record is to be replaced."""
        self.num_changed += 1
        if len(self.changed) < _MOST_TOLD:
            self.changed.append(f"{row.key}: {reason}")
        self.superseded.add((row.run, row.ordinal))

    def _scan(self, *, takes: bool) -> None:
        for group in groups(self.path):
            if not group.is_whole:
                self.garbled.append(group.line)
                continue
            places: dict[int, list[int]] = {}
            live: dict[int, list[int]] = {}
            for row in decoded(group.body):
                self.num_rows += 1
                if (place := row.place) >= 0:
                    places.setdefault(row.source, []).append(place)
                if self.redrive is not None:
                    self.redrive.look_at(row)
                if self.redrive is not None or (takes and row.outcome in ENDED_WELL and not row.is_hidden):
                    live.setdefault(row.run or self.began.run, []).append(row.ordinal)
            for source, numbers in places.items():
                if self._present.setdefault(source, Marks()).add(numbers):
                    self._shuffled.add(source)
            for run, ordinals in live.items():
                self._live.setdefault(run, Marks()).add(ordinals)


class EarlierRecords:
    """The earlier records of one source, which is read from its beginning. For the thread that reads it.

    Args:
        present: its places that have a row; None: rows are found by their keys alone.
    """

    def __init__(self, earlier: Earlier, number: int, present: Marks | None) -> None:
        self._earlier = earlier
        self._number = number
        self._present = present
        self._place = 0
        self._rows = (row for row in earlier.rows() if row.source == number)
        self._ahead: dict[int, RecordRow] = {}

    def meet(self, record: Record) -> Record | RecordRow | Again:
        """What is to become of the next record: its row when it is taken over; itself when it is new; else it is done again."""
        place, self._place = self._place, self._place + 1
        row = self._row_of(record, place)
        if row is None:
            return record
        reason = self._earlier.judge(record, row)
        if reason is not None:
            if reason:
                self._earlier.supersede(row, reason)
            return Again(record, row)
        row.source, row.index = self._number, -1 if place == row.ordinal else place
        return row

    def in_order(self) -> Iterator[RecordRow]:
        """All rows of the source, those whose places are known in the order of these, and before the others."""
        if self._present is None:
            yield from self._rows
            return
        for place in self._present.numbers():
            row = self._ahead.pop(place, None) or self._read_to(place)
            if row is not None:
                yield row
        yield from (row for row in self._earlier.rows() if row.source == self._number and row.place < 0)

    def _row_of(self, record: Record, place: int) -> RecordRow | None:
        key = self._earlier.secrets.clean(record.key) if self._earlier.secrets else record.key
        if self._present is not None:
            if place not in self._present:
                return None
            row = self._ahead.pop(place, None) or self._read_to(place)
            if row is None or row.key == key:
                return row
            self._present = None
            self._ahead.clear()
        return self._earlier.table().row_of(key)

    def _read_to(self, place: int) -> RecordRow | None:
        for row in self._rows:
            if row.place == place:
                return row
            if row.place >= 0:
                self._ahead[row.place] = row
        return None


def earlier_runs(
    journal: Path,
    fingerprint: Mapping[str, str],
    resume: Resume,
    secrets: Secrets,
    *,
    takes: bool = True,
    redrive: Redrive | None = None,
) -> Earlier | None:
    """What there is to be taken over in a run directory's journal; None when there is nothing, or it is to be replaced.

    Args:
        redrive: see `Earlier`; its `begin` is called once it is known what the runs were of.

    Raises:
        RunDirectoryError: it is of another manifest or of another version of phonograph, or garbled. OSError: it cannot be read.
    """
    records, before = journal / RECORDS, journal / EARLIER
    began = None
    for path in (records, before):
        found = beginning_of(path)
        if found is None:
            _refuse_unreadable(path)
            path.unlink(missing_ok=True)  # a run that was killed before it had said anything
        began = began or found
    if began is None:
        return None
    if redrive is not None:
        redrive.begin(journal.parent / DEAD_LETTERS, digest_of(began.fingerprint))
    if resume == "new" and dict(began.fingerprint) != dict(fingerprint):
        return None
    if resume != "reuse":
        remedy = _OF_RESUME if redrive is None else _OF_REDRIVE
        _refuse_differences(journal.parent, _differences(began.fingerprint, fingerprint), remedy)
    began = msgspec.structs.replace(began, after=_how_ended(records, before, began))
    if records.exists():
        if before.exists():
            _merge(records, before, began)
        else:
            os.replace(records, before)
        sync_folder(str(journal))
        records.unlink(missing_ok=True)
    return Earlier(journal, began, secrets, verifies=resume == "verify", takes=takes, redrive=redrive)


def _how_ended(records: Path, before: Path, began: Began) -> Ended | None:
    """How the latest run ended; of a redrive that was killed, how the runs ended that it went on with."""
    latest = records if records.exists() else before
    return contents_of(latest).ended or began.after


def _lost() -> RunDirectoryError:
    return RunDirectoryError(
        "rows of earlier runs are not in their file any more, or that has another name now; expected them as they were, for a "
        "redrive adds to them and makes no others; make all anew that is missing with --resume"
    )


def _refuse_unreadable(path: Path) -> None:
    """Raises RunDirectoryError for a file that holds something, but not how it began."""
    first = next(groups(path), None)
    if first is None:
        return
    version = version_of(path)
    found = "its first row is garbled" if version in (None, VERSION) else f"it is of version {version} of the format"
    raise RunDirectoryError(
        f"{path}:1: {found}; expected a journal of version {VERSION}; begin anew without --resume, or give this run a directory "
        "of its own with --run-dir"
    )


def refuse_changes(journal: Path, fingerprint: Mapping[str, str]) -> None:
    """Raises RunDirectoryError where the runs of a directory were of something else, before a redrive changes it further."""
    began = beginning_of(journal / RECORDS) or beginning_of(journal / EARLIER)
    if began is not None:
        _refuse_differences(journal.parent, _differences(began.fingerprint, fingerprint), _OF_REDRIVE)


def _refuse_differences(run_directory: Path, differences: Sequence[str], remedy: str) -> None:
    if differences:
        raise RunDirectoryError(
            f"{run_directory}: what is there was made by something else: {'; '.join(differences)}; expected the same; {remedy}"
        )


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What was and what is, where it is not the same."""
    names = [*now, *(name for name in before if name not in now)]
    differing = [name for name in names if before.get(name) != now.get(name)]
    told = [f"{name} was {before.get(name, 'not there')}, is {now.get(name, 'not there')}" for name in differing[:_MOST_TOLD]]
    return [*told, f"and {len(differing) - _MOST_TOLD} more"] if len(differing) > _MOST_TOLD else told


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
