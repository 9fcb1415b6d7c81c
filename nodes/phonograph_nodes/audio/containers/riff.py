"""WAV, its forms for more than 4 GB (RF64, BW64, Wave64), and its big-endian form (RIFX).

A writer to a pipe does not know the sizes. It leaves 0 there, or a number near the largest that the field holds, and the samples
reach to the end of the file. But 0 in a file whose size as a whole is right says that there are none. Facts are from Microsoft's
"Multiple Channel Audio Data and WAVE Files", EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), and Sony's "Wave64 File Format".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio.containers.layout import (
    FLOATS,
    SAMPLE_BYTES,
    SIGNED,
    ByteOrder,
    Chunk,
    Coding,
    Encoding,
    Extent,
    PcmLayout,
    chunks,
    is_whole,
    text,
    unpacked,
    within,
)
from phonograph_nodes.audio.stored import Content

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


class _Parts(NamedTuple):
    """Of a file: its chunk `fmt `, where its audio lies, its chunks LIST. None for what is not there."""

    form: Chunk | None = None
    extent: Extent | None = None
    lists: tuple[Chunk, ...] = ()


def riff_layout(content: Content, name: str) -> PcmLayout | None:
    """Of a RIFF, RIFX, RF64 or BW64 file of form WAVE.

    Raises:
        AudioDecodeError: a rate or channel count that no audio has; another codec than PCM, and no audio of it.
    """
    parts, order = _riff_parts(content), _order(content)
    tags: dict[str, str] = {}
    for chunk in parts.lists:
        tags |= _tags(content, chunk, order)
    return _layout(content, name, "wav", parts, order, tags)


def w64_layout(content: Content, name: str) -> PcmLayout | None:
    """Of a Sony Wave64 file; raises as `riff_layout`."""
    return _layout(content, name, "w64", _w64_parts(content), "little", {})


def riff_extent(content: Content) -> Extent | None:
    """Where the audio lies in a file of the kinds that `riff_layout` reads, whatever its codec; None when nowhere."""
    return _riff_parts(content).extent


def w64_extent(content: Content) -> Extent | None:
    """As `riff_extent`, of a Wave64 file."""
    return _w64_parts(content).extent


def _layout(
    content: Content, name: str, container: str, parts: _Parts, order: ByteOrder, tags: Mapping[str, str]
) -> PcmLayout | None:
    form, extent, _ = parts
    if form is None or extent is None:
        return None
    coding = _coding(content, form, order)
    if coding is not None and not _is_disguised(content, coding, extent):
        return within(content, name, container, coding, extent, tags)
    if extent.num_bytes == 0:  # FFmpeg would take the chunks behind it for audio
        raise AudioDecodeError(name, "probe", "no sample is in it, its audio stream is empty", remedy="get it again")
    return None


def _riff_parts(content: Content) -> _Parts:
    mark, _, kind = unpacked("<4sI4s", content, 0)
    if kind != b"WAVE":
        return _Parts()
    order = _order(content)
    total = 8 + int.from_bytes(content[4:8], order)
    form, extent, long_size = None, None, None
    lists: list[Chunk] = []
    for chunk in chunks(content, 12, order):
        if chunk.name == b"ds64" and mark in _LONG_FORMS:
            long_total, long_size = unpacked("<QQ", content, chunk.start)
            total = 8 + long_total
        elif chunk.name == b"fmt " and form is None:
            form = chunk
        elif chunk.name == b"LIST":
            lists.append(chunk)
        elif chunk.name == b"data":
            if extent is not None and extent.num_bytes:  # samples in several pieces
                return _Parts()
            if long_size is not None and chunk.size == _UNKNOWN_32:
                extent = _extent(content, chunk._replace(size=long_size), total)
                break  # what follows cannot be found by a size of 32 bits
            extent = _extent(content, chunk, total, _STREAM_SIZES)
            if extent.num_bytes is None:
                break
    return _Parts(form, extent, tuple(lists))


def _w64_parts(content: Content) -> _Parts:
    if bytes(content[:16]) != W64_RIFF or bytes(content[24:40]) != b"wave" + _W64_REST:
        return _Parts()
    total = int.from_bytes(content[16:24], "little")
    form = None
    for chunk in _w64_chunks(content):
        if chunk.name == b"fmt " and form is None:
            form = chunk
        elif chunk.name == b"data" and form is not None:
            return _Parts(form, _extent(content, chunk, total))
    return _Parts()


def _extent(content: Content, chunk: Chunk, total: int, stream_sizes: tuple[int, ...] = ()) -> Extent:
    """Where the audio lies: in the chunk, or from its beginning on, when its size was left open.

    Args:
        total: bytes of the file, as its header says.
        stream_sizes: those that writers to a pipe put in, or nearly.
    """
    if chunk.size:
        is_longer = chunk.start + chunk.size > len(content)
        is_open = is_longer and any(abs(chunk.size - size) <= _STREAM_MARGIN for size in stream_sizes)
        is_open = is_open or chunk.size >= _UNKNOWN_64
    else:
        is_open = not is_whole(content, total)
    return Extent(chunk.start, None if is_open else chunk.size)


def _order(content: Content) -> ByteOrder:
    return "big" if bytes(content[:4]) == b"RIFX" else "little"


def _coding(content: Content, chunk: Chunk, order: ByteOrder) -> Coding | None:
    """What the chunk `fmt ` says; None for any other codec than PCM, and where it contradicts itself."""
    mark = ">" if order == "big" else "<"
    if chunk.size < 16:
        return None
    tag, num_channels, sample_rate, _, stride, bits = unpacked(mark + "HHIIHH", content, chunk.start)
    mask = 0
    if tag == _EXTENSIBLE and chunk.size >= 40:
        _, _, mask, tag, guid = unpacked(mark + "HHIH14s", content, chunk.start + 16)
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


def _tags(content: Content, chunk: Chunk, order: ByteOrder) -> dict[str, str]:
    if bytes(content[chunk.start : chunk.start + 4]) != b"INFO":
        return {}
    found: dict[str, str] = {}
    for entry in chunks(content, chunk.start + 4, order, chunk.start + chunk.size):
        if entry.name in _TAGS:
            found[_TAGS[entry.name]] = text(content[entry.start : entry.start + min(entry.size, _MAX_TEXT)])
    return {tag: value for tag, value in found.items() if value}


def _w64_chunks(content: Content) -> Iterator[Chunk]:
    """Names are GUIDs; sizes have 64 bits, count their own header, and are filled up to 8."""
    place = 40
    for _ in range(_MAX_CHUNKS):
        if place + _W64_HEADER > len(content):
            return
        guid, size = unpacked("<16sQ", content, place)
        name = guid[:4] if guid[4:] == _W64_REST else b""
        yield Chunk(name, place + _W64_HEADER, max(size - _W64_HEADER, 0))
        if size < _W64_HEADER:
            return
        place += -(-size // 8) * 8


def _is_disguised(content: Content, coding: Coding, extent: Extent) -> bool:
    """Whether it may be something else than samples; FFmpeg then looks closer."""
    if coding.encoding != "i16" or coding.num_channels != 2:
        return False
    head = bytes(content[extent.first_byte : extent.first_byte + _DISGUISE_BYTES])
    return any(mark in head for mark in _DISGUISED)
