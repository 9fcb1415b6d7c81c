"""Tests of the sinks `sink.npy`, `sink.wav`, `sink.jsonl`."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import AudioFormatError, BadInputError, OutputError
from phonograph.item import Item
from phonograph_nodes.decode import decode
from phonograph_nodes.write import Jsonl, JsonlParams, Npy, NpyParams, Wav, WavFormat, WavParams, encoded_row, wav_header


def item(payload: Mapping[str, Any], key: str = "clips/a.wav", **attributes: Any) -> Item:
    return Item(key=key, ordinal=0, payload=payload, attributes=MappingProxyType(attributes))


def row_of(value: Any, key: str = "clips/a.wav", **attributes: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(encoded_row(item({"item": value}, key, **attributes)))
    return row


@contextmanager
def jsonl(path: Path) -> Iterator[Jsonl]:
    sink = Jsonl(JsonlParams(path=str(path)), "rows")
    try:
        sink.open()
        yield sink
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


def test_wav_beyond_4_gib_is_refused() -> None:
    """Audio that a WAV file cannot hold is refused before anything is written."""
    silence = np.broadcast_to(np.float32(0), (2, 2**30))  # takes no memory
    with pytest.raises(AudioFormatError, match=r"long\.wav: .*less than 4 GiB"):
        wav_header(AudioChunk(silence, 16000), "pcm16", "long.wav")


def test_rows_appear_when_the_run_ends(tmp_path: Path) -> None:
    """Rows stand in the partial file until close, which gives the file its name and leaves nothing else."""
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


def test_a_row_holds_segments_and_attributes() -> None:
    """Segments are mappings, floats have nine digits, what is not a number is null, arrays are left out."""
    row = row_of(
        (Segment(0.0, 30.0, -20.123456789012, 1.0),),
        ratio=np.float32(0.1),
        count=np.int64(3),
        odd=float("nan"),
        loud=float("inf"),
        vector=np.zeros(3),
        nested={"a": [1, np.zeros(2), 0.1 + 0.2]},
    )
    assert row == {
        "key": "clips/a.wav",
        "segments": [{"start_ms": 0.0, "end_ms": 30.0, "energy_db": -20.1234568, "confidence": 1.0}],
        "ratio": 0.1,
        "count": 3,
        "odd": None,
        "loud": None,
        "nested": {"a": [1, 0.3]},
    }


def test_no_segments_is_an_empty_list() -> None:
    """A clip without speech has the field `segments`, empty."""
    assert row_of(()) == {"key": "clips/a.wav", "segments": []}


def test_audio_gives_a_row_of_attributes() -> None:
    """Audio itself is left out; a part names its parents."""
    whole = item({"audio": 0}, speaker="x")
    part = whole.child(3, {"item": AudioChunk(np.zeros((1, 4), np.float32), 16000)}, {"start_ms": 1.0})
    assert json.loads(encoded_row(part)) == {
        "key": "clips/a.wav#0003",
        "parents": ["clips/a.wav"],
        "speaker": "x",
        "start_ms": 1.0,
    }


def test_names_that_are_taken_keep_both_values() -> None:
    """The item's own fields keep their names; an attribute of the same name is kept under another, unless it is equal."""
    assert row_of("heard", text="said", key="mine", lang="en") == {
        "key": "mine",
        "text": "heard",
        "attribute_text": "said",
        "lang": "en",
    }
    assert row_of({"path": "p", "key": "k", "speaker": "s"}, speaker="s") == {
        "key": "clips/a.wav",
        "path": "p",
        "payload_key": "k",
        "speaker": "s",
    }


def test_a_value_without_a_form_in_json_is_refused() -> None:
    """An object that no row can hold is reported, not silently lost."""
    with pytest.raises(BadInputError, match="a set has no form"):
        encoded_row(item({"item": "x"}, odd={1}))


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(), st.dictionaries(st.text(min_size=1), plain_values, max_size=4))
def test_any_row_is_one_line_of_strict_json(text: str, attributes: dict[str, Any]) -> None:
    """Whatever an item carries, its row is one line of UTF-8 that JSON reads without NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = encoded_row(Item(key="k", ordinal=0, payload={"item": text}, attributes=attributes))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    row = json.loads(line.decode("utf-8"), parse_constant=refuse)
    assert row["key"] == "k"


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


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """No file may grow beyond this; the kernel writes as much of a row as still fits."""
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)


def test_a_row_that_does_not_fit_leaves_only_whole_rows(tmp_path: Path) -> None:
    """A torn append is an OutputError; the rows before it are whole, and the file is finished."""
    path = tmp_path / "rows.jsonl"
    with jsonl(path) as sink, file_size_limit(250):
        with pytest.raises(OutputError):
            for _ in range(10):
                sink.stage(item({"item": "x" * 60})).commit()
        assert Path(f"{path}.partial").stat().st_size < 250
    stored = rows(path)
    assert stored == [{"key": "clips/a.wav", "text": "x" * 60}] * len(stored)
    assert len(stored) == 2


def test_an_array_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    """A file that cannot be written whole is an OutputError with nothing left behind."""
    sink = Npy(NpyParams(path=str(tmp_path)), "out")
    with file_size_limit(1000), pytest.raises(OutputError):
        sink.stage(item({"features": np.zeros((100, 80), np.float32)}, "a"))
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
