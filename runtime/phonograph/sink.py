"""The commit protocol of sinks: outputs appear whole under their final name, or not at all.

A sink never writes under a final name. For each item the runtime calls `stage`, which prepares a `Part` (written to a
temporary name and synced, or held ready to append), and then `commit`, which makes it visible in one step. A part that is not
committed is discarded. What a worker of a sink is about to store it tells its `Writer`, behind which the run's journal is: so a
run that was killed can be gone on with, and nothing of it lies about.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Literal, TypeVar

from phonograph.errors import BadInputError, OutputError
from phonograph.item import Item
from phonograph.node import Node
from phonograph.points import reached
from phonograph.spec import Kind, Params, path_fields

ParamsT = TypeVar("ParamsT", bound=Params)
Writers = Literal["single_writer", "multi_writer"]
Place = Literal["nothing", "partial", "final"]
"""Where the rows of a file are: nowhere, in the partial file, in the one with the final name."""

_MAX_PATH_BYTES = 4095
_MAX_NAME_BYTES = 200  # most file systems allow 255; the rest is for suffixes
_NAME_TROUBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_REMEDIES = {
    errno.ENOENT: "its folder has been moved or removed while the run wrote there; go on with --resume",
    errno.ENOTDIR: "a file stands where a folder is needed; remove it, or choose another output folder",
    errno.EEXIST: "a file stands where a folder is needed; remove it, or choose another output folder",
    errno.EISDIR: "a folder stands where a file is needed; remove it, or choose another output folder",
    errno.ENOSPC: "free space on that disk, or choose another output folder",
    errno.EDQUOT: "raise the quota, or choose another output folder",
    errno.EACCES: "make the folder writable, or choose another output folder",
    errno.EROFS: "the file system is read-only; choose another output folder",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed part added: the final path, its bytes, and a digest of what was written.

    `mtime_ns` is that of a file that is this part alone; None where it shares one with others.
    """

    path: str
    num_bytes: int
    sha256: str
    mtime_ns: int | None = None


class Writer:
    """Who one worker of a sink tells what it stores. This one keeps nothing; in a run, the journal has another.

    Attributes:
        ordinal: of the item that is being stored.
        folders: the sink's output folders, which were there when it was opened.
    """

    ordinal = 0
    folders: Sequence[str] = ()

    def begin(self, path: str, temporary: str) -> None:
        """A file is about to be made: under which name, and which one it has until then. Raises OutputError."""

    def stored(self, written: Written) -> None:
        """A part has been committed."""

    def rows_journal(self, name: str = "") -> RowsJournal:
        """Where to tell of rows that are appended to one file; a sink with several of them gives each a name."""
        return RowsJournal()


@dataclass(frozen=True, slots=True)
class Kept:
    """What earlier runs have stored of a file of rows, and what of it stays.

    Args:
        num_bytes: how much of it the journal knows; what is behind that is cut off.
        spans: (start, number of bytes) of what stays, in the order in which it stays; None: all.
    """

    place: Place = "nothing"
    num_bytes: int = 0
    spans: tuple[tuple[int, int], ...] | None = None


class RowsJournal:
    """Who a worker tells of rows that it appends to one file; this one keeps nothing, and knows of no earlier runs.

    All methods raise OutputError when that cannot be kept, or what was kept cannot be used.
    """

    def kept(self, final: str, partial: str) -> Kept:
        """What there is of earlier runs, before the first row."""
        return Kept()

    def syncs(self, sync: Callable[[], None]) -> None:
        """How the rows that are appended by then are made durable; may be called from another thread, raises OutputError."""

    def appended(self, num_bytes: int) -> None:
        """A row of the item that is being stored has been appended."""

    def rearranged(self) -> Kept:
        """What of the rows is to stay, and how, when the run has stored all that it will; nothing to do when all stays."""
        return Kept("partial")

    def rewriting(self, path: str) -> None:
        """A file with what is to stay, and only that, is about to take the place of the partial one."""

    def rewritten(self) -> None:
        """It has."""

    def finishing(self, path: str) -> None:
        """The partial file is about to get its final name."""

    def closing(self) -> None:
        """Nothing more will be appended; what was is to be made durable."""


