"""Tests of the sinks `sink.npy`, `sink.wav`, `sink.jsonl`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from limits import no_file_over
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError, BadInputError, OutputError
from phonograph.item import Item
from phonograph_nodes.decode import decode
from phonograph_nodes.write import Jsonl, JsonlParams, Npy, NpyParams, Wav, WavFormat, WavParams, wav_header


def item(payload: Mapping[str, Any], key: str = "clips/a.wav", **attributes: Any) -> Item:
    return Item(key=key, ordinal=0, payload=payload, attributes=MappingProxyType(attributes))


@contextmanager
def jsonl(path: Path) -> Iterator[Jsonl]:
    """A sink for a run that stores all that it will, unless the block raises."""
    sink = Jsonl(JsonlParams(path=str(path)), "rows")
    try:
        sink.open()
        yield sink
        sink.finish()
    finally:
        sink.close()


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def written_wav(folder: Path, samples: NDArray[np.float32], sample_format: WavFormat) -> Path:
    sink = Wav(WavParams(path=str(folder), sample_format=sample_format), "out")
    sink.open()
    return Path(sink.stage(item({"audio": AudioChunk(samples, 16000)})).commit().path)


def test_npy_holds_the_features(tmp_path: Path) -> None:
    """An array comes back from its file as float32, under the record's key, only after commit."""
    sink = Npy(NpyParams(path=str(tmp_path / "out")), "matrices")
    sink.open()
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    part = sink.stage(item({"features": features}))
    final = tmp_path / "out" / "clips" / "a.wav.npy"
    assert not final.exists()
    written = part.commit()
    assert (written.path, written.num_bytes) == (str(final), final.stat().st_size)
    loaded = np.load(final)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, features)


def test_npy_of_no_rows_keeps_its_width(tmp_path: Path) -> None:
    """Features of a clip too short for one frame are stored as an empty matrix."""
    part = Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": np.empty((0, 80), np.float32)}))
    assert np.load(part.commit().path).shape == (0, 80)


@pytest.mark.parametrize("num_channels", [1, 2, 6])
@pytest.mark.parametrize("num_samples", [0, 1, 65535, 65536, 65537])
@pytest.mark.parametrize("sample_format", ["pcm16", "pcm24", "float32"])
def test_wav_comes_back(tmp_path: Path, sample_format: WavFormat, num_channels: int, num_samples: int) -> None:
    """What is written is read back within half a step of the sample format, all channels, every sample; RIFF sizes are right."""
    generator = np.random.default_rng(num_samples)
    samples = generator.uniform(-1, 1, (num_channels, num_samples)).astype(np.float32)
    path = written_wav(tmp_path, samples, sample_format)
    content = path.read_bytes()
    assert len(content) % 2 == 0
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    if num_samples:
        tolerance = {"pcm16": 2.0**-15, "pcm24": 2.0**-23, "float32": 0.0}[sample_format]
        decoded = decode(str(path)).chunk
        assert decoded.sample_rate == 16000
        np.testing.assert_allclose(decoded.samples, samples, rtol=0, atol=tolerance)
    else:
        assert content[-8:] == b"data\0\0\0\0"


