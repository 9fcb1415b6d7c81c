"""Tests of the FLAC decoder: it gives what FFmpeg's does, or leaves the frame to that."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.errors import AudioCorruptError
from phonograph_nodes.audio.ffmpeg import open_ffmpeg
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Faults, Limits
from phonograph_nodes.kernels._frames import SampleBuffer
from phonograph_nodes.kernels._packets import DamagedPacket, FrameQueue
from reference.audio_files import RATE, encoded, noise

TIMES = np.arange(20_000)
SIGNALS: dict[str, NDArray[np.int16]] = {
    "silence": np.zeros((2, 20_000), np.int16),
    "noise": noise(20_000, 2).T.copy(),
    "tones": np.stack([12_000 * np.sin(TIMES / 9), 9_000 * np.sin(TIMES / 9) + 50 * np.sin(TIMES)]).astype(np.int16),
    "even": (np.stack([TIMES % 1000, TIMES % 999]) * 16).astype(np.int16),
    "clicks": np.where(TIMES % 777 == 0, 32_767, -1)[np.newaxis].repeat(2, 0).astype(np.int16),
}


def flac(rows: NDArray[Any], **options: str) -> bytes:
    """FLAC of these rows, 16 bits or 24 of int32, made with FFmpeg's options."""
    buffer = io.BytesIO()
    sample_format = "s16" if rows.dtype == np.int16 else "s32"
    with av.open(buffer, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=RATE, layout="mono" if len(rows) == 1 else "stereo", options=options)
        assert isinstance(stream, av.AudioStream)
        stream.format = sample_format
        stream.codec_context.open()
        step = stream.codec_context.frame_size
        for start in range(0, rows.shape[1], step):
            packed = np.ascontiguousarray(rows[:, start : start + step].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format=sample_format, layout=stream.layout)
            frame.sample_rate, frame.pts = RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def packets_of(content: bytes) -> list[bytes]:
    with av.open(io.BytesIO(content), mode="r") as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def is_poured(frames: list[bytes], out: SampleBuffer, bits: int = 16, longest: int = 65535, limit: int = 10**9) -> bool:
    """Whether our own decoder took all of these frames of FLAC, and left none to FFmpeg."""
    left = []

    def leave(packet: Any) -> list[Any]:
        if packet is not None and packet.size:
            left.append(packet)
        return []

    queue = FrameQueue(iter([av.Packet(frame) for frame in frames]), leave)
    queue.flac_bits, queue.flac_longest = bits, longest
    try:
        return queue.pour(out, limit) is None and not left
    except DamagedPacket:
        return False


def decoded(content: bytes, num_channels: int, bits: int, mono: bool = False) -> NDArray[np.float32]:
    out = SampleBuffer(num_channels, RATE, mono, 0)
    assert is_poured(packets_of(content), out, bits), "left to FFmpeg"
    return out.finish()


@pytest.mark.parametrize("options", [{}, {"compression_level": "0"}, {"compression_level": "12"}, {"lpc_type": "none"}], ids=str)
@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("num_channels", [1, 2])
def test_16_bits_come_back(signal: str, num_channels: int, options: dict[str, str]) -> None:
    """Constant, verbatim, fixed and linear prediction, and every way of joining two channels, are bit-exact."""
    rows = SIGNALS[signal][:num_channels]
    np.testing.assert_array_equal(decoded(flac(rows, **options), num_channels, 16), rows / np.float32(2**15))


@pytest.mark.parametrize("mode", ["indep", "left_side", "right_side", "mid_side"])
@pytest.mark.parametrize("bits", [16, 24])
def test_every_joining_of_channels_comes_back(mode: str, bits: int) -> None:
    """Left and side, side and right, mid and side, in 16 bits and in 24."""
    rows = SIGNALS["tones"] if bits == 16 else SIGNALS["tones"].astype(np.int32) * 2**16 + 2**8 * 77
    exact = (rows.astype(np.float64) / (2**15 if bits == 16 else 2**31)).astype(np.float32)
    content = flac(rows, ch_mode=mode)
    np.testing.assert_array_equal(decoded(content, 2, bits), exact)
    np.testing.assert_array_equal(decoded(content, 2, bits, mono=True), exact.mean(axis=0, keepdims=True))


def test_a_damaged_frame_is_left_to_ffmpeg() -> None:
    """A flipped bit anywhere, a missing end, another rate, channel count or length: nothing is appended."""
    packet = packets_of(flac(SIGNALS["tones"]))[0]
    out = SampleBuffer(2, RATE, False, 0)
    for place in range(0, len(packet), 97):
        flipped = bytearray(packet)
        flipped[place] ^= 1 << place % 8
        assert not is_poured([bytes(flipped)], out)
    for size in range(1, len(packet), 61):
        assert not is_poured([packet[:size]], out)
    assert not is_poured([packet], out, bits=24)
    assert not is_poured([packet], out, longest=100)
    assert not is_poured([packet], out, limit=100)
    assert not is_poured([packet], SampleBuffer(1, RATE, False, 0))
    assert not is_poured([packet], SampleBuffer(2, 16_000, False, 0))
    assert out.length == 0
    assert is_poured([packet], out)
    assert out.length > 0


PACKET = packets_of(flac(SIGNALS["tones"]))[0]


