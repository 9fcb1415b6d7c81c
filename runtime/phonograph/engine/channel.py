"""Channel: messages between this process and one of its workers, arrays through shared memory.

A message is a pickle, sent over a socket pair, and the memory of the arrays in it. Little of that follows over the socket; more
goes through shared memory in two halves, so that one side fills a half while the other empties the other half, each half
acknowledged by a byte. Measured on two cores, for one array from the writer's memory to the reader's: the socket takes 1.3 times
as long at 64 KiB and twice as long at 4 MiB, and memory mapped anew for each message, which needs no second copy, three to ten
times as long, because the kernel has to clear and map its pages first.

The memory is a nameless file that belongs to the two processes alone: when both have gone, so has it, however they went.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import socket
import struct
from array import array
from typing import Any

import numpy as np

from phonograph.pickling import dumps

HALF_BYTES = 512 * 1024
ARENA_BYTES = 2 * HALF_BYTES + 8
_INLINE_BYTES = 64 * 1024  # below, handing over a half costs more than it saves
_HEAD = struct.Struct("=QQ")  # bytes of the pickle, number of arrays
_POSITION = struct.Struct("=q")


class ChannelClosedError(Exception):
    """The other side has gone."""


class Channel:
    """One end. One message at a time, in turns, so that neither side writes while the other does.

    Args:
        connection: of a stream socket pair.
        arena: descriptor of `ARENA_BYTES` of shared memory.
    """

    def __init__(self, connection: socket.socket, arena: int) -> None:
        self._connection = connection
        self._arena = mmap.mmap(arena, ARENA_BYTES)
        self._halves = (memoryview(self._arena)[:HALF_BYTES], memoryview(self._arena)[HALF_BYTES : 2 * HALF_BYTES])

    @property
    def position(self) -> int:
        """A number that both sides see; it outlives the process that set it."""
        return int(_POSITION.unpack_from(self._arena, 2 * HALF_BYTES)[0])

    @position.setter
    def position(self, number: int) -> None:
        _POSITION.pack_into(self._arena, 2 * HALF_BYTES, number)

    def send(self, message: object) -> None:
        """Send a message.

        Raises:
            ChannelClosedError: nobody will read it. Anything else: it cannot be pickled, and nothing was sent.
        """
        buffers: list[Any] = []
        pickled = dumps(message, buffers)
        arrays = [buffer.raw() for buffer in buffers]
        sizes = array("Q", [one.nbytes for one in arrays])
        try:
            parts = [_HEAD.pack(len(pickled), len(arrays)), sizes.tobytes(), pickled]
            if sum(sizes) <= _INLINE_BYTES:
                self._connection.sendall(b"".join([*parts, *arrays]))
                return
            self._connection.sendall(b"".join(parts))
            for one in arrays:
                self._pour(one)
        except OSError as error:
            raise ChannelClosedError from error

    def receive(self) -> Any:
        """The next message.

        Raises:
            ChannelClosedError: there will be none. Anything else: it cannot be made of what was sent.
        """
        try:
            pickled_bytes, num_arrays = _HEAD.unpack(self._read(_HEAD.size))
            sizes = array("Q")
            sizes.frombytes(self._read(num_arrays * sizes.itemsize))
            pickled = self._read(pickled_bytes)
            arrays = [np.empty(size, np.uint8).data for size in sizes]
            is_inline = sum(sizes) <= _INLINE_BYTES
            for one in arrays:
                self._read_into(one) if is_inline else self._draw(one)
        except OSError as error:
            raise ChannelClosedError from error
        return pickle.loads(pickled, buffers=arrays)

    def close(self) -> None:
        self._connection.close()
        for half in self._halves:
            half.release()
        self._arena.close()

    def _pour(self, content: memoryview) -> None:
        """Send memory through the halves, at most two ahead of the reader."""
        ahead = 0
        for number, start in enumerate(range(0, len(content), HALF_BYTES)):
            if ahead == 2:
                self._read(1)
                ahead -= 1
            part = content[start : start + HALF_BYTES]
            self._halves[number % 2][: len(part)] = part
            self._connection.sendall(b"+")
            ahead += 1
        self._read(ahead)

    def _draw(self, content: memoryview) -> None:
        for number, start in enumerate(range(0, len(content), HALF_BYTES)):
            part = content[start : start + HALF_BYTES]
            self._read(1)
            part[:] = self._halves[number % 2][: len(part)]
            self._connection.sendall(b"+")

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        self._read_into(memoryview(content))
        return content

    def _read_into(self, content: memoryview) -> None:
        while content.nbytes:
            count = self._connection.recv_into(content)
            if not count:
                raise ChannelClosedError
            content = content[count:]


def new_arena() -> int:
    """A descriptor of fresh shared memory, of a size that neither side can reduce under the other."""
    descriptor = os.memfd_create("phonograph", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, ARENA_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor
