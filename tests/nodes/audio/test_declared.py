"""Tests of what is told about truncated files."""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.errors import AudioDecodeError, AudioError
from phonograph.item import Item
from phonograph_nodes.audio import AudioDecoder, Faults, load
from phonograph_nodes.decode import Decode, DecodeParams
from reference.audio_files import RATE, encoded, noise, wav
from reference.pcm_files import riff


def kept_of(content: bytes) -> tuple[NDArray[np.float32], Faults]:
    """All that is there of a file, and what is wrong with it."""
    with AudioDecoder(content, keep_truncated=True) as decoder:
        return decoder.decode(), decoder.faults


@pytest.mark.parametrize(
    ("codec", "container", "sample_format"),
    [
        ("pcm_s16le", "wav", "s16"),
        ("pcm_s16le", "w64", "s16"),
        ("pcm_s16be", "caf", "s16"),
        ("pcm_s16be", "aiff", "s16"),
        ("pcm_s16be", "au", "s16"),
        ("flac", "flac", "s16"),
        ("flac", "matroska", "s16"),
        ("pcm_s16le", "asf", "s16"),
        ("adpcm_ms", "wav", "s16"),
        ("adpcm_ms", "w64", "s16"),
    ],
)
def test_a_file_that_ends_early_is_refused(codec: str, container: str, sample_format: str) -> None:
    """Sixty per cent of a file is an error that gives both durations; the whole file, and the file on request, decode."""
    content = encoded(codec, container, noise(40_000).T.copy(), sample_format, "mono")
    whole, faults = kept_of(content)
    assert 40_000 <= len(whole) < 40_000 + 1024  # ADPCM has whole blocks
    assert faults.declared_s is None
    cut = content[: len(content) * 6 // 10]
    with pytest.raises(
        AudioDecodeError, match=r"truncated: its header declares .* s, [23]\.\d{3} s came out; get the file again"
    ) as caught:
        load(cut)
    kept, faults = kept_of(cut)
    assert 16_000 < len(kept) < 25_000
    assert faults.declared_s == pytest.approx(5.0, abs=0.11)
    assert f"declares {faults.declared_s:.3f} s, {len(kept) / RATE:.3f} s came out" in str(caught.value)


def test_the_node_keeps_a_truncated_file_on_request() -> None:
    """keep_truncated gives what is there, with the attribute declared_duration."""
    item = Item(key="clips/a", ordinal=0, payload={"record": {"bytes": wav(noise(4000).tobytes(), claimed=16_000)}})
    with pytest.raises(AudioDecodeError, match="truncated"):
        Decode(DecodeParams(), "audio").process(item, None)
    result = Decode(DecodeParams(keep_truncated=True), "audio").process(item, None)
    assert isinstance(result, Item)
    assert (result.attributes["duration"], result.attributes["declared_duration"]) == (0.5, 1.0)


@pytest.mark.parametrize("claimed", [0, 2**31, 2**31 - 1 - 44, 0x7FFFF000, 2**32 - 1, 2**32 - 1 - 36])
def test_a_size_that_a_pipe_leaves_open_declares_nothing(claimed: int) -> None:
    """What recorders and converters put in the header before they know the length is no length."""
    raw = noise(1000)
    np.testing.assert_array_equal(load(wav(raw.tobytes(), claimed=claimed), sr=None)[0], raw[:, 0] / 32768)


@pytest.mark.parametrize(
    ("form", "declared_s"), [(b"RIFF", 5.0), (b"RIFX", 5.0), (b"BW64", 5.0), (b"RIFF open", None), (b"RIFF 0", None)]
)
def test_headers_of_files_for_ffmpeg_are_read_as_those_of_pcm(form: bytes, declared_s: float | None) -> None:
    """A WAV file cut at the middle of another codec, here G.726, in each form of its header."""
    raw = bytes(np.random.default_rng(0).integers(0, 256, 10_000, np.uint8))
    claimed = {b"RIFF open": 2**32 - 1, b"RIFF 0": 0}.get(form, 20_000)
    big_endian = form == b"RIFX"
    content = riff(
        raw,
        "u8",
        big_endian=big_endian,
        claimed=None if form == b"BW64" else claimed,
        long_size=claimed if form == b"BW64" else None,
        total=0,
    )
    mark = ">" if big_endian else "<"
    found = content.index(b"fmt ") + 8
    words = struct.pack(mark + "HHIIHH", 0x45, 1, RATE, RATE // 2, 1, 4)  # 4 bits a sample
    content = content[:found] + words + content[found + 16 :]
    if form == b"BW64":
        content = b"BW64" + content[4:]
    samples, faults = kept_of(content)
    assert len(samples) == 20_000
    assert faults.declared_s == (declared_s and pytest.approx(declared_s))


def test_a_few_bytes_too_many_in_the_size_are_forgiven() -> None:
    """Writers that count the header as samples lose nothing by it."""
    assert load(wav(noise(4000).tobytes(), claimed=8000 + 44), sr=None)[0].shape == (4000,)


def test_chunks_before_the_samples_are_passed_over() -> None:
    """The declared size is found behind chunks of even and odd length."""
    content = wav(noise(4000).tobytes(), claimed=16_000)
    odd = b"junk" + struct.pack("<I", 3) + b"abc\0"
    with pytest.raises(AudioDecodeError, match=r"declares 1\.000 s, 0\.500 s came out"):
        load(content[:36] + odd + content[36:])


def test_packets_that_are_there_but_do_not_decode_are_no_truncation() -> None:
    """ALAC with its last packets destroyed is damaged, which is counted, and not truncated."""
    tone = (8000 * np.sin(np.arange(5 * RATE) / 5)).astype(np.int16)[np.newaxis]
    content = bytearray(encoded("alac", "mov", tone, "s16p", "mono"))
    end = content.index(b"moov") - 4
    content[end - 8000 : end] = bytes(8000)
    samples, faults = kept_of(bytes(content))
    assert faults.corrupt_packets
    assert len(samples) < 4.5 * RATE
    assert faults.declared_s is None


def test_truncated_files_of_the_collection_are_told(shared: Path) -> None:
    """Of the malformed collection's truncated files, those whose header declares a length are refused for it."""
    folder = shared / "data" / "malformed"
    found = []
    for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines():
        path = folder / json.loads(line)["path"]
        try:
            load(path, sr=None, non_finite="zero")
        except AudioError as error:
            if "truncated" in str(error):
                found.append(path.name)
    assert sorted(found) == [
        "aac_m4a_faststart_trunc50.m4a",
        "au_mulaw_trunc50.au",
        "au_mulaw_trunc64.au",
        "caf_trunc50.caf",
        "faulty_01_-_wrong_max_blocksize.flac",
        "w64_trunc50.w64",
        "wav_alaw_8k_trunc50.wav",
        "wav_imaadpcm_trunc50.wav",
        "wav_s24_44k_trunc50.wav",
        "wma2_trunc50.wma",
    ]


@pytest.mark.parametrize("container", ["wav", "w64"])
def test_compressed_audio_in_a_wav_file_is_not_mapped(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its header is read as that of PCM is: another program may cut the file short meanwhile."""

    class Mapped(mmap.mmap):
        def __new__(cls, *_: object, **__: object) -> Mapped:
            raise AssertionError("mapped")

    monkeypatch.setattr(mmap, "mmap", Mapped)
    content = encoded("adpcm_ms", container, noise(40_000).T.copy(), "s16", "mono")
    path = tmp_path / "clip"
    path.write_bytes(content[: len(content) * 6 // 10])
    with AudioDecoder(path, keep_truncated=True) as decoder:
        assert len(decoder.decode()) < 25_000
        assert decoder.faults.declared_s is not None


def test_a_header_that_cannot_be_read_again_declares_nothing(tmp_path: Path) -> None:
    """What was decoded is there all the same."""
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded("adpcm_ms", "wav", noise(40_000).T.copy(), "s16", "mono") + b"junk" + bytes(8))
    with AudioDecoder(path) as decoder, open(tmp_path / "other", "wb") as unreadable:
        stored: Any = decoder._reader._given.content()  # type: ignore[attr-defined]
        number, stored.number = stored.number, unreadable.fileno()
        assert len(decoder.decode()) >= 40_000
        assert decoder.faults.declared_s is None
        stored.number = number
