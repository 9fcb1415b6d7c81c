"""Tells streams of bare frames by the headers of their first two frames, where FFmpeg's own probe wants to see more of them.

Such a stream has no header of its own, so FFmpeg counts frames, and takes files of a few for video or for nothing at all: of MP3s
shorter than 0.2 s one in 200, of AAC and AC-3 one in ten, of MP2 two in three. A header here is certain when the next frame is
where it says and is of the same kind, or when the file ends there.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from phonograph_nodes.audio.given import Given

_ID3V1_BYTES = 128
_HEADER_BYTES = 7

_LAYER_RATES = {  # kbit/s by index, ISO/IEC 11172-3 table of bit_rate_index and ISO/IEC 13818-3: (MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# kbit/s by half the frame size code, ATSC A/52.
_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def frames_format(given: Given, head: bytes) -> str | None:
    """FFmpeg's name of the format when it is certainly MPEG audio, AAC or (Enhanced) AC-3, perhaps after an ID3 tag.

    Args:
        head: the first bytes, at least 10 if there are so many.
    """
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + _synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)
    elif head[:1] not in (b"\xff", b"\x0b"):
        return None
    first = _read(given, head, start)
    for name, length_of in _KINDS.items():
        length = length_of(first)
        if not length:
            continue
        end = start + length
        following = _read(given, head, end)
        is_last = 0 <= given.size - end <= _ID3V1_BYTES
        if is_last or (length_of(following) and following[:2] == first[:2]):
            return name
    return None


def _read(given: Given, head: bytes, start: int) -> bytes:
    if start + _HEADER_BYTES <= len(head) or len(head) >= given.size:
        return head[start : start + _HEADER_BYTES]
    with given.open() as file:
        file.seek(start, os.SEEK_SET)
        return file.read(_HEADER_BYTES)


def _synchsafe(number: bytes) -> int:
    return number[0] << 21 | number[1] << 14 | number[2] << 7 | number[3]  # with the high bits, which a good tag has clear


def _mpeg_length(header: bytes) -> int:
    """Bytes of a frame of MPEG audio, layer 1 to 3; 0 for anything else, and for free bit rates."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_index, bit_rate_index, padding = header[2] >> 2 & 3, header[2] >> 4, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_index == 3 or bit_rate_index in (0, 15):
        return 0
    rate = (44100, 48000, 32000)[rate_index] >> (0 if version == 3 else 1 if version == 2 else 2)
    bit_rate = _LAYER_RATES[version == 3, layer][bit_rate_index - 1] * 1000
    if layer == 1:
        return (12 * bit_rate // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bit_rate // rate + padding


def _adts_length(header: bytes) -> int:
    """Bytes of a frame of AAC, with its header; 0 for anything else."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0


def _ac3_length(header: bytes) -> int:
    """Bytes of a frame of AC-3; 0 for anything else."""
    if len(header) < 6 or header[:2] != b"\x0b\x77" or header[5] >> 3 > 10:
        return 0
    rate_code, size_code = header[4] >> 6, header[4] & 63
    if rate_code == 3 or size_code >= 2 * len(_AC3_RATES):
        return 0
    bit_rate, rate = _AC3_RATES[size_code >> 1] * 1000, (48000, 44100, 32000)[rate_code]
    return 2 * (96 * bit_rate // rate + (size_code & 1 if rate_code == 1 else 0))


def _eac3_length(header: bytes) -> int:
    """Bytes of a frame of Enhanced AC-3; 0 for anything else."""
    if len(header) < 6 or header[:2] != b"\x0b\x77" or not 11 <= header[5] >> 3 <= 16:
        return 0
    return 2 * (((header[2] & 7) << 8 | header[3]) + 1)


_KINDS: dict[str, Callable[[bytes], int]] = {"mp3": _mpeg_length, "aac": _adts_length, "ac3": _ac3_length, "eac3": _eac3_length}
