"""The bytes of a file on a disk: read where they are asked for."""

from __future__ import annotations

import errno
import os
import stat

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioDecodeError, AudioTruncatedError

HEAD_BYTES = 4096
"""Of a file, that are read once: enough to tell one container from another, and for most headers."""


class StoredBytes:
    """What lies in a file, as bytes of which slices are read, by places from its beginning; shorter where it ends.

    Nothing is mapped into memory: another program may cut the file short meanwhile, which ends a process that has mapped it
    (SIGBUS), and the pages of a map cost more than a copy, unless the system happens to hold the file in large pieces.

    Args:
        number: a descriptor of the file, which is closed with this. Its position plays no part.

    Raises:
        OSError: the file cannot be read, or is none; the former from each access too.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "it is no plain file")
        self._size = status.st_size
        self._head = os.pread(number, HEAD_BYTES, 0)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        if stop <= len(self._head):  # nearly always
            return self._head[start:stop]
        return os.pread(self.number, max(stop - start, 0), start)

    def read_into(self, out: NDArray[np.uint8], place: int) -> None:
        """Fill an array with the bytes from a place on.

        Raises:
            EOFError: the file ends before.
        """
        view, done = out.data, 0
        while done < len(view):
            got = os.preadv(self.number, [view[done:]], place + done)
            if not got:
                raise EOFError
            done += got

    def close(self) -> None:
        """Nothing can be read any more."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        if getattr(self, "number", -1) >= 0:
            self.close()


Content = memoryview | StoredBytes
"""What is given, in memory or on a disk."""


def unreadable(name: str, error: EOFError | OSError) -> AudioDecodeError:
    """The error of a file that did not give what it held when it was opened."""
    if isinstance(error, EOFError):
        found = "it became shorter while it was read"
        return AudioTruncatedError(name, "decode", found, remedy="read it again once nothing writes to it")
    return AudioDecodeError(name, "decode", f"it cannot be read: {error.strerror or error}", remedy="get it again")
