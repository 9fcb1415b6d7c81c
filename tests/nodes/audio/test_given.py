"""Tests of what audio may be read from."""

from __future__ import annotations

import gzip
import io
import mmap
import os
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.errors import AudioDecodeError, AudioTooLongError
from phonograph_nodes.audio import AudioDecoder, AudioSource, Limits, load
from phonograph_nodes.audio.given import Given
from reference.audio_files import encoded, noise, wav

CONTENT = wav(noise(3000).tobytes())


def samples_of(source: AudioSource) -> Any:
    return load(source, sr=None)[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(CONTENT)
    return tmp_path / "a.wav"


def test_every_kind_of_source_gives_the_same(path: Path) -> None:
    """A path as text or Path, bytes of each kind, a memory map, file objects on disk and in memory."""
    expected = noise(3000)[:, 0] / 32768
    with path.open("rb") as file, path.open("rb", buffering=0) as raw, path.open("r+b") as writable:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        held: list[AudioSource] = [CONTENT, bytearray(CONTENT), memoryview(CONTENT), mapped]
        held += [str(path), path, file, raw, writable, io.BytesIO(CONTENT)]
        for source in held:
            np.testing.assert_array_equal(samples_of(source), expected)
        mapped.close()


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads standard input to its end, and messages call it so."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CONTENT)))
    assert samples_of("-").shape == (3000,)
    with pytest.raises(AudioDecodeError, match=r"^<standard input>: open failed: it is empty"):
        samples_of("-")


def test_a_path_called_minus_is_a_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Path is never standard input."""
    path.rename(path.with_name("-"))
    monkeypatch.chdir(path.parent)
    assert samples_of(Path("-")).shape == (3000,)


def test_a_pipe_that_is_open_is_read_to_its_end() -> None:
    """A file object that cannot seek is read into memory."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(CONTENT)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb") as file:
        assert samples_of(file).shape == (3000,)
    thread.join()


def test_what_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that goes on beyond the limit is refused before it has filled the memory."""

    class Endless:
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr("phonograph_nodes.audio.given.MAX_STREAMED_BYTES", 2**21)
    with pytest.raises(AudioDecodeError, match="<file object>: open failed: it goes on and on"):
        Given(Endless())


def test_a_file_object_stays_open_where_it_stood(path: Path) -> None:
    """It is read from its beginning, wherever it stands, and stands there again afterwards."""
    with path.open("rb") as file:
        file.seek(100)
        assert samples_of(file).shape == (3000,)
        assert file.tell() == 100


def test_a_file_that_its_owner_closes_is_read_to_its_end(path: Path) -> None:
    """Also when its descriptor is another file's by then."""
    other = path.with_name("other")
    other.write_bytes(bytes(len(CONTENT)))
    file = path.open("rb")
    with AudioDecoder(file) as decoder:
        number = file.fileno()
        file.close()
        with other.open("rb") as later:
            assert later.fileno() == number
            np.testing.assert_array_equal(decoder.decode(), noise(3000)[:, 0] / 32768)


def test_the_buffer_is_read_only(path: Path) -> None:
    """Nobody can change what was given by way of the buffer."""
    for source in (path, bytearray(CONTENT), io.BytesIO(CONTENT)):
        with Given(source) as given:
            assert given.buffer().readonly
            assert bytes(given.buffer()) == CONTENT
            assert given.size == len(CONTENT)


def test_a_file_object_can_be_opened_again_and_again(path: Path) -> None:
    """Each opening stands at the beginning and can seek; closing it leaves the owner's object open."""
    for source in (path, CONTENT, io.BytesIO(CONTENT)):
        with Given(source) as given:
            for _ in range(2):
                with given.open() as file:
                    assert file.read(4) == b"RIFF"
                    assert file.seek(-2, os.SEEK_END) == len(CONTENT) - 2
                    assert file.read() == CONTENT[-2:]
                    assert file.tell() == len(CONTENT)


@pytest.mark.parametrize(
    "source", [io.StringIO("text"), 7, None, np.zeros(5), np.zeros(5, np.uint8), ["a.wav"], memoryview(CONTENT)[::2]]
)
def test_what_holds_no_bytes_is_an_error_of_the_call(source: Any) -> None:
    """Other types, text, and memory with gaps are refused as such."""
    with pytest.raises(TypeError, match="audio is given as"):
        Given(source)


def test_a_missing_file_names_its_neighbour(path: Path) -> None:
    """A path that is not there is answered with the nearest name in its folder."""
    missing = path.with_name("aa.wav")
    with pytest.raises(
        AudioDecodeError, match=r"aa\.wav: open failed: No such file or directory; nearest in .*: 'a\.wav'"
    ) as caught:
        Given(missing)
    assert (caught.value.file, caught.value.stage) == (str(missing), "open")


def test_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    """What is not a plain file is refused without being opened, so that no pipe can block."""
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioDecodeError, match="it is a folder"):
        Given(tmp_path)
    with pytest.raises(AudioDecodeError, match="it is a pipe"):
        Given(tmp_path / "pipe.wav")


