"""Where audio may be read from: a path, bytes, a file object, standard input."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from phonograph.errors import AudioDecodeError, AudioTooLongError
from phonograph_nodes.audio.stored import HEAD_BYTES, StoredBytes
from phonograph_nodes.paths import likely_meant, shown


class Readable(Protocol):
    """A binary file object; one that can also `seek` and `tell` is not read into memory first."""

    def read(self, size: int = ..., /) -> bytes: ...


AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | mmap.mmap | Readable
"""A path, `-` for standard input, the encoded bytes themselves, or a binary file object, which is read from its beginning."""

STANDARD_INPUT = "-"
MAX_STREAMED_BYTES = 2**31
"""Of what can be read only once, and so is held in memory: standard input, pipes, sockets."""

_READ_BYTES = 2**20


class Given:
    """One source of encoded audio, which readers may slice, map, copy or seek in.

    Nothing is read before it is asked for, but for what can be read only once. `-` is standard input when it is a str; a file of
    that name is `./-`, or a Path.

    Args:
        source: see `AudioSource`. A file object stays open, and stands where it stood once this is closed.
        max_bytes: of what has to be held in memory: what can be read only once, and a file object that is no file on a disk and
            whose bytes are all needed. At most 2 GiB of the first.

    Attributes:
        name: how messages call it: the path, `<1234 bytes>`, `<standard input>`, `<file object>`.
        path: absolute, or None when there is none. The leading slash also keeps FFmpeg from reading `name:` as a protocol.
        size: in bytes, at least 1.

    Raises:
        AudioDecodeError: missing, not a plain file (which could block for ever), without bytes; a file object that is closed, or
            whose methods raise.
        AudioTooLongError: more than `max_bytes` would have to be held; also from `buffer`.
        TypeError: another kind of source.
    """

    def __init__(self, source: AudioSource, *, max_bytes: int = MAX_STREAMED_BYTES) -> None:
        self.path: str | None = None
        self._max_bytes = max_bytes
        self.size = 0
        self._held: memoryview | None = None
        self._file: BinaryIO | None = None
        self._position = 0
        self._stored: StoredBytes | None = None
        self._map: mmap.mmap | None = None
        if isinstance(source, (bytes, bytearray, memoryview, mmap.mmap)):
            self._hold(source)
            self.name = f"<{self.size} bytes>"
        elif isinstance(source, str) and source == STANDARD_INPUT:
            self.name = "<standard input>"
            self._hold(self._all_of(sys.stdin.buffer, min(max_bytes, MAX_STREAMED_BYTES)))
        elif isinstance(source, str) or hasattr(source, "__fspath__"):
            path = cast("str | os.PathLike[str]", source)
            self.name = shown(path)
            self.path = os.path.abspath(path)
            self.size = _size_of_file(self.path, self.name)
        elif hasattr(source, "read"):
            self._take_file(source)
        else:
            raise TypeError(f"audio is given as {type(source).__name__}; expected a path, bytes or a binary file object")
        if not self.size:
            count = " (0 bytes)" if self.path else ""
            raise AudioDecodeError(
                self.name, "open", f"it is empty{count}", expected="encoded audio", remedy="get it again" if self.path else ""
            )

    def head(self) -> bytes:
        """The first bytes, 4096 at most: enough to tell one container from another."""
        if self._held is not None:
            return bytes(self._held[:HEAD_BYTES])
        if self.path is None:
            with self.open() as file:
                return file.read(HEAD_BYTES)
        return bytes(self.content()[:HEAD_BYTES])

    def content(self) -> memoryview | StoredBytes:
        """All bytes, read-only: in memory, or in a file on a disk, of which only what is asked for is read."""
        if self._held is None and self._stored is None:
            try:
                self._stored = self._on_disk()
            except OSError as error:
                raise AudioDecodeError(self.name, "open", error.strerror or str(error)) from error
        if self._stored is not None:
            return self._stored
        if self._held is None and isinstance(self._file, io.BytesIO):
            self._held = self._file.getbuffer().toreadonly()
        if self._held is None:
            with self.open() as file:
                self._held = memoryview(self._all_of(file, self._max_bytes))
        return self._held

    def buffer(self) -> memoryview:
        """All bytes in memory, read-only. A file on a disk is mapped, so that only what is touched is read.

        A file that another program cuts short while it is mapped ends this process (SIGBUS), as with every memory map.
        """
        if self._held is None:
            content = self.content()
            if isinstance(content, memoryview):
                return content
            try:
                self._map = mmap.mmap(content.number, 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:  # the latter of a file that is empty by now
                raise AudioDecodeError(self.name, "open", f"it cannot be mapped: {error}") from error
            self._held = memoryview(self._map)
        return self._held

    def open(self) -> BinaryIO:
        """A file object that stands at the beginning and can seek; closing it closes no file object that was given."""
        if self._file is not None:
            lent = _Lent(self._file, self.name)
            lent.seek(0)
            return cast(BinaryIO, lent)
        if self.path is not None:
            try:
                return open(self.path, "rb")
            except OSError as error:
                raise AudioDecodeError(self.name, "open", error.strerror or str(error)) from error
        held = self.buffer()
        return io.BytesIO(held.obj if isinstance(held.obj, bytes) and held.nbytes == len(held.obj) else held)

    def close(self) -> None:
        """Give back the file, and the map once nothing views it any more; leave a file object where it stood."""
        self._held = None
        if self._stored is not None:
            self._stored.close()
            self._stored = None
        if self._map is not None:
            with contextlib.suppress(BufferError):  # somebody still views it: it goes with the last view
                self._map.close()
            self._map = None
        if self._file is not None:
            with contextlib.suppress(Exception):  # its owner may have closed it, or it raised before
                self._file.seek(self._position)
            self._file = None

    def __enter__(self) -> Given:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _hold(self, content: bytes | bytearray | memoryview | mmap.mmap) -> None:
        view = memoryview(content)
        if not view.c_contiguous:
            raise TypeError("audio is given as a memoryview with gaps; expected contiguous bytes")
        self._held = view.cast("B").toreadonly()
        self.size = self._held.nbytes

    def _take_file(self, file: Any) -> None:
        if isinstance(file, io.TextIOBase):
            raise TypeError("audio is given as a file object that reads text; expected one opened with mode 'rb'")
        name = getattr(file, "name", None)
        self.name = shown(name) if isinstance(name, str) and name else "<file object>"
        with _reading(self.name):
            if not (hasattr(file, "seekable") and file.seekable()):
                self._hold(self._all_of(file, min(self._max_bytes, MAX_STREAMED_BYTES)))
                return
            self._position = file.tell()
            self.size = file.seek(0, os.SEEK_END)
            file.seek(self._position)
            self._file = file

    def _all_of(self, file: Readable, most: int) -> bytes:
        content = bytearray()
        with _reading(self.name):
            while block := _bytes_of(file.read(_READ_BYTES)):
                content += block
                if len(content) > most:
                    limit = f"at most {most} bytes of what has to be held in memory"
                    raise AudioTooLongError(self.name, "open", "it goes on and on", limit, "save it to a file first")
        return bytes(content)

    def _on_disk(self) -> StoredBytes | None:
        """The file, unless what was given only looks like one that lies on a disk (compressed, remote)."""
        if self.path is not None:  # opened by the system itself: Python's file objects take as long as the rest of a short load
            # Without waiting, since what is a file may have become a named pipe, of which nobody writes the other end.
            return StoredBytes(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        if isinstance(self._file, io.BufferedReader) and isinstance(self._file.raw, io.FileIO):
            return StoredBytes(os.dup(self._file.fileno()))  # its owner may close it, and the number be another file's
        return None


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Whatever a file object that was given raises says that there is no audio to be had from it."""
    try:
        yield
    except AudioDecodeError:
        raise
    except Exception as error:
        word = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise AudioDecodeError(name, "open", f"it cannot be read: {word}", remedy="get it again") from error


def _bytes_of(content: Any) -> bytes:
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"its read() gave {type(content).__name__}, expected bytes")
    return bytes(content)


class _Lent(io.RawIOBase):
    """Somebody else's file object, which closing leaves open."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name

    def read(self, size: int | None = -1, /) -> bytes:
        asked = -1 if size is None else size
        with _reading(self._name):
            content = _bytes_of(self._file.read(asked))
        if 0 <= asked < len(content):  # more than there is room for
            found = f"its read({asked}) gave {len(content)} bytes"
            raise AudioDecodeError(self._name, "open", found, "no more than were asked for", "give all that it holds as bytes")
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with _reading(self._name):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        with _reading(self._name):
            return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _size_of_file(path: str, name: str) -> int:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        word = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise AudioDecodeError(name, "open", word + likely_meant(path)) from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioDecodeError(name, "open", "it is a folder", expected="an audio file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioDecodeError(name, "open", "it is a pipe or a device", expected="an audio file")
    return status.st_size