def test_wav_is_clipped_at_full_scale(tmp_path: Path) -> None:
    """Samples beyond full scale are stored as full scale, not wrapped round; the standard library reads the file."""
    with wave.open(str(written_wav(tmp_path, np.array([[2, -2, 0.5, 1]], np.float32), "pcm16"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [32767, -32768, 16384, 32767]


@pytest.mark.parametrize(
    ("converted", "given", "bits"),
    [("i16", None, 16), ("i24", None, 24), ("u8", None, 16), (None, None, 16), ("i24", "pcm16", 16)],
)
def test_wav_follows_what_the_audio_was_converted_to(
    tmp_path: Path, converted: str | None, given: WavFormat | None, bits: int
) -> None:
    """Without a format of its own, the sink writes the one that audio.convert named; its own goes first."""
    sink = Wav(WavParams(path=str(tmp_path), sample_format=given), "out")
    attributes = {} if converted is None else {"sample_format": converted}
    part = sink.stage(item({"audio": AudioChunk(np.zeros((1, 8), np.float32), 16000)}, **attributes))
    with wave.open(part.commit().path) as file:
        assert 8 * file.getsampwidth() == bits


@pytest.mark.parametrize(
    ("num_channels", "rate", "message"),
    [
        (0, 16000, "0 channels of 16 bits; expected 1 to 32767"),
        (32768, 16000, "32768 channels of 16 bits; expected 1 to 32767"),
        (1, 0, "its rate is 0 Hz"),
        (1, 2**31, "its rate is 2147483648 Hz; expected a whole number, 1 to 2147483647"),
        (1, 44100.5, "its rate is 44100.5 Hz"),
    ],
)
def test_wav_refuses_what_its_header_cannot_say(num_channels: int, rate: Any, message: str) -> None:
    """Channels and rates beyond the fields of the header are errors of the audio, whatever their type."""
    with pytest.raises(AudioFormatError, match=f"^a.wav: {message}"):
        wav_header(AudioChunk(np.zeros((num_channels, 1), np.float32), rate), "pcm16", "a.wav")


def test_wav_takes_numpys_integers_as_rates() -> None:
    """A rate in 16 bits does not overflow in the bytes a second."""
    chunk = AudioChunk(np.zeros((2, 1), np.float32), np.uint16(48000))  # type: ignore[arg-type]
    assert wav_header(chunk, "pcm16", "a.wav")[28:32] == (4 * 48000).to_bytes(4, "little")


@pytest.mark.parametrize(
    "features",
    [np.zeros(3, np.complex64), np.array(["a"]), np.array([None]), [[1.0], [1.0, 2.0]], np.array([1.0, 1e39]), "text"],
)
def test_npy_refuses_what_float32_cannot_hold(tmp_path: Path, features: Any) -> None:
    """Complex numbers, text, objects, ragged rows and values out of range are bad input, not damaged silently."""
    with pytest.raises(BadInputError, match="features are"):
        Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": features}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("features", [np.array([1.0, np.inf, np.nan]), np.array([True, False]), np.array([2**40, -1]), [0.5, 1]])
def test_npy_takes_any_real_numbers(tmp_path: Path, features: Any) -> None:
    """Doubles, integers and truth values become float32; infinity and NaN are kept."""
    stored = np.load(Npy(NpyParams(path=str(tmp_path)), "m").stage(item({"features": features})).commit().path)
    np.testing.assert_array_equal(stored, np.asarray(features, np.float32))


def test_wav_beyond_4_gib_is_refused() -> None:
    """Audio that a WAV file cannot hold is refused before anything is written."""
    silence = np.broadcast_to(np.float32(0), (2, 2**30))  # takes no memory
    with pytest.raises(AudioFormatError, match=r"long\.wav: .*less than 4 GiB"):
        wav_header(AudioChunk(silence, 16000), "pcm16", "long.wav")


def test_rows_appear_when_the_run_ends(tmp_path: Path) -> None:
    """Rows stand in the partial file until finish, which gives the file its name and leaves nothing else."""
    path = tmp_path / "new" / "rows.jsonl"
    with jsonl(path) as sink:
        sink.stage(item({"item": "yes"})).commit()
        part = sink.stage(item({"item": "dropped"}))
        part.discard()
        assert not path.exists()
        assert rows(Path(f"{path}.partial")) == [{"key": "clips/a.wav", "text": "yes"}]
    assert rows(path) == [{"key": "clips/a.wav", "text": "yes"}]
    assert os.listdir(path.parent) == ["rows.jsonl"]


def test_rows_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    """What an earlier run left, finished or killed, is not in the new file."""
    path = tmp_path / "rows.jsonl"
    path.write_text("old\n")
    Path(f"{path}.partial").write_text("half a ro" * 100)
    with jsonl(path) as sink:
        sink.stage(item({"item": "new"})).commit()
    assert rows(path) == [{"key": "clips/a.wav", "text": "new"}]


def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    """A second sink on the same file is refused, and the first goes on unharmed."""
    path = tmp_path / "rows.jsonl"
    with jsonl(path) as first:
        with pytest.raises(OutputError, match="another sink or run"), jsonl(path):
            pass
        first.stage(item({"item": "x"})).commit()
    assert len(rows(path)) == 1


@pytest.mark.parametrize("kind", [Npy, Wav, Jsonl])
def test_an_output_that_cannot_be_made_fails_at_open(tmp_path: Path, kind: type[Any]) -> None:
    """A file where a folder is needed is found before the first record; close after that does nothing."""
    (tmp_path / "file").write_text("x")
    path = str(tmp_path / "file" / "out.jsonl")
    sink = kind({Npy: NpyParams, Wav: WavParams, Jsonl: JsonlParams}[kind](path=path), "out")
    with pytest.raises(OutputError, match="choose another output folder"):
        sink.open()
    sink.close()


def test_a_folder_in_the_place_of_the_rows_is_refused(tmp_path: Path) -> None:
    """The path of a JSONL may not be a folder."""
    with pytest.raises(OutputError, match="is a folder"), jsonl(tmp_path):
        pass


def test_a_row_that_does_not_fit_leaves_only_whole_rows(tmp_path: Path) -> None:
    """A torn append is an OutputError; the rows before it are whole in the partial file, and later ones follow them."""
    path, row = tmp_path / "rows.jsonl", {"key": "clips/a.wav", "text": "x" * 60}
    with jsonl(path) as sink:
        for _ in range(2):
            sink.stage(item({"item": "x" * 60})).commit()
        part = sink.stage(item({"item": "x" * 60}))
        with no_file_over(250), pytest.raises(OutputError):
            part.commit()
        assert rows(Path(f"{path}.partial")) == [row, row]
        part.commit()
    assert rows(path) == [row] * 3


def test_a_run_that_does_not_finish_leaves_the_old_file(tmp_path: Path) -> None:
    """Close without finish keeps what stood under the name, and the stored rows beside it."""
    path = tmp_path / "rows.jsonl"
    path.write_text('"old"\n')
    with pytest.raises(KeyboardInterrupt), jsonl(path) as sink:
        sink.stage(item({"item": "new"})).commit()
        raise KeyboardInterrupt
    assert rows(path) == ["old"]
    assert rows(Path(f"{path}.partial")) == [{"key": "clips/a.wav", "text": "new"}]


def test_a_file_that_is_finished_between_open_and_lock_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that opened the partial file of another just before it got its final name makes one of its own."""
    path, lock = tmp_path / "rows.jsonl", fcntl.flock
    Path(f"{path}.partial").write_text('"first"\n')

    def lock_late(descriptor: int, operation: int) -> None:
        if not path.exists():
            os.rename(f"{path}.partial", path)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    sink = Jsonl(JsonlParams(path=str(path)), "rows")
    sink.open()
    assert rows(path) == ["first"]
    sink.stage(item({"item": "second"})).commit()
    sink.finish()
    sink.close()
    assert rows(path) == [{"key": "clips/a.wav", "text": "second"}]


def test_an_array_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    """A file that cannot be written whole is an OutputError with nothing left behind."""
    sink, large = Npy(NpyParams(path=str(tmp_path)), "out"), item({"features": np.zeros((100, 80), np.float32)}, "a")
    with no_file_over(1000), pytest.raises(OutputError):
        sink.stage(large)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_the_rows_that_were_stored(small_disk: Path) -> None:
    """When the disk is full, the run is told what to do, and every row that was committed is in the file."""
    path, stored = small_disk / "rows.jsonl", 0
    with jsonl(path) as sink:
        with pytest.raises(OutputError, match="free space on that disk") as caught:
            for _ in range(1000):
                sink.stage(item({"item": "x" * 1000})).commit()
                stored += 1
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC
    assert 0 < stored == len(rows(path))
