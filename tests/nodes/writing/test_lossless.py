"""Tests of the sinks of lossless codecs, `sink.flac` and `sink.m4a` with ALAC: what they write comes back bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph_nodes.audio import load
from phonograph_nodes.convert import convert
from phonograph_nodes.writing.flac import Flac
from phonograph_nodes.writing.m4a import M4a
from written import edit_list, ffmpeg_decoded, item, voice, written

FORMATS = pytest.mark.parametrize("sample_format", ["pcm16", "pcm24"])
RATES = st.sampled_from([1000, 8000, 11025, 12345, 16000, 44100, 48000, 96000, 192000])


def levels(samples: NDArray[np.float32], sample_format: str) -> NDArray[Any]:
    """The integers that the samples are stored as, as FFmpeg has them: 24 bits in the upper bytes of 32."""
    if sample_format == "pcm16":
        return convert(samples, dtype="i16")
    return convert(convert(samples, dtype="i24"), dtype="i32", source="i24")


def noise(num_channels: int, num_samples: int) -> NDArray[np.float32]:
    """At full scale, and beyond it here and there."""
    generator = np.random.default_rng(num_samples)
    return generator.uniform(-1.01, 1.01, (num_channels, num_samples)).astype(np.float32)


@FORMATS
@settings(deadline=None)
@given(num_samples=st.integers(0, 5000), num_channels=st.integers(1, 8), rate=RATES, level=st.integers(0, 12))
def test_flac_comes_back_bit_for_bit(sample_format: str, num_samples: int, num_channels: int, rate: int, level: int) -> None:
    """Every sample of every channel is the nearest integer, at any length, rate and compression level."""
    samples = noise(num_channels, num_samples)
    with tempfile.TemporaryDirectory() as folder:
        path = written(Flac, Path(folder), samples, rate, sample_format=sample_format, compression_level=level)
        content = path.read_bytes()
    if not num_samples:
        assert ffmpeg_decoded(content, "flac")[0].size == 0
        return
    # Not by FFmpeg's own loop, which stops at a packet that only looks like one: noise has such bytes, one file in 2000.
    decoded, decoded_rate = load(content, sr=None, mono=False)
    assert (np.atleast_2d(decoded).shape, decoded_rate) == (samples.shape, rate)
    np.testing.assert_array_equal(np.atleast_2d(decoded), convert(levels(samples, sample_format), dtype="f32"))


@FORMATS
@settings(deadline=None)
@given(num_samples=st.integers(1, 5000), num_channels=st.integers(1, 2), rate=RATES)
def test_alac_comes_back_bit_for_bit(sample_format: str, num_samples: int, num_channels: int, rate: int) -> None:
    """Every sample of every channel is the nearest integer, and the edit list says how many there are."""
    samples = noise(num_channels, num_samples)
    with tempfile.TemporaryDirectory() as folder:
        content = written(M4a, Path(folder), samples, rate, codec="alac", sample_format=sample_format).read_bytes()
    decoded, decoded_rate = ffmpeg_decoded(content, "mov")
    assert (decoded.shape, decoded_rate) == (samples.shape, rate)
    np.testing.assert_array_equal(decoded, levels(samples, sample_format))
    assert edit_list(content) == (num_samples, 0, num_samples)


@pytest.mark.parametrize("num_samples", [65535, 65536, 65537, 200_001])
def test_blocks_leave_no_seam(tmp_path: Path, num_samples: int) -> None:
    """Audio of more than one block comes back bit for bit."""
    samples = noise(2, num_samples)
    flac, _ = ffmpeg_decoded(written(Flac, tmp_path, samples).read_bytes(), "flac")
    alac, _ = ffmpeg_decoded(written(M4a, tmp_path, samples, codec="alac").read_bytes(), "mov")
    np.testing.assert_array_equal(flac, levels(samples, "pcm16"))
    np.testing.assert_array_equal(alac, levels(samples, "pcm16"))


def test_a_higher_compression_level_makes_smaller_files(tmp_path: Path) -> None:
    """Level 12 takes fewer bytes than level 0, and holds the same samples."""
    samples = voice(48000, 16000)
    fast, small = (written(Flac, tmp_path / str(level), samples, compression_level=level).read_bytes() for level in (0, 12))
    assert len(small) < len(fast)
    np.testing.assert_array_equal(ffmpeg_decoded(small, "flac")[0], ffmpeg_decoded(fast, "flac")[0])


@pytest.mark.parametrize(
    ("stored", "bits"), [(None, 16), ("u8", 16), ("i16", 16), ("mulaw", 16), ("i24", 24), ("i32", 24), ("f32", 24), ("f64", 24)]
)
def test_the_format_follows_the_audio(tmp_path: Path, stored: str | None, bits: int) -> None:
    """Without a format of their own, FLAC and ALAC take 24 bits for what 16 would not hold."""
    attributes = {} if stored is None else {"sample_format": stored}
    exact = np.array([[2.0**-20, 0.5]], np.float32)  # needs 24 bits
    cases: list[tuple[type[Any], str, dict[str, Any]]] = [(Flac, "flac", {}), (M4a, "mov", {"codec": "alac"})]
    for sink, container, params in cases:
        node = sink(sink.spec.params(path=str(tmp_path), **params), "out")
        part = node.stage(item({"audio": AudioChunk(exact, 16000)}, **attributes))
        decoded, _ = ffmpeg_decoded(Path(part.commit().path).read_bytes(), container)
        assert decoded.tolist() == levels(exact, f"pcm{bits}").tolist()
