"""Tests of reading PCM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as forall
from hypothesis import strategies as st
from numpy.typing import NDArray

from memory import most_allocated
from phonograph.errors import (
    AudioCancelledError,
    AudioDecodeError,
    AudioTimeoutError,
    AudioTooLongError,
)
from phonograph_nodes.audio.containers import RawPcm
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.pcm import PcmReader, open_pcm, open_raw
from phonograph_nodes.audio.reader import Limits
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.kernels import _convert
from phonograph_nodes.resample import resample
from phonograph_nodes.resample.whole import resample_pcm
from reference.pcm_files import BYTES, aiff, au, levels, riff

PIECE = 2**18  # values that are converted together where they take more than one step


def reader_of(content: bytes, **limits: Any) -> PcmReader:
    reader = open_pcm(Given(content), Limits(**limits))
    assert reader is not None
    return reader


def expected_of(raw: bytes, encoding: str, num_channels: int, big_endian: bool) -> NDArray[np.float32]:
    """Integers and floating point, one sample at a time as NumPy has them."""
    width = BYTES[encoding]
    values = np.frombuffer(raw, np.uint8).reshape(-1, width)
    if big_endian:
        values = values[:, ::-1]
    if encoding[0] == "f":
        samples = np.ascontiguousarray(values).view(f"<f{width}")[:, 0]
    else:
        wide = np.zeros((len(values), 4), np.uint8)
        wide[:, 4 - width :] = values
        samples = wide.view("<i4")[:, 0] / 2.0**31
    return np.ascontiguousarray(samples.astype(np.float32).reshape(-1, num_channels).T)


@pytest.mark.parametrize("num_channels", [1, 2, 5])
@pytest.mark.parametrize("encoding", ["i8", "i16", "i24", "i32", "f32", "f64"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_samples_of_several_pieces_are_whole(encoding: str, big_endian: bool, num_channels: int) -> None:
    """Both byte orders, planar and mixed, around the borders of what is converted together."""
    for count in (1, PIECE // num_channels, 2 * PIECE // num_channels + 1):
        raw = levels(encoding, count * num_channels, big_endian=big_endian)
        expected = expected_of(raw, encoding, num_channels, big_endian)
        reader = reader_of(au(raw, encoding, num_channels=num_channels, big_endian=big_endian))
        np.testing.assert_array_equal(reader.read(), expected)
        mono = reader.read(mono=True)
        assert mono.shape == (1, count)
        np.testing.assert_allclose(mono, mix_to_mono(expected), atol=1e-7)
        if encoding != "i32":  # of which float32 rounds the levels before they are mixed
            np.testing.assert_array_equal(mono, mix_to_mono(expected))


FILES = {
    "i16": riff(levels("i16", 2 * 2000), "i16", num_channels=2),
    "i24 big": aiff(levels("i24", 2 * 2000, big_endian=True), "i24", num_channels=2),
    "f32": riff(levels("f32", 2 * 2000), "f32", num_channels=2),
    "f64 big": au(levels("f64", 2 * 2000, big_endian=True), "f64", num_channels=2),
    "mulaw": riff(levels("mulaw", 2 * 2000), "mulaw", num_channels=2),
}


@forall(
    name=st.sampled_from(sorted(FILES)),
    first=st.integers(0, 2100),
    count=st.none() | st.integers(0, 2100),
    step=st.integers(1, 2500),
    mono=st.booleans(),
)
def test_any_part_is_the_slice_of_the_whole(name: str, first: int, count: int | None, step: int, mono: bool) -> None:
    """So are the blocks, put together, of which only the last is shorter."""
    reader = reader_of(FILES[name])
    end = None if count is None else first + count
    expected = reader.read(mono=mono)[:, first:end]
    part = reader.read(first, count, mono=mono)
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, expected)
    blocks = list(reader.blocks(step, first, count, mono=mono))
    assert [block.shape[1] for block in blocks[:-1]] == [step] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate([expected[:, :0], *blocks], axis=1), expected)


@pytest.mark.parametrize("source", sorted(_convert.CODES))
def test_rows_that_lie_apart_are_filled_and_nothing_else(source: str) -> None:
    """The kernel writes the part of a longer array that it is given, as it would an array of its own."""
    raw = np.frombuffer(levels(source, 3 * 5000), np.uint8)
    whole = np.full((3, 7000), np.float32(9))
    _convert.deinterleave_rows(raw, _convert.CODES[source], whole[:, 1000:6000])
    apart = np.empty((3, 5000), np.float32)
    _convert.deinterleave(raw, _convert.CODES[source], 3, apart.reshape(-1).view(np.uint8), _convert.CODES["f32"])
    np.testing.assert_array_equal(whole[:, 1000:6000], apart)
    assert (whole[:, :1000] == 9).all()
    assert (whole[:, 6000:] == 9).all()


def test_rows_that_samples_do_not_fit_are_refused() -> None:
    """Another number of bytes, an unknown format, and rows whose samples do not lie together."""
    raw, out = np.zeros(40, np.uint8), np.zeros((2, 20), np.float32)
    for code, target in [(1, out), (99, out[:, :10]), (1, out[:, ::2]), (1, out[:, :10].T), (1, out[::-1, :10])]:
        with pytest.raises(ValueError, match=r"format|strides"):
            _convert.deinterleave_rows(raw, code, target)


def test_a_part_that_cannot_be_is_refused() -> None:
    """Neither a beginning nor a length is negative, and a block holds at least one sample."""
    reader = reader_of(FILES["i16"])
    for first, count in [(-1, None), (0, -1)]:
        with pytest.raises(ValueError, match=f"first is {first}, count is {count}; expected 0 or more"):
            reader.read(first, count)
    with pytest.raises(ValueError, match="num_samples is 0; expected 1 or more"):
        next(reader.blocks(0))


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("encoding", ["i16", "i24", "i32", "f32"])
def test_samples_that_the_resampler_reads_are_a_view(encoding: Any, num_channels: int) -> None:
    """No sample is copied, and what the resampler makes of them is what it makes of the samples as float32."""
    content = riff(levels(encoding, num_channels * 3000), encoding, num_channels=num_channels, sample_rate=44_100)
    shifted = memoryview(b"x" + content)[1:]
    for given in (content, shifted):
        reader = open_pcm(Given(given), Limits())
        assert reader is not None
        pcm = reader.pcm(10, 2000)
        assert pcm is not None
        assert (pcm.format, pcm.num_channels, pcm.num_samples) == (encoding, num_channels, 2000)
        assert isinstance(pcm.stored, np.ndarray)
        assert np.may_share_memory(pcm.stored, np.frombuffer(given, np.uint8))
        assert not pcm.stored.flags.writeable
        np.testing.assert_array_equal(
            resample_pcm(pcm, in_rate=44_100, out_rate=16_000, quality="high"),
            resample(reader.read(10, 2000, mono=True)[0], in_rate=44_100, out_rate=16_000),
        )


@pytest.mark.parametrize(
    "content", [au(levels("i8", 99), "i8"), FILES["f64 big"], riff(levels("i16", 3 * 99), "i16", num_channels=3)]
)
def test_other_samples_are_no_view(content: bytes) -> None:
    """Signed bytes, float64, more channels than two."""
    assert reader_of(content).pcm() is None


@pytest.mark.parametrize("encoding", ["f32", "f64"])
@pytest.mark.parametrize("mono", [False, True])
def test_what_is_no_number_becomes_0_and_is_counted(encoding: str, mono: bool) -> None:
    """NaN, infinity, and numbers that float32 does not hold; the samples beside them stay, mixed or not."""
    samples = np.random.default_rng(3).normal(0, 1, (2 * PIECE, 2))
    bad = [(0, 0, np.nan), (5, 1, np.inf), (6, 0, -np.inf), (6, 1, np.inf), (PIECE + 7, 0, np.nan)]
    clean = samples.copy()
    for place, channel, value in bad:
        samples[place, channel], clean[place, channel] = value, 0
    kind = encoding.replace("32", "4").replace("64", "8")
    if encoding == "f64":
        samples[9, 0], clean[9, 0] = 1e39, 0
    files = [riff(values.astype(f"<{kind}").tobytes(), encoding, num_channels=2) for values in (samples, clean)]
    reader = reader_of(files[0])
    np.testing.assert_array_equal(reader.read(mono=mono), reader_of(files[1]).read(mono=mono))
    assert reader.faults.non_finite == len(bad) + (encoding == "f64")
    np.testing.assert_array_equal(reader.read(5, 2, mono=mono), reader_of(files[1]).read(5, 2, mono=mono))


def test_the_largest_floats_are_finite() -> None:
    """Nothing that float32 holds is taken for infinity, however large the sum."""
    samples = np.full(1000, np.finfo(np.float32).max, np.float32)
    reader = reader_of(riff(samples.tobytes(), "f32"))
    np.testing.assert_array_equal(reader.read()[0], samples)
    assert reader.faults.non_finite == 0


def test_a_file_that_ends_early_says_so() -> None:
    """The declared duration is told where clearly less is there; a few bytes too many, as some writers count, are forgiven."""
    raw = levels("i16", 4000)
    reader = reader_of(riff(raw, "i16", claimed=16_000))
    assert (reader.info.duration_s, reader.faults.declared_s) == (0.5, 1.0)
    assert reader_of(riff(raw, "i16", claimed=8000 + 44)).faults.declared_s is None
    assert reader_of(aiff(levels("i16", 4000, big_endian=True), "i16", declared=8000)).faults.declared_s == 1.0


def test_a_header_that_lies_takes_no_memory() -> None:
    """A few samples that are said to be 4 GB, or 2^62 bytes, cost what they are."""
    raw = levels("i16", 100)
    for content in [
        riff(raw, "i16", claimed=2**32 - 2**20),
        riff(raw, "i16", long_size=2**62),
        au(raw, "i16", claimed=2**32 - 2),
    ]:
        assert reader_of(content).read().shape == (1, 100)
        assert most_allocated(reader_of(content).read) < 2**16


def test_a_header_without_samples_is_a_typed_error() -> None:
    """However many it says there are."""
    with pytest.raises(AudioDecodeError, match=r"^<44 bytes>: decode failed: no sample came out, its audio stream is empty; get"):
        reader_of(riff(b"", "i16", claimed=2**32 - 1))


def test_more_audio_than_allowed_is_refused() -> None:
    """By duration or by bytes, before it takes memory; a part, and blocks of a file that is too large for memory, are not."""
    content = riff(levels("i16", 8000), "i16")
    message = (
        r"decode failed: more than 0\.5 s of audio in 1 channels; expected at most 0\.5 s and 8 GiB; split the file, or raise"
    )
    for read in (PcmReader.read, PcmReader.pcm, lambda reader: list(PcmReader.blocks(reader, 100))):
        with pytest.raises(AudioTooLongError, match=message):
            read(reader_of(content, max_duration_s=0.5))
    assert reader_of(content, max_duration_s=0.5).read(10, 4000).shape == (1, 4000)
    with pytest.raises(AudioTooLongError, match=r"more than 0\.25 s of audio"):
        reader_of(content, max_bytes=8000).read()
    assert sum(block.shape[1] for block in reader_of(content, max_bytes=8000).blocks(2000)) == 8000


def test_reading_ends_when_it_is_cancelled_or_takes_too_long() -> None:
    """It is asked between pieces, so that a long file does not have to be read to its end."""
    content = au(levels("i16", 4 * PIECE), "i16")
    asked: list[bool] = []

    def third_time() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(AudioCancelledError, match="it was cancelled"):
        reader_of(content, is_cancelled=third_time).read()
    assert len(asked) == 3
    with pytest.raises(AudioTimeoutError, match="it takes too long; expected at most 1e-09 s"):
        reader_of(content, max_seconds=1e-9).read()


def test_a_lack_of_memory_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault of this file, and not of the program."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    reader = reader_of(FILES["i16"])
    monkeypatch.setattr("phonograph_nodes.audio.pcm.np.empty", fail)
    with pytest.raises(AudioDecodeError, match=r"^<8044 bytes>: decode failed: not enough memory for it; read it in blocks"):
        reader.read()


@pytest.mark.parametrize("encoding", ["i16", "f32", "f64"])
def test_samples_across_the_places_of_their_type_are_read(encoding: str) -> None:
    """In memory they may begin at any byte."""
    content = riff(levels(encoding, 999), encoding)
    shifted = memoryview(b"x" + content)[1:]
    reader = open_pcm(Given(shifted), Limits())
    assert reader is not None
    np.testing.assert_array_equal(reader.read(), reader_of(content).read())


def test_raw_samples_are_read_as_they_are_said_to_be() -> None:
    """The same bytes, as two encodings."""
    raw = levels("i16", 100)
    words = open_raw(Given(raw), Limits(), RawPcm(encoding="i16", sample_rate=8000, num_channels=2))
    np.testing.assert_array_equal(words.read(), reader_of(riff(raw, "i16", num_channels=2)).read())
    assert (words.info.container, words.info.codec, words.info.duration_s) == ("raw", "pcm_s16le", 50 / 8000)
    codes = open_raw(Given(raw), Limits(), RawPcm(encoding="mulaw", sample_rate=8000))
    np.testing.assert_array_equal(codes.read(), reader_of(riff(raw, "mulaw")).read())


def test_what_is_known_of_a_file_is_told() -> None:
    """Bits of integers only, bit rate, duration, names by FFmpeg."""
    info = reader_of(riff(levels("i24", 2 * 4000), "i24", num_channels=2)).info
    assert (info.container, info.codec, info.channel_layout, info.bits) == ("wav", "pcm_s24le", "stereo", 24)
    assert (info.num_samples, info.duration_s, info.bit_rate, info.stream, info.num_streams) == (4000, 0.5, 384_000, 0, 1)
    assert [reader_of(riff(levels(kind, 9), kind)).info.bits for kind in ("u8", "i32", "f32", "mulaw")] == [8, 32, 0, 0]
