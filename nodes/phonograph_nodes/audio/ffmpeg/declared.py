"""Whether a file is truncated: the length that its header declares, against where it really ends.

Two kinds of containers declare an exact length. Some say how many *bytes* of audio follow (RIFF and RF64 WAV, Wave64, CAF,
ASF): FFmpeg quietly takes the end of the file instead, so their headers are read here. For others FFmpeg's *duration* is the
declared one; it is compared with where the last packet ends, because packets that do not decode, or whose first samples are the
codec's delay, are there all the same. Where FFmpeg estimates the duration (MP3, AAC, AMR, raw streams) or finds it at the end of
the file (Ogg), nothing is declared.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from phonograph_nodes.audio.containers.layout import Extent
from phonograph_nodes.audio.containers.riff import riff_extent, w64_extent
from phonograph_nodes.audio.ffmpeg.opened import Opened
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.stored import Content

_TIMED = {"aiff", "ape", "au", "flac", "mov", "matroska", "tta", "wv"}  # the first of FFmpeg's names of the format
_TOLERANCE_S = 0.1  # a packet, a codec's delay or padding, a duration in whole milliseconds
_SIZE_TOLERANCE_S = 0.01  # some writers count the header as samples

_MAX_CHUNKS = 1000
_MAX_ASF_HEADER = 2**20
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # a GUID as it lies in the file


def declared_duration(opened: Opened, given: Given, *, decoded_s: float, end_s: float) -> float | None:
    """The declared duration in seconds if the file ends clearly before it, else None.

    Args:
        given: what it was opened from.
        decoded_s: how much audio came out of it.
        end_s: where the last packet ends, or the audio if that is later.
    """
    if opened.format in _SIZED:
        declared_s = _by_size(given, _SIZED[opened.format], decoded_s)
        return declared_s if declared_s is not None and declared_s - decoded_s > _SIZE_TOLERANCE_S else None
    declared_s = _by_time(opened.container, opened.stream) if opened.format in _TIMED else None
    return declared_s if declared_s is not None and declared_s - end_s > _TOLERANCE_S else None


def _by_time(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # The container's duration is that of its longest stream, which need not be this one.
    return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None


def _by_size(given: Given, extent: _FindExtent, decoded_s: float) -> float | None:
    """The audio that is there, in proportion to the bytes that are."""
    try:
        found = extent(given)
    except (struct.error, OSError):  # the header itself is cut off, is none that is known here, or is not read any more
        return None
    if found is None or not found.num_bytes or given.size <= found.first_byte:
        return None
    return decoded_s * found.num_bytes / min(given.size - found.first_byte, found.num_bytes)


def _caf_extent(file: IO[bytes]) -> Extent | None:
    """Where the audio lies in Apple's Core Audio Format; a size of -1 means up to the end."""
    file.seek(8)
    for _ in range(_MAX_CHUNKS):
        name, size = struct.unpack(">4sq", file.read(12))
        start = file.tell()
        if size < 0:
            return None
        if name == b"data":
            return Extent(start + 4, size - 4) if size > 4 else None  # a count of edits comes first
        file.seek(start + size)
    return None


def _asf_extent(file: IO[bytes]) -> Extent | None:
    """The packets of an ASF file, by their number and size; None for a broadcast, which does not know them."""
    _, header_size = struct.unpack("<16sQ", file.read(24))
    header = file.read(min(header_size, _MAX_ASF_HEADER))
    place = header.find(_ASF_FILE_PROPERTIES)
    if place < 0:
        return None
    # After GUID and size of the object: id, file size, date, number of packets, durations, preroll, flags, packet sizes.
    properties = struct.unpack_from("<16sQQQQQQIIII", header, place + 24)
    num_packets, flags, packet_size = properties[3], properties[7], properties[8]
    return None if flags & 1 else Extent(header_size + 50, num_packets * packet_size)


def _in_file(extent: Callable[[IO[bytes]], Extent | None]) -> _FindExtent:
    def find(given: Given) -> Extent | None:
        with given.open() as file:
            return extent(file)

    return find


def _in_content(extent: Callable[[Content], Extent | None]) -> _FindExtent:
    """Of containers that were looked for PCM before, by their content too."""
    return lambda given: extent(given.content())


_FindExtent = Callable[[Given], Extent | None]
_SIZED: Mapping[str, _FindExtent] = MappingProxyType(
    {
        "wav": _in_content(riff_extent),
        "w64": _in_content(w64_extent),
        "caf": _in_file(_caf_extent),
        "asf": _in_file(_asf_extent),
    }
)
