"""Tests of the cache of decoded audio."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio import cache_info, clear_cache, load, set_cache_size
from phonograph_nodes.audio.cache import MAX_BYTES, MAX_FILES, AudioCache, Loaded
from reference.audio_files import noise, wav


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    clear_cache()
    yield
    clear_cache()
    set_cache_size(max_bytes=MAX_BYTES, max_files=MAX_FILES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(wav(noise(1000).tobytes()))
    return tmp_path / "a.wav"


def made(num_samples: int) -> tuple[Loaded, bool]:
    return (np.zeros(num_samples, np.float32), 8000), True


def test_a_second_load_gives_the_same_array(path: Path) -> None:
    """It is not decoded again and not copied; without `cache` it is an array of its own."""
    first, rate = load(path, cache=True)
    again, _ = load(path, cache=True)
    assert again is first
    assert rate == 22050
    assert load(path)[0] is not first
    info = cache_info()
    assert (info.hits, info.misses, info.num_files, info.num_bytes) == (1, 1, 1, first.nbytes)


def test_cached_samples_are_read_only(path: Path) -> None:
    """Neither the array nor what owns its memory can be written to, nor made writeable again."""
    samples, _ = load(path, cache=True)
    with pytest.raises(ValueError, match="read-only"):
        samples[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        samples.setflags(write=True)


def test_other_parameters_are_other_audio(path: Path) -> None:
    """Rate, mixing, place, type and options of the decoder each make a difference."""
    load(path, cache=True)
    others: list[dict[str, Any]] = [
        {"sr": None},
        {"mono": False},
        {"offset": 0.01},
        {"duration": 0.01},
        {"dtype": "float64"},
        {"keep_truncated": True},
        {"quality": "fast"},
    ]
    for other in others:
        load(path, cache=True, **other)
    assert (cache_info().hits, cache_info().misses) == (0, 1 + len(others))


def test_a_changed_file_is_decoded_again(path: Path) -> None:
    """Another content of the same size, written later, is seen; so is another file put in its place."""
    before, _ = load(path, sr=None, cache=True)
    status = path.stat()
    path.write_bytes(wav(noise(1000)[::-1].tobytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after, _ = load(path, sr=None, cache=True)
    np.testing.assert_array_equal(after, before[::-1])
    other = path.with_name("b.wav")
    other.write_bytes(wav(np.zeros(1000, np.int16).tobytes()))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    other.replace(path)
    assert not load(path, sr=None, cache=True)[0].any()


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    """A file that did not decode is tried again, and a missing one is told as ever."""
    path = tmp_path / "a.wav"
    for _ in range(2):
        with pytest.raises(AudioDecodeError, match="No such file"):
            load(path, cache=True)
    assert cache_info().num_files == 0


@pytest.mark.parametrize("source", [b"RIFF", "-"])
def test_only_files_can_be_cached(source: Any) -> None:
    """What has no path cannot be known again."""
    with pytest.raises(ValueError, match="expected the path of a file"):
        load(source, cache=True)


def test_the_least_recently_used_goes_first() -> None:
    """By number: what was used lately stays."""
    cache = AudioCache(max_files=2)
    cache.get("a", lambda: made(1))
    cache.get("b", lambda: made(1))
    assert cache.find("a") is not None
    cache.get("c", lambda: made(1))
    assert cache.find("b") is None
    assert cache.find("a") is not None
    assert cache.info().evictions == 1


def test_bytes_are_bounded() -> None:
    """By bytes: as many go as make room, and what is too large by itself is handed out and not kept."""
    cache = AudioCache(max_bytes=4000)
    for key in "abc":
        cache.get(key, lambda: made(400))
    assert (cache.info().num_files, cache.info().num_bytes) == (2, 3200)
    samples, _ = cache.get("huge", lambda: made(1001))
    assert samples.size == 1001
    assert not samples.flags.writeable
    assert cache.find("huge") is None
    assert cache.info().num_files == 2


def test_a_smaller_size_holds_at_once(path: Path) -> None:
    """Bounds can be changed at any time; a negative one is refused."""
    load(path, cache=True)
    set_cache_size(max_bytes=0)
    assert (cache_info().num_files, cache_info().num_bytes, cache_info().max_bytes) == (0, 0, 0)
    with pytest.raises(ValueError, match="max_files is -1"):
        set_cache_size(max_files=-1)


def test_threads_that_ask_for_the_same_wait_for_one() -> None:
    """While one thread decodes, all others that want the same wait, and get the very same array."""
    cache, begun, finish = AudioCache(), threading.Event(), threading.Event()
    calls = []

    def slow() -> tuple[Loaded, bool]:
        calls.append(1)
        begun.set()
        finish.wait()
        return made(10)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.get, "a", slow)
        begun.wait()
        others = [pool.submit(cache.get, "a", slow) for _ in range(7)]
        finish.set()
        arrays = {id(future.result()[0]) for future in [first, *others]}
    assert len(arrays) == len(calls) == 1
    assert (cache.info().misses, cache.info().hits) == (1, 7)


def test_a_failure_belongs_to_its_own_thread() -> None:
    """A thread that waited for another, which failed, tries for itself."""
    cache, begun, finish = AudioCache(), threading.Event(), threading.Event()

    def failing() -> tuple[Loaded, bool]:
        begun.set()
        finish.wait()
        raise AudioDecodeError("a.wav", "decode", "it was cancelled")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", failing)
        begun.wait()
        second = pool.submit(cache.get, "a", lambda: made(10))
        finish.set()
        assert second.result()[0].size == 10
        with pytest.raises(AudioDecodeError):
            first.result()


def test_what_is_decoded_while_the_cache_is_cleared_is_not_kept() -> None:
    """Clearing holds for what was asked for before it."""
    cache = AudioCache()

    def clearing() -> tuple[Loaded, bool]:
        cache.clear()
        return made(10)

    assert cache.get("a", clearing)[0].size == 10
    assert cache.find("a") is None


def test_a_file_that_changed_while_it_was_read_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded may be of either content, and is handed out this once only."""
    from phonograph_nodes.audio import loading

    decode = loading._load

    def changing(*arguments: Any) -> Loaded:
        loaded = decode(*arguments)
        path.write_bytes(wav(noise(2000).tobytes()))
        return loaded

    monkeypatch.setattr(loading, "_load", changing)
    load(path, cache=True)
    assert cache_info().num_files == 0


def test_many_threads_and_little_room() -> None:
    """Eight threads at 40 keys and room for five: every answer is the right one, and the bounds and counts hold."""
    cache = AudioCache(max_bytes=5 * 40 * 4, max_files=5)

    def make(key: int) -> tuple[Loaded, bool]:
        return (np.full(40, key, np.float32), 8000), True

    def hammer(seed: int) -> bool:
        keys = np.random.default_rng(seed).integers(0, 40, 2000)
        return all(cache.get(int(key), lambda key=key: make(key))[0][0] == key for key in keys)  # type: ignore[misc]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hammer, range(8)))
    info = cache.info()
    assert info.hits + info.misses == 16_000
    assert info.num_files <= 5
    assert info.num_bytes == info.num_files * 160
