"""What a header of a PCM file comes down to."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from phonograph_nodes.audio.reader import check_format
from phonograph_nodes.audio.stored import Content

Encoding = Literal["u8", "i8", "i16", "i24", "i32", "f32", "f64", "alaw", "mulaw"]
ByteOrder = Literal["little", "big"]

SAMPLE_BYTES: Mapping[Encoding, int] = MappingProxyType(
    {"u8": 1, "i8": 1, "i16": 2, "i24": 3, "i32": 4, "f32": 4, "f64": 8, "alaw": 1, "mulaw": 1}
)
SIGNED: Mapping[int, Encoding] = MappingProxyType({1: "i8", 2: "i16", 3: "i24", 4: "i32"})
FLOATS: Mapping[int, Encoding] = MappingProxyType({4: "f32", 8: "f64"})

_MAX_CHUNKS = 10_000
_NAMES = (b"fmt ", b"data", b"fact", b"LIST", b"COMM", b"SSND")

# Loudspeakers by Microsoft's bits (WAVEFORMATEXTENSIBLE, dwChannelMask) -> FFmpeg's name of the layout.
_LAYOUTS: Mapping[int, str] = MappingProxyType(
    {
        0x4: "mono", 0x3: "stereo", 0xB: "2.1", 0x7: "3.0", 0x103: "3.0(back)", 0xF: "3.1", 0x107: "4.0", 0x10F: "4.1",
        0x33: "quad", 0x603: "quad(side)", 0x37: "5.0", 0x607: "5.0(side)", 0x3F: "5.1", 0x60F: "5.1(side)", 0x707: "6.0",
        0x70F: "6.1", 0x637: "7.0", 0x63F: "7.1", 0xFF: "7.1(wide)",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PcmLayout:
    """Interleaved samples in a file.

    Args:
        container: FFmpeg's name of it.
        encoding: of a sample. Integers of b bits stand for q / 2^(b-1), unsigned ones are shifted by half their range.
        big_endian: the highest byte of a sample comes first.
        sample_rate: Hz.
        first_byte: where the samples begin.
        num_samples: in each channel, as many as the file really holds.
        declared_samples: as many as the header says there are; None when it leaves it open.
        channel_layout: by FFmpeg's name.
        tags: title, artist and others, by FFmpeg's names.
    """

    container: str
    encoding: Encoding
    big_endian: bool
    num_channels: int
    sample_rate: int
    first_byte: int
    num_samples: int
    declared_samples: int | None
    channel_layout: str
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def stride(self) -> int:
        """Bytes from one sample of a channel to the next."""
        return SAMPLE_BYTES[self.encoding] * self.num_channels


class Coding(NamedTuple):
    """How samples are stored, without where; the fields are those of `PcmLayout`."""

    encoding: Encoding
    big_endian: bool
    num_channels: int
    sample_rate: int
    channel_mask: int = 0


class Extent(NamedTuple):
    """Where samples lie.

    Args:
        first_byte: where they begin.
        num_bytes: how many bytes of them the header says there are; None: as many as come.
        declared_samples: how many the header says there are in each channel; 0 when it says so by `num_bytes` only.
    """

    first_byte: int
    num_bytes: int | None
    declared_samples: int = 0


class Chunk(NamedTuple):
    """A part of an IFF file with a name and a length, which may reach past the end of the file."""

    name: bytes
    start: int
    size: int


def within(
    content: Content, name: str, container: str, coding: Coding, extent: Extent, tags: Mapping[str, str] | None = None
) -> PcmLayout:
    """The layout of as much as is there of what a header promises.

    Raises:
        AudioDecodeError: a rate or channel count that no audio has.
    """
    check_format(name, "probe", coding.sample_rate, coding.num_channels)
    stride = SAMPLE_BYTES[coding.encoding] * coding.num_channels
    there = max(len(content) - extent.first_byte, 0)
    by_bytes = None if extent.num_bytes is None else extent.num_bytes // stride
    return PcmLayout(
        container=container,
        encoding=coding.encoding,
        big_endian=coding.big_endian,
        num_channels=coding.num_channels,
        sample_rate=coding.sample_rate,
        first_byte=min(extent.first_byte, len(content)),
        num_samples=there // stride if by_bytes is None else min(there // stride, by_bytes),
        declared_samples=extent.declared_samples or by_bytes,
        channel_layout=_layout_name(coding),
        tags=MappingProxyType(dict(tags or {})),
    )


def chunks(content: Content, place: int, byte_order: ByteOrder, end: int | None = None) -> Iterator[Chunk]:
    """The chunks of a RIFF or IFF file from `place` on: a name and a length of 4 bytes each, then content of an even length.

    Writers that forget to fill up an odd one are found out by a name that is known and stands there already.
    """
    end = len(content) if end is None else min(end, len(content))
    for _ in range(_MAX_CHUNKS):
        if place + 8 > end:
            return
        start, size = place + 8, int.from_bytes(content[place + 4 : place + 8], byte_order)
        yield Chunk(bytes(content[place : place + 4]), start, size)
        place = start + size
        if size % 2 and bytes(content[place : place + 4]) not in _NAMES:
            place += 1


def unpacked(form: str, content: Content, place: int) -> tuple[Any, ...]:
    """The fields that lie at a place; struct.error where the content ends before."""
    return struct.unpack(form, content[place : place + struct.calcsize(form)])


def is_whole(content: Content, total: int) -> bool:
    """Whether a file has as many bytes as its header says: its writer then came to an end, and knew all sizes.

    The byte that fills up an odd chunk may not be counted.
    """
    return 0 <= len(content) - total <= 1


def text(raw: memoryview | bytes) -> str:
    """Text of a tag, up to its first zero byte."""
    return bytes(raw).partition(b"\0")[0].decode("utf-8", "replace").strip()


def _layout_name(coding: Coding) -> str:
    if coding.channel_mask.bit_count() == coding.num_channels and coding.channel_mask in _LAYOUTS:
        return _LAYOUTS[coding.channel_mask]
    return {1: "mono", 2: "stereo"}.get(coding.num_channels, f"{coding.num_channels} channels")
