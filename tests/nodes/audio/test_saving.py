"""Tests of `save`: arrays to audio files, from Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limits import no_file_over
from phonograph.errors import AudioFormatError, BadInputError, OutputError
from phonograph_nodes.audio.saving import save
from written import ffmpeg_decoded, voice


@pytest.mark.parametrize(
    ("name", "container"), [("a.wav", "wav"), ("a.FLAC", "flac"), ("a.mp3", "mp3"), ("a.opus", "ogg"), ("a.m4a", "mov")]
)
def test_the_suffix_says_the_format(name: str, container: str, tmp_path: Path) -> None:
    """A path, or its text, is written in the format that its suffix names, in folders that are made."""
    for path in (tmp_path / "new" / name, str(tmp_path / name)):
        save(path, voice(48000, 48000)[0], 48000)
        decoded, rate = ffmpeg_decoded(Path(path).read_bytes(), container)
        assert (len(decoded), rate) == (1, 48000)


def test_a_relative_name_is_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is one in the working directory, and nothing else is left there."""
    monkeypatch.chdir(tmp_path)
    save("a.wav", voice(100, 8000), 8000)
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_format_goes_before_the_suffix(tmp_path: Path) -> None:
    """ALAC is asked for by name; any suffix will do then."""
    save(tmp_path / "a.m4a", voice(100, 8000), 8000, format="alac")
    save(tmp_path / "b.bin", voice(100, 8000), 8000, format="flac")
    assert b"alac" in (tmp_path / "a.m4a").read_bytes()
    assert (tmp_path / "b.bin").read_bytes().startswith(b"fLaC")


def test_options_reach_the_format(tmp_path: Path) -> None:
    """Sample format, level, bit rate, quality and tags each change the file."""
    speech = voice(16000, 16000)

    def size(name: str, **options: Any) -> int:
        save(tmp_path / name, speech, 16000, **options)
        return (tmp_path / name).stat().st_size

    assert size("a.wav", sample_format="float64") == 4 * size("a.wav") - 3 * 44 + 2 + 12
    assert size("a.flac", sample_format="pcm24") > size("a.flac")
    assert size("a.flac", compression_level=0) > size("a.flac", compression_level=12)
    assert size("a.mp3", bit_rate=128_000) > size("a.mp3") > size("a.mp3", quality=9)
    assert size("a.opus", bit_rate=8000) < size("a.opus")
    assert size("a.m4a", tags={"title": "x" * 1000}) > size("a.m4a") + 1000


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.ogg", {}, r"path is '.*a\.ogg'; expected a name that ends with \.wav, \.flac, \.opus, \.mp3, \.m4a, or a format"),
        ("a.wav", {"format": "aiff"}, "format is 'aiff'; expected one of wav, flac, opus, mp3, aac, alac"),
        ("a.flac", {"bit_rate": 64000}, "flac: Object contains unknown field `bit_rate`"),
        ("a.flac", {"sample_format": "float32"}, "flac: Invalid enum value 'float32'"),
        ("a.mp3", {"bit_rate": 64000, "quality": 2}, "mp3: quality is 2.0; expected it absent with bit_rate"),
        ("a.wav", {"tags": {"titel": "x"}}, "wav: Invalid enum value 'titel'"),
    ],
)
def test_wrong_options_are_value_errors(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    """What a format does not have is refused before anything is written."""
    with pytest.raises(ValueError, match=message):
        save(tmp_path / name, voice(100, 16000), 16000, **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("samples", "rate"), [(np.zeros(10, np.int16), 16000), (np.zeros((1, 2, 3)), 16000), (np.zeros(10), 0), (np.zeros(10), 44100)]
)
def test_what_is_no_audio_for_the_format(samples: Any, rate: int, tmp_path: Path) -> None:
    """Integers, three axes, no rate or one that the codec has not are errors of the audio."""
    with pytest.raises(AudioFormatError, match=r"expected|Opus has"):
        save(tmp_path / "a.opus", samples, rate)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["nul\0.wav", "\0/a.wav", "half\ud800.wav"])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    """A NUL, or half of a surrogate pair, is a typed error that shows the name, and nothing is made."""
    with pytest.raises(BadInputError, match="no file of this name can be made; expected text without NUL") as caught:
        save(os.path.join(tmp_path, "new", name), voice(100, 16000), 16000)
    assert repr(name)[1:-1] in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    """A disk that fills up is an OutputError; the file that stood there is whole, and alone."""
    save(tmp_path / "a.flac", voice(100, 16000), 16000)
    before = (tmp_path / "a.flac").read_bytes()
    with pytest.raises(OutputError, match="cannot be written"), no_file_over(1000):
        save(tmp_path / "a.flac", voice(160_000, 16000), 16000)
    assert (tmp_path / "a.flac").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.flac"]