def checksum(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x18005 if crc & 0x8000 else 0)
    return crc


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(PACKET) - 3), st.integers(0, 255)), max_size=4), st.integers(2, len(PACKET)))
def test_damage_behind_a_right_checksum_ends_well(changes: list[tuple[int, int]], size: int) -> None:
    """Whatever a frame holds, decoding it ends, and every sample is within what its bits can be."""
    content = bytearray(PACKET[:size])
    for place, value in changes:
        content[place % size] = value
    content[-2:] = checksum(bytes(content[:-2])).to_bytes(2, "big")
    out = SampleBuffer(2, RATE, False, 0)
    assert is_poured([bytes(content)], out) == (out.length > 0)
    assert np.isfinite(out.finish()).all()


BLOCK, NUM_BLOCKS = 576, 80  # FFmpeg's choice at this rate
LONG = noise(NUM_BLOCKS * BLOCK).T.copy()
LONG_FLAC = encoded("flac", "flac", LONG, "s16", "mono")
BLOCKS = LONG.reshape(NUM_BLOCKS, BLOCK) / np.float32(2**15)


def read(content: bytes, first: int = 0, count: int | None = None, strict: bool = False) -> tuple[NDArray[np.float32], Faults]:
    reader = open_ffmpeg(Given(content), Limits(), strict=strict)
    try:
        return reader.read(first, count), reader.faults
    finally:
        reader.close()


def test_one_wrong_byte_anywhere_is_found() -> None:
    """It costs the block that it is in, which is silence, and is counted; every other sample is right, and at its place."""
    start = LONG_FLAC.index(b"\xff\xf8")
    for place in range(start + 30_000, len(LONG_FLAC) - 15_000, 1501):
        content = bytearray(LONG_FLAC)
        content[place] ^= 1 << place % 8
        samples, faults = read(bytes(content))
        blocks = samples.reshape(NUM_BLOCKS, BLOCK)
        lost = np.flatnonzero((blocks != BLOCKS).any(axis=1))
        assert len(lost) == faults.corrupt_packets == 1, place
        assert not blocks[lost].any()
        assert faults.declared_s is None
        with pytest.raises(AudioCorruptError, match="a packet is damaged"):
            read(bytes(content), strict=True)


@pytest.mark.parametrize("place", [30_000, 42_000])
def test_lost_blocks_leave_the_others_at_their_places(place: int) -> None:
    """Bytes overwritten, cut out or put in: what decodes again afterwards stands where it stood."""
    junk = noise(300).tobytes()
    for content in (
        LONG_FLAC[:place] + junk + LONG_FLAC[place + 600 :],
        LONG_FLAC[:place] + LONG_FLAC[place + 600 :],
        LONG_FLAC[:place] + junk + LONG_FLAC[place:],
    ):
        samples, faults = read(content)
        blocks = samples.reshape(NUM_BLOCKS, BLOCK)
        lost = (blocks != BLOCKS).any(axis=1)
        assert 1 <= lost.sum() <= 2
        assert faults.corrupt_packets
        assert not blocks[lost].any()


def test_a_part_of_a_damaged_file_is_the_slice_of_the_whole() -> None:
    """Also when a fresh reader seeks to it, which never sees the damage."""
    raw = noise(20 * RATE).T.copy()
    content = bytearray(encoded("flac", "flac", raw, "s16", "mono"))
    content[40_000:40_600] = bytes(600)
    whole, _ = read(bytes(content))
    assert whole.shape == raw.shape
    for first in (100, 6 * RATE, 15 * RATE):
        np.testing.assert_array_equal(read(bytes(content), first, 5000)[0], whole[:, first : first + 5000])


def test_a_lost_last_block_is_told_by_the_length() -> None:
    """STREAMINFO has the exact number of samples; less is a truncated file, however little is missing."""
    content = bytearray(LONG_FLAC)
    content[-500] ^= 1
    samples, faults = read(bytes(content))
    assert samples.shape == (1, (NUM_BLOCKS - 1) * BLOCK)
    assert faults.declared_s == NUM_BLOCKS * BLOCK / RATE


def test_bytes_after_the_last_frame_are_no_damage() -> None:
    """An old tag at the end of a file does not cost the last block."""
    samples, faults = read(LONG_FLAC + b"TAG" + bytes(125))
    np.testing.assert_array_equal(samples.reshape(NUM_BLOCKS, BLOCK), BLOCKS)
    assert (faults.corrupt_packets, faults.declared_s) == (0, None)


@pytest.mark.parametrize("container", ["ogg", "matroska"])
def test_a_wrong_checksum_is_found_in_other_containers(container: str) -> None:
    """FLAC in Ogg or Matroska: the block is left out and counted, never other samples."""
    content = bytearray(encoded("flac", container, LONG, "s16", "mono"))
    content[len(content) // 2] ^= 1
    samples, faults = read(bytes(content))
    assert faults.corrupt_packets or container == "ogg"  # whose pages have checksums themselves
    blocks = samples[:, : samples.shape[1] // BLOCK * BLOCK].reshape(-1, BLOCK)
    assert all((block == BLOCKS).all(axis=1).any() for block in blocks)


def test_the_speech_of_the_collection_reads_as_by_ffmpeg(shared: Path) -> None:
    """LibriSpeech's own files, from another encoder, give FFmpeg's samples."""
    paths = sorted((shared / "data" / "speech").rglob("*.flac"))[:10]
    assert paths
    for path in paths:
        reader = open_ffmpeg(Given(path), Limits())
        out = SampleBuffer(reader.info.num_channels, reader.info.sample_rate, False, 0)
        with av.open(str(path), mode="r") as container:
            out.take(list(container.decode(audio=0)), 10**9)
        np.testing.assert_array_equal(reader.read(), out.finish())
        reader.close()
