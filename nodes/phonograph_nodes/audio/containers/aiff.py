"""AIFF and AIFF-C, after Apple's "Audio Interchange File Format" (1989) and its draft of AIFF-C (1991).

All numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phonograph_nodes.audio.containers.layout import (
    SIGNED,
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

_MAX_TEXT = 2**16

# Types of compression that are none -> encoding (None: by the number of bits), whether the highest byte comes first.
_TYPES: Mapping[bytes, tuple[Encoding | None, bool]] = MappingProxyType(
    {
        b"NONE": (None, True),
        b"twos": (None, True),
        b"sowt": (None, False),
        b"raw ": ("u8", True),
        b"in24": ("i24", True),
        b"in32": ("i32", True),
        b"42ni": ("i24", False),
        b"42n1": ("i24", False),  # as libsndfile spells it
        b"23ni": ("i32", False),
        b"fl32": ("f32", True),
        b"FL32": ("f32", True),
        b"fl64": ("f64", True),
        b"FL64": ("f64", True),
        b"alaw": ("alaw", True),
        b"ALAW": ("alaw", True),
        b"ulaw": ("mulaw", True),
        b"ULAW": ("mulaw", True),
    }
)
_TAGS: Mapping[bytes, str] = MappingProxyType({b"NAME": "title", b"AUTH": "author", b"(c) ": "copyright", b"ANNO": "comment"})

# Tags of Core Audio's channel layouts whose order is that of Microsoft's bits -> those bits. 2^16 says that the bits follow.
_BITMAP = 1 << 16
_MASKS: Mapping[int, int] = MappingProxyType({108 << 16 | 4: 0x603, 117 << 16 | 5: 0x607, 121 << 16 | 6: 0x60F})


def aiff_layout(content: Content, name: str) -> PcmLayout | None:
    """Of a file of form AIFF or AIFC."""
    form, size, kind = unpacked(">4sI4s", content, 0)
    if form != b"FORM" or kind not in (b"AIFF", b"AIFC"):
        return None
    coding, extent, declared, mask = None, None, 0, 0
    tags: dict[str, str] = {}
    for chunk in chunks(content, 12, "big"):
        if chunk.name == b"COMM" and coding is None:
            coding = _coding(content, chunk, is_compressed=kind == b"AIFC")
            (declared,) = unpacked(">I", content, chunk.start + 2)
            if coding is None:
                return None
        elif chunk.name == b"SSND" and extent is None:
            if not chunk.size and is_whole(content, 8 + size):
                extent = Extent(chunk.start, 0)
                continue
            offset, _ = unpacked(">II", content, chunk.start)
            start = chunk.start + 8 + offset
            extent = Extent(start, max(chunk.start + chunk.size - start, 0) if chunk.size else None)
            if not chunk.size:  # left open by a writer to a pipe
                break
        elif chunk.name == b"CHAN":
            tag, bits = unpacked(">II", content, chunk.start)
            mask = bits if tag == _BITMAP else _MASKS.get(tag, 0)
        elif chunk.name in _TAGS:
            tags[_TAGS[chunk.name]] = text(content[chunk.start : chunk.start + min(chunk.size, _MAX_TEXT)])
    if coding is None or extent is None:
        return None
    return within(content, name, "aiff", coding._replace(channel_mask=mask), extent._replace(declared_samples=declared), tags)


def _coding(content: Content, chunk: Chunk, *, is_compressed: bool) -> Coding | None:
    """What the chunk COMM says; None for any other codec than PCM."""
    num_channels, _, bits, exponent, mantissa = unpacked(">HIHHQ", content, chunk.start)
    kind = bytes(content[chunk.start + 18 : chunk.start + 22]) if is_compressed else b"NONE"
    if kind not in _TYPES:
        return None
    encoding, big_endian = _TYPES[kind]
    encoding = encoding or SIGNED.get((bits + 7) // 8)
    return encoding and Coding(encoding, big_endian, num_channels, _rate(exponent, mantissa))


def _rate(exponent: int, mantissa: int) -> int:
    """The nearest whole number to a positive number of extended precision (IEEE 754, 80 bits); 0 for one beyond 63 bits."""
    shift = 16383 + 63 - exponent
    return (mantissa + (1 << shift >> 1)) >> shift if 0 <= shift < 64 else 0
