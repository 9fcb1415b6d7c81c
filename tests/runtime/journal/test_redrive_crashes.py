"""Redrives that stop anywhere: no letter goes before its record is safe, and another one comes to the same."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashes import Call, Loss, Recorded, left_after
from phonograph.item import Outcome
from phonograph.journal.directory import JOURNAL
from phonograph.journal.origin import origin_in
from phonograph.journal.records import EARLIER, RECORDS, rows_of
from resumed import executor, outputs, run, texts_in
from small_runs import dead_letters
from stopped import IN_ORDER, forget_process

EVERY = 7
"""How many calls lie between the stops that are tried."""
PARTS = ("out", "run")


class Redriven:
    """A folder with a run of which two of four records failed, and the calls of a redrive in which one of them heals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        texts_in(folder, a="one", b="two bad", c="bad", d="three")
        recorded = Recorded(folder, *PARTS)
        with pytest.MonkeyPatch.context() as patch, recorded.recording(patch):
            run(folder, graph=IN_ORDER, sync_every=0)
            folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
            recorded.calls += [Call("sync folder", path=str(path)) for path in folders]  # the power went later than that
            self.begin = len(recorded.calls)
            texts_in(folder, b="two five")
            executor(folder, graph=IN_ORDER, redrive=True, sync_every=0).run()
        self.calls, self.made = recorded.calls, outputs(folder)
        self.rows = (folder / "out" / "rows.jsonl").read_bytes()

    def stop_behind(self, number: int, loss: Loss) -> None:
        left_after(self.calls[:number], self.folder, PARTS, loss)
        forget_process(self.folder / "run" / "lock")

    @property
    def lettered(self) -> set[str]:
        """Records that have a letter."""
        lines = (self.folder / "run" / "dead_letters.jsonl").read_bytes().splitlines(keepends=True)
        return {json.loads(line)["record"] for line in lines if line.endswith(b"\n")}

    @property
    def ended_well(self) -> set[str]:
        """Records of which the journal says so."""
        paths = [self.folder / "run" / JOURNAL / name for name in (RECORDS, EARLIER)]
        rows = [row for path in paths for group in rows_of(path) for row in group]
        return {row.key for row in rows if row.outcome is Outcome.COMPLETED}


@pytest.fixture(scope="module")
def redriven() -> Iterator[Redriven]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Redriven(Path(folder))


@pytest.mark.parametrize("loss", ["killed", "data", "half", "all"])
def test_a_redrive_that_stops_anywhere_loses_nothing(redriven: Redriven, loss: Loss, caplog: pytest.LogCaptureFixture) -> None:
    """Manifest and letters are there until their records ended well on the disk; one more redrive makes what one alone does."""
    caplog.set_level(logging.CRITICAL)
    for number in range(redriven.begin + len(loss), len(redriven.calls) + 1, EVERY):
        redriven.stop_behind(number, loss)
        where = f"{loss} behind {number}: {redriven.calls[number - 1]}"
        origin_in(redriven.folder / "run")
        assert redriven.lettered | redriven.ended_well >= {f"texts/{name}" for name in "abcd"}, where
        report = executor(redriven.folder, graph=IN_ORDER, redrive=True).run()
        assert (report.records.completed, report.records.dead_lettered) == (3, 1), where
        assert [letter["key"] for letter in dead_letters(report)] == ["texts/c"], where
        made = outputs(redriven.folder)
        if loss != "killed":  # a power cut takes the names of temporary files out of the journal
            made = {name: content for name, content in made.items() if not name.endswith(".tmp")}
        assert made == redriven.made, where
        assert (redriven.folder / "out" / "rows.jsonl").read_bytes() == redriven.rows, where


def test_what_a_killed_redrive_left_is_resumed_too(redriven: Redriven) -> None:
    """A run that goes on with a redrive takes over what that healed."""
    redriven.stop_behind(len(redriven.calls), "killed")
    report = run(redriven.folder, "same", IN_ORDER)
    assert (report.resumed, report.records.completed, report.records.dead_lettered) == (3, 3, 1)
