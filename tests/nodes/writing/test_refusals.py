"""Tests of what the sinks of audio refuse, and of what they leave behind then: nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limits import no_file_over
from phonograph.errors import AudioFormatError, OutputError
from phonograph_nodes.writing.flac import Flac
from phonograph_nodes.writing.m4a import M4a, M4aParams
from phonograph_nodes.writing.matching import Audio
from phonograph_nodes.writing.mp3 import Mp3, Mp3Params
from phonograph_nodes.writing.opus import Opus
from phonograph_nodes.writing.wav import Wav
from written import voice, written

ALAC = {"codec": "alac"}


@pytest.mark.parametrize(
    ("sink", "params", "rate", "known"),
    [
        (Flac, {}, 2**20, "FLAC has 1 to 1048575 Hz"),
        (M4a, ALAC, 400_000, "ALAC has 1 to 384000 Hz"),
        (Opus, {}, 44100, "Opus has 8000, 12000, 16000, 24000, 48000 Hz"),
        (Mp3, {}, 96000, "MP3 has 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 Hz"),
        (M4a, {}, 44000, "AAC has 7350, 8000, 11025, .* 96000 Hz"),
    ],
)
def test_a_rate_that_the_codec_has_not(sink: type[Any], params: dict[str, Any], rate: int, known: str, tmp_path: Path) -> None:
    """The error names the file, the rate, those that the codec has, and the node that gets there."""
    with pytest.raises(AudioFormatError, match=rf"a\.wav\.\w+: its rate is {rate} Hz; {known}; .*\(audio\.resample\)"):
        written(sink, tmp_path, voice(100, 8000), rate, **params)
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(("sink", "params", "most"), [(Flac, {}, 8), (M4a, ALAC, 2), (Opus, {}, 8), (Mp3, {}, 2), (M4a, {}, 5)])
@pytest.mark.parametrize("more", [0, 1, 300])
def test_channels_that_the_codec_has_not(sink: type[Any], params: dict[str, Any], most: int, more: int, tmp_path: Path) -> None:
    """None, one too many or hundreds are refused with what the codec holds and what can be done."""
    num_channels = most + more if more else 0
    with pytest.raises(AudioFormatError, match=rf"{num_channels} channels; \w+ holds 1 to {most}; mix them \(audio\.resample"):
        written(sink, tmp_path, np.zeros((num_channels, 100), np.float32), 48000, **params)
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(("sink", "params"), [(M4a, ALAC), (M4a, {}), (Opus, {}), (Mp3, {})])
def test_no_samples_at_all(sink: type[Any], params: dict[str, Any], tmp_path: Path) -> None:
    """Formats that have no empty file say so, and which ones have."""
    with pytest.raises(AudioFormatError, match=r"it has no samples; .*\(flow\.filter with keep: duration > 0s\)"):
        written(sink, tmp_path, np.empty((1, 0), np.float32), **params)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sink", [Opus, Mp3, M4a])
def test_what_is_not_finite(sink: type[Any], value: float, tmp_path: Path) -> None:
    """Lossy codecs would spread a NaN over its neighbours; the error names the place."""
    samples = voice(1000, 16000)
    samples[0, 123] = value
    with pytest.raises(AudioFormatError, match=r"a\.wav\.\w+: sample 123 of channel 0 is .*; expected finite samples"):
        written(sink, tmp_path, samples)


@pytest.mark.parametrize(
    ("sink", "rate", "bit_rate", "known"),
    [
        (Mp3, 44100, 8000, "MP3 has 32000, 40000, .* 320000 there"),
        (Mp3, 16000, 320_000, "MP3 has 8000, .* 160000 there"),
        (Mp3, 8000, 128_000, "MP3 has 8000, .* 64000 there"),
        (Mp3, 16000, 65_000, "MP3 has 8000, .* 160000 there"),
        (Opus, 16000, 256_001, "Opus has at most 256000"),
        (M4a, 16000, 96_001, "AAC has at most 96000 there"),
    ],
)
def test_a_bit_rate_that_the_codec_has_not(sink: type[Any], rate: int, bit_rate: int, known: str, tmp_path: Path) -> None:
    """The error says which bit rates there are for this audio, instead of taking another one in silence."""
    with pytest.raises(AudioFormatError, match=f"{bit_rate} bit/s .*{known}; set "):
        written(sink, tmp_path, voice(1000, rate), rate, bit_rate=bit_rate)


def test_parameters_that_exclude_each_other() -> None:
    """A bit rate that is constant and variable, of what is lossless, or a sample format of what is lossy, are refused."""
    with pytest.raises(ValueError, match="quality is 2; expected it absent with bit_rate"):
        Mp3Params(path="out", quality=2, bit_rate=64000)
    with pytest.raises(ValueError, match="bit_rate is 64000; expected it absent with codec alac"):
        M4aParams(path="out", codec="alac", bit_rate=64000)
    with pytest.raises(ValueError, match="sample_format is 'pcm24'; expected it absent with codec aac"):
        M4aParams(path="out", sample_format="pcm24")


SINKS = pytest.mark.parametrize(
    ("sink", "params"),
    [(Wav, {}), (Flac, {}), (Opus, {}), (Mp3, {}), (M4a, {}), (M4a, ALAC), (Audio, {"output_format": "flac"})],
    ids=["wav", "flac", "opus", "mp3", "aac", "alac", "audio"],
)


@SINKS
def test_a_full_disk_leaves_no_file(sink: type[Any], params: dict[str, Any], tmp_path: Path) -> None:
    """A file that cannot be written whole is an OutputError, and nothing of it is there; what stood there stays."""
    old = written(sink, tmp_path, voice(1600, 16000), **params)
    before = old.read_bytes()
    with pytest.raises(OutputError, match="cannot be written"), no_file_over(1000):
        written(sink, tmp_path, voice(160_000, 16000), **params)
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == [old.name]


@SINKS
def test_the_same_audio_gives_the_same_bytes(sink: type[Any], params: dict[str, Any], tmp_path: Path) -> None:
    """Neither times nor random numbers get into a file."""
    first, second = (written(sink, tmp_path / name, voice(5000, 16000), **params).read_bytes() for name in "ab")
    assert first == second


@SINKS
def test_a_file_appears_by_commit_alone(sink: type[Any], params: dict[str, Any], tmp_path: Path) -> None:
    """Before that, and after a part was discarded, nothing stands under the name."""
    from phonograph.audio import AudioChunk
    from written import item

    node = sink(sink.spec.params(path=str(tmp_path), **params), "out")
    node.open()
    part = node.stage(item({"audio": AudioChunk(voice(1600, 16000), 16000)}))
    assert [name for name in os.listdir(tmp_path / "clips") if not name.startswith(".")] == []
    part.discard()
    assert os.listdir(tmp_path / "clips") == []


@SINKS
def test_an_output_folder_that_cannot_be_made_fails_at_open(sink: type[Any], params: dict[str, Any], tmp_path: Path) -> None:
    """A file where the folder should be is found before the first record."""
    (tmp_path / "file").write_text("x")
    node = sink(sink.spec.params(path=str(tmp_path / "file" / "out"), **params), "out")
    with pytest.raises(OutputError, match="choose another output folder"):
        node.open()
    node.close()
