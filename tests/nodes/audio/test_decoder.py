"""Tests of `AudioDecoder`."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonograph.errors import AudioDecodeError, AudioFormatError, AudioTimeoutError, AudioTooLongError, AudioTruncatedError
from phonograph_nodes.audio import AudioDecoder, Limits, load
from reference.audio_files import RATE, encoded, noise, wav

STEREO = wav(noise(20_000, 2).tobytes(), num_channels=2)
FLAC = encoded("flac", "flac", noise(20_000, 2).reshape(1, -1).copy(), "s16", "stereo")
SIX = encoded("flac", "flac", noise(20_000, 6).reshape(1, -1).copy(), "s16", "5.1")


def test_one_decoder_gives_many_parts() -> None:
    """The same file can be asked again and again, forwards and backwards, without being opened again."""
    for content in (STEREO, FLAC):
        with AudioDecoder(content, mono=True) as decoder:
            whole = decoder.decode()
            for offset, duration in [(1.5, 0.25), (0.5, 0.25), (2.0, None), (0.0, None)]:
                first = int(offset * RATE)
                last = None if duration is None else first + int(duration * RATE)
                np.testing.assert_array_equal(decoder.decode(offset, duration), whole[first:last])


def test_it_tells_what_comes_out() -> None:
    """Rate and channels are those of the result; `info` has those of the file."""
    with AudioDecoder(STEREO, sr=16000, mono=True) as decoder:
        assert (decoder.sample_rate, decoder.num_channels) == (16000, 1)
        assert (decoder.info.sample_rate, decoder.info.num_channels, decoder.info.num_samples) == (RATE, 2, 20_000)
    with AudioDecoder(SIX, downmix="bs775") as decoder:
        assert (decoder.sample_rate, decoder.num_channels) == (RATE, 2)
        assert decoder.decode().shape == (2, 20_000)


@settings(max_examples=60, deadline=None)
@given(
    content=st.sampled_from([STEREO, FLAC, SIX]),
    num_samples=st.sampled_from([1, 7, 100, 4095, 4096, 4097, 10_000, 19_999, 20_000, 20_001, 10**6]),
    sr=st.sampled_from([None, 16000, 11025, 8000]),
    mono=st.booleans(),
    span=st.sampled_from([(0.0, None), (0.7, 0.9), (2.4, 4.0), (9.0, None)]),
)
def test_blocks_are_the_whole(
    content: bytes, num_samples: int, sr: int | None, mono: bool, span: tuple[float, float | None]
) -> None:
    """One after the other the blocks are the decode, bit for bit, and all but the last have the length that was asked for."""
    if num_samples < 100:
        span = (2.45, None)
    with AudioDecoder(content, sr=sr, mono=mono, downmix="bs775" if content is SIX else "mean") as decoder:
        whole = np.atleast_2d(decoder.decode(*span))
        blocks = [np.atleast_2d(block) for block in decoder.blocks(num_samples, *span)]
    lengths = [block.shape[1] for block in blocks]
    assert lengths[:-1] == [num_samples] * (len(lengths) - 1)
    assert all(0 < length <= num_samples for length in lengths)
    assert all(block.flags.c_contiguous for block in blocks)
    np.testing.assert_array_equal(np.concatenate([np.empty((len(whole), 0), np.float32), *blocks], axis=1), whole)


@pytest.mark.parametrize("sr", [None, 16000])
def test_blocks_need_memory_for_a_few_of_them(tmp_path: Path, sr: int | None) -> None:
    """A file that is 80 MB as float32 goes by in blocks of 200 kB with less than 8 MB of arrays."""
    path = tmp_path / "long.flac"
    path.write_bytes(encoded("flac", "flac", np.zeros((1, 20_000_000), np.int16), "s16", "mono"))
    tracemalloc.start()
    try:
        with AudioDecoder(path, sr=sr) as decoder:
            total = sum(block.shape[-1] for block in decoder.blocks(50_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 20_000_000 * (sr or RATE) // RATE
    assert peak < 8e6


def test_blocks_that_are_not_taken_leave_nothing_open(tmp_path: Path) -> None:
    """Stopping in the middle, also by an error, closes the file with the decoder."""
    for content in (STEREO, FLAC):
        path = tmp_path / "a"
        path.write_bytes(content)
        before = os.listdir("/proc/self/fd")
        with AudioDecoder(path, sr=16000) as decoder:
            next(iter(decoder.blocks(1000)))
        with pytest.raises(AudioTooLongError), AudioDecoder(path, limits=Limits(max_duration_s=1.0)) as decoder:
            list(decoder.blocks(1000))
        assert os.listdir("/proc/self/fd") == before


def test_a_truncated_file_is_told_after_its_last_block() -> None:
    """Everything that is there came out before."""
    content = wav(noise(4000).tobytes(), claimed=16_000)
    blocks, got = iter(AudioDecoder(content).blocks(1000)), 0
    with pytest.raises(AudioTruncatedError):
        while True:
            got += len(next(blocks))
    assert got == 4000
    with AudioDecoder(content, keep_truncated=True) as decoder:
        assert sum(map(len, decoder.blocks(1000))) == 4000
        assert decoder.faults.declared_s == 1.0


def test_bad_samples_stop_the_blocks_where_they_are() -> None:
    """Blocks before the first NaN come out; with "zero" all do, and they are counted."""
    values = np.full(3000, 0.5, "<f4")
    values[2500] = np.nan
    content = wav(values.tobytes(), bits=32, code=3)
    with AudioDecoder(content) as decoder:
        blocks = decoder.blocks(1000)
        assert [len(next(blocks)), len(next(blocks))] == [1000, 1000]
        with pytest.raises(AudioFormatError, match="1 samples are not finite"):
            next(blocks)
    with AudioDecoder(content, non_finite="zero") as decoder:
        assert len(list(decoder.blocks(1000))) == 3
        assert decoder.faults.non_finite == 1


@pytest.mark.parametrize("container", ["wav", "matroska"])
def test_every_call_looks_at_its_own_samples(container: str) -> None:
    """NaN refuses each part that holds it, however often and in whatever order, and no other; with "zero" each time counts."""
    values = np.full((1, 3000), 0.5, np.float32)
    values[0, [100, 2500]] = np.nan
    raw = values.astype("<f4")
    content = wav(raw.tobytes(), bits=32, code=3) if container == "wav" else encoded("pcm_f32le", container, raw, "flt", "mono")
    with AudioDecoder(content) as decoder:
        for offset, duration in [(0.3, 0.1), (0.0, 0.2), (0.0, 0.2), (0.0, None)]:
            with pytest.raises(AudioFormatError, match="samples are not finite"):
                decoder.decode(offset, duration)
        assert decoder.decode(0.1, 0.1).shape == (800,)
        for _ in range(2):
            with pytest.raises(AudioFormatError, match="1 samples are not finite"):
                next(decoder.blocks(1000))
    with AudioDecoder(content, non_finite="zero") as decoder:
        for count in (2, 4):
            decoder.decode()
            assert decoder.faults.non_finite == count


@pytest.mark.parametrize("content", [STEREO, FLAC], ids=["wav", "flac"])
@pytest.mark.parametrize("sr", [None, 16000])
def test_blocks_have_one_limit_on_time(content: bytes, sr: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks together, without the time that their consumer takes."""
    clock = [0.0]

    def tick() -> float:
        clock[0] += 0.01
        return clock[0]

    monkeypatch.setattr("phonograph_nodes.audio.reader.time.monotonic", tick)
    with AudioDecoder(content, sr=sr, limits=Limits(max_seconds=0.5)) as decoder, pytest.raises(AudioTimeoutError):
        list(decoder.blocks(100))
    with AudioDecoder(content, sr=sr, limits=Limits(max_seconds=2.0)) as decoder:
        for _ in decoder.blocks(5000):
            clock[0] += 10.0


