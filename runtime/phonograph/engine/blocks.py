"""Blocks: shared memory in which the arrays lie that worker processes give, for as long as somebody has them.

Theory of operation. With each call a process is lent a block, as large as what it gave of late. It puts the arrays of its answer
there, and here they are used where they lie. When one of them goes on to the next process, that is told the place.

What a node has there is as good as a copy of its own: it may write into it and keep it (`Views`). It sees the block through a
private mapping, where the kernel copies a page when it is written to. So what only passes through a process is not even read.
What it keeps beyond its call keeps the block from being lent again.

A block is lent again when the last array in it has gone. Its pages are there then, and need not be made and cleared by the
kernel, which takes as long as copying. Of free blocks some stay, those used last; the pages of others go back to the kernel.

All blocks are parts of one nameless file, most of which is never used and so takes no memory. It has the same number of blocks of
each size, so that there is nothing to search or to join. Where there is no block, arrays take the way through the channel.
"""

from __future__ import annotations

import mmap
import os
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 16  # bits: arrays of less go over the channel's socket
_NUM_SIZES = 9  # each twice the one before, up to 16 MiB
_NUM_OF_EACH = 128
_ALL_BYTES = _NUM_OF_EACH * (2**_NUM_SIZES - 1) << _SMALLEST
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61
_MOST_VIEWS = 32  # each has a descriptor and keeps a block; a node that keeps more gets copies
KEPT_BYTES = 2**24
"""Free blocks keep at most so much memory."""


class Block(NamedTuple):
    """A stretch of the file: its size as a power of two above the smallest, where it begins, and its bytes."""

    kind: int
    place: int
    num_bytes: int


