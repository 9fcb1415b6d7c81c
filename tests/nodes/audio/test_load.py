"""Tests of `load` and `info`."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import phonograph_nodes
from phonograph.errors import (
    AudioCancelledError,
    AudioDecodeError,
    AudioFormatError,
    AudioTimeoutError,
    AudioTooLongError,
    AudioTruncatedError,
)
from phonograph_nodes import audio, resample
from phonograph_nodes.audio import AudioDecoder, Limits, RawPcm, bs775_weights, info, load
from phonograph_nodes.convert import mix_to_mono
from reference.audio_files import RATE, encoded, noise, wav

SIX = encoded("flac", "flac", noise(5000, 6).reshape(1, -1).copy(), "s16", "5.1")


def test_shapes_are_librosas() -> None:
    """One channel, or mono, is one-dimensional; more channels are rows; mono is their mean."""
    content = wav(noise(800, 2).tobytes(), num_channels=2)
    stereo, rate = load(content, sr=None, mono=False)
    mono, _ = load(content, sr=None)
    assert (stereo.shape, mono.shape, rate) == ((2, 800), (800,), RATE)
    np.testing.assert_allclose(mono, stereo.mean(axis=0), atol=1e-7)
    assert load(wav(noise(800).tobytes()), sr=None, mono=False)[0].shape == (800,)


def test_the_default_rate_is_22050_hz() -> None:
    """Without `sr` the result has 22050 Hz, and as many samples as that takes; `dtype` widens it."""
    samples, rate = phonograph_nodes.load(wav(noise(800).tobytes()), dtype="float64")
    assert (rate, samples.shape) == (22050, (2205,))
    assert samples.dtype == np.float64
    assert load(wav(noise(800).tobytes()), dtype=np.float32)[0].dtype == np.float32


@pytest.mark.parametrize("container", ["wav", "flac"])
@pytest.mark.parametrize(
    ("offset", "duration", "first", "last"),
    [(0.5, None, 4000, 8000), (0.25, 0.5, 2000, 6000), (0.1, 0.0, 800, 800), (2, 1, 8000, 8000), (0.9, 5, 7200, 8000)],
)
def test_offset_and_duration_are_cut_to_the_sample(
    container: str, offset: float, duration: float | None, first: int, last: int
) -> None:
    """Exactly these samples of the file; beyond its end there are none."""
    raw = noise(8000)
    content = wav(raw.tobytes()) if container == "wav" else encoded("flac", "flac", raw.T.copy(), "s16", "mono")
    samples, _ = load(content, sr=None, offset=offset, duration=duration)
    np.testing.assert_array_equal(samples, raw[first:last, 0] / 32768)


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("sr", [16000, 22050, 7919])
@pytest.mark.parametrize(("offset", "duration"), [(0.0, None), (0.3, 0.4)])
def test_16_bit_files_are_mixed_and_resampled_in_one_pass(
    num_channels: int, sr: int, offset: float, duration: float | None
) -> None:
    """Bit for bit what cutting, mixing, resampling give one after the other."""
    raw = noise(8000, num_channels)
    found, _ = load(wav(raw.tobytes(), num_channels=num_channels), sr=sr, offset=offset, duration=duration)
    first = int(offset * RATE)
    cut = raw[first : None if duration is None else first + int(duration * RATE)]
    expected = resample(mix_to_mono(np.ascontiguousarray(cut), layout="interleaved")[0], in_rate=RATE, out_rate=sr)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": -1.0},
        {"offset": np.nan},
        {"duration": -0.1},
        {"duration": np.inf},
        {"duration": np.nan},
        {"dtype": "int16"},
        {"downmix": "loud"},
        {"non_finite": "keep"},
        {"quality": "worst"},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """Times that are negative or no number, integer dtypes, words that are not known are errors of the call."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        load(wav(noise(80).tobytes()), **wrong)


@pytest.mark.parametrize("sr", [0, -16000, 16000.5, 10**9])
def test_a_rate_that_cannot_be_is_refused(sr: Any) -> None:
    """Before the file is opened."""
    with pytest.raises(AudioFormatError, match="sr is"):
        load("nothing.wav", sr=sr)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    """A FLAC called .wav, and a WAV called .mp3 or nothing at all, are what they are."""
    raw = noise(5000)
    (tmp_path / "a.wav").write_bytes(encoded("flac", "flac", raw.T.copy(), "s16", "mono"))
    (tmp_path / "a.mp3").write_bytes(wav(raw.tobytes()))
    (tmp_path / "a").write_bytes(wav(raw.tobytes()))
    for name, container in (("a.wav", "flac"), ("a.mp3", "wav"), ("a", "wav")):
        assert info(tmp_path / name).container == container
        np.testing.assert_array_equal(load(tmp_path / name, sr=None)[0], raw[:, 0] / 32768)


