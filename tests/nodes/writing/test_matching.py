"""Tests of `sink.audio`, which gives back the format of the input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node
from phonograph_nodes.audio import info, load
from phonograph_nodes.audio.saving import save
from phonograph_nodes.decode import Decode, DecodeParams
from phonograph_nodes.writing.formats import AudioFormat, sink_for
from phonograph_nodes.writing.matching import Audio, AudioParams
from reference.audio_files import encoded
from written import item, voice


def wavpack(samples: NDArray[Any], sample_format: str) -> bytes:
    """A WavPack file, which FFmpeg's encoder makes of integers of 16 or 32 bits, or of floating point."""
    return encoded("wavpack", "wv", samples, sample_format, "mono")


def codec_of(path: str | Path) -> tuple[str, int]:
    """FFmpeg's name of the codec, and the bits of a sample where they are fixed."""
    with av.open(io.BytesIO(Path(path).read_bytes()), "r") as container:
        context = container.streams.audio[0].codec_context
        return context.codec.canonical_name, {"s16": 16, "s16p": 16, "s32": 24, "s32p": 24}.get(context.format.name, 0)


def stored(folder: Path, output_format: Any = "match", **attributes: Any) -> str:
    sink = Audio(AudioParams(path=str(folder), output_format=output_format), "out")
    sink.open()
    return sink.stage(item({"audio": AudioChunk(voice(16000, 16000), 16000)}, **attributes)).commit().path


@pytest.mark.parametrize(
    ("audio_format", "params"),
    [
        ("wav", {"sample_format": "pcm8"}),
        ("wav", {"sample_format": "pcm16"}),
        ("wav", {"sample_format": "pcm24"}),
        ("wav", {"sample_format": "pcm32"}),
        ("wav", {"sample_format": "float32"}),
        ("wav", {"sample_format": "float64"}),
        ("wav", {"sample_format": "alaw"}),
        ("wav", {"sample_format": "mulaw"}),
        ("flac", {"sample_format": "pcm16"}),
        ("flac", {"sample_format": "pcm24"}),
        ("alac", {"sample_format": "pcm16"}),
        ("alac", {"sample_format": "pcm24"}),
        ("opus", {}),
        ("mp3", {}),
        ("aac", {}),
    ],
)
def test_what_was_decoded_comes_back_in_its_format(audio_format: AudioFormat, params: dict[str, str], tmp_path: Path) -> None:
    """Codec and sample format of the file that is written are those of the file that was decoded."""
    source = sink_for(audio_format, {"path": str(tmp_path), **params})
    given = source.stage(item({"audio": AudioChunk(voice(16000, 16000), 16000)}, "given")).commit().path
    decoder: Node[Any] = Decode(DecodeParams(), "decode")
    decoded = decoder.process(item({"record": {"path": given}}, "kept"), None)
    assert isinstance(decoded, Item)
    path = Audio(AudioParams(path=str(tmp_path)), "out").stage(decoded).commit().path
    assert Path(path).name == "kept" + Path(given).suffix
    assert codec_of(path) == codec_of(given)
    if audio_format in ("wav", "flac", "alac"):
        negative_zero, zero = (b"\x7f", b"\xff") if params["sample_format"] == "mulaw" else (b"", b"")
        assert Path(path).read_bytes() == Path(given).read_bytes().replace(negative_zero, zero)


@pytest.mark.parametrize(
    ("codec", "suffix", "written"),
    [("pcm_s16be", ".wav", "pcm_s16le"), ("wavpack", ".flac", "flac"), ("mp3float", ".mp3", "mp3"), ("libopus", ".opus", "opus")],
)
def test_relatives_of_the_formats(codec: str, suffix: str, written: str, tmp_path: Path) -> None:
    """PCM of any container becomes WAV, other lossless codecs FLAC, whatever the decoder is called."""
    path = stored(tmp_path, codec=codec)
    assert (Path(path).suffix, codec_of(path)[0]) == (suffix, written)


