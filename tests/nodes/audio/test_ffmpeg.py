"""Tests of the reader through FFmpeg: which stream, which faults, which limits."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from phonograph.errors import (
    AudioCancelledError,
    AudioCorruptError,
    AudioDecodeError,
    AudioTimeoutError,
    AudioTooLongError,
)
from phonograph_nodes.audio.ffmpeg import FfmpegReader, open_ffmpeg
from phonograph_nodes.audio.given import AudioSource, Given
from phonograph_nodes.audio.reader import Limits
from phonograph_nodes.convert import mix_to_mono
from reference.audio_files import RATE, encoded, noise, wav

TONE = (8000 * np.sin(np.arange(10 * 4096) / 5)).astype(np.int16)[np.newaxis]
ALAC = encoded("alac", "mov", TONE, "s16p", "mono")
LONG = encoded("libmp3lame", "mp3", np.tile(TONE, 4), "s16p", "mono")


@contextmanager
def opened(source: AudioSource, limits: Limits = Limits(), stream: int | str = 0, strict: bool = False) -> Iterator[FfmpegReader]:  # noqa: B008
    reader = open_ffmpeg(Given(source), limits, stream=stream, strict=strict)
    try:
        yield reader
    finally:
        reader.close()


def destroyed(content: bytes, place: int, count: int = 400) -> bytes:
    return content[:place] + bytes(count) + content[place + count :]


def two_languages() -> bytes:
    """Matroska with a picture, constant English at 0.25 and constant French at 0.5."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams = []
        for language in ("eng", "fra"):
            stream = output.add_stream("flac", rate=RATE, layout="mono", format="s16")
            assert isinstance(stream, AudioStream)
            stream.metadata["language"] = language
            streams.append(stream)
        picture = output.add_stream("mjpeg", rate=1)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuvj420p"
        image = av.VideoFrame(16, 16, "yuvj420p")
        image.pts, image.time_base = 0, Fraction(1)
        output.mux([*picture.encode(image), *picture.encode(None)])
        for level, stream in zip((2**13, 2**14), streams, strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 4000), level, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return buffer.getvalue()


@pytest.mark.parametrize(("which", "level"), [(0, 0.25), (1, 0.5), ("eng", 0.25), ("fra", 0.5)])
def test_a_stream_is_chosen_by_index_or_language(which: int | str, level: float) -> None:
    """Of several audio streams, the one that is asked for decodes, and says which it is."""
    with opened(two_languages(), stream=which) as reader:
        np.testing.assert_array_equal(reader.read(), np.full((1, 4000), level, np.float32))
        assert (reader.info.stream, reader.info.num_streams) == (int(level == 0.5), 2)
        assert reader.info.language == ("fra" if level == 0.5 else "eng")


@pytest.mark.parametrize("which", [2, -1, "deu"])
def test_a_stream_that_is_not_there_names_those_that_are(which: int | str) -> None:
    """An index or language that no stream has is refused with all that there are."""
    with pytest.raises(AudioDecodeError, match=r"probe failed: it has no audio stream .*; expected one of 0 \(eng\), 1 \(fra\)"):
        open_ffmpeg(Given(two_languages()), Limits(), stream=which)


