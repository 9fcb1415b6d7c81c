"""Tests of `patch_librosa`, against librosa itself."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph_nodes.audio import patch_librosa, unpatch_librosa
from reference.audio_files import encoded, wav

pytest.importorskip("librosa", reason="needs librosa: pip install librosa")
soundfile = pytest.importorskip("soundfile", reason="needs soundfile, which librosa reads files with")

import librosa  # noqa: E402

original = librosa.load
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread", "ignore::DeprecationWarning:librosa")  # their own


@pytest.fixture(autouse=True)
def unpatched() -> Iterator[None]:
    yield
    unpatch_librosa()


def tones(num_samples: int = 20_000, num_channels: int = 2) -> Any:
    """Tones well below every Nyquist frequency used here, as int16, shape (num_samples, num_channels)."""
    place = np.arange(num_samples)[:, np.newaxis]
    return (12_000 * np.sin(place * (0.11 + 0.05 * np.arange(num_channels)))).astype(np.int16)


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(wav(tones().tobytes(), num_channels=2, sample_rate=16000))
    return tmp_path / "a.wav"


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("sr", [None, 16000, 22050, 8000, 44100])
@pytest.mark.parametrize(("offset", "duration"), [(0.0, None), (0.25, 0.5), (1.0, 9.0)])
def test_it_answers_as_librosa_does(stereo: Path, sr: int | None, mono: bool, offset: float, duration: float | None) -> None:
    """Rate, shape, dtype are equal, and samples within the resamplers' pass bands; without resampling to the last bits."""
    arguments: dict[str, Any] = {"sr": sr, "mono": mono, "offset": offset, "duration": duration}
    expected, expected_rate = librosa.load(stereo, **arguments)
    patch_librosa()
    found, rate = librosa.load(stereo, **arguments)
    assert rate == expected_rate
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    edge = 200 if rate != 16000 else 0  # where the audio is cut, filters of other lengths differ
    inside = slice(edge, found.shape[-1] - edge)
    np.testing.assert_allclose(found[..., inside], expected[..., inside], rtol=0, atol=2e-3 if edge else 1e-7)


USUAL = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000]


@pytest.mark.parametrize("in_rate", USUAL)
def test_lengths_are_librosas_at_every_rate(in_rate: int) -> None:
    """From each usual rate to each, at lengths whose result is a whole number and those around, and of part of a file."""
    cases: list[tuple[int, int, float, float | None]] = []
    for out_rate in USUAL:
        step = in_rate // math.gcd(in_rate, out_rate)
        lengths = {1, step, 3 * step, 40 * step, in_rate // 4} - {0}
        cases += [(out_rate, length + more, 0.0, None) for length in lengths for more in (-1, 0, 1) if length + more]
        cases += [(out_rate, in_rate, 0.25, None), (out_rate, in_rate, 0.25, 0.5), (out_rate, in_rate, 0.5, 2.0)]
    files = {length: wav(tones(length, 1).tobytes(), sample_rate=in_rate) for length in {case[1] for case in cases}}

    def lengths_of(load: Any) -> list[tuple[int, ...]]:
        return [
            load(io.BytesIO(files[length]), sr=out_rate, offset=offset, duration=duration)[0].shape
            for out_rate, length, offset, duration in cases
        ]

    expected = lengths_of(librosa.load)
    patch_librosa()
    found = lengths_of(librosa.load)
    assert {case: (one, other) for case, one, other in zip(cases, found, expected, strict=True) if one != other} == {}


def test_a_length_of_one_too_many_ends_with_the_same_zero(tmp_path: Path) -> None:
    """A second of 44100 Hz has 48001 samples at 48000 Hz, in each channel, from a map and through FFmpeg."""
    content = wav(tones(44_100).tobytes(), num_channels=2, sample_rate=44_100)
    buffer = io.BytesIO()
    soundfile.write(buffer, tones(44_100), 44_100, format="flac")
    for source in (content, buffer.getvalue()):
        for mono in (True, False):
            unpatch_librosa()
            expected, _ = librosa.load(io.BytesIO(source), sr=48_000, mono=mono)
            patch_librosa()
            found, _ = librosa.load(io.BytesIO(source), sr=48_000, mono=mono)
            assert found.shape == expected.shape == (() if mono else (2,)) + (48_001,)
            assert not found[..., -1].any()
            assert not expected[..., -1].any()
            np.testing.assert_allclose(found[..., 200:-200], expected[..., 200:-200], rtol=0, atol=2e-3)


def test_flac_and_file_objects_answer_too(tmp_path: Path) -> None:
    """A lossless file in another container gives the same samples, from disk and from memory."""
    content = encoded("flac", "flac", tones().reshape(1, -1).copy(), "s16", "stereo")
    (tmp_path / "a.flac").write_bytes(content)
    expected, _ = librosa.load(tmp_path / "a.flac", sr=None, mono=False)
    patch_librosa()
    for source in (tmp_path / "a.flac", io.BytesIO(content)):
        np.testing.assert_array_equal(librosa.load(source, sr=None, mono=False)[0], expected)


def test_defaults_are_librosas(stereo: Path) -> None:
    """Mono at 22050 Hz, float32; float64 on request."""
    patch_librosa()
    samples, rate = librosa.load(stereo)
    assert (samples.shape, rate) == ((27563,), 22050)
    assert samples.dtype == np.float32
    assert librosa.load(stereo, dtype=np.float64)[0].dtype == np.float64


def test_every_name_of_it_is_patched_and_put_back(stereo: Path) -> None:
    """Once or twice, the original comes back."""
    patch_librosa()
    patch_librosa()
    assert librosa.load is librosa.core.load is librosa.core.audio.load is not original
    unpatch_librosa()
    assert librosa.load is librosa.core.load is librosa.core.audio.load is original
    unpatch_librosa()
    assert librosa.load is original


def test_what_is_not_read_here_goes_to_librosa(stereo: Path) -> None:
    """An open SoundFile is librosa's own business."""
    expected, _ = librosa.load(stereo, sr=None)
    patch_librosa()
    with soundfile.SoundFile(stereo) as file:
        np.testing.assert_array_equal(librosa.load(file, sr=None)[0], expected)
