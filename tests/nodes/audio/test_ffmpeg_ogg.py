"""Tests of Ogg files: chains, and Opus without tags or end."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonograph.errors import AudioDecodeError, AudioError
from phonograph_nodes.audio.ffmpeg import open_ffmpeg
from phonograph_nodes.audio.ffmpeg.ogg import Pieces, checksum, links, pages
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Limits, Samples
from reference.audio_files import encoded, noise


def ogg(codec: str, num_samples: int, layout: str = "mono") -> bytes:
    raw = noise(num_samples, 1 if layout == "mono" else 2) // 8
    return encoded(codec, "ogg", raw.reshape(1, -1).copy(), "s16", layout)


def whole(content: bytes) -> Samples:
    reader = open_ffmpeg(Given(content), Limits())
    try:
        return reader.read()
    finally:
        reader.close()


OPUS = ogg("libopus", 8000)
VORBIS = encoded("vorbis", "ogg", noise(3000, 2).reshape(2, -1).astype(np.float32) / 2**18, "fltp", "stereo", strict="-2")


def page_ends(content: bytes) -> list[int]:
    return [page.end for page in pages(memoryview(content))]


@pytest.mark.parametrize("codec", ["libopus", "flac"])
@pytest.mark.parametrize("same", [False, True])
def test_all_links_of_a_chain_decode(codec: str, same: bool) -> None:
    """Each link is decoded by itself, delay and padding taken off; also when a file was appended to itself."""
    parts = [ogg(codec, 8000), ogg(codec, 8000 if same else 5000), ogg(codec, 8000)]
    samples = whole(b"".join(parts))
    np.testing.assert_array_equal(samples, np.concatenate([whole(part) for part in parts], axis=1))
    reader = open_ffmpeg(Given(b"".join(parts)), Limits())
    assert (reader.info.num_samples, reader.info.duration_s) == (None, None)
    np.testing.assert_array_equal(reader.read(4000, samples.shape[1] - 8000), samples[:, 4000:-4000])
    reader.close()


def test_links_of_vorbis_end_where_their_pages_say() -> None:
    """What the last block of a link holds beyond its granule position is not between the links, in the whole and in blocks."""
    content, link = VORBIS * 3, whole(VORBIS)
    samples = np.concatenate([link] * 3, axis=1)
    reader = open_ffmpeg(Given(content), Limits())
    np.testing.assert_array_equal(reader.read(), samples)
    for num_samples in (1, 41, 700, link.shape[1], link.shape[1] + 60):
        blocks = list(reader.blocks(num_samples, link.shape[1] - 130, 3500))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), samples[:, link.shape[1] - 130 :][:, :3500])
    reader.close()


def test_a_chain_that_changes_its_format_is_refused() -> None:
    """A second link with two channels is an error that says where it begins."""
    with pytest.raises(AudioDecodeError, match=r"after 1\.000 s the stream changes from 48000 Hz, 1 channels to 48000 Hz, 2"):
        whole(OPUS + ogg("libopus", 5000, "stereo"))


def test_opus_without_tags_decodes() -> None:
    """Leaving out the page of tags changes nothing of the audio."""
    ends = page_ends(OPUS)
    np.testing.assert_array_equal(whole(OPUS[: ends[0]] + OPUS[ends[1] :]), whole(OPUS))


def test_opus_without_its_last_page_keeps_the_rest() -> None:
    """What was never ended decodes to where it stops, without padding being taken off."""
    long = ogg("libopus", 40_000)
    cut = whole(long[: page_ends(long)[-2]])
    np.testing.assert_array_equal(cut, whole(long)[:, : cut.shape[1]])
    assert cut.shape[1] > 100_000


@pytest.mark.parametrize("padding", [0, 1, 127, 1000])
def test_vorbis_on_a_single_page_ends_where_the_page_says(padding: int) -> None:
    """The last block's samples beyond the granule position are no audio, in the whole and in a part."""
    content = bytearray(VORBIS)
    *_, last = pages(memoryview(VORBIS))
    (end,) = struct.unpack_from("<q", VORBIS, last.start + 6)
    struct.pack_into("<q", content, last.start + 6, end - padding)
    struct.pack_into("<I", content, last.start + 22, 0)
    struct.pack_into("<I", content, last.start + 22, checksum(content[last.start :]))
    reader = open_ffmpeg(Given(bytes(content)), Limits())
    samples = reader.read()
    assert samples.shape == (2, end - padding)
    np.testing.assert_array_equal(samples, whole(VORBIS)[:, : end - padding])
    np.testing.assert_array_equal(reader.read(end - 1500, 10**6), samples[:, end - 1500 :])
    reader.close()


def test_rubbish_between_pages_is_passed_over() -> None:
    """Links are found behind bytes that belong to no page."""
    content = OPUS + b"rubbish OggS, and more" * 5000 + OPUS
    found = links(memoryview(content))
    assert [start for start, _ in found] == [0, len(content) - len(OPUS)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6), st.integers(0, 10**6))
def test_damage_gives_audio_or_a_typed_error(flips: list[tuple[int, int]], cut: int) -> None:
    """A chain with bytes changed and its end cut off decodes to finite samples, or is an AudioError."""
    content = bytearray(OPUS + OPUS)
    for position, value in flips:
        content[position % len(content)] = value
    try:
        samples = whole(bytes(content[: 1 + cut % len(content)]))
    except AudioError:
        return
    assert np.isfinite(samples).all()


@given(st.lists(st.binary(max_size=9), max_size=4), st.lists(st.tuples(st.integers(0, 40), st.integers(-1, 20)), max_size=6))
def test_pieces_read_like_one_file(pieces: list[bytes], reads: list[tuple[int, int]]) -> None:
    """Reading at any place gives what the joined pieces hold there."""
    file, joined = Pieces([memoryview(piece) for piece in pieces]), b"".join(pieces)
    for place, size in reads:
        assert file.seek(place) == place
        assert file.read(size) == (joined[place:] if size < 0 else joined[place : place + size])
        assert file.tell() == max(place, min(place + size, len(joined)) if size >= 0 else len(joined))
