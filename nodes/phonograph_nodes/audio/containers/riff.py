"""WAV, its forms for more than 4 GB (RF64, BW64, Wave64), and its big-endian form (RIFX).

A size of 0, or near the largest number that its field holds, is what a writer to a pipe leaves there, who does not know it: the
samples then reach to the end of the file. Facts are from Microsoft's "Multiple Channel Audio Data and WAVE Files", EBU Tech 3306
(RF64), ITU-R BS.2088 (BW64), and Sony's "Wave64 File Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from phonograph_nodes.audio.containers.layout import (
    FLOATS,
    SAMPLE_BYTES,
    SIGNED,
    Chunk,
    Coding,
    Encoding,
    Extent,
    PcmLayout,
    chunks,
    text,
    within,
)

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LAWS: Mapping[int, Encoding] = MappingProxyType({6: "alaw", 7: "mulaw"})

# GUIDs as they lie in the file. That of a codec is its 16-bit tag, and these 14 bytes.
_CODEC_GUID = bytes.fromhex("000000001000800000aa00389b71")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_REST = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # after a name of four bytes
_W64_HEADER = 24

_LONG_FORMS = (b"RF64", b"BW64")
_UNKNOWN_32 = 2**32 - 1
_UNKNOWN_64 = 2**63  # and above: no file is that long
_STREAM_SIZES = (2**31, 2**32)
_STREAM_MARGIN = 2**16

_MAX_CHUNKS = 10_000
_MAX_TEXT = 2**16

# Ids of LIST INFO -> FFmpeg's names.
_TAGS: Mapping[bytes, str] = MappingProxyType(
    {
        b"IART": "artist", b"ICMT": "comment", b"ICOP": "copyright", b"ICRD": "date", b"IGNR": "genre", b"ILNG": "language",
        b"INAM": "title", b"IPRD": "album", b"IPRT": "track", b"ITRK": "track", b"ISFT": "encoder", b"ITCH": "encoded_by",
    }
)  # fmt: skip

# Compressed audio that is dressed up as 16-bit stereo, so that it can be burnt on a CD: S/PDIF bursts, DTS in 14 and 16 bits.
_DISGUISED = (b"\x72\xf8\x1f\x4e", b"\xff\x1f\x00\xe8", b"\xfe\x7f\x01\x80")
_DISGUISE_BYTES = 2**11


def riff_layout(content: memoryview, name: str) -> PcmLayout | None:
    """Of a RIFF, RIFX, RF64 or BW64 file of form WAVE."""
    form, _, kind = struct.unpack_from("<4sI4s", content)
    if kind != b"WAVE":
        return None
    order: Literal["little", "big"] = "big" if form == b"RIFX" else "little"
    coding, extent, long_size = None, None, None
    tags: dict[str, str] = {}
    for chunk in chunks(content, 12, order):
        if chunk.name == b"ds64":
            _, long_size = struct.unpack_from("<QQ", content, chunk.start)
        elif chunk.name == b"fmt " and coding is None:
            coding = _coding(content, chunk, order)
            if coding is None:
                return None
        elif chunk.name == b"LIST":
            tags |= _tags(content, chunk, order)
        elif chunk.name == b"data":
            if extent is not None:  # samples in several pieces
                return None
            extent = _extent(content, chunk, long_size if form in _LONG_FORMS and chunk.size == _UNKNOWN_32 else None)
            if extent.num_bytes is None:
                break
    if coding is None or extent is None or _is_disguised(content, coding, extent):
        return None
    return within(content, name, "wav", coding, extent, tags)


def w64_layout(content: memoryview, name: str) -> PcmLayout | None:
    """Of a Sony Wave64 file."""
    if bytes(content[:16]) != W64_RIFF or bytes(content[24:40]) != b"wave" + _W64_REST:
        return None
    coding = None
    for chunk in _w64_chunks(content):
        if chunk.name == b"fmt " and coding is None:
            coding = _coding(content, chunk, "little")
            if coding is None:
                return None
        elif chunk.name == b"data" and coding is not None:
            return within(content, name, "w64", coding, Extent(chunk.start, chunk.size if 0 < chunk.size < _UNKNOWN_64 else None))
    return None


def _coding(content: memoryview, chunk: Chunk, order: Literal["little", "big"]) -> Coding | None:
    """What the chunk `fmt ` says; None for any other codec than PCM, and where it contradicts itself."""
    mark = ">" if order == "big" else "<"
    if chunk.size < 16:
        return None
    tag, num_channels, sample_rate, _, stride, bits = struct.unpack_from(mark + "HHIIHH", content, chunk.start)
    mask = 0
    if tag == _EXTENSIBLE and chunk.size >= 40:
        _, _, mask, tag, guid = struct.unpack_from(mark + "HHIH14s", content, chunk.start + 16)
        if guid != _CODEC_GUID:
            return None
    encoding = _encoding(tag, bits)
    if encoding is None or stride != SAMPLE_BYTES[encoding] * num_channels:  # whose mistake means what, FFmpeg knows
        return None
    return Coding(encoding, order == "big", num_channels, sample_rate, mask)


def _encoding(tag: int, bits: int) -> Encoding | None:
    if tag == _PCM:
        num_bytes = (bits + 7) // 8
        return "u8" if num_bytes == 1 else SIGNED.get(num_bytes)
    if tag == _FLOAT:
        return FLOATS.get(bits // 8) if bits % 8 == 0 else None
    return _LAWS.get(tag)


def _extent(content: memoryview, chunk: Chunk, long_size: int | None) -> Extent:
    if long_size is not None:
        return Extent(chunk.start, long_size if 0 < long_size < _UNKNOWN_64 else None)
    is_longer = chunk.start + chunk.size > len(content)
    is_open = chunk.size == 0 or (is_longer and any(abs(chunk.size - limit) <= _STREAM_MARGIN for limit in _STREAM_SIZES))
    return Extent(chunk.start, None if is_open else chunk.size)


def _tags(content: memoryview, chunk: Chunk, order: Literal["little", "big"]) -> dict[str, str]:
    if bytes(content[chunk.start : chunk.start + 4]) != b"INFO":
        return {}
    found: dict[str, str] = {}
    for entry in chunks(content, chunk.start + 4, order, chunk.start + chunk.size):
        if entry.name in _TAGS:
            found[_TAGS[entry.name]] = text(content[entry.start : entry.start + min(entry.size, _MAX_TEXT)])
    return {tag: value for tag, value in found.items() if value}


def _w64_chunks(content: memoryview) -> Iterator[Chunk]:
    """Names are GUIDs; sizes have 64 bits, count their own header, and are filled up to 8."""
    place = 40
    for _ in range(_MAX_CHUNKS):
        if place + _W64_HEADER > len(content):
            return
        guid, size = struct.unpack_from("<16sQ", content, place)
        name = guid[:4] if guid[4:] == _W64_REST else b""
        yield Chunk(name, place + _W64_HEADER, max(size - _W64_HEADER, 0))
        if size < _W64_HEADER:
            return
        place += -(-size // 8) * 8


def _is_disguised(content: memoryview, coding: Coding, extent: Extent) -> bool:
    """Whether it may be something else than samples; FFmpeg then looks closer."""
    if coding.encoding != "i16" or coding.num_channels != 2:
        return False
    head = bytes(content[extent.first_byte : extent.first_byte + _DISGUISE_BYTES])
    return any(mark in head for mark in _DISGUISED)
