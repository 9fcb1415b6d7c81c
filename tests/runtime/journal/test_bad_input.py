"""What people, disks and other processes do to a run directory and its outputs between runs: repaired, or refused with words."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import re
from pathlib import Path

import pytest

from limits import no_file_over
from phonograph import points
from phonograph.errors import RunDirectoryError
from phonograph.journal.directory import JOURNAL, RunDirectory
from phonograph.journal.lock import Lock
from resumed import CALLS, GRAPH, executor, outputs, run, texts_in
from small_runs import node_metrics

ROWS_LOG = f"run/{JOURNAL}/rows-0.rows.log"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts_in(tmp_path, a="one two", b="three", c="four five six")
    return tmp_path


@pytest.mark.parametrize("gone", ["out/rows.jsonl", ROWS_LOG])
def test_a_list_that_is_gone_is_made_again(folder: Path, gone: str) -> None:
    """Without its rows, or without knowing whose they are, a list is made again with all records behind it."""
    run(folder)
    made = outputs(folder)
    (folder / gone).unlink()
    assert run(folder, "same").resumed == 0
    assert outputs(folder) == made
    assert run(folder, "same").resumed == 3


def test_a_list_that_was_changed_is_not_touched(folder: Path) -> None:
    """Rows that somebody has added are not lost: the run stops before its first record, and says what to do."""
    run(folder)
    path = folder / "out" / "rows.jsonl"
    path.write_text(path.read_text() + '{"mine": true}\n')
    report = run(folder, "same")
    assert re.search(r"rows.jsonl: has been changed since a run wrote it.* put it elsewhere", str(report.error))
    assert path.read_text().endswith('{"mine": true}\n')
    path.rename(folder / "mine.jsonl")
    assert run(folder, "same").records.completed == 3


def test_a_garbled_journal_of_a_list_is_refused(folder: Path) -> None:
    """It cannot be known whose the rows are, so the place is named, and nothing is written."""
    run(folder)
    path = folder / ROWS_LOG
    path.write_bytes(path.read_bytes().replace(b'"ordinals"', b'"0rdinals"'))
    report = run(folder, "same")
    assert re.search(r"rows-0.rows.log:\d+: is garbled.*begin anew without --resume", str(report.error))
    assert run(folder).records.completed == 3


def test_two_runs_at_once(folder: Path) -> None:
    """The second one is refused while the first goes on, and harms nothing."""
    run(folder)
    lock = Lock(folder / "run")
    with pytest.raises(RunDirectoryError, match=f"in use by process {os.getpid()}"):
        run(folder, "same")
    lock.release()
    assert run(folder, "same").resumed == 3


def test_a_clock_that_was_set_back_does_not_matter(folder: Path) -> None:
    """Nothing is decided by which of two times is the later one."""
    run(folder)
    for path in (folder / "run").rglob("*"):
        os.utime(path, (0, 0))
    os.utime(folder / "texts" / "b", (0, 0))
    report = run(folder, "same")
    assert (report.resumed, dict(CALLS)) == (2, {"b": 1})


def test_a_directory_that_cannot_be_written_is_refused(folder: Path) -> None:
    """With no room for the journal the run fails with words, and is gone on with when there is some."""
    run(folder)
    resuming = executor(folder, "same").run_async()
    with no_file_over(100), pytest.raises(RunDirectoryError, match=r"cannot be written: File too large; .*--run-dir"):
        asyncio.run(resuming)
    assert run(folder, "same").resumed == 3


def test_a_directory_that_vanishes_stops_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written into it would be lost, so the run fails and says so."""

    def vanish(step: str) -> None:
        if step == "records.written" and (folder / "run" / JOURNAL).exists():
            (folder / "run" / JOURNAL).rename(folder / "elsewhere")

    monkeypatch.setattr(points, "hook", vanish)
    report = run(folder)
    assert "has been moved or removed while the run wrote there" in str(report.error)


def test_a_file_system_without_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no `flock`, the lock of the run directory has to do, and everything else is the same."""

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    run(folder)
    texts_in(folder, d="seven")
    assert run(folder, "same").resumed == 3


def test_records_that_are_mixed_are_done_again_as_a_whole(folder: Path) -> None:
    """What becomes of a record depends on the others, so none is taken over; no row is there twice."""
    pairs = "  pairs: {type: flow.zip, input: {a: texts, b: texts}}\n"
    graph = GRAPH.replace("input: texts}", "input: pairs.a}").replace("  loud:", pairs + "  loud:")
    run(folder, graph=graph)
    made = outputs(folder)
    texts_in(folder, b="three")
    assert run(folder, "same", graph).resumed == 0
    assert outputs(folder) == made


def test_what_is_left_of_a_killed_run_is_removed(folder: Path) -> None:
    """A run that begins anew removes the temporary files that another was making, and no others."""
    run(folder)
    temporary, other = folder / "out" / ".a.txt.0011.tmp", folder / "out" / ".other.tmp"
    for path in (temporary, other):
        path.write_text("half")
    with RunDirectory(folder / "run") as directory:
        directory.writer("files", 0).begin(str(folder / "out" / "a.txt"), str(temporary))
    run(folder)
    assert (temporary.exists(), other.exists()) == (False, True)


def test_several_sources_are_each_gone_on_with(folder: Path) -> None:
    """Records of several sources are told apart, however they came between each other."""
    sources = "  more: {type: test.texts, params: {path: more}}\n  all: {type: flow.merge, input: {a: texts, b: more}}\n"
    more = GRAPH.replace("input: texts}", "input: all}").replace("  loud:", sources + "  loud:")
    (folder / "more").mkdir()
    for number in range(5):
        (folder / "more" / f"m{number}").write_text(f"word{number}")
    first = run(folder, graph=more)
    assert first.records.completed == 8
    (folder / "more" / "m2").write_text("changed")
    (folder / "texts" / "a").unlink()
    report = run(folder, "same", more)
    assert (report.records.read, report.resumed, dict(CALLS)) == (7, 6, {"m2": 1})
    assert node_metrics(report)["more"].items_out == 1
    keys = [json.loads(row)["key"] for row in (folder / "out" / "rows.jsonl").read_text().splitlines()]
    assert len(keys) == len(set(keys))
