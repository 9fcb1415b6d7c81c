"""The pages of an Ogg file: links of a chain, and what FFmpeg does not read without help.

Theory (RFC 3533). A file is a sequence of pages, each with the serial number of its stream; the first page of a stream says that
it is. A *chain* is several files, one after the other: each link has its own headers, delay and end, so each is decoded
by itself. Links may even have the same serial number, when a file was appended to itself; what begins a link is then a first page
after other pages. Opus (RFC 7845) puts its tags on the second page; FFmpeg wants them, decoding does not.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"OggS"
_HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, granule position, serial, sequence, checksum, number of segments
_FIRST = 2  # of the flags: the first page of a stream
_NO_TAGS = b"OpusTags" + struct.pack("<II", 0, 0)  # no vendor, no comments
_POLYNOMIAL = 0x04C11DB7


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it begins and ends, whose it is, and where what it holds begins."""

    start: int
    body: int
    end: int
    flags: int
    serial: int


def pages(content: memoryview) -> Iterator[Page]:
    """All pages, with whatever lies between them passed over."""
    start, size = 0, len(content)
    while start + _HEADER.size <= size:
        magic, version, flags, _, serial, _, _, num_segments = _HEADER.unpack_from(content, start)
        body = start + _HEADER.size + num_segments
        if magic != _MAGIC or version or body > size:
            start = _find(content, start + 1)
            continue
        end = body + sum(content[start + _HEADER.size : body])
        yield Page(start, body, min(end, size), flags, serial)
        start = end


def links(content: memoryview) -> list[tuple[int, int]]:
    """First and last byte of each link; a single pair for a file that is no chain."""
    starts, beginning = [0], True
    for page in pages(content):
        first = bool(page.flags & _FIRST)
        if first and not beginning:
            starts.append(page.start)
        beginning = first  # several streams, side by side, all begin before anything else
    return list(zip(starts, [*starts[1:], len(content)], strict=True))


def with_opus_tags(content: memoryview) -> list[memoryview] | None:
    """The pieces of a link of Opus with a page of empty tags put in; None where nothing is missing."""
    found = pages(content)
    first, second = next(found, None), next(found, None)
    if first is None or bytes(content[first.body : first.body + 8]) != b"OpusHead":
        return None
    if second is None or second.flags & _FIRST or bytes(content[second.body : second.body + 8]) == b"OpusTags":
        return None
    page = bytearray(_HEADER.pack(_MAGIC, 0, 0, 0, first.serial, 1, 0, 1) + bytes([len(_NO_TAGS)]) + _NO_TAGS)
    struct.pack_into("<I", page, 22, checksum(page))
    return [content[: first.end], memoryview(bytes(page)), content[first.end :]]


def _find(content: memoryview, start: int) -> int:
    """Where the next page may begin, or the end."""
    while start < len(content):
        window = bytes(content[start : start + 65536])
        place = window.find(_MAGIC)
        if place >= 0:
            return start + place
        start += max(len(window) - len(_MAGIC) + 1, 1)
    return len(content)


def checksum(page: bytes | bytearray) -> int:
    """A page's checksum, computed with zeros in its place."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (_POLYNOMIAL if crc & 0x80000000 else 0)
        crc &= 0xFFFFFFFF
    return crc


class Pieces(io.RawIOBase):
    """A file that reads as several stretches of memory, one after the other."""

    def __init__(self, pieces: list[memoryview]) -> None:
        self._pieces = pieces
        self._size = sum(map(len, pieces))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        last = self._size if size is None or size < 0 else min(self._position + size, self._size)
        found, start = [], 0
        for piece in self._pieces:
            found.append(piece[max(self._position - start, 0) : max(last - start, 0)])
            start += len(piece)
        self._position = max(last, self._position)
        return b"".join(found)

    def close(self) -> None:
        self._pieces = []
        super().close()
