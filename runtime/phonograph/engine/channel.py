"""Channel: messages between this process and one of its workers, arrays through shared memory.

A message is a pickle, sent over a socket pair, and the memory of the arrays in it. Of what lies in blocks (see
`phonograph.engine.blocks`) only the place is sent. Of other memory little follows over the socket; more goes through shared
memory in two halves. What fits into them is there before the message is, and needs no further word, since the reader has emptied
them before it answers. Of more, one side fills a half while the other empties the other half, and each that is wanted again is
acknowledged by a byte: waking the other process costs as much as copying half a megabyte.

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
from itertools import accumulate
from math import inf
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.engine.blocks import Block, Blocks, Views
from phonograph.pickling import dumps

HALF_BYTES = 2**20
ARENA_BYTES = 2 * HALF_BYTES + 24
_INLINE_BYTES = 64 * 1024  # below, handing over a half costs more than it saves
_HEAD = struct.Struct("=QQQqqq")  # bytes of the pickle, number of arrays, number of places held, block for the answer
_NO_BLOCK = Block(-1, -1, 0)
_ALIGNED_BYTES = 64  # as vectors of the widest kind want it
_SOCKET_BYTES = 2**17  # read at a time
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
        blocks: of the run; in the process that was started, the channel closes them.
        child: the process on the other side, for the side that started it.
    """

    def __init__(self, connection: socket.socket, arena: int, blocks: Blocks, child: Child | None = None) -> None:
        self._connection = connection
        self._blocks = blocks
        self._lent = _NO_BLOCK  # to the side that answers
        self._next_bytes = 0  # that the next answer may well want
        self._views = Views(blocks)
        self._held: list[int] = []  # places of which the side that answers has arrays of calls before
        self._told: dict[int, memoryview] = {}  # what it was told of with this call, by its place
        self._shown: dict[int, memoryview] = {}  # and what it may have besides
        self._received = memoryview(b"")
        self._buffer = memoryview(bytearray(_SOCKET_BYTES))
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

    def send(self, message: object, *, in_block: bool = False) -> None:
        """Send a message.

        Args:
            in_block: of an answer: its arrays will be used together, and so may share a block.

        Raises:
            ChannelClosedError: nobody will read it. Anything else: it cannot be pickled, and nothing was sent.
        """
        buffers: list[Any] = []
        pickled = dumps(message, buffers)
        arrays = [buffer.raw() for buffer in buffers]
        sizes = [one.nbytes for one in arrays]
        if self._child is None:
            places = [self._views.place_of(one) for one in arrays]
            if in_block:
                self._put(arrays, places)
        else:
            self._lent = (self._blocks.lend(self._next_bytes) if self._next_bytes else None) or _NO_BLOCK
            places = [self._blocks.place_of(one) if one.nbytes else -1 for one in arrays]
            self._told = {place: one for place, one in zip(places, arrays, strict=True) if place >= 0}
        rest = [one for one, place in zip(arrays, places, strict=True) if place < 0]
        table = array("q", [*places, *sizes, *self._held])
        parts = [_HEAD.pack(len(pickled), len(arrays), len(self._held), *self._lent), table.tobytes(), pickled]
        try:
            if sum(one.nbytes for one in rest) <= _INLINE_BYTES:
                self._write(b"".join([*parts, *rest]))
                return
            self._pour(b"".join(parts), rest)
        except OSError as error:
            raise ChannelClosedError from error

    def receive(self) -> Any:
        """The next message.

        Raises:
            ChannelClosedError: there will be none. Anything else: it cannot be made of what was sent.
        """
        try:
            pickled_bytes, num_arrays, num_held, *lent = _HEAD.unpack(self._read(_HEAD.size))
            table = array("q")
            table.frombytes(self._read(table.itemsize * (2 * num_arrays + num_held)))
            places, sizes, held = table[:num_arrays], table[num_arrays : 2 * num_arrays], table[2 * num_arrays :]
            pickled = self._read(pickled_bytes)
            arrays = self._arrays_asked(places, sizes) if self._child is None else self._arrays_answered(places, sizes, held)
            rest = [one.data for one, place in zip(arrays, places, strict=True) if place < 0]
            if sum(one.nbytes for one in rest) <= _INLINE_BYTES:
                for one in rest:
                    self._read_into(one)
            else:
                self._draw(rest)
        except OSError as error:
            raise ChannelClosedError from error
        if self._child is None:
            self._lent = Block(*lent)
        return pickle.loads(pickled, buffers=arrays)

    def _put(self, arrays: Sequence[memoryview], places: list[int]) -> None:
        """Put those arrays that have no place yet into the block that was lent for them, if they fit."""
        lent = [number for number, place in enumerate(places) if place < 0]
        ends = list(accumulate(_aligned(arrays[number].nbytes) for number in lent))
        if not ends or ends[-1] > self._lent.num_bytes:
            return
        place = self._lent.place
        for number, end in zip(lent, ends, strict=True):
            places[number] = place
            self._blocks.content.data[place : place + arrays[number].nbytes] = arrays[number]
            place = self._lent.place + end

    def _arrays_asked(self, places: Sequence[int], sizes: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Arrays for what comes with a call."""
        self._held = self._views.begin()
        return [
            self._views.at(place, size) if place >= 0 else np.empty(size, np.uint8)
            for place, size in zip(places, sizes, strict=True)
        ]

    def _arrays_answered(self, places: Sequence[int], sizes: Sequence[int], held: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Arrays for what comes with an answer: of what lies in blocks, the memory itself."""
        lent, self._lent = self._lent, _NO_BLOCK
        first, end = lent.place, lent.place + lent.num_bytes
        wanted = sum(_aligned(size) for place, size in zip(places, sizes, strict=True) if place < 0 or first <= place < end)
        self._next_bytes = max(wanted, self._next_bytes - (self._next_bytes >> 4))
        if self._next_bytes <= _INLINE_BYTES:
            self._next_bytes = 0
        if any(first <= place < end for place in places):
            block = self._blocks.occupy(lent)  # noqa: F841  # held until what lies in it is
        elif lent.num_bytes:
            self._blocks.give_back(lent)
        arrays = [
            self._blocks.lying(place, size) if place >= 0 else np.empty(size, np.uint8)
            for place, size in zip(places, sizes, strict=True)
        ]
        self._shown = {place: self._shown[place] for place in held if place in self._shown} | self._told
        return arrays

    def settle(self) -> None:
        """Before a fork of this process: make copies of what its node has of blocks."""
        self._views.settle()

    def give_back(self) -> None:
        """To be called when the other process has ended, and puts nothing any more into the block that it was lent."""
        self._told, self._shown = {}, {}
        if self._lent.num_bytes:
            self._blocks.give_back(self._lent)
            self._lent = _NO_BLOCK

    def close(self) -> None:
        self._connection.close()
        for half in self._halves:
            half.release()
        self._arena.close()
        if self._child is None:
            self._blocks.close()

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
            if not self._received:
                self._received = self._buffer[: self._read_some()]
            part, self._received = self._received[: content.nbytes], self._received[content.nbytes :]
            content[: part.nbytes] = part
            content = content[part.nbytes :]

    def _read_some(self) -> int:
        """Wait for what comes over the socket; how many bytes of it are in the buffer now."""
        self._wait(select.POLLIN)
        while True:
            try:
                count = self._connection.recv_into(self._buffer, 0, self._flags)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            if not count:
                raise ChannelClosedError
            return count

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left.nbytes:
            try:
                left = left[self._connection.send(left, self._flags) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        if self._child is not None and not self._child.wait(self._connection, event):
            raise ChannelClosedError


def _parts(arrays: Sequence[memoryview]) -> list[memoryview]:
    """What goes through a half at a time."""
    return [one[start : start + HALF_BYTES] for one in arrays for start in range(0, len(one), HALF_BYTES)]


def _aligned(num_bytes: int) -> int:
    return -(-num_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES


def new_arena() -> int:
    """A descriptor of fresh shared memory, of a size that neither side can reduce under the other."""
    descriptor = os.memfd_create("phonograph", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, ARENA_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor
