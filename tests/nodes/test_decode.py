"""Tests of the node `audio.decode`, and of what decoding means for every format."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonograph.audio import AudioChunk
from phonograph.errors import (
    AudioDecodeError,
    AudioError,
    AudioFormatError,
    AudioTooLongError,
    AudioTruncatedError,
    BadInputError,
    ParameterError,
)
from phonograph.item import Item
from phonograph_nodes.audio import AudioSource, bs775_weights, load
from phonograph_nodes.decode import Decode, DecodeParams, RawFormat
from reference.audio_files import RATE, encoded, noise, wav

STEREO_FLAC = encoded("flac", "flac", noise(20_000, 2).reshape(1, -1).copy(), "s16", "stereo")


def emitted(record: dict[str, Any], **params: Any) -> Any:
    node = Decode(DecodeParams(**params), "audio")
    return node.process(Item(key="clips/a", ordinal=0, payload={"record": record}), None)


def processed(record: dict[str, Any], **params: Any) -> Item:
    item = emitted(record, **params)
    assert isinstance(item, Item)
    return item


def decode(source: AudioSource) -> AudioChunk:
    """All of a file, as it is."""
    samples, rate = load(source, sr=None, mono=False)
    return AudioChunk(np.atleast_2d(samples), rate)


@pytest.mark.parametrize("num_channels", [1, 2, 3, 16])
@pytest.mark.parametrize("num_samples", [1, 2, 4095, 4096, 20000])
def test_16_bit_samples_are_exact(num_samples: int, num_channels: int) -> None:
    """Integers become q / 2^15, planar and contiguous, to the last sample."""
    raw = noise(num_samples, num_channels)
    chunk = decode(wav(raw.tobytes(), num_channels=num_channels))
    assert chunk.sample_rate == RATE
    assert chunk.samples.dtype == np.float32
    assert chunk.samples.flags.c_contiguous
    np.testing.assert_array_equal(chunk.samples, raw.T / 32768)


@pytest.mark.parametrize(
    ("bits", "code", "raw", "expected"),
    [
        (8, 1, bytes([0, 128, 255]), [-1, 0, 127 / 128]),
        (24, 1, b"\0\0\x80\0\0\0\xff\xff\x7f", [-1, 0, 1 - 2**-23]),
        (32, 1, struct.pack("<3i", -(2**31), 0, 2**30), [-1, 0, 0.5]),
        (64, 1, struct.pack("<3q", -(2**63), 0, 2**62), [-1, 0, 0.5]),
        (32, 3, struct.pack("<3f", -1, 0, 1.5), [-1, 0, 1.5]),
        (64, 3, struct.pack("<3d", -1, 0, 0.25), [-1, 0, 0.25]),
    ],
)
def test_every_sample_format_has_its_full_scale(bits: int, code: int, raw: bytes, expected: list[float]) -> None:
    """Each width of integers has its own full scale; floating point is taken as it is, overshoot too."""
    np.testing.assert_array_equal(decode(wav(raw, bits=bits, code=code)).samples[0], expected)


@pytest.mark.parametrize(
    ("codec", "container", "sample_format", "dtype"),
    [("alac", "mov", "s16p", np.int16), ("alac", "mov", "s32p", np.int32), ("wavpack", "wv", "u8p", np.uint8)],
)
def test_planar_formats_keep_their_channels(codec: str, container: str, sample_format: str, dtype: type[Any]) -> None:
    """Planes of lossless codecs arrive each in its own row."""
    limits = np.iinfo(dtype)
    rows = np.random.default_rng(1).integers(limits.min, limits.max, (2, 4096), dtype) & ~0xFF if dtype == np.int32 else None
    if rows is None:
        rows = np.random.default_rng(1).integers(limits.min, limits.max, (2, 4096), dtype)
    chunk = decode(encoded(codec, container, np.ascontiguousarray(rows), sample_format, "stereo"))
    silence = 128 if dtype == np.uint8 else 0
    exact = (rows.astype(np.float64) - silence) / (2.0 ** (limits.bits - 1))
    np.testing.assert_array_equal(chunk.samples, exact.astype(np.float32))


def test_bytes_and_file_give_the_same(tmp_path: Path) -> None:
    """A file and its bytes decode to the same samples."""
    content = wav(noise(3000).tobytes())
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / "a.wav").samples, decode(content).samples)


def test_a_header_that_lies_takes_no_memory() -> None:
    """A FLAC of a few KB that declares 2^36 - 1 samples takes at most 40 MB of arrays."""
    content = bytearray(encoded("flac", "flac", noise(9000).T.copy(), "s16", "mono"))
    place = content.index(b"fLaC") + 4 + 4 + 13  # magic, block header, sizes and rate; then 4 bits and 32 bits of the count
    content[place] |= 0x0F
    content[place + 1 : place + 5] = b"\xff" * 4
    tracemalloc.start()
    try:
        chunk = processed({"bytes": bytes(content)}, keep_truncated=True).audio
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert chunk.num_samples == 9000
    assert peak < 40e6


def test_more_audio_than_the_first_guess_is_whole() -> None:
    """Samples that outgrow what was allocated at first are all there, in order, in every channel."""
    raw = noise(600_000, 8)  # 19.2 MB as float32, more than the first 16 MiB
    np.testing.assert_array_equal(decode(wav(raw.tobytes(), num_channels=8)).samples, raw.T / 32768)


def test_tags_that_are_not_utf_8_do_not_matter() -> None:
    """A title in Latin-1 costs nothing but the title."""
    info = b"INFOINAM" + struct.pack("<I", 4) + b"\xe9t\xe9\0"
    content = wav(noise(1000).tobytes())
    assert decode(content[:12] + b"LIST" + struct.pack("<I", len(info)) + info + content[12:]).num_samples == 1000


def test_a_damaged_packet_is_silence_and_counted() -> None:
    """ALAC with one of its ten packets destroyed gives the other nine at their times, and the attribute corrupt_packets."""
    tone = (8000 * np.sin(np.arange(40960) / 5)).astype(np.int16)[np.newaxis]
    content = bytearray(encoded("alac", "mov", tone, "s16p", "mono"))
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    result = processed({"bytes": bytes(content)})
    assert result.attributes["corrupt_packets"] == 1
    assert result.audio.num_samples == 40960
    np.testing.assert_array_equal(result.audio.samples[0, :4096], tone[0, :4096] / 32768)


def test_the_node_tells_what_it_found(tmp_path: Path) -> None:
    """Attributes give duration, rate, channels, codec and path; corrupt_packets is absent when there are none."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(noise(4000, 2).tobytes(), num_channels=2))
    assert dict(processed({"path": str(path)}).attributes) == {
        "duration": 0.5,
        "sample_rate": RATE,
        "channels": 2,
        "codec": "pcm_s16le",
        "sample_format": "i16",
        "path": str(path),
    }


