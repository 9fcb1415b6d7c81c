"""The LAME tag of an MP3 file: how many samples decoders leave out at both ends.

The first frame of the file is no audio. After `Xing` or `Info` it holds flags, the number of frames, of bytes, a table of
contents, a quality, then the tag: at its byte 21, in 12 bits each, the encoder's delay and the padding; at byte 34 a CRC-16
(polynomial 0x8005, lowest bit first) of everything from the frame's header to there. A decoder adds 529 samples of its own.

FFmpeg writes the tag, with two faults. Its padding is too small when the last frame holds less than 47 samples of the audio:
decoders give up to 46 too many. And its own decoder forgets how much it has still to leave out at the beginning when the end is
in the same frame. So the padding is reckoned here, and the encoder gets so much silence first that the audio begins with a frame.

Source: the "Mp3 Info Tag" specification, revision 1; the checksum as LAME has it, which is the same with side information of
32 bytes (the specification says 190 bytes) and leaves itself out with less.
"""

from __future__ import annotations

SILENCE = 47
"""Samples before the audio, which with LAME's delay of 576 and the decoder's 529 are a whole number of frames."""

_DELAY_AT, _CRC_AT = 21, 34
_FLAGGED = ((1, 4), (2, 4), (4, 100), (8, 4))  # bit of the flags -> bytes that are there: frames, bytes, contents, quality


def with_exact_length(content: bytes, num_samples: int, per_frame: int) -> bytes:
    """The file with a delay and a padding between which `num_samples` remain.

    Args:
        content: an MP3 file as FFmpeg writes it, of `SILENCE` and then the audio.
        per_frame: samples in a frame.
    """
    frame = 10 + _syncsafe(content[6:10])
    xing = max(content.find(mark, frame, frame + 64) for mark in (b"Xing", b"Info"))
    flags = int.from_bytes(content[xing + 4 : xing + 8], "big")
    assert content[:3] == b"ID3", "FFmpeg begins an MP3 file with an ID3v2 tag"
    assert xing > 0, "FFmpeg writes a Xing header"
    assert flags & 1, "which holds the number of frames"
    tag = xing + 8 + sum(size for bit, size in _FLAGGED if flags & bit)
    at = tag + _DELAY_AT
    num_frames = int.from_bytes(content[xing + 8 : xing + 12], "big")
    delay = SILENCE + (int.from_bytes(content[at : at + 3], "big") >> 12)
    padding = num_frames * per_frame - delay - num_samples
    patched = bytearray(content)
    patched[at : at + 3] = (delay << 12 | padding).to_bytes(3, "big")
    crc_at = tag + _CRC_AT
    patched[crc_at : crc_at + 2] = crc16(bytes(patched[frame:crc_at])).to_bytes(2, "big")
    return bytes(patched)


def crc16(content: bytes) -> int:
    """CRC-16 with the polynomial 0x8005, lowest bit first, from 0 on."""
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _syncsafe(size: bytes) -> int:
    """An ID3v2 size: seven bits a byte."""
    return sum(byte << 7 * place for place, byte in enumerate(reversed(size)))
