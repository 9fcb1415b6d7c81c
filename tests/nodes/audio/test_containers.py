"""Tests of the headers of PCM files, against FFmpeg's reading of the same bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio import load
from phonograph_nodes.audio.containers import PARSERS, PcmLayout, RawPcm, pcm_layout, raw_layout
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.opening import PCM_HEADS
from phonograph_nodes.audio.pcm import open_pcm
from phonograph_nodes.audio.reader import Limits
from reference.pcm_files import BYTES, aiff, au, ffmpeg_format, ffmpeg_samples, levels, riff, sphere, w64

COUNT = 1003
WAV = ["u8", "i16", "i24", "i32", "f32", "f64", "alaw", "mulaw"]
BIG = ["i8", "i16", "i24", "i32", "f32", "f64", "alaw", "mulaw"]


def layout_of(content: bytes) -> PcmLayout:
    layout = pcm_layout(memoryview(content), "file")
    assert layout is not None
    return layout


def samples_of(content: bytes) -> np.ndarray:
    reader = open_pcm(Given(content), Limits())
    assert reader is not None
    return reader.read()


def test_every_parser_is_reached() -> None:
    """Files are opened by what the parsers' table has."""
    assert set(PARSERS) == PCM_HEADS


def info_chunk(**entries: bytes) -> bytes:
    words = b"INFO" + b"".join(
        name.encode() + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2) for name, text in entries.items()
    )
    return b"LIST" + struct.pack("<I", len(words)) + words


def every_file(num_channels: int) -> dict[str, bytes]:
    little = {encoding: levels(encoding, COUNT * num_channels) for encoding in WAV}
    big = {encoding: levels(encoding, COUNT * num_channels, big_endian=True) for encoding in BIG}
    found = {}
    for encoding, raw in little.items():
        found[f"wav {encoding}"] = riff(raw, encoding, num_channels=num_channels)
        found[f"extensible {encoding}"] = riff(raw, encoding, num_channels=num_channels, mask={1: 4, 2: 3, 3: 7}[num_channels])
        found[f"rf64 {encoding}"] = riff(raw, encoding, num_channels=num_channels, long_size=len(raw))
        found[f"w64 {encoding}"] = w64(raw, encoding, num_channels=num_channels)
    for encoding, raw in big.items():
        found[f"aiff {encoding}"] = aiff(raw, encoding, num_channels=num_channels)
        found[f"au {encoding}"] = au(raw, encoding, num_channels=num_channels)
    for encoding, order, coding in [("i16", "01", "pcm"), ("i16", "10", "pcm"), ("mulaw", "1", "ulaw"), ("alaw", "1", "alaw")]:
        found[f"sphere {encoding} {order}"] = sphere(
            levels(encoding, COUNT * num_channels),
            channel_count=num_channels,
            sample_rate=8000,
            sample_n_bytes=BYTES[encoding],
            sample_count=COUNT,
            sample_byte_format=order,
            sample_coding=coding,
        )
    return found


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("name", every_file(1))
def test_every_encoding_in_every_container_is_what_ffmpeg_decodes(name: str, num_channels: int) -> None:
    """Container, codec, rate, channels and each sample are FFmpeg's."""
    content = every_file(num_channels)[name]
    reader = open_pcm(Given(content), Limits())
    assert reader is not None
    info = reader.info
    assert (info.container, info.codec, info.sample_rate, info.num_channels) == ffmpeg_format(content)[:4]
    assert (info.num_samples, reader.faults.declared_s) == (COUNT, None)
    np.testing.assert_array_equal(reader.read(), ffmpeg_samples(content))


@pytest.mark.parametrize(
    ("kind", "encoding", "big_endian"),
    [
        (b"NONE", "i24", True),
        (b"twos", "i16", True),
        (b"sowt", "i16", False),
        (b"in24", "i24", True),
        (b"in32", "i32", True),
        (b"FL32", "f32", True),
        (b"FL64", "f64", True),
        (b"ALAW", "alaw", True),
        (b"ULAW", "mulaw", True),
        (b"raw ", "u8", True),
    ],
)
def test_types_of_aiff_c_that_compress_nothing_are_what_ffmpeg_decodes(kind: bytes, encoding: str, big_endian: bool) -> None:
    """Each type stands for an encoding and a byte order."""
    content = aiff(levels(encoding, COUNT, big_endian=big_endian), encoding, kind=kind)
    np.testing.assert_array_equal(samples_of(content), ffmpeg_samples(content))


