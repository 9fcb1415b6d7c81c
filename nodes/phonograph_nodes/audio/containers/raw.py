"""PCM without any header, by what its owner says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phonograph_nodes.audio.containers.layout import SAMPLE_BYTES, Coding, Encoding, Extent, PcmLayout, within
from phonograph_nodes.audio.stored import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPcm:
    """What raw samples are.

    Args:
        encoding: of a sample.
        sample_rate: Hz.
        num_channels: interleaved.
        byte_order: which byte of a sample comes first; says nothing of encodings of one byte.
        header_bytes: to be passed over at the beginning of the file.

    Raises:
        ValueError: an unknown encoding or byte order, a negative number of bytes.
    """

    encoding: Encoding
    sample_rate: int
    num_channels: int = 1
    byte_order: Literal["little", "big"] = "little"
    header_bytes: int = 0

    def __post_init__(self) -> None:
        if self.encoding not in SAMPLE_BYTES:
            raise ValueError(f"encoding is {self.encoding!r}; expected one of {', '.join(SAMPLE_BYTES)}")
        if self.byte_order not in ("little", "big"):
            raise ValueError(f"byte_order is {self.byte_order!r}; expected 'little' or 'big'")
        if self.header_bytes < 0:
            raise ValueError(f"header_bytes is {self.header_bytes}; expected 0 or more")


def raw_layout(content: Content, name: str, raw: RawPcm) -> PcmLayout:
    """All of a file as samples; bytes at its end that make no whole sample are left out.

    Raises:
        AudioDecodeError: a rate or channel count that no audio has.
    """
    coding = Coding(raw.encoding, raw.byte_order == "big", raw.num_channels, raw.sample_rate)
    return within(content, name, "raw", coding, Extent(raw.header_bytes, None))
