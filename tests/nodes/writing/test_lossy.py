"""Tests of the sinks of lossy codecs, `sink.mp3`, `sink.opus`, `sink.m4a`: exact lengths, and audio that sounds the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonograph_nodes.resample import resample
from phonograph_nodes.writing.lame_tag import crc16
from phonograph_nodes.writing.m4a import M4a
from phonograph_nodes.writing.mp3 import Mp3
from phonograph_nodes.writing.opus import Opus
from written import edit_list, ffmpeg_decoded, voice, written

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
EDGES = (575, 576, 577, 622, 623, 1104, 1105, 1151, 1152, 1153)  # of what codecs take at a time, and put at the beginning
LENGTHS = st.one_of(st.integers(1, 60), st.integers(1, 5000), st.sampled_from(EDGES))


@settings(deadline=None)
@given(
    num_samples=LENGTHS,
    num_channels=st.integers(1, 2),
    rate=st.sampled_from(MP3_RATES),
    params=st.sampled_from([{}, {"bit_rate": 32000}, {"bit_rate": 64000}, {"quality": 0}, {"quality": 9.5}]),
)
def test_mp3_has_exactly_the_length_of_the_audio(num_samples: int, num_channels: int, rate: int, params: dict[str, Any]) -> None:
    """Delay and padding of the LAME tag leave what was written, and so does FFmpeg, at any length, rate and bit rate."""
    with tempfile.TemporaryDirectory() as folder:
        content = written(Mp3, Path(folder), voice(num_samples, rate, num_channels), rate, **params).read_bytes()
    decoded, decoded_rate = ffmpeg_decoded(content, "mp3")
    assert (decoded.shape, decoded_rate) == ((num_channels, num_samples), rate)


@settings(deadline=None)
@given(num_samples=LENGTHS, num_channels=st.integers(1, 7), rate=st.sampled_from(OPUS_RATES))
def test_opus_has_exactly_the_length_of_the_audio(num_samples: int, num_channels: int, rate: int) -> None:
    """Pre-skip and the last granule position leave what was written, in samples of 48000 Hz, and so does FFmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        content = written(Opus, Path(folder), voice(num_samples, rate, num_channels), rate).read_bytes()
    pre_skip = int.from_bytes(content[content.index(b"OpusHead") + 10 :][:2], "little")
    granule = int.from_bytes(content[content.rindex(b"OggS") + 6 :][:8], "little")
    assert granule - pre_skip == num_samples * 48000 // rate
    assert ffmpeg_decoded(content, "ogg")[0].shape == (num_channels, num_samples * 48000 // rate)


@settings(deadline=None)
@given(num_samples=LENGTHS, num_channels=st.integers(1, 5), rate=st.sampled_from(AAC_RATES))
def test_aac_has_exactly_the_length_of_the_audio(num_samples: int, num_channels: int, rate: int) -> None:
    """The edit list begins after the encoder's delay and is as long as the audio; there is media for all of it."""
    with tempfile.TemporaryDirectory() as folder:
        content = written(M4a, Path(folder), voice(num_samples, rate, num_channels), rate).read_bytes()
    assert edit_list(content) == (num_samples, 1024, num_samples + 1024)
    decoded, decoded_rate = ffmpeg_decoded(content, "mov")
    assert (len(decoded), decoded_rate) == (num_channels, rate)
    assert decoded.shape[1] == -(-num_samples // 1024) * 1024  # FFmpeg itself leaves nothing out at the end


@pytest.mark.parametrize(
    ("sink", "container", "rate", "params"),
    [
        *((Mp3, "mp3", rate, {}) for rate in MP3_RATES),
        (Mp3, "mp3", 16000, {"quality": 0}),
        *((Opus, "ogg", rate, {}) for rate in OPUS_RATES),
        (Opus, "ogg", 16000, {"bit_rate": 64000}),
        *((M4a, "mov", rate, {}) for rate in AAC_RATES),
    ],
)
@pytest.mark.parametrize("num_channels", [1, 2])
def test_what_was_written_is_heard(
    tmp_path: Path, sink: type[Any], container: str, rate: int, params: dict[str, Any], num_channels: int
) -> None:
    """Sample by sample, without a shift, each channel correlates by more than 0.99 with what was written."""
    samples = voice(3 * rate, rate, num_channels)
    decoded, decoded_rate = ffmpeg_decoded(written(sink, tmp_path, samples, rate, **params).read_bytes(), container)
    decoded = resample(np.ascontiguousarray(decoded), in_rate=decoded_rate, out_rate=rate)[:, : samples.shape[1]]
    for channel, heard in zip(samples, decoded, strict=True):
        assert np.corrcoef(channel, heard)[0, 1] > 0.99


@pytest.mark.parametrize(("sink", "num_channels"), [(Opus, 7), (M4a, 5)])
def test_many_channels_keep_their_order(tmp_path: Path, sink: type[Any], num_channels: int) -> None:
    """Each channel is the one that was written there, and no one loses its higher frequencies to a subwoofer."""
    samples = voice(48000, 48000, num_channels)
    decoded, _ = ffmpeg_decoded(written(sink, tmp_path, samples, 48000).read_bytes(), "ogg" if sink is Opus else "mov")
    matrix = np.corrcoef(np.concatenate([samples, decoded[:, : samples.shape[1]]]))[:num_channels, num_channels:]
    assert matrix.argmax(axis=1).tolist() == list(range(num_channels))
    assert matrix.diagonal().min() > 0.99


@pytest.mark.parametrize(
    ("sink", "lower", "higher"),
    [
        (Mp3, {"bit_rate": 32000}, {"bit_rate": 128000}),
        (Mp3, {"quality": 9}, {"quality": 0}),
        (Opus, {"bit_rate": 12000}, {"bit_rate": 48000}),
        (M4a, {"bit_rate": 24000}, {"bit_rate": 80000}),
    ],
)
def test_a_bit_rate_is_kept_to(tmp_path: Path, sink: type[Any], lower: dict[str, Any], higher: dict[str, Any]) -> None:
    """More bits make larger files, which are of about the bit rate that was asked for."""
    noise, sizes = np.random.default_rng(0).normal(0, 0.1, 10 * 16000), []
    for params in (lower, higher):
        size = written(sink, tmp_path, noise, **params).stat().st_size
        if "bit_rate" in params:
            assert size * 8 / 10 == pytest.approx(params["bit_rate"], rel=0.35)
        sizes.append(size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("num_samples", [1, 1000, 100_000])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_lame_tag_holds_together(tmp_path: Path, rate: int, num_samples: int) -> None:
    """Frames, delay and padding of the tag agree with the number of samples, and its checksum with its bytes."""
    content = written(Mp3, tmp_path, voice(num_samples, rate), rate).read_bytes()
    info = content.index(b"Info")
    tag = info + 120  # after all four flagged fields
    delay_and_padding = int.from_bytes(content[tag + 21 : tag + 24], "big")
    num_frames = int.from_bytes(content[info + 8 : info + 12], "big")
    samples_a_frame = 1152 if rate == 44100 else 576
    assert num_frames * samples_a_frame - (delay_and_padding >> 12) - (delay_and_padding & 0xFFF) == num_samples
    begin = content.index(b"\xff", content.index(b"ID3") + 10)
    assert crc16(content[begin : tag + 34]) == int.from_bytes(content[tag + 34 : tag + 36], "big")


def test_the_checksum_is_the_one_of_the_catalogue() -> None:
    """CRC-16/ARC of the nine digits is 0xBB3D."""
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize(("sink", "container"), [(Mp3, "mp3"), (Opus, "ogg"), (M4a, "mov")])
def test_what_is_beyond_full_scale_is_clipped(tmp_path: Path, sink: type[Any], container: str) -> None:
    """A voice five times too loud is heard as its clipped self."""
    samples = 5 * voice(48000, 48000)
    decoded, _ = ffmpeg_decoded(written(sink, tmp_path, samples, 48000).read_bytes(), container)
    assert np.corrcoef(samples.clip(-1, 1)[0], decoded[0, :48000])[0, 1] > 0.99
    assert np.abs(decoded).max() < 1.5