class Blocks:
    """All blocks of a run. Its methods may be called from any thread.

    Args:
        descriptor: of the file, in a worker process, which has nothing to lend.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        # Lists, whose ends are changed in one step: a lock could be wanted by the collection of garbage under whoever has it.
        self._used: list[list[int]] = [[] for _ in range(_NUM_SIZES)]
        self._fresh: list[list[int]] = [[] for _ in range(_NUM_SIZES)]
        self._file: mmap.mmap | None
        if descriptor is not None:
            self._file = mmap.mmap(descriptor, 0)
        else:
            descriptor = os.memfd_create("phonograph-blocks", os.MFD_CLOEXEC)
            try:
                os.ftruncate(descriptor, _ALL_BYTES)
                self._file = mmap.mmap(descriptor, _ALL_BYTES)
                self._fresh = [_places(kind) for kind in range(_NUM_SIZES)]
            except OSError:  # addresses are limited (`ulimit -v`)
                os.ftruncate(descriptor, mmap.PAGESIZE)
                self._file = mmap.mmap(descriptor, mmap.PAGESIZE)
        self.descriptor = descriptor
        self.content: NDArray[np.uint8] = np.frombuffer(self._file, np.uint8)
        self.address = address_of(self.content.data)
        self._out: dict[int, weakref.ref[Any]] = {}

    def lend(self, num_bytes: int) -> Block | None:
        """A block of at least so many bytes; None where there is none."""
        kind = max(0, (num_bytes - 1).bit_length() - _SMALLEST)
        if kind < _NUM_SIZES:
            for free in (self._used[kind], self._fresh[kind]):
                try:
                    return Block(kind, free.pop(), 1 << kind + _SMALLEST)
                except IndexError:
                    continue
        return None

    def give_back(self, block: Block) -> None:
        """Nothing of a block is in use any more."""
        if self._file is None:  # the run did not wait for the worker that had it
            return
        kept = sum(len(used) << kind + _SMALLEST for kind, used in enumerate(self._used))
        if kept + block.num_bytes <= KEPT_BYTES:
            self._used[block.kind].append(block.place)
        else:
            self._file.madvise(mmap.MADV_REMOVE, block.place, block.num_bytes)
            self._fresh[block.kind].append(block.place)

    def occupy(self, block: Block) -> NDArray[np.uint8]:
        """The content of a block, which is given back when neither this array nor any that lies in it is there any more."""
        assert self._file is not None, "a run closes its workers first"
        content = np.frombuffer(self._file, np.uint8, block.num_bytes, block.place)
        self._out[block.place] = weakref.ref(content, partial(self._gone, block, self._file))
        return content

    def lying(self, place: int, num_bytes: int) -> NDArray[np.uint8]:
        """Bytes in a block that is occupied, and stays so as long as this array is there. Raises ValueError: it is not."""
        kind = ((place >> _SMALLEST) // _NUM_OF_EACH + 1).bit_length() - 1
        start = place - (place - _first(kind)) % (1 << kind + _SMALLEST)
        occupied = self._out.get(start)
        content = None if occupied is None else occupied()
        if content is None:
            raise ValueError(f"nothing lies at {place} of the shared blocks")
        found: NDArray[np.uint8] = content[place - start :][:num_bytes]
        return found

    def place_of(self, content: memoryview) -> int:
        """Where in the file bytes lie; -1: elsewhere."""
        place = address_of(content) - self.address
        return place if 0 <= place < len(self.content) else -1

    def close(self) -> None:
        """Lend nothing more. Arrays stay as they are, and file and memory go with the last of them."""
        os.close(self.descriptor)
        file, self._file, self.content = self._file, None, np.empty(0, np.uint8)
        for kind, used in enumerate(self._used):
            for place in used:
                file.madvise(mmap.MADV_REMOVE, place, 1 << kind + _SMALLEST)  # type: ignore[union-attr]  # closed once
            used.clear()

    def _gone(self, block: Block, file: mmap.mmap, _: object) -> None:
        """The last array in a block is not there any more."""
        del self._out[block.place]
        if self._file is not None:
            self.give_back(block)
        else:
            file.madvise(mmap.MADV_REMOVE, block.place, block.num_bytes)


class Views:
    """What a worker process has of blocks. For one thread.

    Theory of operation. An unwritten page of a private mapping shows what the block has now. So the block must stay as it is
    while an array of it is there. The other side holds it during the call; with its next answer this one says which of those
    that it was given before are still there. A fork could have them longer than anybody knows, so before one is made, they
    become copies.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._given: list[tuple[int, int, weakref.ref[mmap.mmap]]] = []  # place, bytes
        # Of this call, with the mappings, so that nothing else comes to lie at their addresses.
        self._by_address: dict[int, tuple[int, int, mmap.mmap]] = {}

    def begin(self) -> list[int]:
        """Another call begins; the places of what there is still of those before."""
        self._by_address.clear()
        self._given = [one for one in self._given if one[2]() is not None]
        return [place for place, _, _ in self._given]

    def at(self, place: int, num_bytes: int) -> NDArray[np.uint8]:
        """Bytes of a block, to be read, written and kept."""
        before = place % mmap.PAGESIZE
        try:
            if num_bytes < 1 << _SMALLEST or len(self._given) >= _MOST_VIEWS:
                return self._blocks.content[place : place + num_bytes].copy()
            mapped = mmap.mmap(self._blocks.descriptor, before + num_bytes, flags=mmap.MAP_PRIVATE, offset=place - before)
        except OSError as error:
            raise MemoryError(f"{num_bytes} bytes of shared memory cannot be mapped: {error}") from error
        self._given.append((place, num_bytes, weakref.ref(mapped)))
        content = np.frombuffer(mapped, np.uint8)[before:]
        self._by_address[address_of(content.data)] = place, num_bytes, mapped
        return content

    def place_of(self, content: memoryview) -> int:
        """Where bytes lie that came with this call and have not been written to; -1: elsewhere."""
        if not self._by_address or not content.nbytes:
            return -1
        address = address_of(content)
        place, num_bytes, _ = self._by_address.get(address, (-1, 0, None))
        return place if content.nbytes <= num_bytes and not _is_written(address, content.nbytes) else -1

    def settle(self) -> None:
        """Make copies of what there is."""
        for _, _, given in self._given:
            if (mapped := given()) is not None:
                np.frombuffer(mapped, np.uint8)[:: mmap.PAGESIZE] |= 0
        self._by_address.clear()


def _is_written(address: int, num_bytes: int) -> bool:
    """Whether a page of a private mapping is this process's own (Documentation/admin-guide/mm/pagemap.rst of Linux)."""
    first, end = address // mmap.PAGESIZE, -(-(address + num_bytes) // mmap.PAGESIZE)
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            pages = np.frombuffer(os.pread(file.fileno(), (end - first) * 8, first * 8), np.uint64)
    except OSError:  # a sandbox may have none
        return True
    has_page, is_of_file = pages & np.uint64(_PRESENT | _SWAPPED), pages & np.uint64(_OF_FILE)
    return len(pages) < end - first or bool(((has_page != 0) & (is_of_file == 0)).any())


def address_of(content: memoryview) -> int:
    """Where in this process bytes begin; there must be some."""
    address: int = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    return address


def _places(kind: int) -> list[int]:
    """Where the blocks of a size begin, last first."""
    size, first = 1 << kind + _SMALLEST, _first(kind)
    return list(range(first + (_NUM_OF_EACH - 1) * size, first - 1, -size))


def _first(kind: int) -> int:
    return _NUM_OF_EACH * ((1 << kind) - 1) << _SMALLEST