def test_lossless_floating_point_loses_nothing(tmp_path: Path) -> None:
    """FLAC cannot hold it, WAV of float32 can: each bit of a WavPack file comes back."""
    samples = np.random.default_rng(0).normal(0, 0.5, (1, 4000)).astype(np.float32)
    content = wavpack(samples, "fltp")
    about = info(content)
    assert (about.codec, about.bits, about.sample_format) == ("wavpack", 0, "f32")
    decoder: Node[Any] = Decode(DecodeParams(), "decode")
    decoded = decoder.process(item({"record": {"bytes": content}}, "kept"), None)
    assert isinstance(decoded, Item)
    path = Audio(AudioParams(path=str(tmp_path)), "out").stage(decoded).commit().path
    assert (Path(path).name, codec_of(path)[0]) == ("kept.wav", "pcm_f32le")
    np.testing.assert_array_equal(load(path, sr=None)[0], samples[0])


@pytest.mark.parametrize(("sample_format", "bits", "stored_as"), [("s16p", 16, "i16"), ("s32p", 32, "i32")])
def test_integers_of_another_lossless_codec_become_flac(sample_format: str, bits: int, stored_as: str, tmp_path: Path) -> None:
    """With 16 bits of 16, and 24 of more."""
    samples = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (1, 4000))
    content = wavpack(samples.astype(f"i{bits // 8}"), sample_format)
    assert info(content).sample_format == stored_as
    decoded = Decode(DecodeParams(), "decode").process(item({"record": {"bytes": content}}, "kept"), None)
    assert isinstance(decoded, Item)
    path = Audio(AudioParams(path=str(tmp_path)), "out").stage(decoded).commit().path
    assert codec_of(path) == ("flac", min(bits, 24))


@pytest.mark.parametrize("num_channels", [3, 5, 8, 255])
@pytest.mark.parametrize("output_format", ["match", "alac"])
def test_more_channels_than_ffmpegs_alac_encoder_survives_never_reach_it(
    output_format: str, num_channels: int, tmp_path: Path
) -> None:
    """It overruns its buffer with them, and ends the process; they are refused before."""
    sink = Audio(AudioParams(path=str(tmp_path), output_format=output_format), "out")  # type: ignore[arg-type]
    chunk = AudioChunk(np.zeros((num_channels, 10), np.float32), 16000)
    with pytest.raises(AudioFormatError, match=f"{num_channels} channels; ALAC holds 1 to 2"):
        sink.stage(item({"audio": chunk}, codec="alac"))
    with pytest.raises(AudioFormatError, match=f"{num_channels} channels; ALAC holds 1 to 2"):
        save(tmp_path / "a.m4a", chunk.samples, 16000, format="alac")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("codec", ["vorbis", "wmav2", "amrnb", "ac3", "adpcm_ima_wav"])
def test_a_codec_that_is_not_written_is_refused(codec: str, tmp_path: Path) -> None:
    """The error names the codec and the way out."""
    with pytest.raises(AudioFormatError, match=rf"clips/a\.wav: it was decoded from {codec}; .*; set another output_format"):
        stored(tmp_path, codec=codec)


def test_audio_that_no_file_was_decoded_to_is_refused(tmp_path: Path) -> None:
    """Without the attribute of audio.decode there is nothing to match."""
    with pytest.raises(AudioFormatError, match="nothing says what it was decoded from"):
        stored(tmp_path)


@pytest.mark.parametrize(
    ("output_format", "suffix", "codec"),
    [
        ("wav", ".wav", "pcm_s24le"),
        ("flac", ".flac", "flac"),
        ("opus", ".opus", "opus"),
        ("alac", ".m4a", "alac"),
    ],
)
def test_another_output_format_goes_before(output_format: str, suffix: str, codec: str, tmp_path: Path) -> None:
    """A format that is named is taken, with the sample format of the input."""
    path = stored(tmp_path, output_format, codec="mp3float", sample_format="i24")
    assert Path(path).suffix == suffix
    assert codec_of(path)[0] == codec