CALLS: dict[str, Callable[[AudioDecoder], Any]] = {
    "decode": AudioDecoder.decode,
    "blocks": lambda decoder: next(decoder.blocks(100)),
    "close": AudioDecoder.close,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("content", [STEREO, FLAC], ids=["wav", "flac"])
def test_a_call_of_another_thread_is_refused_meanwhile(content: bytes, call: Callable[[AudioDecoder], Any]) -> None:
    """While one thread decodes, neither is the file read by another nor closed under it."""
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait() -> bool:
        is_inside.set()
        may_go_on.wait()
        return False

    may_go_on.set()
    decoder = AudioDecoder(content, limits=Limits(is_cancelled=wait))
    is_inside.clear()
    may_go_on.clear()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(decoder.decode()))
    thread.start()
    try:
        assert is_inside.wait(60)
        with pytest.raises(RuntimeError, match="is being read, by another call or thread"):
            call(decoder)
    finally:
        may_go_on.set()
        thread.join()
    np.testing.assert_array_equal(found[0], decoder.decode())
    decoder.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("content", [STEREO, FLAC], ids=["wav", "flac"])
def test_a_call_from_is_cancelled_is_refused(content: bytes, call: Callable[[AudioDecoder], Any]) -> None:
    """The error ends the decode, or the blocks, that asked; the next ones are whole."""
    asks: list[bool] = []

    def ask() -> bool:
        if asks:
            asks.clear()
            call(decoder)
        return False

    decoder = AudioDecoder(content, limits=Limits(is_cancelled=ask))
    for reads in (decoder.decode, lambda: list(decoder.blocks(15_000))):
        asks.append(True)
        with pytest.raises(RuntimeError, match="is being read, by another call or thread"):
            reads()
    with AudioDecoder(content) as other:
        np.testing.assert_array_equal(decoder.decode(), other.decode())
    decoder.close()


def test_blocks_of_nothing_are_refused() -> None:
    """At once, and not with the first block."""
    with AudioDecoder(STEREO) as decoder, pytest.raises(ValueError, match="num_samples is 0"):
        decoder.blocks(0)


def test_a_stream_that_is_not_there_is_refused() -> None:
    """By number and by language, in every container."""
    for content in (STEREO, FLAC):
        for stream in (1, "eng"):
            with pytest.raises(AudioDecodeError, match="probe failed"):
                AudioDecoder(content, stream=stream)


def test_hundreds_of_loads_leave_nothing(tmp_path: Path) -> None:
    """Neither open files nor memory, whether a load succeeds or fails."""
    paths = [tmp_path / "a.wav", tmp_path / "a.flac", tmp_path / "bad.wav", tmp_path / "bad.flac"]
    for path, content in zip(paths, [STEREO, FLAC, STEREO[:30], FLAC[:30]], strict=True):
        path.write_bytes(content)

    def load_all(times: int) -> None:
        for _ in range(times):
            for path in paths[:2]:
                load(path, sr=16000, offset=0.5, duration=0.5)
                load(path.read_bytes(), sr=None)
            for path in paths[2:]:
                with pytest.raises(AudioDecodeError):
                    load(path)

    load_all(5)
    before = os.listdir("/proc/self/fd")
    tracemalloc.start()
    try:
        load_all(5)
        level = tracemalloc.get_traced_memory()[0]
        load_all(100)
        growth = tracemalloc.get_traced_memory()[0] - level
    finally:
        tracemalloc.stop()
    assert os.listdir("/proc/self/fd") == before
    assert growth < 100_000
