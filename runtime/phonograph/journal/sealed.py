"""Files of JSON lines in groups, each closed by a seal: a line with a checksum, that says whether the group is whole.

A group is written in one piece, so that a run that is killed, a disk that is full or a power cut leaves whole groups and perhaps
a torn one at the end, which is cut off. The checksum goes on from that of the group before, so that a group that is missing, or
in another place, is noticed too. A seal for each group and not a checksum in each line, because a group has up to thousands of
lines, and they stay as plain as they are.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from phonograph.sink import append_whole

_SEAL = b'{"seal":"'
_SEAL_END = b'"}\n'
_SEAL_BYTES = len(_SEAL) + 8 + len(_SEAL_END)
_BLOCK = 1 << 18


class Group(NamedTuple):
    """A group of a file.

    Args:
        body: its lines, without the seal. is_whole: it is as it was written.
        end: of its seal, in the file. checksum: what its seal says.
        line: number of its first line in the file, from 1.
    """

    body: bytes
    is_whole: bool
    end: int
    checksum: int
    line: int


class SealedFile:
    """A file that groups are appended to.

    Args:
        after: the last group that stays of what is there; None: the file is begun anew.

    Raises:
        OSError: also every method.
    """

    def __init__(self, path: Path, after: Group | None = None) -> None:
        self.path = path
        self._length, self._checksum = (after.end, after.checksum) if after is not None else (0, 0)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(self._descriptor, self._length)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, body: bytes) -> None:
        """Add a group, all of it or nothing."""
        checksum = zlib.crc32(body, self._checksum)
        self._length = append_whole(self._descriptor, self._length, body + _sealed(checksum))
        self._checksum = checksum

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    @property
    def is_there(self) -> bool:
        """Whether the file still has its name; what is written into one that has none is lost."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)


def groups(path: Path) -> Iterator[Group]:
    """The groups of a file, in order; what follows the last seal is left out. A file that is not there has none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        rest, end, checksum, line = b"", 0, 0, 1
        while block := file.read(_BLOCK):
            rest += block
            start = 0
            # A body ends with a line break, and none is empty.
            while (seal := rest.find(b"\n" + _SEAL, start) + 1) and seal + _SEAL_BYTES <= len(rest):
                stop = seal + _SEAL_BYTES
                body, stated = rest[start:seal], _stated(rest[seal:stop])
                is_whole = stated is not None and zlib.crc32(body, checksum) == stated
                checksum = checksum if stated is None else stated
                end += stop - start
                yield Group(body, is_whole, end, checksum, line)
                line += body.count(b"\n") + 1
                start = stop
            rest = rest[start:]


def _stated(seal: bytes) -> int | None:
    try:
        return int(seal[len(_SEAL) : -len(_SEAL_END)], 16) if seal.endswith(_SEAL_END) else None
    except ValueError:
        return None


def _sealed(checksum: int) -> bytes:
    return _SEAL + b"%08x" % checksum + _SEAL_END


def line_of(value: object) -> bytes:
    """A value as a line of JSON; a lone surrogate, of a file name that is not UTF-8, as its escape."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace") + b"\n"
