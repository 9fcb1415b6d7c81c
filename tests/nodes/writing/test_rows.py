"""Tests of the sink `sink.jsonl`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limits import no_file_over
from phonograph.errors import OutputError
from phonograph_nodes.writing.arrays import Npy, NpyParams
from phonograph_nodes.writing.rows import Jsonl, JsonlParams
from phonograph_nodes.writing.wav import Wav, WavParams
from written import item


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
