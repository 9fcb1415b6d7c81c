"""Tests of decoding many files in threads."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.errors import AudioCancelledError, AudioDecodeError
from phonograph_nodes.audio import Limits, batch_decode
from phonograph_nodes.audio import batch as room
from reference.audio_files import noise, wav


def contents(number: int) -> list[bytes]:
    """Files of 100, 101, ... samples."""
    return [wav(noise(100 + index).tobytes()) for index in range(number)]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_sources(workers: int) -> None:
    """Whatever order the threads end in; each result names its source and has the rate."""
    sources = contents(20)
    results = list(batch_decode(sources, workers=workers, sr=None))
    assert [result.source for result in results] == sources
    assert {result.sample_rate for result in results} == {8000}
    for index, result in enumerate(results):
        np.testing.assert_array_equal(result.samples, noise(100 + index)[:, 0] / 32768)


def test_an_error_is_a_value(tmp_path: Path) -> None:
    """A file that does not decode gives its error in its place, and the others decode."""
    good, missing = contents(1)[0], tmp_path / "missing.wav"
    first, second, third, fourth = batch_decode([good, missing, b"", good], workers=2)
    assert isinstance(second.error, AudioDecodeError)
    assert second.error.file == str(missing)
    assert (second.samples, second.sample_rate) == (None, 0)
    assert isinstance(third.error, AudioDecodeError)
    assert first.error is fourth.error is None


def test_an_endless_list_is_taken_piece_by_piece() -> None:
    """At most two files a worker are decoded ahead of what was taken."""
    taken = []

    def endless() -> Iterator[bytes]:
        content = contents(1)[0]
        for number in itertools.count():
            taken.append(number)
            yield content

    results = batch_decode(endless(), workers=2)
    for number in range(10):
        next(results)
        assert len(taken) <= number + 1 + 2 * 2
    results.close()  # type: ignore[attr-defined]


def test_an_abandoned_iterator_ends_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing it cancels what decodes, and leaves no thread behind."""
    cancelled, begun = [], threading.Event()

    def endless_load(source: Any, *, limits: Limits) -> Any:
        if source == b"first":
            return np.zeros(1, np.float32), 8000
        begun.set()
        assert limits.is_cancelled is not None
        while not limits.is_cancelled():
            threading.Event().wait(0.001)
        cancelled.append(source)
        raise AudioCancelledError("a", "decode", "it was cancelled")

    monkeypatch.setattr(room, "load", endless_load)
    results = batch_decode([b"first", b"second", b"third"], workers=1)
    next(results)
    begun.wait()
    results.close()  # type: ignore[attr-defined]
    assert cancelled == [b"second"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("phonograph-decode")]


def test_the_callers_own_cancellation_holds_too() -> None:
    """What `limits` says is asked as well."""
    results = list(batch_decode(contents(3), workers=1, limits=Limits(is_cancelled=lambda: True)))
    assert [type(result.error) for result in results] == [AudioCancelledError] * 3


def test_progress_is_told_before_each_result() -> None:
    """With the number of all results where it is known."""
    told: list[tuple[int, int | None]] = []
    list(batch_decode(contents(3), workers=2, progress=lambda done, total: told.append((done, total))))
    list(batch_decode(iter(contents(1)), workers=2, progress=lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3), (1, None)]


def test_options_are_those_of_load() -> None:
    """Rate, channels and place hold for every file; what cannot be is refused before anything is decoded."""
    source = wav(noise(800, 2).tobytes(), num_channels=2)
    (result,) = batch_decode([source], sr=4000, mono=False, offset=0.05)
    assert result.samples is not None
    assert result.samples.shape == (2, 200)
    with pytest.raises(ValueError, match="offset=-1"):
        batch_decode([source], offset=-1.0)
    with pytest.raises(TypeError, match="got rate"):
        batch_decode([source], rate=8000)  # type: ignore[call-arg]


@pytest.mark.parametrize("one", ["ok.flac", b"ok", bytearray(b"ok"), memoryview(b"ok"), Path("ok.flac"), io.BytesIO(b"ok")])
def test_one_source_is_no_list(one: Any) -> None:
    """Its letters, bytes or lines are no sources; the error shows what is meant."""
    with pytest.raises(TypeError, match=rf"got one source, a .*{type(one).__name__.removeprefix('Posix')}; .*: \[source\]"):
        batch_decode(one)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_what_was_decoded_before_the_sources_fail_is_handed_out(workers: int) -> None:
    """The error of an iterable comes in its place, after the results before it."""

    def failing() -> Iterator[bytes]:
        yield from contents(5)
        raise OSError("the list ends here")

    results = batch_decode(failing(), workers=workers, sr=None)
    assert [result.samples.shape for result in itertools.islice(results, 5) if result.samples is not None] == [
        (100 + index,) for index in range(5)
    ]
    with pytest.raises(OSError, match="the list ends here"):
        next(results)
    assert list(results) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("phonograph-decode")]


def test_no_sources_give_no_results() -> None:
    """Nothing is started for nothing."""
    assert list(batch_decode([])) == []


def test_fewer_workers_than_one_are_refused_at_once() -> None:
    """Before the first result is asked for."""
    with pytest.raises(ValueError, match="workers is 0"):
        batch_decode([], workers=0)
