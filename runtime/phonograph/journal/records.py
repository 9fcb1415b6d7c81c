"""records.log: how each record of a run ended, in the order of their ends.

The first line says which run it is, and of what; the last one, of a run that came to its end, how that was. Between them is a
line for each record, those of earlier runs among them that this one took as they were. Lines come in sealed groups.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from phonograph.errors import RunDirectoryError
from phonograph.item import Outcome, Record
from phonograph.journal.sealed import Group, SealedFile, groups, line_of

RECORDS, EARLIER = "records.log", "records.earlier.log"
VERSION = 1

ENDED_WELL = frozenset({Outcome.COMPLETED, Outcome.FILTERED, Outcome.SKIPPED, Outcome.DROPPED})
"""What is not done again."""


class StoredPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file that was made of a record: where it lies, and how to tell whether it is still as it was."""

    path: str
    num_bytes: int
    mtime_ns: int
    sha256: str


class RecordRow(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """How a record ended.

    Args:
        ordinal: in the run that did it. run: that run's number; 0: the one whose file this is.
        size, mtime_ns, digest: as of `Record`.
        parts: files that were made of it. node, policy: where it was dropped.
        source, index: which of the sources it came from, and as which of its records, from 0; -1: as its ordinal says; -2: that
            is no longer known.
        is_hidden: a secret stands in its key, which is not as the record's own therefore.
    """

    key: str
    outcome: Outcome
    ordinal: int
    run: int = 0
    source: int = 0
    index: int = -1
    size: int | None = None
    mtime_ns: int | None = None
    digest: str = ""
    parts: tuple[StoredPart, ...] = ()
    node: str = ""
    policy: str = ""
    is_hidden: bool = False

    @property
    def place(self) -> int:
        """Which of its source's records it is, from 0; negative when that is not known."""
        return self.ordinal if self.index == -1 else self.index


def places_of(rows: Iterable[RecordRow]) -> list[int]:
    """`RecordRow.place` of many rows."""
    return [row.ordinal if row.index == -1 else row.index for row in rows]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What the last line says.

    Args:
        status: how the run ended. is_complete: it had seen all that its sources have, and stored all that it was to store.
        has_read: it had read all that it was to read, and seen it through.
    """

    status: str
    is_complete: bool
    has_read: bool = False


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """What the first line of a run's file says.

    Args:
        version: of the format. run: counts the runs that went on where another one stopped, from 1.
        name: of the manifest. started: UTC, ISO 8601; nothing is decided by it.
        fingerprint: what decides about the results, see `phonograph.journal.fingerprint`.
        after: of a redrive, how the runs ended whose records it does again.
    """

    version: int
    run: int
    name: str
    started: str
    fingerprint: dict[str, str] = {}
    after: Ended | None = None


class Again(NamedTuple):
    """A record that is done again, and how it ended before."""

    record: Record
    before: RecordRow


class Contents(NamedTuple):
    """What a file of records begins and ends with.

    Args:
        began: None when there is no such line. ended: None when the run was killed.
        num_rows: of groups that are whole. garbled: the first lines of the others.
    """

    began: Began | None
    ended: Ended | None
    num_rows: int
    garbled: tuple[int, ...]


_ENCODER = msgspec.json.Encoder()
_ROWS = msgspec.json.Decoder(RecordRow)
_BEGAN, _ENDED = b'{"began":', b'{"ended":'


def encoded(rows: Iterable[RecordRow]) -> bytes:
    """Rows as lines."""
    try:
        return _ENCODER.encode_lines(rows)
    except UnicodeEncodeError:  # a file name that is not UTF-8
        return b"".join(line_of(_plain(row)) for row in rows)


def decoded(body: bytes) -> list[RecordRow]:
    """The rows of a group; none of one that holds something else."""
    if body.startswith((_BEGAN, _ENDED)):
        return []
    try:
        return _ROWS.decode_lines(body)
    except msgspec.DecodeError:  # lone surrogates, which msgspec does not take
        return [msgspec.convert(json.loads(line), RecordRow) for line in body.splitlines()]


def _plain(row: RecordRow) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


def write_beginning(file: SealedFile, began: Began) -> None:
    file.append(line_of({"began": msgspec.to_builtins(began)}))


def write_end(file: SealedFile, ended: Ended) -> None:
    file.append(line_of({"ended": msgspec.to_builtins(ended)}))


def beginning_of(path: Path) -> Began | None:
    """Its first line; None when there is none, or it is garbled or of another version.

    Raises:
        OSError: the file cannot be read.
    """
    first = next(groups(path), None)
    return _began(first) if first is not None else None


def _holds_nothing(path: Path) -> bool:
    """Whether a file without a whole group is of a run that was stopped while it wrote its first line: it holds a part of it, or
    what a power cut makes of it. Raises OSError.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_BEGAN))
    except FileNotFoundError:
        return True
    return _BEGAN.startswith(head) or not head.strip(b"\0")


