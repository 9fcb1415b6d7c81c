"""Files of rows: items are appended to one file, which gets its name when the run has stored all that it will.

Rows go to `<name>.partial`. The journal is told of each, and can say for which of them the records are done again; those are left
out. As long as nothing is to be added to a finished file, or left out of it, it is not touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable

from phonograph.errors import OutputError
from phonograph.points import reached
from phonograph.sink import (
    Kept,
    Part,
    RowsJournal,
    Written,
    append_whole,
    behind_links,
    kind_of_no_file,
    storing,
    sync_folder,
    vanished,
)

_BLOCK = 1 << 20
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}

__all__ = ["AppendedFile", "RowPart"]


class AppendedFile:
    """A file of rows, with one writer.

    Args:
        path: the final name; a symlink stays one, and the file that it leads to is written. require: is called with the folder.
        journal: of the sink's writer, for this file.
        trailer: what a finished file ends with, behind its rows.

    Raises:
        OutputError: it has another writer, or cannot be written.
    """

    def __init__(
        self, path: str, journal: RowsJournal, require: Callable[[str], None] = lambda folder: None, *, trailer: bytes = b""
    ) -> None:
        self.path = path
        self._journal = journal
        self._trailer = trailer
        self._descriptor: int | None = None
        with storing(path):
            self._final = behind_links(path)  # a link may lead to another file system, so both files lie there
            if kind := kind_of_no_file(self._final):
                raise OutputError(f"{path}: is {kind}; expected the name of a file; choose another path")
        self._partial = self._final + ".partial"
        self._folder = os.path.dirname(self._final)
        require(self._folder)
        self._length = 0
        self._is_partial = True  # where the rows are; else in the finished file of an earlier run
        descriptor = self._descriptor = _locked(self._partial)
        try:
            with storing(path):
                self._begin(descriptor, journal.kept(self._final, self._partial))
                sync_folder(self._folder)
            journal.syncs(self._sync)
        except BaseException:
            if not os.fstat(descriptor).st_size:
                with contextlib.suppress(OSError):
                    os.unlink(self._partial)
            os.close(descriptor)
            self._descriptor = None
            journal.closing()
            raise

    def append(self, row: bytes) -> None:
        """Add a whole row or nothing.

        Raises:
            OutputError: it cannot be stored.
        """
        with storing(self.path):
            if not self._is_partial:
                self._copy_finished()
            self._length = append_whole(self._open_descriptor, self._length, row)
        reached("rows.appended")
        self._journal.appended(len(row))

    def finish(self) -> None:
        """Give the file its name. Raises OutputError."""
        with storing(self.path):
            kept = self._journal.rearranged()
            if kept.spans is not None:
                self._rewrite(self._partial if self._is_partial else self._final, kept.spans)
            if not self._is_partial:
                return
            append_whole(self._open_descriptor, self._length, self._trailer)
            self._sync()
            self._journal.finishing(self._partial)
            reached("rows.finishing")
            os.replace(self._partial, self._final)
            reached("rows.renamed")
            sync_folder(self._folder)
            reached("rows.finished")

    def close(self) -> None:
        """Let go of the file; what was appended is durable then, and the journal knows it."""
        if self._descriptor is None:
            return
        try:
            self._journal.closing()
        finally:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
            if not self._is_partial:
                with contextlib.suppress(OSError):
                    os.unlink(self._partial)

    @property
    def _open_descriptor(self) -> int:
        assert self._descriptor is not None, "the file is not open"
        return self._descriptor

    def _begin(self, descriptor: int, kept: Kept) -> None:
        """Have in the partial file what stays of earlier runs."""
        if kept.spans is not None:
            self._rewrite(self._final if kept.place == "final" else self._partial, kept.spans)
            return
        self._is_partial = kept.place != "final"
        self._length = kept.num_bytes
        os.ftruncate(descriptor, self._length if self._is_partial else 0)

    def _sync(self) -> None:
        if not _stands_at(self._partial, self._open_descriptor):
            raise vanished(self._partial)  # rows in a file without a name are lost
        with storing(self.path):  # also from the journal's thread, whose own disk may be another one
            os.fdatasync(self._open_descriptor)
            reached("rows.synced")

    def _copy_finished(self) -> None:
        """Go on behind the rows of a finished file."""
        with open(self._final, "rb") as finished:
            _copy(finished.fileno(), self._open_descriptor, 0, self._length, 0)
        self._is_partial = True

    def _rewrite(self, source: str, spans: tuple[tuple[int, int], ...]) -> None:
        """Put a file with these spans of another into the place of the partial file."""
        aside = self._partial + ".new"
        descriptor, length = _locked(aside), 0
        try:
            os.ftruncate(descriptor, 0)
            with open(source, "rb") as rows:
                for start, num_bytes in spans:
                    length = _copy(rows.fileno(), descriptor, start, num_bytes, length)
            os.fsync(descriptor)
            reached("rows.rewritten")
            self._journal.rewriting(aside)
            reached("rows.noted")
            os.replace(aside, self._partial)
            sync_folder(self._folder)
            reached("rows.replaced")
            self._journal.rewritten()
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(aside)  # half of it would be in the way where there is no room
            raise
        before, self._descriptor = self._descriptor, descriptor
        self._length, self._is_partial = length, True
        if before is not None:
            os.close(before)


class RowPart(Part):
    """A row that is appended to a file when it is committed."""

    def __init__(self, file: AppendedFile, row: bytes) -> None:
        self._file, self._row = file, row

    def commit(self) -> Written:
        self._file.append(self._row)
        return Written(self._file.path, len(self._row), hashlib.sha256(self._row).hexdigest())

    def discard(self) -> None:
        """Nothing to drop: a row that is not committed was never written."""


def _copy(source: int, target: int, start: int, num_bytes: int, to: int) -> int:
    """Copy a span of one file to a place in another; returns the place behind it."""
    end = start + num_bytes
    while start < end:
        content = os.pread(source, min(_BLOCK, end - start), start)
        if not content:
            raise OSError(errno.EIO, f"the file of rows ends before byte {end}")
        to = append_whole(target, to, content)
        start += len(content)
    return to


def _locked(path: str) -> int:
    """Open a file for one writer. Where the file system has no locks for that, the one of the run directory has to do.

    Raises:
        OutputError: it has a writer, or cannot be opened.
    """
    while True:
        with storing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with storing(path):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise OutputError(
                        f"{path}: another sink or run is writing it; expected one writer; choose another path"
                    ) from error
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                # The writer before may have renamed the file between open and lock; what is open here is then its result.
                if _stands_at(path, descriptor):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _stands_at(path: str, descriptor: int) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
