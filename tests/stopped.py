"""Runs that are recorded call by call, stopped behind any of them, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crashes import Loss, Recorded, left_after
from resumed import GRAPH, outputs, run, texts_in

__all__ = ["GRAPH", "IN_ORDER", "IN_SHARDS", "Stopped", "forget_process"]

IN_ORDER = GRAPH.replace("rows.jsonl}}", "rows.jsonl}, order: true}")
IN_SHARDS = GRAPH.partition("  rows:")[0] + (
    "  shards: {type: sink.shards, input: loud, order: true, params: {path: out/shards, num_shards: 2}}\n"
)
_PARTS = ("out", "run")


class Stopped:
    """A folder, the calls of a run there, and what it made of three texts, the second of which fails at first.

    Args:
        goes_on: the run that is stopped is one that goes on with one that had ended; in between one of its inputs was healed, one
            changed, and one came.

    Attributes:
        begin, end: how many calls there are before and with that run. made: what it is to come to. rows: those that are in order,
            byte for byte.
    """

    def __init__(self, folder: Path, graph: str, *, goes_on: bool = False) -> None:
        self.folder, self.graph, self.begin = folder, graph, 0
        texts_in(folder, a="one", b="bad", c="three four")
        recorded = Recorded(folder, *_PARTS)
        with pytest.MonkeyPatch.context() as patch, recorded.recording(patch):
            self.report = run(folder, graph=graph, sync_every=0)
            if goes_on:
                self.begin = len(recorded.calls)
                texts_in(folder, b="good", c="x y", d="new")
                self.report = run(folder, "same", graph, sync_every=0)
        self._calls, self.end, self.made = recorded.calls, len(recorded.calls), outputs(folder)
        self.rows = (folder / "out" / "rows.jsonl").read_bytes() if graph == IN_ORDER else b""

    def goes_on_after(self, number: int, loss: Loss) -> int:
        """Hold what becomes of a run that stopped behind so many calls against what it was to come to.

        Returns:
            How many records were taken over.
        """
        left_after(self._calls[:number], self.folder, _PARTS, loss)
        forget_process(self.folder / "run" / "lock")
        where = f"{loss} behind {number}: {self._calls[number - 1] if number else None}"
        report = run(self.folder, "same", self.graph)
        assert report.records == self.report.records, where
        made = outputs(self.folder)
        if loss != "killed":  # a power cut takes the names of temporary files out of the journal
            made = {name: content for name, content in made.items() if not name.endswith(".tmp")}
        assert made == self.made, where
        if self.graph == IN_ORDER:
            assert (self.folder / "out" / "rows.jsonl").read_bytes() == self.rows, where
        again = run(self.folder, "same", self.graph)
        assert again.resumed == report.records.completed, where
        return report.resumed


def forget_process(lock: Path) -> None:
    """Let a lock be of a process that is gone, and not of this one."""
    if lock.exists():
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "started": "1"}))