@pytest.mark.parametrize("content", [wav(noise(20_000, 2).tobytes(), num_channels=2), STEREO_FLAC], ids=["wav", "flac"])
def test_a_part_of_a_file_is_taken(content: bytes) -> None:
    """offset and duration give that slice of the whole, and the attribute offset tells where it begins."""
    whole = processed({"bytes": content}).audio.samples
    part = processed({"bytes": content}, offset=0.5, duration=1.25)
    np.testing.assert_array_equal(part.audio.samples, whole[:, 4000:14_000])
    assert (part.attributes["offset"], part.attributes["duration"]) == (0.5, 1.25)


@pytest.mark.parametrize("content", [wav(noise(20_000, 2).tobytes(), num_channels=2), STEREO_FLAC], ids=["wav", "flac"])
def test_chunks_are_items_of_their_own(content: bytes) -> None:
    """With chunk, items of that length follow one another, with child keys, their place, and attributes of their own."""
    whole = processed({"bytes": content}).audio.samples
    items = list(emitted({"bytes": content}, chunk=1.0, offset=0.25))
    assert [item.key for item in items] == ["clips/a#0000", "clips/a#0001", "clips/a#0002"]
    assert [item.attributes["offset"] for item in items] == [0.25, 1.25, 2.25]
    assert [item.attributes["duration"] for item in items] == [1.0, 1.0, 0.25]
    for item in items:
        place = item.start_sample
        np.testing.assert_array_equal(item.audio.samples, whole[:, place : place + item.audio.num_samples])
    assert sum(item.audio.num_samples for item in items) == 18_000


def test_the_last_chunk_tells_what_was_wrong_with_the_file() -> None:
    """A truncated file that is kept says so there, and one that is not kept is refused."""
    content = wav(noise(4000).tobytes(), claimed=16_000)
    items = list(emitted({"bytes": content}, chunk=0.125, keep_truncated=True))
    assert len(items) == 4
    assert items[-1].attributes["declared_duration"] == 1.0
    with pytest.raises(AudioTruncatedError):
        list(emitted({"bytes": content}, chunk=0.125))


