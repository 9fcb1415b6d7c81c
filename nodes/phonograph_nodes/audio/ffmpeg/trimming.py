"""What a codec adds at the beginning and the end of audio, where FFmpeg leaves it in.

FFmpeg takes off what it knows: delay and padding of LAME's tag (MP3), pre-skip and final granule position (Opus and Vorbis in
Ogg), the beginning of an edit list (MP4), discarded padding (Matroska). What is left:

- Opus in Matroska: the delay of the container is taken off, which some writers have given in samples of another rate. The codec's
  own pre-skip, in its header, is what holds (RFC 7845, section 4.2).
- Speex in Ogg: granule positions begin below zero by the encoder's look-ahead; samples before time zero are not audio.
- Vorbis in Ogg: where all of it lies on one page, the last block is decoded whole; the granule position says where audio ends.
- AAC in MP4: the last block is decoded whole, of which the edit list, iTunes's tag or the block's own duration keep a part.
- compressed WAV: blocks are whole, and the chunk `fact` has the number of samples.
"""

from __future__ import annotations

import struct

from phonograph_nodes.audio.ffmpeg.opened import Opened
from phonograph_nodes.audio.ffmpeg.packets import Packets

PADDED_PACKETS = 4
"""Padding is looked for in so many of the last packets; no encoder pads more, and no header that says so is believed."""


def lead(opened: Opened, packets: Packets, sample_rate: int) -> int:
    """How many of the first samples that come out are no audio."""
    if opened.format == "ogg" and opened.decoder.name in {"speex", "libspeex"}:
        return max(-(opened.samples(opened.stream.start_time, sample_rate) or 0), 0)
    header = opened.decoder.extradata or b""
    if opened.format == "matroska" and header.startswith(b"OpusHead") and len(header) >= 12:
        pre_skip = int.from_bytes(header[10:12], "little")
        return max(pre_skip - _skipped(packets), 0)
    return 0


def may_be_padded(opened: Opened) -> bool:
    """Whether `length` may tell of samples at the end that are no audio."""
    if opened.format == "ogg":
        return opened.decoder.name in {"vorbis", "libvorbis"}
    return opened.format == "mov" or (opened.format == "wav" and not opened.decoder.name.startswith("pcm_"))


def length(opened: Opened, packets: Packets, sample_rate: int, *, decoded: int) -> int:
    """How much of `decoded` samples is audio."""
    declared = [_itunes_length(opened), opened.samples(opened.stream.duration, sample_rate)]
    if opened.stream.start_time is not None:
        end = opened.samples(packets.end, sample_rate)
        declared.append(None if end is None else end - (opened.samples(opened.stream.start_time, sample_rate) or 0))
    least = decoded - PADDED_PACKETS * packets.longest
    plausible = [value for value in declared if value is not None and least < value < decoded]
    return min(plausible, default=decoded)


def _skipped(packets: Packets) -> int:
    """How many samples FFmpeg has taken off the first packet."""
    if packets.first is None or not packets.first.has_sidedata("skip_samples"):
        return 0
    return int(struct.unpack_from("<I", bytes(packets.first.get_sidedata("skip_samples")))[0])


def _itunes_length(opened: Opened) -> int | None:
    """The third number of iTunes's tag: hexadecimal, after delay and padding."""
    numbers = str(opened.container.metadata.get("iTunSMPB", "")).split()
    try:
        return int(numbers[3], 16) if len(numbers) > 3 else None
    except ValueError:
        return None
