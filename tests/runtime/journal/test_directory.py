"""The run directory: whole lines, a lock, dead letters that can be read back."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import jsonschema
import pytest

from limits import no_file_over
from phonograph.errors import RunDirectoryError, TransientError
from phonograph.graph.builder import load_graph
from phonograph.graph.model import GraphNode
from phonograph.item import Item, Outcome
from phonograph.journal import DeadLetter, RunDirectory, default_run_directory
from phonograph.journal.directory import JOURNAL
from phonograph.journal.records import RECORDS, RecordRow, rows_of
from phonograph.shipped import shipped_root
from small_runs import registry_with, rows_in


def ended(key: str, ordinal: int, **facts: int) -> RecordRow:
    return RecordRow(key=key, ordinal=ordinal, outcome=Outcome.COMPLETED, **facts)  # type: ignore[arg-type]  # size, mtime_ns


@pytest.fixture
def flaky(tmp_path: Path) -> GraphNode:
    path = tmp_path / "m.yaml"
    path.write_text(
        "version: 1\nname: test\nsteps:\n"
        "  - {type: testing.numbers}\n  - {id: flaky, type: testing.flaky}\n  - {type: testing.discard}\n"
    )
    return load_graph(path, registry_with()).nodes["flaky"]


def test_rows_are_whole_and_sealed(tmp_path: Path) -> None:
    """What was stored can be read back while the run goes on, line by line; what waits is stored when the run ends."""
    with RunDirectory(tmp_path / "run") as directory:
        directory.ended(ended("clips/a.wav", 0, size=7, mtime_ns=11))
        directory.store(directory.take())
        assert rows_in(tmp_path / "run") == [
            {"key": "clips/a.wav", "ordinal": 0, "size": 7, "mtime_ns": 11, "outcome": "completed"}
        ]
        directory.ended(ended("clips/b.wav", 1))
    assert [row["key"] for row in rows_in(tmp_path / "run")] == ["clips/a.wav", "clips/b.wav"]


def test_a_file_name_that_is_not_utf8_is_kept(tmp_path: Path) -> None:
    """A key with a lone surrogate is read back as it was."""
    key = "clips/" + os.fsdecode(b"caf\xe9.wav")
    with RunDirectory(tmp_path / "run") as directory:
        directory.ended(ended(key, 0))
    (rows,) = rows_of(tmp_path / "run" / JOURNAL / RECORDS)
    assert [row.key for row in rows] == [key]


def test_a_dead_letter_is_what_its_contract_says(tmp_path: Path, flaky: GraphNode) -> None:
    """Odd keys and values that JSON does not have are stored in a form that parsers read."""
    key = "clips/" + os.fsdecode(b"caf\xe9.wav")
    error = TransientError("busy")
    error.__cause__ = TimeoutError("after 5 s")
    attributes = {"gain": math.nan, "where": Path("/x"), "spans": (1, 2.5)}
    with RunDirectory(tmp_path / "run") as directory:
        directory.add_dead_letter(DeadLetter.of(flaky, Item(key=key, ordinal=7, payload={}, attributes=attributes), error, 4))
        letter = json.loads(directory.dead_letters_path.read_bytes())
    assert (letter["key"], letter["ordinal"], letter["node"], letter["attempts"]) == (key, 7, "flaky", 4)
    assert letter["attributes"] == {"gain": None, "where": "/x", "spans": [1, 2.5]}
    assert letter["causes"] == ["TimeoutError: after 5 s"]
    jsonschema.validate(letter, json.loads((shipped_root("contracts") / "dead-letter.schema.json").read_text()))


def test_a_full_disk_leaves_whole_groups(tmp_path: Path) -> None:
    """The group that has no room is not there at all, the error names the directory, and nothing is written after it."""
    with RunDirectory(tmp_path / "run") as directory:
        directory.ended(ended("clips/a.wav", 0))
        directory.store(directory.take())
        size = (tmp_path / "run" / JOURNAL / RECORDS).stat().st_size
        directory.ended(ended("clips/b.wav", 1))
        with no_file_over(size + 40), pytest.raises(RunDirectoryError, match="cannot be written"):
            directory.store(directory.take())
        directory.ended(ended("clips/c.wav", 2))
    assert [row["key"] for row in rows_in(tmp_path / "run")] == ["clips/a.wav"]


def test_a_directory_that_has_vanished_is_noticed(tmp_path: Path) -> None:
    """What is written into a file without a name is lost, so the run is told."""
    with pytest.raises(RunDirectoryError, match="moved or removed"), RunDirectory(tmp_path / "run") as directory:
        shutil.rmtree(tmp_path / "run")
        directory.ended(ended("clips/a.wav", 0))
        directory.store(directory.take())


def test_the_lock_goes_with_the_run(tmp_path: Path) -> None:
    """A second run is refused while the first holds the directory, and let in afterwards."""
    with RunDirectory(tmp_path / "run"):
        assert (tmp_path / "run" / "lock").exists()
        with pytest.raises(RunDirectoryError, match=f"in use by process {os.getpid()}"):
            RunDirectory(tmp_path / "run")
    assert not (tmp_path / "run" / "lock").exists()
    with RunDirectory(tmp_path / "run"):
        pass


def test_a_lock_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    """A garbled lock is not taken over, and the message names the file to remove."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").write_text("garbled")
    with pytest.raises(RunDirectoryError, match=r"remove .*lock"):
        RunDirectory(tmp_path / "run")


def test_a_reused_pid_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A lock of this pid from before this process started is stale."""
    with RunDirectory(tmp_path / "run"):
        owner = json.loads((tmp_path / "run" / "lock").read_text())
    (tmp_path / "run" / "lock").write_text(json.dumps({**owner, "started": "1"}))
    with RunDirectory(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / "lock").read_text()) == owner


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way gives the path, the system's word and the remedy."""
    (tmp_path / "run").write_text("")
    with pytest.raises(RunDirectoryError, match=r"run: the run directory cannot be written: .*--run-dir"):
        RunDirectory(tmp_path / "run")


def test_runs_with_the_same_outputs_share_a_directory(tmp_path: Path) -> None:
    """The default directory follows name and outputs, and nothing else."""
    text = "version: 1\nname: test\nsteps:\n  - {type: testing.numbers, params: {count: COUNT}}\n  - {type: testing.discard}\n"
    paths = []
    for name, count in (("a", "1"), ("b", "2")):
        (tmp_path / f"{name}.yaml").write_text(text.replace("COUNT", count))
        paths.append(default_run_directory(load_graph(tmp_path / f"{name}.yaml", registry_with())))
    assert paths[0] == paths[1]
    assert paths[0].parts[0] == ".phonograph"


def test_a_full_disk_leaves_no_lock_that_nobody_holds(tmp_path: Path) -> None:
    """A run that could not even lock its directory does not keep the next one out."""
    with no_file_over(0), pytest.raises(RunDirectoryError, match="cannot be written"):
        RunDirectory(tmp_path / "run")
    with RunDirectory(tmp_path / "run"):
        pass


def test_a_directory_that_opens_half_holds_nothing(tmp_path: Path) -> None:
    """When the second of its files cannot be opened, the first is closed and the lock is gone."""
    (tmp_path / "run" / "dead_letters.jsonl").mkdir(parents=True)
    with pytest.raises(RunDirectoryError, match="directory"):
        RunDirectory(tmp_path / "run")
    assert not (tmp_path / "run" / "lock").exists()
