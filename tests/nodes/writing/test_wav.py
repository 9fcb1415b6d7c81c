"""Tests of the sink `sink.wav`."""

from __future__ import annotations

import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph_nodes.convert import convert
from phonograph_nodes.writing.wav import Wav, WavFormat, WavParams, wav_header
from written import ffmpeg_decoded, item, written

# Sample format -> what it is in `convert`, the distance of its levels.
FORMATS: dict[WavFormat, tuple[str, float]] = {
    "pcm8": ("u8", 2.0**-7),
    "pcm16": ("i16", 2.0**-15),
    "pcm24": ("i24", 2.0**-23),
    "pcm32": ("i32", 2.0**-31),
    "float32": ("f32", 0.0),
    "float64": ("f64", 0.0),
    "alaw": ("alaw", 2.0**-4),
    "mulaw": ("mulaw", 2.0**-4),
}


@pytest.mark.parametrize("num_channels", [1, 2, 6])
@pytest.mark.parametrize("num_samples", [0, 1, 65535, 65536, 65537])
@pytest.mark.parametrize("sample_format", FORMATS)
def test_wav_comes_back(tmp_path: Path, sample_format: WavFormat, num_channels: int, num_samples: int) -> None:
    """What is written is read back within half a step of the sample format, all channels, every sample; RIFF sizes are right."""
    generator = np.random.default_rng(num_samples)
    samples = generator.uniform(-1, 1, (num_channels, num_samples)).astype(np.float32)
    content = written(Wav, tmp_path, samples, sample_format=sample_format).read_bytes()
    assert len(content) % 2 == 0
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    if not num_samples:
        assert content[-8:] == b"data\0\0\0\0"
        return
    decoded, rate = ffmpeg_decoded(content, "wav")
    dtype, step = FORMATS[sample_format]
    assert (decoded.shape, rate) == (samples.shape, 16000)
    back = convert(np.ascontiguousarray(decoded), dtype="f64")
    if dtype in ("alaw", "mulaw"):  # the codes themselves
        samples = convert(convert(samples, dtype=dtype), dtype="f32", source=dtype)
        step = 0.0
    np.testing.assert_allclose(back, np.clip(samples, -1, 1 - step), rtol=0, atol=step / 2)


@pytest.mark.parametrize("sample_format", FORMATS)
@settings(deadline=None)
@given(data=st.data())
def test_what_a_format_holds_comes_back_bit_for_bit(sample_format: WavFormat, data: st.DataObject) -> None:
    """Samples that have the precision of the format are the same after writing and reading."""
    num_samples, num_channels = data.draw(st.integers(1, 5000)), data.draw(st.integers(1, 4))
    noise = np.random.default_rng(num_samples).uniform(-1, 1, (num_channels, num_samples))
    dtype = FORMATS[sample_format][0]
    samples = convert(convert(noise.astype(np.float32), dtype=dtype), dtype="f32", source=dtype)
    with tempfile.TemporaryDirectory() as folder:
        content = written(Wav, Path(folder), samples, sample_format=sample_format).read_bytes()
    decoded, _ = ffmpeg_decoded(content, "wav")
    np.testing.assert_array_equal(convert(np.ascontiguousarray(decoded), dtype="f32"), samples)


def test_wav_is_clipped_at_full_scale(tmp_path: Path) -> None:
    """Samples beyond full scale are stored as full scale, not wrapped round; the standard library reads the file."""
    with wave.open(str(written(Wav, tmp_path, np.array([[2, -2, 0.5, 1]], np.float32)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [32767, -32768, 16384, 32767]


@pytest.mark.parametrize(
    ("converted", "given", "bits"),
    [("i16", None, 16), ("i24", None, 24), ("u8", None, 8), ("i32", None, 32), (None, None, 16), ("i24", "pcm16", 16)],
)
def test_wav_follows_what_the_audio_was_converted_to(
    tmp_path: Path, converted: str | None, given: WavFormat | None, bits: int
) -> None:
    """Without a format of its own, the sink writes the one that audio.convert named; its own goes first."""
    sink = Wav(WavParams(path=str(tmp_path), sample_format=given), "out")
    attributes = {} if converted is None else {"sample_format": converted}
    part = sink.stage(item({"audio": AudioChunk(np.zeros((1, 8), np.float32), 16000)}, **attributes))
    with wave.open(part.commit().path) as file:
        assert 8 * file.getsampwidth() == bits


@pytest.mark.parametrize(
    ("num_channels", "rate", "message"),
    [
        (0, 16000, "0 channels of 16 bits; expected 1 to 32767"),
        (32768, 16000, "32768 channels of 16 bits; expected 1 to 32767"),
        (1, 0, "its rate is 0 Hz"),
        (1, 2**31, "its rate is 2147483648 Hz; expected a whole number, 1 to 2147483647"),
        (1, 44100.5, "its rate is 44100.5 Hz"),
    ],
)
def test_wav_refuses_what_its_header_cannot_say(num_channels: int, rate: Any, message: str) -> None:
    """Channels and rates beyond the fields of the header are errors of the audio, whatever their type."""
    with pytest.raises(AudioFormatError, match=f"^a.wav: {message}"):
        wav_header(AudioChunk(np.zeros((num_channels, 1), np.float32), rate), "pcm16", "a.wav")


def test_wav_takes_numpys_integers_as_rates() -> None:
    """A rate in 16 bits does not overflow in the bytes a second."""
    chunk = AudioChunk(np.zeros((2, 1), np.float32), np.uint16(48000))  # type: ignore[arg-type]
    assert wav_header(chunk, "pcm16", "a.wav")[28:32] == (4 * 48000).to_bytes(4, "little")


def test_wav_beyond_4_gib_is_refused() -> None:
    """Audio that a WAV file cannot hold is refused before anything is written."""
    silence = np.broadcast_to(np.float32(0), (2, 2**30))  # takes no memory
    with pytest.raises(AudioFormatError, match=r"long\.wav: .*less than 4 GiB"):
        wav_header(AudioChunk(silence, 16000), "pcm16", "long.wav")


@pytest.mark.parametrize(("sample_format", "code"), [("pcm16", 1), ("float64", 3), ("alaw", 6), ("mulaw", 7)])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_header_names_the_format(sample_format: WavFormat, code: int, num_channels: int) -> None:
    """The format code stands in the header, in the sub-format for more than two channels; what is no PCM has a fact chunk."""
    header = wav_header(AudioChunk(np.zeros((num_channels, 5), np.float32), 8000), sample_format, "a.wav")
    assert int.from_bytes(header[20:22], "little") == (code if num_channels == 1 else 0xFFFE)
    assert int.from_bytes(header[44:46] if num_channels == 3 else header[20:22], "little") == code
    assert (b"fact\4\0\0\0\5\0\0\0" in header) == (sample_format != "pcm16")