@pytest.mark.parametrize("encoding", ["i24", "i32", "f32"])
def test_what_ffmpeg_reads_in_the_wrong_byte_order_is_right(encoding: str) -> None:
    """RIFX, wide `sowt` and little-endian AU hold the same samples as the same bytes in WAV, turned around or not."""
    width = BYTES[encoding]
    raw = levels(encoding, COUNT)
    turned = np.frombuffer(raw, np.uint8).reshape(-1, width)[:, ::-1].tobytes()
    expected = samples_of(riff(raw, encoding))
    np.testing.assert_array_equal(samples_of(riff(turned, encoding, big_endian=True)), expected)
    np.testing.assert_array_equal(samples_of(au(raw, encoding, big_endian=False)), expected)
    if encoding != "f32":
        np.testing.assert_array_equal(samples_of(aiff(raw, encoding, kind=b"sowt")), expected)


@pytest.mark.parametrize("mask", [0x4, 0x3, 0xB, 0x7, 0x103, 0xF, 0x107, 0x33, 0x603, 0x37, 0x607, 0x3F, 0x60F, 0x70F, 0x63F])
def test_a_mask_of_loudspeakers_has_ffmpegs_name(mask: int) -> None:
    """WAVE_FORMAT_EXTENSIBLE says which channel is which."""
    num_channels = mask.bit_count()
    content = riff(levels("i16", 10 * num_channels), "i16", num_channels=num_channels, mask=mask)
    assert layout_of(content).channel_layout == ffmpeg_format(content)[4]


@pytest.mark.parametrize(
    ("mask", "num_channels", "expected"), [(0, 6, "6 channels"), (0x3F, 4, "4 channels"), (0, 2, "stereo"), (0x3F, 1, "mono")]
)
def test_a_mask_that_does_not_fit_the_channels_says_nothing(mask: int, num_channels: int, expected: str) -> None:
    """Then only one and two channels have a name."""
    content = riff(levels("i16", 10 * num_channels), "i16", num_channels=num_channels, mask=mask)
    assert layout_of(content).channel_layout == expected


def test_an_aiff_says_which_channel_is_which() -> None:
    """Apple's tag for 5.1, and a bitmap."""
    raw = levels("i16", 60)
    for words in [(121 << 16 | 6, 0, 0), (1 << 16, 0x60F, 0)]:
        content = aiff(raw, "i16", num_channels=6, before=b"CHAN" + struct.pack(">IIII", 12, *words))
        assert layout_of(content).channel_layout == ffmpeg_format(content)[4] == "5.1(side)"


@pytest.mark.parametrize(("bits", "encoding"), [(1, "u8"), (12, "i16"), (13, "i16"), (20, "i24"), (25, "i32")])
def test_bits_that_fill_no_bytes_stand_at_the_top_of_them(bits: int, encoding: str) -> None:
    """A sample of 12 bits is stored as 16, and is one of 16."""
    content = riff(levels(encoding, COUNT), encoding, bits=bits)
    assert layout_of(content).encoding == encoding
    np.testing.assert_array_equal(samples_of(content), ffmpeg_samples(content))


@pytest.mark.parametrize("claimed", [0, 2**31, 2**31 - 1 - 44, 0x7FFFF000, 2**32 - 1, 2**32 - 1 - 36])
def test_a_size_that_a_pipe_leaves_open_means_to_the_end(claimed: int) -> None:
    """Nothing is declared, and all that is there is read."""
    for total in (0, 36, 2**32 - 1):
        layout = layout_of(riff(levels("i16", COUNT), "i16", claimed=claimed, total=total))
        assert (layout.num_samples, layout.declared_samples) == (COUNT, None)


def test_other_containers_leave_their_size_open_too() -> None:
    """RF64, Wave64, AIFF and AU have numbers of their own for it; SPHERE leaves the count out."""
    raw = levels("i16", COUNT)
    fields: dict[str, str | int] = {"sample_rate": 8000, "sample_n_bytes": 2, "sample_byte_format": "10"}
    for content in [
        riff(raw, "i16", long_size=0, total=0),
        riff(raw, "i16", long_size=2**64 - 1),
        w64(raw, "i16", claimed=2**63),
        w64(raw, "i16", claimed=0, total=104),
        w64(raw, "i16", claimed=-24, total=0),
        aiff(raw, "i16", declared=0, claimed=0, total=0),
        au(raw, "i16", claimed=0),
        au(raw, "i16", claimed=2**32 - 1),
        sphere(raw, **fields),
    ]:
        layout = layout_of(content)
        assert (layout.num_samples, layout.declared_samples) == (COUNT, None)


LIST = info_chunk(INAM=b"abcdefghijklmnopqrs\0")
TEXT = b"NAME" + struct.pack(">I", 4) + b"song"


