"""Sun's and NeXT's audio file, after the comments of its header file: six words of 32 bits, big-endian, then some text."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phonograph_nodes.audio.containers.layout import Coding, Encoding, Extent, PcmLayout, unpacked, within
from phonograph_nodes.audio.stored import Content

_HEADER = 24
_UNKNOWN = (0, 2**32 - 1)
_ENCODINGS: Mapping[int, Encoding] = MappingProxyType(
    {1: "mulaw", 2: "i8", 3: "i16", 4: "i24", 5: "i32", 6: "f32", 7: "f64", 27: "alaw"}
)


def au_layout(content: Content, name: str) -> PcmLayout | None:
    """Of an AU file; of its little-endian form too, whose first four letters are turned around."""
    big_endian = bytes(content[:4]) == b".snd"
    offset, size, code, rate, num_channels = unpacked(">5I" if big_endian else "<5I", content, 4)
    if offset < _HEADER or code not in _ENCODINGS:
        return None
    coding = Coding(_ENCODINGS[code], big_endian, num_channels, rate)
    return within(content, name, "au", coding, Extent(offset, None if size in _UNKNOWN else size))