_AT_WORK: ContextVar[Writer | None] = ContextVar("phonograph_writer", default=None)
"""Whom the parts that are staged tell of their files. Not an argument, for parts are made by everybody's sinks."""


def at_work(writer: Writer, ordinal: int) -> None:
    """From here on this thread stores an item for a writer."""
    writer.ordinal = ordinal
    _AT_WORK.set(writer)


class Part(ABC):
    """One output that becomes visible by `commit` alone."""

    @abstractmethod
    def commit(self) -> Written:
        """Make the part visible. Raises OutputError; nothing partial is visible then."""

    @abstractmethod
    def discard(self) -> None:
        """Drop the part and what it wrote so far. Never raises."""


class Sink(Node[ParamsT]):
    """A node that stores what reaches it. Subclasses implement `stage`, and `finish` when outputs are completed at the end.

    `writers`: `single_writer` sinks get exactly one worker; `multi_writer` sinks may have several. `writer` is set before `open`.
    """

    kind: ClassVar[Kind] = "sink"
    stays: ClassVar[str] = "a sink, which stores where the journal is"
    writers: ClassVar[Writers] = "multi_writer"
    writer: Writer = Writer()

    def stage(self, item: Item) -> Part:
        """Prepare one item's output.

        Raises:
            OutputError: it cannot be stored. BadInputError: the item is not of a kind that this sink stores.
        """
        raise NotImplementedError(f"{type(self).__name__} has no stage")

    def finish(self) -> None:
        """Complete outputs that span items. Called before `close`, in the worker, when the run has stored all that it will.

        Not called when the run failed, was stopped or cancelled.
        """


class FilePart(Part):
    """A whole file: written to a temporary name beside the final one, synced, renamed, folder synced.

    A symlink is followed: the file that it points to is made or replaced, and the link stays. Renaming replaces whatever has the
    name, so what is no regular file (a FIFO, a device, a socket, a folder) is refused, before anything is written and again
    before it becomes visible.

    Args:
        path: the final path; missing folders are made.
        write: writes the content to a binary file.

    Raises:
        OutputError: nothing can be stored there. BadInputError: the name is the trouble. Nothing is left behind.
    """

    def __init__(self, path: str, write: Callable[[IO[bytes]], None]) -> None:
        self.path = path
        self._final = behind_links(path)
        folder, name = os.path.split(self._final)
        self._temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.tmp")
        with _storing_record(path):
            try:
                _refuse_what_is_no_file(self._final)
                if (writer := _AT_WORK.get()) is not None:
                    writer.begin(self._final, self._temporary)
                with _new_file(self._temporary) as file:
                    hashing = _HashingFile(file)
                    write(hashing)  # type: ignore[arg-type]  # the part of IO[bytes] that writers use
                    reached("part.written")
                    os.fsync(file.fileno())
                    self._mtime_ns = os.fstat(file.fileno()).st_mtime_ns
                reached("part.synced")
            except BaseException:
                self.discard()
                raise
        self._num_bytes, self._sha256 = hashing.num_bytes, hashing.sha256.hexdigest()

    def commit(self) -> Written:
        with _storing_record(self.path):
            try:
                _refuse_what_is_no_file(self._final)
                os.replace(self._temporary, self._final)
                reached("part.renamed")
                sync_folder(os.path.dirname(self._final))
                reached("part.committed")
            except BaseException:
                self.discard()
                raise
        return Written(self._final, self._num_bytes, self._sha256, self._mtime_ns)

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)


def _new_file(path: str) -> io.FileIO:
    """Open a file that is not there yet; missing folders are made. Without a buffer, for most parts are written in one piece."""
    try:
        return open(path, "xb", buffering=0)
    except FileNotFoundError:  # looking before whether the folder is there would cost every file three calls
        _refuse_what_vanished(path)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return open(path, "xb", buffering=0)