def test_raw_samples_are_read_by_what_is_said_of_them() -> None:
    """PCM without a header, of either byte order and any number of channels."""
    raw = noise(1000, 2)
    about = RawPcm(encoding="i16", sample_rate=16000, num_channels=2, byte_order="big")
    samples, rate = load(raw.astype(">i2").tobytes(), sr=None, mono=False, raw=about)
    assert rate == 16000
    np.testing.assert_array_equal(samples, raw.T / 32768)


def test_five_one_is_mixed_as_asked() -> None:
    """By default the mean of all channels; with bs775 the weights of the Recommendation, to two channels or to one."""
    every, _ = load(SIX, sr=None, mono=False)
    assert every.shape == (6, 5000)
    np.testing.assert_allclose(load(SIX, sr=None)[0], every.mean(axis=0), atol=1e-7)
    for mono in (False, True):
        found, _ = load(SIX, sr=None, mono=mono, downmix="bs775")
        expected: Any = bs775_weights("5.1", 1 if mono else 2) @ every
        np.testing.assert_allclose(np.atleast_2d(found), expected, atol=1e-7)


def test_one_and_two_channels_need_no_downmix() -> None:
    """With bs775, stereo stays as it is, and to one channel it is the mean."""
    content = wav(noise(800, 2).tobytes(), num_channels=2)
    for mono in (False, True):
        expected = load(content, sr=None, mono=mono)[0]
        np.testing.assert_array_equal(load(content, sr=None, mono=mono, downmix="bs775")[0], expected)


def test_channels_without_places_cannot_be_weighed() -> None:
    """The error names the file and the way out."""
    content = wav(noise(80, 16).tobytes(), num_channels=16)
    with pytest.raises(AudioFormatError, match=r"^<\d+ bytes>: its channels are '16 channels'.* take the mean"):
        load(content, downmix="bs775")


def test_a_truncated_file_is_refused_only_where_it_ends() -> None:
    """What is there of it can be taken by offset and duration; what is not can not, unless that is asked for."""
    content = wav(noise(4000).tobytes(), claimed=16_000)
    assert load(content, sr=None, duration=0.5)[0].shape == (4000,)
    refused: list[dict[str, Any]] = [{}, {"duration": 0.6}, {"offset": 0.4}, {"sr": None}]
    for asked in refused:
        with pytest.raises(AudioTruncatedError, match=r"declares 1\.000 s, 0\.500 s came out; get the file again") as caught:
            load(content, **asked)
        assert caught.value.code == "audio_truncated"
    assert load(content, sr=None, keep_truncated=True)[0].shape == (4000,)


def test_samples_that_are_not_numbers_are_refused_or_zero() -> None:
    """NaN and infinity are counted in the error, or become 0."""
    values = np.full(1000, 0.5, "<f4")
    values[[3, 500, 999]] = np.nan, np.inf, -np.inf
    content = wav(values.tobytes(), bits=32, code=3)
    with pytest.raises(AudioFormatError, match=r"^<\d+ bytes>: 3 samples are not finite"):
        load(content)
    samples, _ = load(content, sr=None, non_finite="zero")
    np.testing.assert_array_equal(np.flatnonzero(samples == 0), [3, 500, 999])


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_limits_stop_what_is_too_long(container: str) -> None:
    """By duration and by bytes, of what is asked for: a second of a long file is no long audio."""
    raw = noise(RATE)
    content = wav(raw.tobytes()) if container == "wav" else encoded("flac", "flac", raw.T.copy(), "s16", "mono")
    for limits in (Limits(max_duration_s=0.5), Limits(max_bytes=RATE * 2)):
        for sr in (None, 16000):
            with pytest.raises(AudioTooLongError, match=r"more than 0\.5 s of audio .*; split the file"):
                load(content, sr=sr, limits=limits)
            asked = 0.5 if sr is None or limits.max_bytes > RATE * 2 else 0.25
            assert load(content, sr=sr, duration=asked, limits=limits)[0].shape == (asked * (sr or RATE),)


@pytest.mark.parametrize("num_channels", [1, 2])
def test_limits_hold_for_what_resampling_makes(num_channels: int) -> None:
    """A header that claims 1000 Hz makes much of a small file: it is refused before it is made, whole and in blocks."""
    content = wav(noise(1000, num_channels).tobytes(), num_channels=num_channels, sample_rate=1000)
    limits = Limits(max_bytes=16_000 * 4 * num_channels - 1)
    with pytest.raises(AudioTooLongError, match=r"resample failed: more than .* at 16000 Hz; .*raise max_bytes"):
        load(content, sr=16_000, mono=False, limits=limits)
    assert load(content, sr=15_000, mono=False, limits=limits)[0].shape[-1] == 15_000
    with AudioDecoder(content, sr=16_000, limits=limits) as decoder:
        with pytest.raises(AudioTooLongError, match="resample failed"):
            list(decoder.blocks(10**9))
        assert sum(block.shape[-1] for block in decoder.blocks(10_000)) == 16_000


