"""What the journal keeps for each worker of a sink: in `journal/<node>-<worker>.log`, the files that it was about to make.

A line there is not synced by itself. What is redone gives the same file under the same name, so that a line that a power cut
takes away costs at most a temporary file that stays; and a sync for each line would cost as much as the file's own.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from phonograph.journal.earlier import Earlier
from phonograph.journal.records import EARLIER, RECORDS, StoredPart
from phonograph.journal.rows import RowsLog, unwritable
from phonograph.journal.sealed import Group, SealedFile, groups, line_of
from phonograph.points import reached
from phonograph.redaction import Secrets
from phonograph.sink import RowsJournal, Writer, Written

ROWS_LOG = ".rows.log"
"""What the names of files end with that say whose the rows in a file of rows are."""

Stored = deque[tuple[int, StoredPart]]
"""Files that workers have committed, with the item's ordinal. Whoever ends a record takes its own."""


class Begun(msgspec.Struct, frozen=True):
    """A file that a run was about to make."""

    run: int
    ordinal: int
    path: str
    temporary: str


class _Line(msgspec.Struct, frozen=True):
    begun: Begun


_BEGUN = msgspec.json.Decoder(_Line)


class JournalWriter(Writer):
    """Tells the journal what one worker stores. For that worker's thread.

    Args:
        path: of its file, which is made when there is something to write.
        stored: where committed files are told. rows_log: makes what keeps whose rows are whose in a file, by its name.
    """

    def __init__(
        self, path: Path, run: int, stored: Stored, secrets: Secrets, rows_log: Callable[[Writer, str], RowsLog]
    ) -> None:
        self._path = path
        self._run = run
        self._stored = stored
        self._secrets = secrets
        self._make_rows_log = rows_log
        self._rows_logs: dict[str, RowsLog] = {}
        self._file: SealedFile | None = None

    def begin(self, path: str, temporary: str) -> None:
        try:
            if self._file is None:
                self._file = SealedFile(self._path, after=last_group(self._path))
            begun = {"run": self._run, "ordinal": self.ordinal, "path": path, "temporary": temporary}
            self._file.append(line_of({"begun": self._secrets.clean_all(begun)}))
        except OSError as error:
            raise unwritable(self._path, error) from error
        reached("part.begun")

    def stored(self, written: Written) -> None:
        if written.mtime_ns is not None:
            path = self._secrets.clean(written.path)
            self._stored.append((self.ordinal, StoredPart(path, written.num_bytes, written.mtime_ns, written.sha256)))

    def sync(self) -> None:
        """Make durable what shares a file with other items. May be called from another thread."""
        for log in tuple(self._rows_logs.values()):
            log.sync()

    def rows_journal(self, name: str = "") -> RowsJournal:
        if name not in self._rows_logs:
            self._rows_logs[name] = self._make_rows_log(self, name)
        return self._rows_logs[name]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def last_group(path: Path) -> Group | None:
    """The last whole group that a file of groups ends with; None when there is none. Raises OSError."""
    last = None
    for last in groups(path):  # noqa: B007  # the last one is what is asked for
        pass
    return last


def file_logs(journal: Path) -> list[Path]:
    """The files that workers keep of the files that they make."""
    others = (RECORDS, EARLIER)
    return [path for path in sorted(journal.glob("*.log")) if path.name not in others and not path.name.endswith(ROWS_LOG)]


def begun_in(path: Path) -> Iterator[Begun]:
    """The files that a worker was about to make, as far as the journal can be read. Raises OSError."""
    for group in groups(path):
        if group.is_whole and group.body.startswith(b'{"begun":'):
            try:
                yield _BEGUN.decode(group.body).begun
            except msgspec.DecodeError:  # lone surrogates, of names that are not UTF-8, which msgspec does not take
                yield msgspec.convert(json.loads(group.body), _Line).begun


def orphans(journal: Path, earlier: Earlier) -> set[str]:
    """Files that dead runs were making of records that did not end well: temporary ones are removed, and the final names
    returned.

    They are made anew when their records are done again. What is left over then, because something else came of a record, has no
    owner. Raises OSError.
    """
    paths = file_logs(journal)
    dead = set()
    for begun in (begun for path in paths for begun in begun_in(path)):
        remove(begun.temporary)
        if begun.ordinal not in earlier.live(begun.run):
            dead.add(begun.path)
    if dead:
        for begun in (begun for path in paths for begun in begun_in(path)):
            if begun.ordinal in earlier.live(begun.run):
                dead.discard(begun.path)
    if dead:  # what has just been asked is not synced, so that a power cut may have taken the names of a run that did end them
        for row in chain.from_iterable(earlier.rows()):
            if row.parts and row.ordinal in earlier.live(row.run):
                dead.difference_update(part.path for part in row.parts)
    return dead


def remove_stale(before: Iterable[StoredPart], now: Iterable[StoredPart]) -> None:
    """Remove the files that were made of a record before and not now, unless somebody else has changed them since."""
    made = {part.path for part in now}
    for part in before:
        if part.path not in made:
            with contextlib.suppress(OSError):
                status = os.stat(part.path)
                if (status.st_size, status.st_mtime_ns) == (part.num_bytes, part.mtime_ns):
                    os.unlink(part.path)


def remove(path: str) -> bool:
    """Remove a file that a dead run left; whether there was one that could be removed."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