def refuse_unreadable(path: Path) -> None:
    """Raises RunDirectoryError for a file that holds something, but not how a run began. OSError: it cannot be read."""
    if next(groups(path), None) is None and _holds_nothing(path):
        return
    version = version_of(path)
    found = "its first row is garbled" if version in (None, VERSION) else f"it is of version {version} of the format"
    raise RunDirectoryError(
        f"{path}:1: {found}; expected a journal of version {VERSION}; begin anew without --resume, or give this run a directory "
        "of its own with --run-dir"
    )


def version_of(path: Path) -> object:
    """The format's version that a file names; None when it names none."""
    first = next(groups(path), None)
    try:
        return None if first is None else json.loads(first.body)["began"]["version"]
    except (ValueError, KeyError, TypeError):
        return None


def contents_of(path: Path) -> Contents:
    """What a file holds. Raises OSError."""
    began, ended, num_rows = None, None, 0
    garbled: list[int] = []
    for group in groups(path):
        if not group.is_whole:
            garbled.append(group.line)
        elif group.body.startswith(_BEGAN):
            began = began or _began(group)
        elif group.body.startswith(_ENDED):
            ended = msgspec.convert(json.loads(group.body)["ended"], Ended)
        else:
            num_rows += group.body.count(b"\n")
    return Contents(began, ended, num_rows, tuple(garbled))


def rows_of(path: Path) -> Iterator[list[RecordRow]]:
    """The rows of a file, group by group, without groups that are garbled. Raises OSError."""
    for group in groups(path):
        if group.is_whole and (rows := decoded(group.body)):
            yield rows


def counts_of(paths: Iterable[Path]) -> Mapping[Outcome, int]:
    """How many records ended in which outcome. Raises OSError."""
    counts = dict.fromkeys(Outcome, 0)
    for path in paths:
        for rows in rows_of(path):
            for row in rows:
                counts[row.outcome] += 1
    return counts


def _began(group: Group) -> Began | None:
    if not group.is_whole or not group.body.startswith(_BEGAN):
        return None
    try:
        began = msgspec.convert(json.loads(group.body)["began"], Began)
    except (ValueError, msgspec.ValidationError):
        return None
    return began if began.version == VERSION else None


def fault_among(parts: Iterable[StoredPart], *, verifies: bool) -> str:
    """What is wrong with the first of the files that a run has stored that is not as it was, in words; empty: they all are."""
    return next(filter(None, (_fault_of(part, verifies=verifies) for part in parts)), "")


def _fault_of(part: StoredPart, *, verifies: bool) -> str | None:
    try:
        status = os.stat(part.path)
        if (status.st_size, status.st_mtime_ns) != (part.num_bytes, part.mtime_ns):
            return f"{part.path} has been changed since it was written"
        if verifies:
            with open(part.path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
                    return f"{part.path} does not hold what was written"
    except FileNotFoundError:
        return f"{part.path} is not there"
    except OSError as error:
        return f"{part.path} cannot be read: {error.strerror}"
    return None