def test_channels_are_mixed_on_request() -> None:
    """channels 1 is the mean; with bs775 weights, to one or to two; mono stays mono."""
    content = encoded("flac", "flac", noise(5000, 6).reshape(1, -1).copy(), "s16", "5.1")
    whole = processed({"bytes": content}).audio.samples
    assert len(whole) == 6
    np.testing.assert_allclose(processed({"bytes": content}, channels=1).audio.samples[0], whole.mean(axis=0), atol=1e-7)
    for channels in (1, 2):
        found = processed({"bytes": content}, channels=channels, downmix="bs775")
        assert found.attributes["channels"] == len(found.audio.samples) == channels
        weights = bs775_weights("5.1", channels)
        np.testing.assert_allclose(found.audio.samples, weights @ whole.astype(np.float64), atol=1e-7)
    assert processed({"bytes": wav(noise(80).tobytes())}, channels=2, downmix="bs775").audio.num_channels == 1


def test_raw_pcm_is_described() -> None:
    """Samples without a header are what `format` says."""
    raw = noise(1000, 2)
    described = RawFormat(encoding="i16", sample_rate=16000, channels=2, byte_order="big", header_bytes=3)
    result = processed({"bytes": b"abc" + raw.astype(">i2").tobytes()}, format=described)
    np.testing.assert_array_equal(result.audio.samples, raw.T / 32768)
    assert (result.audio.sample_rate, result.attributes["codec"]) == (16000, "pcm_s16be")


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": -0.1},
        {"duration": -1.0},
        {"chunk": 0.0},
        {"stream": -1},
        {"max_seconds": 0.0},
        {"max_bytes": 0},
        {"downmix": "bs775"},
        {"channels": 2},
    ],
)
def test_parameters_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """With the name of the parameter that is at fault."""
    with pytest.raises(ParameterError) as caught:
        DecodeParams(**wrong)
    assert caught.value.parameter in (*wrong, "downmix")