@pytest.mark.parametrize("first", [0, 4095, 4096, 30_000])
def test_a_damaged_packet_is_silence_and_counted_once(first: int) -> None:
    """ALAC with a packet destroyed gives the others at their times, and reading again does not count it again."""
    content = destroyed(ALAC, len(ALAC) // 2)
    with opened(content) as reader:
        whole = reader.read()
        blocks, expected = whole.reshape(10, 4096), (TONE / np.float32(32768)).reshape(10, 4096)
        lost = np.flatnonzero((blocks != expected).any(axis=1))
        assert len(lost) == 1
        assert not blocks[lost].any()
        np.testing.assert_array_equal(reader.read(first), whole[:, first:])
        np.testing.assert_array_equal(reader.read(), whole)
        assert reader.faults.corrupt_packets == len(reader.faults.words) == 1


@pytest.mark.parametrize(("codec", "container", "sample_format"), [("wavpack", "wv", "s16p"), ("tta", "tta", "s16")])
def test_a_block_with_a_wrong_checksum_is_no_audio(codec: str, container: str, sample_format: str) -> None:
    """One changed byte of WavPack or TTA is silence for as long as the block, counted, and refused with strict."""
    raw = noise(30 * RATE).T.copy()
    content = bytearray(encoded(codec, container, raw, sample_format, "mono"))
    content[len(content) // 2] ^= 0x55
    with opened(bytes(content)) as reader:
        samples = reader.read()
        assert samples.shape == raw.shape
        assert reader.faults.corrupt_packets == 1
        wrong = samples != raw / np.float32(32768)
        assert wrong.any()
        assert not samples[wrong].any()
    with opened(bytes(content), strict=True) as reader, pytest.raises(AudioCorruptError):
        reader.read()


def test_strict_refuses_a_damaged_packet_with_ffmpegs_word() -> None:
    """What is left out otherwise is an error that names file and stage, and has FFmpeg's own word."""
    with (
        opened(destroyed(ALAC, len(ALAC) // 2), strict=True) as reader,
        pytest.raises(AudioCorruptError, match=r"bytes>: decode failed: a packet did not decode") as caught,
    ):
        reader.read()
    assert caught.value.word


def test_mono_is_the_mean_of_what_is_read() -> None:
    """The mix made while copying has the bits of mixing afterwards, for two channels and for more."""
    for layout, count in (("stereo", 2), ("5.1", 6)):
        raw = noise(9000, count).reshape(1, -1)
        with opened(encoded("flac", "flac", raw, "s16", layout)) as reader:
            np.testing.assert_array_equal(reader.read(mono=True), mix_to_mono(reader.read()))


@pytest.mark.parametrize("block", [1, 1000, 4608, 100_000])
def test_blocks_are_the_whole(block: int) -> None:
    """Blocks of any length, one after the other, are the whole file; all but the last are full."""
    with opened(encoded("flac", "flac", noise(20_000).T.copy(), "s16", "mono")) as reader:
        count = 500 if block == 1 else None
        blocks = list(reader.blocks(block, 100, count))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), reader.read(100, count))
        assert {part.shape[1] for part in blocks[:-1]} <= {block}


def test_limits_hold_for_what_comes_out() -> None:
    """Duration and bytes are refused as soon as they are passed; exactly the limit is accepted; a part within it too."""
    content = encoded("flac", "flac", noise(2 * RATE).T.copy(), "s16", "mono")
    for limits in (Limits(max_duration_s=2.0), Limits(max_bytes=2 * RATE * 4)):
        with opened(content, limits) as reader:
            assert reader.read().shape == (1, 2 * RATE)
    for limits in (Limits(max_duration_s=1.9), Limits(max_bytes=2 * RATE * 4 - 4)):
        with opened(content, limits) as reader:
            with pytest.raises(AudioTooLongError, match=r"decode failed: more than .* s of audio .* split the file"):
                reader.read()
            assert reader.read(RATE, 100).shape == (1, 100)
    with opened(content, Limits(max_bytes=4000)) as reader:
        assert sum(part.shape[1] for part in reader.blocks(1000)) == 2 * RATE
    with opened(content, Limits(max_bytes=4000)) as reader, pytest.raises(AudioTooLongError):
        next(reader.blocks(1001))
    with opened(content, Limits(max_duration_s=1.0)) as reader, pytest.raises(AudioTooLongError):
        list(reader.blocks(1000))


def test_cancellation_is_asked_in_the_middle() -> None:
    """Reading ends soon after the answer is yes, and with an error of its own: after 32 packets at the latest."""
    content = encoded("aac", "adts", np.zeros((1, 200 * 1024), np.float32), "fltp", "mono")
    answers = iter([False] * 5)
    with (
        pytest.raises(AudioCancelledError),
        opened(content, Limits(is_cancelled=lambda: next(answers, True))) as reader,
    ):
        reader.read()
    assert next(answers, None) is None


def test_what_was_broken_off_is_begun_anew() -> None:
    """A seek, or a return to the beginning, that is cancelled at any moment leaves no trace in what is read then."""
    with opened(LONG) as reader:
        whole = reader.read()
    for moment in range(8):
        calls = [0] * 100
        limits = Limits(is_cancelled=lambda calls=calls, moment=moment: calls.append(0) or len(calls) == moment + 1)  # type: ignore[misc]
        with opened(LONG, limits) as reader:
            for broken in (15 * RATE, 0):
                reader.read(3000, 3000)
                calls.clear()
                with contextlib.suppress(AudioCancelledError):
                    reader.read(broken, 100)
                calls.extend([0] * 100)
                np.testing.assert_array_equal(reader.read(7000, 3000), whole[:, 7000:10_000], err_msg=f"{broken}, {moment}")


def test_after_a_lack_of_memory_samples_are_at_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block for which there was no room is decoded again."""
    with opened(LONG) as reader:
        whole = reader.read()
    monkeypatch.setattr("phonograph_nodes.audio.ffmpeg.reader._SLACK", -100_000)  # so that the buffer has to grow
    arrays, sizes = np.empty, iter(range(100))

    def no_second(*arguments: Any, **named: Any) -> Any:
        if next(sizes) == 1:
            raise MemoryError
        return arrays(*arguments, **named)

    with opened(LONG) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", no_second)
            with pytest.raises(AudioDecodeError, match="not enough memory"):
                reader.read()
        np.testing.assert_array_equal(reader.read(70_000, 5000), whole[:, 70_000:75_000])


def test_time_is_limited() -> None:
    """Past max_seconds, decoding ends with an error that names the limit."""
    with pytest.raises(AudioTimeoutError, match="at most 0 s"), opened(ALAC, Limits(max_seconds=0.0)) as reader:
        reader.read()


def test_samples_that_are_not_numbers_become_zero_and_are_counted() -> None:
    """NaN, infinity and doubles too large for float32 become 0, and are counted each time that they are read."""
    values = np.full((200, 2), 0.5)
    values[3, 0], values[7, 1], values[9, 0] = np.nan, -np.inf, 1e300
    expected = np.where(np.isfinite(values) & (abs(values) < 1e300), values, 0).T.astype(np.float32)
    with opened(wav(values.astype("<f8").tobytes(), bits=64, code=3, num_channels=2)) as reader:
        np.testing.assert_array_equal(reader.read(), expected)
        np.testing.assert_array_equal(reader.read(mono=True)[0], expected.mean(axis=0))
        assert reader.faults.non_finite == 6
        reader.read(9, 100)
        assert reader.faults.non_finite == 7


def test_readers_that_are_left_in_the_middle_give_their_packets_back() -> None:
    """PyAV's generator of packets is closed with the reader, and when a cursor begins anew."""
    with opened(ALAC) as reader:
        assert reader._cursor is not None
        demuxed = [reader._cursor.packets._demuxed]
        reader.read(20_000, 10)
        reader.read(0, 10)
        demuxed.append(reader._cursor.packets._demuxed)
    assert [generator.gi_frame for generator in demuxed] == [None, None]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["path", "bytes", "file"])
def test_any_source_gives_the_same(kind: str, tmp_path: Path) -> None:
    """A path, its bytes and a file object decode to the same, and nothing stays open."""
    path = tmp_path / "a.m4a"
    path.write_bytes(ALAC)
    before = os.listdir("/proc/self/fd")
    with path.open("rb") as file:
        sources: dict[str, AudioSource] = {"path": path, "bytes": ALAC, "file": file}
        source = sources[kind]
        with opened(source) as reader:
            np.testing.assert_array_equal(reader.read(), TONE / np.float32(32768))
            np.testing.assert_array_equal(reader.read(30_000, 5), TONE[:, 30_000:30_005] / np.float32(32768))
    assert os.listdir("/proc/self/fd") == before


def test_nothing_stays_open_after_an_error(tmp_path: Path) -> None:
    """A file that is no audio, one without the stream, and one that is too long are closed by their errors."""
    (tmp_path / "bad").write_bytes(b"RIFF" + bytes(2000))
    (tmp_path / "good").write_bytes(ALAC)
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        for name, stream in (("bad", 0), ("good", 5)):
            with pytest.raises(AudioDecodeError), opened(tmp_path / name, stream=stream):
                pass
        with pytest.raises(AudioTooLongError), opened(tmp_path / "good", Limits(max_duration_s=0.01)) as reader:
            reader.read()
    assert os.listdir("/proc/self/fd") == before


def test_a_stored_sample_keeps_its_bits() -> None:
    """Lossless codecs tell the bits of what is stored; lossy ones have none."""

    def bits(codec: str, container: str, samples: NDArray[np.int16], sample_format: str) -> int:
        with opened(encoded(codec, container, samples, sample_format, "mono")) as reader:
            return reader.info.bits

    assert bits("flac", "flac", TONE, "s16") == bits("alac", "mov", TONE, "s16p") == 16
    with opened(encoded("aac", "adts", np.zeros((1, 4096), np.float32), "fltp", "mono")) as reader:
        assert reader.info.bits == 0
