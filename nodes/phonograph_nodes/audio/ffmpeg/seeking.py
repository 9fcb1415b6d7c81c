"""Beginning to decode in the middle of a file, where that gives the same bits as decoding from its beginning.

Two things must hold. The container tells the exact position of a packet: each sample has its own tick, and the times come from
counting blocks, not from a writer's clock. And the decoder forgets: after some blocks its state depends on what follows the place
only. MP3 and the lossless codecs here do. Others do not: AAC draws its noise from one generator, AC-3 its dither, Opus, AMR and
Speex filter their own output, whose rounding differs for seconds, and positions in Vorbis's pages are known at their ends only.
Those are decoded from the beginning, and what is before the place thrown away.
"""

from __future__ import annotations

import av.error

from phonograph_nodes.audio.ffmpeg.opened import Opened

WORTH_S = 5.0
"""Below this distance, decoding is faster than opening anew and seeking."""

# Blocks to decode before the place. MP3: main data of a block may begin up to 511 bytes before it, MPEG-2's up to 255, while the
# smallest blocks hold 11 bytes of it (8 kbit/s at 24 kHz: 24 bytes less header and side information), and each block overlaps.
_BLOCKS = {("mp3", "mp3float"): 48, ("flac", "flac"): 1, ("mov", "alac"): 1}
_TIMED = {*_BLOCKS, ("wv", "wavpack"), ("tta", "tta")}
_LONGEST_BLOCK = {"mp3float": 1152, "flac": 65536, "alac": 16384}


def can_seek(opened: Opened, sample_rate: int) -> bool:
    """Whether `seek` is exact for this stream."""
    return (opened.format, opened.decoder.name) in _BLOCKS and opened.samples(0, sample_rate) is not None


def sample_ticks(opened: Opened) -> int:
    """Ticks of the stream for a sample, where packets have exact times and each gives as much as it lasts; else 0."""
    base, rate = opened.stream.time_base, opened.decoder.sample_rate
    if (opened.format, opened.decoder.name) not in _TIMED or base is None or not rate:
        return 0
    ticks, rest = divmod(base.denominator, base.numerator * rate)
    return 0 if rest else ticks


def seek(opened: Opened, first: int, *, origin: int, sample_rate: int) -> bool:
    """Let the next packets be those from somewhat before sample `first` on; whether the container did.

    Args:
        origin: the time of sample 0, in samples.
    """
    blocks = _BLOCKS[opened.format, opened.decoder.name]
    length = opened.decoder.frame_size or _LONGEST_BLOCK[opened.decoder.name]
    base = opened.stream.time_base
    if base is None:
        return False
    target = max(first - blocks * length, 0) + origin
    try:
        opened.container.seek(int(target * base.denominator / (base.numerator * sample_rate)), stream=opened.stream)
    except av.error.FFmpegError:
        return False
    return True