@pytest.mark.parametrize(
    "content",
    [
        riff(b"", "i16", after=LIST),
        riff(b"", "i16", after=LIST[:-1], total=len(riff(b"", "i16", after=LIST)) - 10),
        riff(b"", "i16", num_channels=2, mask=3, after=LIST),
        riff(b"", "i16", big_endian=True, after=TEXT),
        riff(b"", "i16", long_size=0, after=LIST),
        riff(b"", "i16", long_size=0, claimed=0, after=LIST),
        w64(b"", "i16", after=LIST),
        aiff(b"", "i16", after=TEXT),
        aiff(b"", "i16", after=TEXT).replace(bytes(8) + TEXT, TEXT).replace(b"SSND\0\0\0\x08", b"SSND" + bytes(4)),
    ],
    ids=["WAV", "byte not counted", "extensible", "RIFX", "RF64", "RF64 of 32 bits", "Wave64", "AIFF", "AIFF without an offset"],
)
def test_no_samples_in_a_finished_file_are_none(content: bytes) -> None:
    """Where the size of the whole file is right, what stands behind an empty chunk is not taken for samples."""
    if content[:4] == b"FORM":  # the whole as its header has it
        content = content[:4] + struct.pack(">I", len(content) - 8) + content[8:]
    assert layout_of(content).num_samples == 0
    with pytest.raises(AudioDecodeError, match="no sample came out"):
        load(content)


def test_tags_behind_no_samples_are_read() -> None:
    """An empty chunk is passed over like any other."""
    assert dict(layout_of(riff(b"", "i16", after=info_chunk(INAM=b"a title\0"))).tags) == {"title": "a title"}
    assert dict(layout_of(aiff(b"", "i16", after=TEXT)).tags) == {"title": "song"}


def test_another_codec_without_samples_is_not_left_to_ffmpeg() -> None:
    """FFmpeg would decode the tags."""
    adpcm = b"fmt \x10\0\0\0\x11\0"
    content = riff(b"", "i16", after=LIST).replace(b"fmt \x10\0\0\0\x01\0", adpcm)
    with pytest.raises(AudioDecodeError, match="probe failed: no sample is in it"):
        load(content)
    assert pcm_layout(memoryview(riff(b"", "i16", after=LIST, total=0).replace(b"fmt \x10\0\0\0\x01\0", adpcm)), "file") is None


def test_samples_behind_an_empty_piece_are_read() -> None:
    """Of two chunks with samples, one may be empty."""
    raw = levels("i16", COUNT)
    np.testing.assert_array_equal(
        samples_of(riff(b"", "i16", after=b"data" + struct.pack("<I", len(raw)) + raw)), samples_of(riff(raw, "i16"))
    )


def test_a_header_that_promises_more_than_there_is_declares_it() -> None:
    """In each container the samples end with the file, and what was promised is told."""
    raw = levels("i16", COUNT)
    fields: dict[str, str | int] = {"sample_rate": 8000, "sample_n_bytes": 2, "sample_byte_format": "10", "sample_count": 2000}
    for content in [
        riff(raw, "i16", claimed=4000),
        riff(raw, "i16", long_size=4000),
        w64(raw, "i16", claimed=4000),
        aiff(raw, "i16", declared=2000),
        au(raw, "i16", claimed=4000),
        sphere(raw, **fields),
    ]:
        layout = layout_of(content)
        assert (layout.num_samples, layout.declared_samples) == (COUNT, 2000)


def test_samples_end_where_the_header_says() -> None:
    """What follows them in the file is none."""
    raw = levels("i16", COUNT)
    for content in [riff(raw, "i16", claimed=200), w64(raw, "i16", claimed=200), au(raw, "i16", claimed=200)]:
        assert layout_of(content).num_samples == 100
    assert layout_of(riff(raw, "i16", after=info_chunk(INAM=b"a name"))).num_samples == COUNT


def test_chunks_of_odd_length_are_passed_over_filled_up_or_not() -> None:
    """A writer that forgets the byte after an odd chunk is understood."""
    raw = levels("i16", COUNT)
    for filling in (b"\0", b"", b"x"):
        content = riff(raw, "i16", before=b"junk" + struct.pack("<I", 3) + b"abc" + filling)
        np.testing.assert_array_equal(samples_of(content), samples_of(riff(raw, "i16")))


