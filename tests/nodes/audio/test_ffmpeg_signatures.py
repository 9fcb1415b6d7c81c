"""Tests of streams of bare frames that are too short for FFmpeg's probe."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio.ffmpeg import open_ffmpeg
from phonograph_nodes.audio.ffmpeg.signatures import frames_format
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Limits, Samples
from reference.audio_files import noise

KINDS = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "adts"), "ac3": ("ac3", "ac3"), "eac3": ("eac3", "eac3")}


def frames(kind: str, num_samples: int, rate: int = 48_000, layout: str = "stereo") -> bytes:
    """A short encoded clip, without tags."""
    codec, container = KINDS[kind]
    options = {"id3v2_version": "0", "write_xing": "0"} if kind == "mp3" else {}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, container_options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.open()
        rows = noise(num_samples, stream.layout.nb_channels).T / np.float32(2**17)
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows, np.float32), format="fltp", layout=layout)
        block.sample_rate, block.pts = rate, 0
        blocks = av.AudioResampler(stream.format.name, layout, rate, stream.codec_context.frame_size or None)
        for ready in [*blocks.resample(block), *blocks.resample(None)]:
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def tagged(content: bytes, num_bytes: int) -> bytes:
    """The same after an ID3v2 tag with nothing in it."""
    size = bytes(num_bytes >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + bytes(num_bytes) + content


def name_of(content: bytes) -> str | None:
    given = Given(content)
    return frames_format(given, given.head())


def decoded(source: bytes | Path) -> Samples:
    reader = open_ffmpeg(Given(source), Limits())
    try:
        return reader.read()
    finally:
        reader.close()


@pytest.mark.parametrize("num_samples", [1, 100, 577, 1152, 3000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_few_frames_is_read(kind: str, layout: str, num_samples: int, tmp_path: Path) -> None:
    """However few frames there are, they are told for what they are, from bytes as from a path, and all of them decode."""
    content = frames(kind, num_samples, layout=layout)
    assert name_of(content) == kind
    samples = decoded(content)
    assert samples.shape[0] == (1 if layout == "mono" else 2)
    assert samples.shape[1] >= num_samples
    (tmp_path / "clip.avi").write_bytes(content)
    np.testing.assert_array_equal(decoded(tmp_path / "clip.avi"), samples)


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_every_rate_of_mp3_is_told(rate: int) -> None:
    """MPEG-1, 2 and 2.5 have frames of different lengths, of which the second is found after the first."""
    assert name_of(frames("mp3", 20_000, rate)) == "mp3"


@pytest.mark.parametrize("num_bytes", [0, 300, 5000, 200_000])
@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_a_tag_before_the_frames_is_passed_over(kind: str, num_bytes: int) -> None:
    """Also one with a picture, that is longer than the first bytes that are looked at."""
    content = frames(kind, 3000)
    assert name_of(tagged(content, num_bytes)) == kind
    np.testing.assert_array_equal(decoded(tagged(content, num_bytes)), decoded(content))


@pytest.mark.parametrize("padding", [0, 90, 5000])
@pytest.mark.parametrize("beginning", ["ff", "fffb", "fffb9000", "fff15080", "0b77", "494433"])
def test_what_only_begins_like_a_frame_is_left_to_ffmpeg(beginning: str, padding: int) -> None:
    """Without a second frame after the first nothing is certain."""
    assert name_of(bytes.fromhex(beginning) + bytes(padding)) is None


def test_where_nothing_decodes_the_error_is_ffmpegs_own() -> None:
    """A frame of layer 2 alone is told for MPEG audio, and FFmpeg does not open it either way."""
    assert name_of(b"\xff\xfd\x84\x00" + bytes(380)) == "mp3"
    with pytest.raises(AudioDecodeError, match="probe failed"):
        decoded(b"\xff\xfd\x84\x00" + bytes(380))
