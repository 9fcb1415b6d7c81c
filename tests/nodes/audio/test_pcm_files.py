"""Tests of reading PCM from a file on a disk: what its bytes in memory give, or a typed error."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from memory import most_allocated
from phonograph.errors import AudioDecodeError, AudioTruncatedError
from phonograph_nodes.audio import AudioDecoder
from phonograph_nodes.audio.containers import RawPcm
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.pcm import PcmReader, open_pcm, open_raw
from phonograph_nodes.audio.reader import Limits
from phonograph_nodes.resample import resample
from phonograph_nodes.resample.blocks import Pcm
from phonograph_nodes.resample.whole import resample_pcm
from reference.pcm_files import BYTES, levels, riff

STORED = [
    (encoding, num_channels, big_endian)
    for encoding in ("u8", "i16", "i24", "i32", "f32", "alaw", "mulaw")
    for num_channels in (1, 2)
    for big_endian in ((False,) if BYTES[encoding] == 1 else (False, True))
]


def reader_of_file(path: Path) -> PcmReader:
    reader = open_pcm(Given(path), Limits())
    assert reader is not None
    return reader


def both_readers(folder: Path, encoding: Any, num_channels: int, big_endian: bool) -> tuple[PcmReader, PcmReader]:
    """Of the same samples in memory and in a file, in which they begin at an odd place."""
    order: Any = "big" if big_endian else "little"
    raw = RawPcm(encoding=encoding, sample_rate=44_100, num_channels=num_channels, byte_order=order, header_bytes=33)
    content = bytes(33) + levels(encoding, num_channels * 300_001, big_endian=big_endian)
    (folder / "clip").write_bytes(content)
    return open_raw(Given(content), Limits(), raw), open_raw(Given(folder / "clip"), Limits(), raw)


def resampled(pcm: Pcm | None) -> NDArray[np.float32]:
    assert pcm is not None
    found = resample_pcm(pcm, in_rate=44_100, out_rate=16_000, quality="high")
    assert found is not None
    return found


@pytest.mark.parametrize(("encoding", "num_channels", "big_endian"), [*STORED, ("f64", 2, True), ("i8", 3, False)])
def test_a_file_gives_what_its_bytes_give(tmp_path: Path, encoding: str, num_channels: int, big_endian: bool) -> None:
    """Bit for bit, from an odd place on, in whole, in parts and in blocks; arrays outlive the reader."""
    held, reader = both_readers(tmp_path, encoding, num_channels, big_endian)
    assert replace(reader.info, name=held.info.name) == held.info
    for mono in (False, True):
        expected = held.read(mono=mono)
        whole, part = reader.read(mono=mono), reader.read(7, 290_003, mono=mono)
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks(70_001, mono=mono)), axis=1), expected)
        np.testing.assert_array_equal(whole, expected)
        np.testing.assert_array_equal(part, expected[:, 7:290_010])
    reader.close()
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize(("encoding", "num_channels", "big_endian"), STORED)
@pytest.mark.parametrize(("first", "count"), [(0, None), (1, 1), (3, 200_000), (299_990, None)])
def test_the_resampler_makes_the_same_of_a_file(
    tmp_path: Path, encoding: str, num_channels: int, big_endian: bool, first: int, count: int | None
) -> None:
    """What it reads in pieces is what it is given in memory, and what it is given as float32, bit for bit."""
    held, reader = both_readers(tmp_path, encoding, num_channels, big_endian)
    found = [resampled(one.pcm(first, count)) for one in (held, reader)]
    np.testing.assert_array_equal(found[0], found[1])
    mono = held.read(first, count, mono=True)[0]
    np.testing.assert_array_equal(found[0], resample(mono, in_rate=44_100, out_rate=16_000))
    reader.close()


@pytest.mark.parametrize("size", [50_000, 44, 0])
@pytest.mark.parametrize("options", [{"sr": 16_000, "mono": True}, {"sr": 16_000}, {"sr": None, "mono": True}])
def test_a_file_that_is_cut_short_while_it_is_open_is_a_typed_error(tmp_path: Path, size: int, options: dict[str, Any]) -> None:
    """By the resampler and without it; what still lies in the file is read."""
    path = tmp_path / "clip.wav"
    path.write_bytes(riff(levels("i16", 2 * 300_000), "i16", num_channels=2, sample_rate=44_100))
    with AudioDecoder(path, **options) as decoder:
        decoder.decode()
        expected = decoder.decode(0, 0.01)
        os.truncate(path, size)
        with pytest.raises(AudioTruncatedError, match=r"clip\.wav: decode failed: it became shorter while it was read; read it"):
            decoder.decode()
        with pytest.raises(AudioTruncatedError, match="it became shorter"):
            list(decoder.blocks(10_000))
        if size > 44:
            np.testing.assert_array_equal(decoder.decode(0, 0.01), expected)


def test_what_the_system_does_not_read_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its word is in the message."""
    path = tmp_path / "clip.wav"
    path.write_bytes(riff(levels("i16", 3000), "i16", sample_rate=44_100))
    with AudioDecoder(path, sr=16_000) as decoder, open(tmp_path / "other", "wb") as unreadable:
        monkeypatch.setattr(decoder._reader._content, "number", unreadable.fileno())  # type: ignore[attr-defined]
        for options in ({}, {"offset": 0.01}):
            with pytest.raises(
                AudioDecodeError, match=r"clip\.wav: decode failed: it cannot be read: Bad file descriptor; get it"
            ):
                decoder.decode(**options)
        monkeypatch.undo()


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_reader_that_is_closed_says_so(tmp_path: Path, in_memory: bool) -> None:
    """By its name, whatever is asked of it, and in the middle of its blocks."""
    content = riff(levels("i16", 3000), "i16", sample_rate=44_100)
    (tmp_path / "clip.wav").write_bytes(content)
    reader = open_pcm(Given(content if in_memory else tmp_path / "clip.wav"), Limits())
    assert reader is not None
    blocks = reader.blocks(1000)
    next(blocks)
    for _ in range(2):
        reader.close()
    for read in (reader.read, reader.pcm, lambda: next(reader.blocks(10)), lambda: next(blocks)):
        with pytest.raises(ValueError, match=rf"^{reader.info.name}: the reader is closed$"):
            read()


def test_threads_read_one_file_at_once(tmp_path: Path) -> None:
    """Each from its own place."""
    path = tmp_path / "clip.wav"
    path.write_bytes(riff(levels("i16", 2 * 300_000), "i16", num_channels=2, sample_rate=44_100))
    reader = reader_of_file(path)
    firsts = range(0, 200_000, 10_000)
    expected = [resampled(reader.pcm(first)) for first in firsts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda first: resampled(reader.pcm(first)), firsts))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    reader.close()


def test_a_long_file_takes_no_more_memory_than_its_blocks(tmp_path: Path) -> None:
    """Of 32 MB, what a block needs is held at a time, and a few pieces."""
    path = tmp_path / "long"
    path.write_bytes(riff(bytes(2**25), "i16"))
    reader = reader_of_file(path)
    assert most_allocated(lambda: sum(block.shape[-1] for block in reader.blocks(50_000))) < 2**20
    reader.close()