def test_tags_have_ffmpegs_names() -> None:
    """LIST INFO before the samples and behind them, and AIFF's chunks of text, whatever their bytes."""
    chunk = info_chunk(INAM=b"a title\0", IART="é".encode(), ICMT=b"\xff", IXXX=b"?")
    for content in [riff(levels("i16", 9), "i16", before=chunk), riff(levels("i16", 9), "i16", after=chunk)]:
        assert dict(layout_of(content).tags) == {"title": "a title", "artist": "é", "comment": "\ufffd"}
    content = aiff(levels("i16", 9), "i16", before=b"NAME" + struct.pack(">I", 4) + b"song")
    assert dict(layout_of(content).tags) == {"title": "song"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF\0\0\0\0AVI LIST",
        riff(levels("u8", 99), "u8")[:40],
        riff(levels("i16", 99), "i16").replace(b"fmt \x10\0\0\0\x01\0", b"fmt \x10\0\0\0\x11\0"),
        riff(levels("i16", 99), "i16", after=b"data" + struct.pack("<I", 2) + b"ab"),
        riff(levels("i16", 99), "i16", stride=4),
        riff(levels("i16", 99), "i16", stride=0),
        riff(b"\x72\xf8\x1f\x4e" + levels("i16", 98), "i16", num_channels=2),
        riff(levels("f32", 99), "f32", bits=24),
        aiff(levels("i16", 99), "i16", kind=b"ima4"),
        b".snd" + struct.pack(">5I", 24, 100, 23, 8000, 1) + bytes(100),
        b"FORM\0\0\0\0ILBM",
        b"NIST_1B\n   1024\n",
    ],
    ids=[
        "empty", "AVI", "header cut off", "IMA ADPCM", "two pieces", "Cool Edit's floats", "no stride",
        "S/PDIF", "floats of 24 bits", "ima4",
        "G.721", "a picture", "another magic",
    ],
)  # fmt: skip
def test_what_others_read_is_left_to_them(content: bytes) -> None:
    """Another container, another codec, a header that is cut off: no layout, and no error."""
    assert pcm_layout(memoryview(content), "file") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            riff(levels("i16", 99), "i16", sample_rate=0),
            r"^file: probe failed: its sample rate is 0 Hz; expected 1000 to 400000 Hz",
        ),
        (au(levels("i16", 99), "i16", num_channels=0), r"it has 0 channels; expected 1 to 32"),
        (riff(bytes(99), "u8", num_channels=65535), r"it has 65535 channels; expected 1 to 32"),
        (
            sphere(b"", sample_coding="pcm,embedded-shorten-v2.00", sample_n_bytes=2, sample_rate=8000),
            r"its samples are compressed \(embedded-shorten-v2\.00\); expected sample_coding pcm, .*; make it plain first:",
        ),
        (sphere(b"", sample_n_bytes=2, sample_rate=8000), r"2 bytes in the order ''; expected .*; read it as raw PCM"),
        (sphere(b"", sample_n_bytes=1, channel_count=1), r"its sample rate is 0 Hz"),
        (b"NIST_1A\n  -1024\n", r"its second line is not the length of a SPHERE header"),
    ],
)
def test_what_nobody_reads_is_a_typed_error(content: bytes, message: str) -> None:
    """It names the file, the stage, what was found and what would be right."""
    with pytest.raises(AudioDecodeError, match=message) as caught:
        pcm_layout(memoryview(content), "file")
    assert (caught.value.file, caught.value.stage) == ("file", "probe")


def test_raw_pcm_is_what_its_owner_says() -> None:
    """Encoding, byte order, channels and a header to pass over; bytes that make no whole sample are left out."""
    raw = RawPcm(encoding="i16", sample_rate=16_000, num_channels=2, byte_order="big", header_bytes=10)
    layout = raw_layout(memoryview(bytes(10 + 4 * 100 + 3)), "file", raw)
    assert (layout.first_byte, layout.num_samples, layout.stride, layout.big_endian) == (10, 100, 4, True)
    assert raw_layout(memoryview(bytes(5)), "file", raw).num_samples == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoding": "i17"}, "encoding is 'i17'; expected one of u8, i8, i16"),
        ({"byte_order": "middle"}, "byte_order is 'middle'; expected 'little' or 'big'"),
        ({"header_bytes": -1}, "header_bytes is -1; expected 0 or more"),
    ],
)
def test_raw_pcm_that_cannot_be_is_refused(wrong: dict[str, object], message: str) -> None:
    """A ValueError names the parameter."""
    given: dict[str, object] = {"encoding": "i16", "sample_rate": 8000} | wrong
    with pytest.raises(ValueError, match=message):
        RawPcm(**given)  # type: ignore[arg-type]


def test_every_file_of_the_collection_is_what_ffmpeg_decodes(shared: Path) -> None:
    """Of the collection's codecs all PCM is read from the map, sample for sample as FFmpeg does."""
    read = []
    for path in sorted((shared / "data" / "codecs").glob("*/*")):
        content = path.read_bytes()
        if content[:4] in PARSERS and (reader := open_pcm(Given(path), Limits())) is not None:
            np.testing.assert_array_equal(reader.read(), ffmpeg_samples(content))
            reader.close()
            read.append(path.parent.name)
    assert sorted(set(read)) == [
        "aiff", "au_mulaw", "rf64", "w64", "wav_alaw_8k", "wav_f32_48k_stereo", "wav_mulaw_8k", "wav_s24_44k", "wav_u8_11k",
    ]  # fmt: skip