def _refuse_what_vanished(path: str) -> None:
    """Raises OutputError when the output folder of a file is gone, and what was stored there with it."""
    writer = _AT_WORK.get()
    for folder in () if writer is None else writer.folders:
        if path.startswith(os.path.join(folder, "")) and not os.path.isdir(folder):
            raise vanished(folder)


def vanished(path: str) -> OutputError:
    return OutputError(
        f"{path}: has been moved or removed while the run wrote there; expected it to stay; what was in it is made again with "
        "--resume"
    )


def output_folders(params: Params) -> tuple[str, ...]:
    """What the parameters of a sink name to write into, and is a folder."""
    given = (getattr(params, name) for name in path_fields(type(params), "output"))
    return tuple(path for path in given if isinstance(path, str) and os.path.isdir(path))


class _HashingFile:
    """Append-only binary file that digests what passes through."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.num_bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        done = self._file.write(content)
        while done < size:  # a disk without room takes a part, and says why at the next
            done += self._file.write(memoryview(content).cast("B")[done:])
        self.num_bytes += size
        self.sha256.update(content)
        return size


def behind_links(path: str) -> str:
    """Where a file of this name lies: the path itself, or what it leads to when it is a symlink."""
    return os.path.realpath(path) if os.path.islink(path) else path


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symlink that leads back to itself",
}


def kind_of_no_file(path: str) -> str | None:
    """What has this name and is no regular file, in words; None for a file and for a name that is free.

    Raises:
        OSError: it cannot be told.
    """
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            mode = os.lstat(os.path.realpath(path)).st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def _refuse_what_is_no_file(path: str) -> None:
    kind = kind_of_no_file(path)
    if kind is not None:
        raise BadInputError(
            f"{path}: no file of this name can be made: it is {kind}; expected a regular file or a name that is free; "
            "remove it, or choose another output folder"
        )


@contextlib.contextmanager
def storing(path: str) -> Iterator[None]:
    """Turn an operating-system error while writing `path` into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk and the output folder")
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; {remedy}") from error


@contextlib.contextmanager
def _storing_record(path: str) -> Iterator[None]:
    """As `storing`, but trouble with the name itself is the record's: others have other names."""
    try:
        with storing(path):
            if len(os.fsencode(path)) > _MAX_PATH_BYTES:  # not left to makedirs, which recurses over all the folders first
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            yield
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NAME_TROUBLE:
            raise BadInputError(f"{path[:200]}: no file of this name can be made: {cause.strerror}") from cause
        raise


def append_whole(descriptor: int, length: int, row: bytes) -> int:
    """Add bytes to a file that is `length` long, all of them or none; returns the new length. Raises OSError."""
    done = 0
    try:
        while done < len(row):
            done += os.pwrite(descriptor, row[done:], length + done)
    except OSError:
        os.ftruncate(descriptor, length)
        raise
    return length + done


def sync_folder(folder: str) -> None:
    """Make renames inside `folder` durable, where the file system has a way to."""
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that do it at once, or on a server
            raise
    finally:
        os.close(descriptor)


def output_path(folder: str, key: str, suffix: str) -> str:
    """The file below `folder` that belongs to `key`: different keys give different files, and none lies outside `folder`.

    The key's own extension is kept (`clips/a.wav` -> `clips/a.wav.npy`), because `a.wav` and `a.mp3` are two records.
    """
    parts = []
    for part in key.split("/"):
        quoted = part.replace("%", "%25").replace("\0", "%00")
        if quoted in ("", ".", ".."):
            quoted = "%2E" * len(quoted) or "%00"
        if len(quoted.encode()) > _MAX_NAME_BYTES:
            digest = hashlib.sha256(part.encode()).hexdigest()[:16]
            quoted = quoted.encode()[: _MAX_NAME_BYTES - 17].decode(errors="ignore") + "~" + digest
        parts.append(quoted)
    return os.path.join(folder, *parts) + suffix