def test_a_file_that_becomes_a_pipe_is_refused(path: Path) -> None:
    """Also after it was looked at; nothing waits for somebody to write to it."""
    given, found = Given(path), []
    path.unlink()
    os.mkfifo(path)

    def read() -> None:
        try:
            given.head()
        except AudioDecodeError as error:
            found.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # lets go who waits
    assert found == [f"{path}: open failed: it is no plain file"]


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "concat:a.wav|b.wav", "http://localhost/a.wav"])
def test_a_path_that_cannot_be_is_a_typed_error(path: str) -> None:
    """Paths that no file can have, or that FFmpeg reads as a protocol, are files that are not there."""
    with pytest.raises(AudioDecodeError, match="open failed"):
        Given(path)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_no_bytes_are_refused(kind: Any, tmp_path: Path) -> None:
    """Emptiness is told before anything looks for audio in it."""
    with pytest.raises(AudioDecodeError, match=r"^<0 bytes>: open failed: it is empty; expected encoded audio"):
        Given(kind(b""))
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioDecodeError, match=r"it is empty \(0 bytes\); expected encoded audio; get it again"):
        Given(tmp_path / "a.wav")


def test_a_file_that_may_not_be_read_is_a_typed_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says when it does not open a file is in the message."""

    def refuse(*arguments: Any, **keywords: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AudioDecodeError, match=r"a\.wav: open failed: Permission denied"):
        load(path)


class Broken(io.BytesIO):
    """A file object that can be read so many times."""

    def __init__(self, content: bytes, error: BaseException, times: int) -> None:
        super().__init__(content)
        self._error, self._times = error, times

    def read(self, size: int | None = -1, /) -> bytes:
        self._times -= 1
        if self._times < 0:
            raise self._error
        return super().read(size)


FLAC = encoded("flac", "flac", noise(40_000).T.copy(), "s16", "mono")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), zlib.error("bad block"), EOFError()])
@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_file_object_that_raises_is_a_typed_error(error: Exception, times: int) -> None:
    """Whatever it raises, at its first bytes or while FFmpeg reads it, is told as an error of that source."""
    with pytest.raises(AudioDecodeError, match=r"^<file object>: open failed: it cannot be read: .+; get it again") as caught:
        load(Broken(FLAC, error, times))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("times", [0, 1, 5])
def test_what_interrupts_a_file_object_is_raised_as_it_is(times: int) -> None:
    """At its first bytes, or while FFmpeg reads it: the file does not seem to end there."""
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        load(Broken(FLAC, error, times))
    assert caught.value is error


@pytest.mark.parametrize("wrong", [None, "text", 7])
@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_file_object_that_gives_no_bytes_is_a_typed_error(wrong: Any, times: int) -> None:
    """Nothing yet, as an unblocking socket has it, or text: at its first bytes, or while FFmpeg reads it."""

    class Wrong(io.BytesIO):
        num_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.num_read += 1
            return wrong if self.num_read > times else super().read(size)

    found = f"it cannot be read: its read\\(\\) gave {type(wrong).__name__}, expected bytes; get it again"
    with pytest.raises(AudioDecodeError, match=rf"^<file object>: open failed: {found}"):
        load(Wrong(FLAC))


@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_file_object_that_gives_more_than_asked_is_refused(times: int) -> None:
    """FFmpeg has no room for it. Bytes of other kinds are taken."""

    class Long(io.BytesIO):
        num_read = 0

        def read(self, size: int | None = -1, /) -> Any:
            self.num_read += 1
            return bytes((size or 0) + 2**20) if self.num_read > times else bytearray(super().read(size))

    found = r"its read\(\d+\) gave \d+ bytes; expected no more than were asked for; give all that it holds as bytes"
    with pytest.raises(AudioDecodeError, match=rf"^<file object>: open failed: {found}"):
        load(Long(FLAC))


def test_a_closed_file_is_a_typed_error(path: Path) -> None:
    """And not the ValueError that Python has for it."""
    with path.open("rb") as file:
        pass
    with pytest.raises(AudioDecodeError, match=r"a\.wav: open failed: it cannot be read: .* closed file"):
        load(file)


def test_what_is_unpacked_into_memory_is_limited() -> None:
    """A WAV file of 20 MB in a few kB is refused by max_bytes before it is in memory; within the limit it is read."""
    packed = gzip.compress(wav(bytes(20 * 2**20)))
    tracemalloc.start()
    try:
        with gzip.open(io.BytesIO(packed)) as file, pytest.raises(AudioTooLongError, match="at most 2097152 bytes"):
            load(file, limits=Limits(max_bytes=2**21))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    with gzip.open(io.BytesIO(gzip.compress(CONTENT))) as file:
        assert load(file, sr=None, limits=Limits(max_bytes=2**14))[0].shape == (3000,)
