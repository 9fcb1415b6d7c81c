"""Tests of the sink `sink.shards`."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from limits import no_file_over
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError, OutputError
from phonograph_nodes.audio import load
from phonograph_nodes.writing.shards import Shards, ShardsParams, member_name, shard_of
from written import item


@contextmanager
def shards(folder: Path, num_shards: int = 1, audio: Literal["wav", "flac"] = "flac") -> Iterator[Shards]:
    """A sink for a run that stores all that it will, unless the block raises."""
    sink = Shards(ShardsParams(path=str(folder), num_shards=num_shards, audio=audio), "shards")
    try:
        sink.open()
        yield sink
        sink.finish()
    finally:
        sink.close()


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def stored(folder: Path, payload: Mapping[str, Any], **options: Any) -> dict[str, bytes]:
    with shards(folder, **options) as sink:
        sink.stage(item(payload)).commit()
    return members(folder / "shard-00000-of-00001.tar")


@pytest.mark.parametrize("audio", ["wav", "flac"])
def test_audio_comes_back(tmp_path: Path, audio: Literal["wav", "flac"]) -> None:
    """Audio is a member in the format that was asked for, and has the samples that went in."""
    samples = np.arange(-500, 500).reshape(2, 500).astype(np.float32) / np.float32(512)
    found = stored(tmp_path, {"item": AudioChunk(samples, 16000)}, audio=audio)
    assert list(found) == ["clips/a%2Ewav.json", f"clips/a%2Ewav.{audio}"]
    assert json.loads(found["clips/a%2Ewav.json"])["key"] == "clips/a.wav"
    back, rate = load(io.BytesIO(found[f"clips/a%2Ewav.{audio}"]), sr=None, mono=False)
    assert rate == 16000
    np.testing.assert_array_equal(back, samples)


def test_arrays_come_back(tmp_path: Path) -> None:
    """An array is a float32 NumPy file."""
    values = np.arange(12.0).reshape(3, 4)
    found = stored(tmp_path, {"item": values})
    back = np.load(io.BytesIO(found["clips/a%2Ewav.npy"]))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, values)


def test_facts_are_json_alone(tmp_path: Path) -> None:
    """What is neither audio nor an array is one member."""
    assert stored(tmp_path, {"item": "yes"}) == {"clips/a%2Ewav.json": b'{"key":"clips/a.wav","text":"yes"}\n'}


def test_keys_are_spread_over_the_shards(tmp_path: Path) -> None:
    """Each key is in one shard, the one that its digest says; all archives are whole, and nothing else is there."""
    keys = [f"clips/{number}" for number in range(200)]
    with shards(tmp_path, num_shards=4) as sink:
        for key in keys:
            sink.stage(item({"item": key}, key=key)).commit()
    names = [f"shard-0000{number}-of-00004.tar" for number in range(4)]
    assert sorted(os.listdir(tmp_path)) == names
    found = {name: [json.loads(content)["key"] for content in members(tmp_path / name).values()] for name in names}
    assert Counter(key for keys in found.values() for key in keys) == Counter(keys)
    assert all(names[shard_of(key, 4)] == name for name, keys in found.items() for key in keys)
    assert min(map(len, found.values())) > 30


def test_an_archive_without_samples(tmp_path: Path) -> None:
    """A shard that no key fell to is an archive all the same, so that loaders find as many as its name says."""
    with shards(tmp_path, num_shards=2):
        pass
    assert [members(tmp_path / f"shard-0000{number}-of-00002.tar") for number in range(2)] == [{}, {}]


def test_a_dot_does_not_join_two_keys() -> None:
    """Names of members end at their first dot, so no dot of a key may be there; different keys have different names."""
    names = [member_name(key) for key in ("c.d/a.wav", "c.d/a.mp3", "c.d/a", "c.d/a%2Ewav", "a.wav", "x" * 300 + ".a", "x" * 300)]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "." in name.rpartition("/")[2]]


def test_a_long_name_comes_back(tmp_path: Path) -> None:
    """Names that the first form of tar has no room for, and letters of any language, are read as they were written."""
    key = "/".join(["aufnahme-ü-録音" * 8] * 4)
    with shards(tmp_path) as sink:
        sink.stage(item({"item": "yes"}, key=key)).commit()
    (name,) = members(tmp_path / "shard-00000-of-00001.tar")
    assert name == member_name(key) + ".json"


def test_a_run_that_fails_leaves_earlier_archives(tmp_path: Path) -> None:
    """Samples stand in partial files until the run has stored all; what has the name stays until then."""
    before = stored(tmp_path, {"item": "before"})
    with pytest.raises(ZeroDivisionError), shards(tmp_path) as sink:
        sink.stage(item({"item": "after"})).commit()
        _ = 1 / 0
    assert members(tmp_path / "shard-00000-of-00001.tar") == before


def test_a_disk_without_room(tmp_path: Path) -> None:
    """A sample that does not fit is not there at all, and the next one that fits is."""
    with shards(tmp_path) as sink:
        with no_file_over(4096), pytest.raises(OutputError, match=r"-of-00001\.tar: cannot be written: File too large"):
            sink.stage(item({"item": np.zeros(4096)})).commit()
        sink.stage(item({"item": "small"}, key="b")).commit()
    assert list(members(tmp_path / "shard-00000-of-00001.tar")) == ["b.json"]


def test_an_archive_that_cannot_be_opened(tmp_path: Path) -> None:
    """The run fails before its first record; archives that had been opened are closed, so that others can write them."""
    (tmp_path / "shard-00001-of-00002.tar").mkdir()
    sink = Shards(ShardsParams(path=str(tmp_path), num_shards=2), "shards")
    with pytest.raises(OutputError, match=r"shard-00001-of-00002\.tar: is a folder; expected the name of a file"):
        sink.open()
    (tmp_path / "shard-00001-of-00002.tar").rmdir()
    with shards(tmp_path, num_shards=2):
        pass


def test_audio_that_the_format_does_not_hold(tmp_path: Path) -> None:
    """It is refused before anything is written, with the key and what to do."""
    audio = AudioChunk(np.zeros((9, 10), np.float32), 16000)
    with shards(tmp_path) as sink, pytest.raises(AudioFormatError, match=r"clips/a\.wav: 9 channels; FLAC holds 1 to 8"):
        sink.stage(item({"item": audio}))
