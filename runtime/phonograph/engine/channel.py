"""Channel: messages between this process and one of its workers, arrays through shared memory.

A message is a pickle, sent over a socket pair, and the memory of the arrays in it. Little of that follows over the socket; more
goes through shared memory in two halves. What fits into them is there before the message is, and needs no further word, since the
reader has emptied them before it answers. Of more, one side fills a half while the other empties the other half, and each that
is wanted again is acknowledged by a byte: waking the other process costs as much as copying half a megabyte. Memory mapped anew
for each message, which needs no second copy, took three to ten times as long, because the kernel has to clear and map its pages
first.

The memory is a nameless file that belongs to the two processes alone: when both have gone, so has it, however they went.

What a process has forked holds its end of the socket as well, and may hold it for ever. So the side that started the other waits
for that process's end beside the socket.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import pickle
import select
import socket
import struct
from array import array
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Any

import numpy as np

from phonograph.pickling import dumps

HALF_BYTES = 2**20
ARENA_BYTES = 2 * HALF_BYTES + 24
_INLINE_BYTES = 64 * 1024  # below, handing over a half costs more than it saves
_HEAD = struct.Struct("=QQ")  # bytes of the pickle, number of arrays
_POSITION = struct.Struct("=qdd")
_ASK_EVERY_MS = 100  # where the kernel does not tell of the end of a process


class ChannelClosedError(Exception):
    """The other side has gone."""


class Child:
    """A process that this one has started, watched for its end but not reaped: its number, and its group's, stay its own."""

    def __init__(self, process_id: int) -> None:
        self.process_id = process_id
        self._descriptor = None
        with contextlib.suppress(AttributeError, OSError):  # a system without it, or a sandbox that refuses it
            self._descriptor = os.pidfd_open(process_id)

    @property
    def is_alive(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # this program ignores SIGCHLD, and the kernel has reaped it
            return False

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        until = monotonic() + timeout_s
        while self.is_alive:
            left_s = until - monotonic()
            if left_s <= 0:
                return False
            self._wait(select.poll(), left_s * 1000)
        return True

    def wait(self, connection: socket.socket, event: int) -> bool:
        """Wait until it is the turn of a connection, or the process has ended; whether it is the connection's turn."""
        poll = select.poll()
        poll.register(connection, event)
        while connection.fileno() not in self._wait(poll, None):
            if not self.is_alive:
                return connection.fileno() in self._wait(poll, 0)  # what it sent last may have come in between
        return True

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _wait(self, poll: select.poll, timeout_ms: float | None) -> list[int]:
        """The descriptors that are ready, once there are some, or the process has ended, or the time is over."""
        if self._descriptor is not None:
            poll.register(self._descriptor, select.POLLIN)
        else:
            timeout_ms = _ASK_EVERY_MS if timeout_ms is None else min(timeout_ms, _ASK_EVERY_MS)
        return [descriptor for descriptor, _ in poll.poll(timeout_ms)]


class Channel:
    """One end. One message at a time, in turns, so that neither side writes while the other does.

    Args:
        connection: of a stream socket pair.
        arena: descriptor of `ARENA_BYTES` of shared memory.
        child: the process on the other side, for the side that started it.
    """

    def __init__(self, connection: socket.socket, arena: int, child: Child | None = None) -> None:
        self._connection = connection
        self._child = child
        self._flags = 0 if child is None else socket.MSG_DONTWAIT
        self._arena = mmap.mmap(arena, ARENA_BYTES)
        self._halves = (memoryview(self._arena)[:HALF_BYTES], memoryview(self._arena)[HALF_BYTES : 2 * HALF_BYTES])

    @property
    def position(self) -> int:
        """A number that both sides see; it outlives the process that set it."""
        return int(_POSITION.unpack_from(self._arena, 2 * HALF_BYTES)[0])

    @property
    def times(self) -> tuple[float, float]:
        """What belongs to the position, see `mark`."""
        _, began, due = _POSITION.unpack_from(self._arena, 2 * HALF_BYTES)
        return began, due

    def mark(self, position: int, began: float = 0.0, due: float = inf) -> None:
        """Let both sides see a position, and two times."""
        _POSITION.pack_into(self._arena, 2 * HALF_BYTES, position, began, due)

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
                self._write(b"".join([*parts, *arrays]))
                return
            self._pour(b"".join(parts), arrays)
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
            if is_inline:
                for one in arrays:
                    self._read_into(one)
            else:
                self._draw(arrays)
        except OSError as error:
            raise ChannelClosedError from error
        return pickle.loads(pickled, buffers=arrays)

    def close(self) -> None:
        self._connection.close()
        for half in self._halves:
            half.release()
        self._arena.close()

    def _pour(self, head: bytes, arrays: Sequence[memoryview]) -> None:
        """Send memory through the halves; what fits into both of them, before the head."""
        parts = _parts(arrays)
        for part, half in zip(parts, self._halves, strict=False):
            half[: len(part)] = part
        self._write(head)
        for number, part in enumerate(parts[2:]):
            self._read(1)
            self._halves[number % 2][: len(part)] = part
            self._write(b"+")

    def _draw(self, arrays: Sequence[memoryview]) -> None:
        parts = _parts(arrays)
        for number, part in enumerate(parts):
            if number >= 2:
                self._read(1)
            part[:] = self._halves[number % 2][: len(part)]
            if number + 2 < len(parts):
                self._write(b"+")

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        self._read_into(memoryview(content))
        return content

    def _read_into(self, content: memoryview) -> None:
        while content.nbytes:
            try:
                count = self._connection.recv_into(content, 0, self._flags)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            if not count:
                raise ChannelClosedError
            content = content[count:]

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left.nbytes:
            try:
                left = left[self._connection.send(left, self._flags) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        assert self._child is not None, "the other side's calls wait by themselves"
        if not self._child.wait(self._connection, event):
            raise ChannelClosedError


def _parts(arrays: Sequence[memoryview]) -> list[memoryview]:
    """What goes through a half at a time."""
    return [one[start : start + HALF_BYTES] for one in arrays for start in range(0, len(one), HALF_BYTES)]


def new_arena() -> int:
    """A descriptor of fresh shared memory, of a size that neither side can reduce under the other."""
    descriptor = os.memfd_create("phonograph", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, ARENA_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor
