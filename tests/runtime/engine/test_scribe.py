"""The scribe: how records end is written behind what they became."""

from __future__ import annotations

import asyncio
from pathlib import Path

from phonograph.engine.scribe import Scribe
from phonograph.errors import OutputError, PhonographError
from phonograph.item import Outcome
from phonograph.journal.directory import MOST_ROWS, RunDirectory
from phonograph.journal.records import RecordRow


def test_an_output_that_cannot_be_synced_while_the_run_waits_for_the_disk(tmp_path: Path) -> None:
    """Where so many rows wait that the event loop writes them itself, what fails is told like anything else, and not raised."""
    told: list[PhonographError] = []

    def refuse() -> None:
        raise OutputError("rows.jsonl: cannot be written: No space left on device")

    async def adopt(directory: RunDirectory) -> None:
        scribe = Scribe(directory, 1e6, told.append)
        scribe.adopt([RecordRow(key=f"{number}", outcome=Outcome.COMPLETED, ordinal=number) for number in range(2 * MOST_ROWS)])
        await scribe.close()

    with RunDirectory(tmp_path / "run") as directory:
        rows = directory.writer("rows", 0).rows_journal()
        rows.kept(str(tmp_path / "rows.jsonl"), str(tmp_path / "rows.jsonl.partial"))
        rows.syncs(refuse)
        rows.appended(1)
        asyncio.run(adopt(directory))
        rows.closing()
    assert [str(error) for error in told] == ["rows.jsonl: cannot be written: No space left on device"]
