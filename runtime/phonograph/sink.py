"""The commit protocol of sinks: outputs appear whole under their final name, or not at all.

A sink never writes under a final name. For each item the runtime calls `stage`, which prepares a `Part` (written to a
temporary name and synced, or held ready to append), and then `commit`, which makes it visible in one step. A part that is not
committed is discarded. Between the two calls the runtime can journal what is about to appear, which is what makes a
crashed run recoverable.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Literal, TypeVar

from phonograph.errors import BadInputError, OutputError
from phonograph.item import Item
from phonograph.node import Node
from phonograph.spec import Kind, Params

ParamsT = TypeVar("ParamsT", bound=Params)
Writers = Literal["single_writer", "multi_writer"]

_MAX_PATH_BYTES = 4095
_MAX_NAME_BYTES = 200  # most file systems allow 255; the rest is for suffixes
_NAME_TROUBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_REMEDIES = {
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
    """What a committed part added: the final path, its bytes, and a digest of what was written."""

    path: str
    num_bytes: int
    sha256: str


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

    `writers`: `single_writer` sinks get exactly one worker; `multi_writer` sinks may have several.
    """

    kind: ClassVar[Kind] = "sink"
    stays: ClassVar[str] = "a sink, which stores where the journal is"
    writers: ClassVar[Writers] = "multi_writer"

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
                with _new_file(self._temporary) as file:
                    hashing = _HashingFile(file)
                    write(hashing)  # type: ignore[arg-type]  # the part of IO[bytes] that writers use
                    os.fsync(file.fileno())
            except BaseException:
                self.discard()
                raise
        self._num_bytes, self._sha256 = hashing.num_bytes, hashing.sha256.hexdigest()

    def commit(self) -> Written:
        with _storing_record(self.path):
            try:
                _refuse_what_is_no_file(self._final)
                os.replace(self._temporary, self._final)
                sync_folder(os.path.dirname(self._final))
            except BaseException:
                self.discard()
                raise
        return Written(self.path, self._num_bytes, self._sha256)

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)


def _new_file(path: str) -> io.FileIO:
    """Open a file that is not there yet; missing folders are made. Without a buffer, for most parts are written in one piece."""
    try:
        return open(path, "xb", buffering=0)
    except FileNotFoundError:  # looking before whether the folder is there would cost every file three calls
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return open(path, "xb", buffering=0)


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
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
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