@pytest.mark.parametrize("content", [wav(noise(RATE).tobytes()), SIX], ids=["wav", "flac"])
@pytest.mark.parametrize("sr", [None, 16000])
def test_time_and_cancellation_stop_a_load(sr: int | None, content: bytes) -> None:
    """Each has an error of its own."""
    with pytest.raises(AudioCancelledError, match="it was cancelled"):
        load(content, sr=sr, limits=Limits(is_cancelled=lambda: True))
    with pytest.raises(AudioTimeoutError, match=r"it takes too long; expected at most -1 s"):
        load(content, sr=sr, limits=Limits(max_seconds=-1))


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_long_file_that_is_resampled_in_one_pass_can_be_stopped(tmp_path: Path, in_memory: bool) -> None:
    """Between runs of some million samples."""
    content = wav(bytes(5 * 2**21), bits=8, sample_rate=44_100)
    (tmp_path / "long.wav").write_bytes(content)
    asked: list[bool] = []

    def third_time() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(AudioCancelledError, match="it was cancelled"):
        load(content if in_memory else tmp_path / "long.wav", sr=16_000, limits=Limits(is_cancelled=third_time))
    assert len(asked) == 3


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_what_is_read_first_and_then_resampled_can_be_stopped(container: str) -> None:
    """Also when all was read; with the time that reading took."""
    raw = noise(5000, 2)
    content = wav(raw.tobytes(), num_channels=2)
    if container == "flac":
        content = encoded("flac", "flac", raw.reshape(1, -1).copy(), "s16", "stereo")
    asked: list[bool] = []

    def last_time() -> bool:
        asked.append(True)
        return len(asked) == last

    last = 0
    load(content, sr=None, mono=False, limits=Limits(is_cancelled=last_time))
    last = len(asked) + 1
    asked.clear()
    with pytest.raises(AudioCancelledError, match="it was cancelled"):
        load(content, sr=16_000, mono=False, limits=Limits(is_cancelled=last_time))


def test_audio_that_cannot_be_resampled_names_that_stage() -> None:
    """Samples beyond what float32 can filter are a fault of the file, at stage resample."""
    content = wav(np.full(4000, 3e38, "<f4").tobytes(), bits=32, code=3)
    with pytest.raises(AudioDecodeError, match="resample failed") as caught:
        load(content, sr=16000)
    assert (caught.value.stage, caught.value.file) == ("resample", f"<{len(content)} bytes>")


def test_an_error_tells_its_parts_and_can_cross_processes() -> None:
    """File, stage, what was found, FFmpeg's word, what was expected, the remedy are attributes, and survive pickling."""
    error = AudioTooLongError("a.wav", "decode", "too long", "less", "split it", "Cannot allocate memory")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is AudioTooLongError
    assert str(again) == "a.wav: decode failed: too long; expected less; split it"
    assert vars(again) == vars(error)
    assert (again.file, again.stage, again.word) == ("a.wav", "decode", "Cannot allocate memory")


def test_ffmpegs_word_is_told() -> None:
    """An error that comes from FFmpeg carries its own words."""
    with pytest.raises(AudioDecodeError, match="probe failed: Invalid data") as caught:
        load(b"not audio at all\n" * 100)
    assert caught.value.stage == "probe"
    assert caught.value.word == "Invalid data found when processing input"


def test_info_decodes_nothing() -> None:
    """Container, codec, rate, channels, length come from the header alone, which is believed here, and not by load."""
    content = encoded("flac", "flac", noise(9000, 2).reshape(1, -1).copy(), "s16", "stereo")
    found = info(content[: len(content) // 2])
    assert (found.container, found.codec, found.sample_rate, found.num_channels) == ("flac", "flac", RATE, 2)
    assert found.duration_s == pytest.approx(9000 / RATE)
    with pytest.raises(AudioTruncatedError):
        load(content[: len(content) // 2])


def test_a_wave_file_needs_no_ffmpeg(tmp_path: Path) -> None:
    """Loading PCM imports neither FFmpeg's libraries nor the nodes."""
    (tmp_path / "a.wav").write_bytes(wav(noise(1000).tobytes()))
    program = (
        "import sys, phonograph_nodes.audio as audio\n"
        f"audio.info({str(tmp_path / 'a.wav')!r}), audio.load({str(tmp_path / 'a.wav')!r}, sr=None)\n"
        "print([name for name in ('av', 'soxr', 'librosa') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_largest_claims_take_no_memory() -> None:
    """A header of 44 bytes that claims 4 GB is a typed error, and nothing was allocated for it."""
    header = wav(b"", claimed=2**32 - 100)
    with pytest.raises(AudioDecodeError, match="no sample came out"):
        load(header)
    tiny = wav(struct.pack("<h", 1000), claimed=2**31 - 10**6)
    with pytest.raises(AudioTruncatedError, match=r"0\.000 s came out"):
        load(tiny)


def test_every_public_name_is_there() -> None:
    """All names of the package resolve, sorted, and no other name does."""
    assert sorted(audio.__all__) == audio.__all__
    assert set(audio.__all__) <= set(dir(audio))
    for name in audio.__all__:
        assert hasattr(audio, name)
    with pytest.raises(AttributeError, match="has no attribute 'decode'"):
        audio.decode  # noqa: B018