def test_a_row_that_its_source_could_not_read_is_bad_input() -> None:
    """The source's complaint about a row becomes the reason of its dead letter."""
    with pytest.raises(BadInputError, match=r"list\.jsonl:3: the row names no file"):
        processed({"error": "list.jsonl:3: the row names no file"})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.wav", b"", r"open failed: it is empty \(0 bytes\)"),
        ("text.wav", b"not audio at all\n" * 100, "probe failed: Invalid data"),
        ("header.wav", wav(b""), "decode failed: no sample came out"),
        ("slow.wav", wav(bytes(8000), sample_rate=1), "its sample rate is 1 Hz"),
        ("fast.wav", wav(bytes(8000), sample_rate=768000), "its sample rate is 768000 Hz"),
        ("many.wav", wav(bytes(8000), num_channels=64), "it has 64 channels"),
        ("none.wav", wav(bytes(8000), num_channels=0), "none.wav: "),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n", "list.m3u8: probe failed"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile 'other.wav'\n", "list.ffconcat: probe failed"),
    ],
)
def test_what_is_no_audio_is_a_typed_error(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Each way of not being audio has an error that names the file, the stage and what was found."""
    (tmp_path / "other.wav").write_bytes(wav(noise(800).tobytes()))
    (tmp_path / "other.ts").write_bytes(wav(noise(800).tobytes()))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioDecodeError, match=reason) as caught:
        decode(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_video_without_sound_is_a_typed_error() -> None:
    """A container that holds no audio stream says what it holds."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
            output.mux(packet)
    with pytest.raises(AudioDecodeError, match=r"no audio stream in it \(avi with video\)"):
        decode(buffer.getvalue())


def test_samples_that_are_not_numbers_are_refused() -> None:
    """NaN or infinity anywhere is an error that counts them and names the file, also when a double is too large for float32."""
    values = np.zeros(1000)
    values[[3, 500, 999]] = np.nan, np.inf, -np.inf
    with pytest.raises(AudioFormatError, match="3 samples are not finite"):
        decode(wav(values.astype("<f4").tobytes(), bits=32, code=3))
    with pytest.raises(AudioFormatError, match="1 samples are not finite"):
        decode(wav(struct.pack("<2d", 1e300, 0.0), bits=64, code=3))


def test_the_node_scrubs_samples_that_are_not_numbers() -> None:
    """They become 0 and are counted in the attribute non_finite; or they refuse the file."""
    content = wav(np.array([0.5, np.nan, np.inf, 0.25], "<f4").tobytes(), bits=32, code=3)
    result = processed({"bytes": content})
    np.testing.assert_array_equal(result.audio.samples, [[0.5, 0, 0, 0.25]])
    assert result.attributes["non_finite"] == 2
    with pytest.raises(AudioFormatError, match="2 samples are not finite"):
        processed({"bytes": content}, non_finite="refuse")


def test_audio_that_is_too_long_is_refused() -> None:
    """Decoding stops at max_duration_s, whatever the header claims, and accepts exactly that much."""
    content = wav(noise(RATE).tobytes(), claimed=100)
    whole = wav(noise(RATE).tobytes())
    assert processed({"bytes": whole}, max_duration_s=1.0).audio.num_samples == RATE
    assert processed({"bytes": content}, max_duration_s=0.5).audio.num_samples == 50
    with pytest.raises(AudioTooLongError, match=r"more than 1 s of audio .* split the file, or raise max_duration_s"):
        processed({"bytes": wav(noise(RATE + 1).tobytes())}, max_duration_s=1.0)
    with pytest.raises(AudioDecodeError, match=r"more than 0\.7 s of audio"):
        processed({"bytes": whole}, max_duration_s=0.7)
    with pytest.raises(AudioTooLongError, match=r"more than 0\.5 s of audio"):
        processed({"bytes": whole}, max_bytes=RATE // 2 * 4)


def test_a_change_of_format_is_refused() -> None:
    """FLAC that goes from one channel to two is refused with the time and both formats."""
    mono = encoded("flac", "flac", np.ones((1, 9000), np.int16), "s16", "mono")
    stereo = encoded("flac", "flac", np.ones((1, 18000), np.int16), "s16", "stereo")
    with pytest.raises(AudioDecodeError, match=r"stream changes from 8000 Hz, 1 channels to 8000 Hz, 2 channels"):
        decode(mono + stereo[stereo.index(b"\xff\xf8") :])


def test_nothing_stays_open(tmp_path: Path) -> None:
    """Neither success nor any error leaves a file open."""
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    good.write_bytes(wav(noise(8000).tobytes()))
    bad.write_bytes(b"RIFF" + bytes(2000))
    before = os.listdir("/proc/self/fd")
    for _ in range(20):
        decode(good)
        with pytest.raises(AudioDecodeError):
            decode(bad)
        with pytest.raises(AudioDecodeError):
            processed({"path": str(good)}, max_duration_s=0.01)
    assert os.listdir("/proc/self/fd") == before


BASES = [
    wav(noise(2000).tobytes()),
    encoded("flac", "flac", noise(2000).T.copy(), "s16", "mono"),
    encoded("aac", "adts", np.zeros((2, 4096), np.float32), "fltp", "stereo"),
    encoded("alac", "mov", noise(4096).T.copy(), "s16p", "mono"),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(BASES), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), st.integers(0, 10**6))
def test_damage_gives_audio_or_a_typed_error(base: bytes, flips: list[tuple[int, int]], cut: int) -> None:
    """Files with bytes changed or missing decode to finite samples, or raise an AudioError, nothing else."""
    content = bytearray(base)
    for position, value in flips:
        content[position % len(content)] = value
    try:
        chunk = processed({"bytes": bytes(content[: cut % (len(content) + 1)])}, max_duration_s=600).audio
    except AudioError:
        return
    assert chunk.num_samples > 0
    assert np.isfinite(chunk.samples).all()


def test_the_standard_library_agrees(tmp_path: Path) -> None:
    """A file made by another program decodes to what that program put in."""
    raw = noise(5000, 2)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(raw.tobytes())
    np.testing.assert_array_equal(decode(tmp_path / "a.wav").samples, raw.T / 32768)


def test_every_codec_decodes(shared: Path) -> None:
    """Each file of the codec collection decodes to about the duration that its list gives."""
    folder = shared / "data" / "codecs"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    decoded = {row["path"]: (decode(folder / row["path"]).duration_s, row["duration"]) for row in rows}
    assert len(decoded) == 65
    assert {path: pair for path, pair in decoded.items() if abs(pair[0] - pair[1]) > 0.15} == {}


def test_every_malformed_file_has_an_end(shared: Path) -> None:
    """Each file of the malformed collection gives audio or an error that names it."""
    folder = shared / "data" / "malformed"
    paths = [folder / json.loads(line)["path"] for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    audible = 0
    for path in paths:
        try:
            audible += decode(path).num_samples > 0
        except AudioError as error:
            assert str(path) in str(error)
    assert len(paths) == 174
    assert audible >= 77
