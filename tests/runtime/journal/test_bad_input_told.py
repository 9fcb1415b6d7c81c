"""What becomes of journals, outputs and folders that people harm between runs and during one, as the command line tells it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from command_line import two_clips_in
from limits import no_file_over, read_only
from phonograph import points
from phonograph.cli.run import command
from phonograph.journal import directory
from resumed import executor, run, texts_in

MANIFEST = """version: 1
name: small
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio}
  wav: {type: sink.wav, input: audio, params: {path: out/wav}}
  rows: {type: sink.jsonl, input: vad.segments, order: true, params: {path: out/rows.jsonl}}
"""
RECORDS, ROWS_LOG, LIST = "run/journal/records.log", "run/journal/rows-0.rows.log", "out/rows.jsonl"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    two_clips_in(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*options: str) -> tuple[int, str]:
    """The exit status of a run, and all that it prints."""
    result = CliRunner().invoke(command, ["small.yaml", "--run-dir", "run", *options], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), result.output


def made(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()}


def truncated(path: Path, *, to: Callable[[bytes], int]) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: to(content)])


def replaced(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))


def of_version(path: Path, version: int) -> None:
    """Have the first group say another version, under a checksum that is right."""
    first, seal, rest = path.read_bytes().partition(b'{"seal"')
    first = first.replace(b'"version": 1', f'"version": {version}'.encode())
    path.write_bytes(first + seal + b':"%08x"}\n' % zlib.crc32(first) + rest.partition(b"\n")[2])


def first_wav(folder: Path) -> Path:
    return sorted((folder / "out" / "wav").rglob("*.wav"))[0]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: truncated(folder / RECORDS, to=lambda content: content.index(b'"completed"')), "bytes are torn"),
        (lambda folder: truncated(folder / RECORDS, to=lambda content: 40), "does not say any more how records ended"),
        (lambda folder: truncated(folder / RECORDS, to=lambda content: 0), "does not say any more how records ended"),
        (lambda folder: (folder / RECORDS).write_bytes(bytes(4096)), "does not say any more how records ended"),
        (lambda folder: (folder / RECORDS).unlink(), "does not say any more how records ended"),
        (lambda folder: replaced(folder / RECORDS, b'"completed"', b'"c0mpleted"'), r"journal_garbled.*line=3"),
        (lambda folder: truncated(folder / ROWS_LOG, to=lambda content: content.rindex(b'{"finish"') + 9), LIST),
        (lambda folder: (folder / ROWS_LOG).unlink(), "it is not known whose its rows are"),
        (lambda folder: (folder / LIST).unlink(), "rows.jsonl: is not there as it was"),
        (lambda folder: first_wav(folder).unlink(), "is not there"),
        (lambda folder: first_wav(folder).write_bytes(b"mine"), "has been changed since it was written"),
    ],
)
def test_repaired(folder: Path, harm: Callable[[Path], None], words: str) -> None:
    """What is missing, torn or changed is made again, to the last byte, and a warning says so."""
    assert told()[0] == 0
    before = made(folder)
    harm(folder)
    status, text = told("--resume")
    assert status == 0
    assert re.search(words, text), text
    assert made(folder) == before
    assert "2 of them had ended in earlier runs" in told("--resume")[1]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            lambda folder: replaced(folder / RECORDS, b'"began"', b'"begun"'),
            r"records.log:1: its first row is garbled; expected",
        ),
        (lambda folder: (folder / RECORDS).write_bytes(os.urandom(5000)), r"records.log:1: its first row is garbled; expected"),
        (
            lambda folder: of_version(folder / RECORDS, 0),
            r"records.log:1: it is of version 0 .*; expected a journal",
        ),
        (
            lambda folder: of_version(folder / RECORDS, 2),
            r"records.log:1: it is of version 2 .*; expected a journal",
        ),
        (
            lambda folder: replaced(folder / ROWS_LOG, b'"ordinals"', b'"0rdinals"'),
            r"rows-0.rows.log:\d+: is garbled, so that",
        ),
    ],
)
def test_a_journal_that_says_nothing_certain_is_refused(folder: Path, harm: Callable[[Path], None], words: str) -> None:
    """The file and its row are named, and both ways on; outputs stay as they are until somebody begins anew."""
    told()
    before = made(folder)
    harm(folder)
    for _ in range(2):
        status, text = told("--resume")
        assert status == 1
        assert re.search(words + ".*; begin anew without --resume", text), text
        assert made(folder) == before
    assert told()[0] == 0
    assert made(folder) == before


def test_a_list_that_somebody_has_edited_is_not_touched(folder: Path) -> None:
    """The run stops before its first record, and says where to put the list."""
    told()
    path = folder / LIST
    mine = path.read_text().replace("0.", "1.", 1)
    path.write_text(mine)
    status, text = told("--resume")
    assert status == 1
    assert re.search(r"rows.jsonl: has been changed since a run wrote it.* put it elsewhere", text)
    assert path.read_text() == mine


def test_a_lock_of_another_machine(folder: Path) -> None:
    """Nobody can know whether its process is alive, so the message says which file to remove."""
    told()
    lock = folder / "run" / "lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "1"}))
    status, text = told("--resume")
    assert (status, "in use by process 1 on elsewhere; wait for it" in text, f"remove {lock}" in text) == (1, True, True)
    lock.unlink()
    assert "2 of them had ended" in told("--resume")[1]


@pytest.mark.parametrize("options", [(), ("--resume",)])
def test_a_run_directory_that_cannot_be_written(folder: Path, options: tuple[str, ...]) -> None:
    """A run in a read-only folder is refused before anything is touched, and gone on with when it is writable."""
    told()
    before = made(folder)
    with read_only(folder / "run"):
        status, text = told(*options)
    assert (status, "run: the run directory cannot be written: Permission denied; choose another with --run-dir" in text) == (
        1,
        True,
    )
    assert made(folder) == before
    assert "2 of them had ended" in told("--resume")[1]


def test_an_output_folder_that_cannot_be_written(folder: Path) -> None:
    """It is named before the first record, with what to do; records that had ended are taken over when it is writable."""
    told()
    shutil.copy(sorted((folder / "clips").iterdir())[0], folder / "clips" / "z.wav")
    with read_only(folder / "out"):
        status, text = told("--resume")
    assert status == 1
    assert re.search(r"error: node '\w+': could not be opened: .*: cannot be written: Permission denied; make the folder", text)
    assert "2 of them had ended" in told("--resume")[1]


def vanish(folder: Path, what: str, after: str, step: str) -> None:
    if step == after:
        points.hook = None
        gone = (folder / what).rename(folder / "gone")  # at once: other threads write there
        shutil.rmtree(gone, ignore_errors=True)


@pytest.mark.parametrize(
    ("what", "after", "words"),
    [
        (
            "out",
            "part.committed",
            r"(out/wav|rows.jsonl.partial|wav: cannot be written).* has been moved or removed while the run wrote.*with --resume",
        ),
        ("out", "rows.journalled", r"rows.jsonl.*: (has been moved or removed|cannot be written: No such file)"),
        ("run", "part.committed", r"run: the run directory (has been moved or removed|cannot be written: No such file)"),
        ("run", "records.synced", r"run: the run directory (has been moved or removed|cannot be written: No such file)"),
        ("run", "run.ended", ""),
    ],
)
def test_folders_that_vanish_during_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, after: str, words: str
) -> None:
    """A run whose outputs or journal are removed under it fails, and says so; what is missing is made by the next."""
    told()
    before = made(folder)
    shutil.rmtree(folder / "run")
    shutil.rmtree(folder / "out")
    monkeypatch.setattr(points, "hook", partial(vanish, folder, what, after))
    status, text = told("--sync-every", "0")
    assert points.hook is None
    assert status == (1 if words else 0)
    assert re.search(words, text), text
    assert told("--resume")[0] == 0
    assert made(folder) == before


def test_metrics_that_do_not_fit(folder: Path) -> None:
    """A run that ends on a full disk tells what became of its records and that the disk is full, and leaves nothing half."""
    texts_in(folder, a="one")
    running = executor(folder)
    with no_file_over(2500):
        report = running.run()
    assert report.records.completed == 1
    assert (report.status, report.exit_code) == ("failed", 1)
    assert re.search("run: the run directory cannot be written: File too large", str(report.error))
    assert not [path for path in folder.rglob("*.tmp") if path.is_file()]
    assert run(folder, "same").resumed == 1


def test_what_a_full_disk_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has no room, the counts of records are told, what to do, and how to go on; then everything is made."""
    told()
    before = made(folder)

    def full(at: str, step: str) -> None:
        if step == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for step, words in (
        ("part.written", "out/wav/.*wav: cannot be written: No space left on device; free space on that disk"),
        ("rows.synced", "out/rows.jsonl: cannot be written: No space left on device; free space on that disk"),
        ("part.begun", "out/wav/.*wav: cannot be written: No space left on device; free space on that disk"),
        ("records.written", "run: the run directory cannot be written: No space left on device; free space there"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(points, "hook", partial(full, step))
            status, text = told()
        assert status == 1
        assert re.search(r"records: \d read = .*(?s:.)*the same command with --resume", text), text
        assert re.search(words, text), text
        assert not list((folder / "out").rglob("*.tmp"))
        assert told("--resume")[0] == 0
        assert made(folder) == before


def test_rows_that_cannot_be_put_in_order_for_want_of_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a list that is written anew does not stay in the way, and the list as it was stays until there is room."""
    told()
    shutil.copy(sorted((folder / "clips").iterdir())[1], folder / "clips" / "a.wav")
    before = (folder / LIST).read_bytes()

    def full(step: str) -> None:
        if step == "rows.rewritten":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(points, "hook", full)
        assert told("--resume")[0] == 1
    assert (folder / LIST).read_bytes() == before
    assert not (folder / f"{LIST}.partial.new").exists()
    assert told("--resume")[0] == 0
    keys = [json.loads(row)["key"] for row in (folder / LIST).read_text().splitlines()]
    assert keys == sorted(keys)


def test_a_clock_that_is_set_back_between_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run before whose beginning lies in the future is gone on with like any other."""
    told()

    class Earlier(datetime):
        @classmethod
        def now(cls, zone: tzinfo | None = None) -> Earlier:
            return cls.fromtimestamp(0, zone)

    monkeypatch.setattr(directory, "datetime", Earlier)
    for _ in range(2):
        assert "2 of them had ended" in told("--resume")[1]
