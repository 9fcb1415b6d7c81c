"""What a run directory says of its runs: read from the journal, while a run goes on as well as afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from phonograph.errors import RunDirectoryError
from phonograph.item import Outcome
from phonograph.journal.directory import JOURNAL
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.journal.lock import holder
from phonograph.journal.records import (
    EARLIER,
    ENDED_WELL,
    RECORDS,
    VERSION,
    contents_of,
    rows_of,
    version_of,
)

State = Literal["running", "stopped", "ended"]


class HolderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds a run directory; `unknown` where its lock cannot be read."""

    pid: int | str
    host: str


class RunStatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `run-pipeline status --format json` prints.

    Args:
        name: of the manifest. run: counts the runs that went on with each other, from 1. started: of the latest, UTC, ISO 8601.
        state: `running`: a process holds the directory; `ended`: the latest run came to its end; `stopped`: it was killed.
        status: how it ended, see the metrics; null when it did not.
        is_complete: it has seen all that its sources have, and stored all that it was to store.
        records: how many ended in which outcome, as far as the journal has been written: of the latest run, and of those before
            it what that has not come to, unless it is complete.
        to_do: of these, how many a run that goes on does again; what no source has read yet is not among them.
        not_met: how many of these are of earlier runs alone: the latest has not come to them, or its sources no longer have them.
        gone: how many records of earlier runs are not in the sources of the latest, which is complete; what was made of them
            stays.
        dead_letters: lines of dead_letters.jsonl.
        garbled: first lines of groups of the journal that are not as they were written; their records are done again.
        holder: who holds the directory; null when nobody does.
    """

    name: str
    run: int
    started: str
    state: State
    status: str | None
    is_complete: bool
    records: dict[str, int]
    to_do: int
    not_met: int
    gone: int
    dead_letters: int
    garbled: tuple[int, ...]
    holder: HolderStatus | None


def status_of(folder: Path) -> RunStatusDocument:
    """What a run directory says.

    Raises:
        RunDirectoryError: there is no journal in it, it cannot be read, or is of another version.
    """
    try:
        return _status_of(folder)
    except OSError as error:
        raise RunDirectoryError(f"{folder}: cannot be read: {error.strerror}; expected a run directory") from error


def _status_of(folder: Path) -> RunStatusDocument:
    records, earlier = folder / JOURNAL / RECORDS, folder / JOURNAL / EARLIER
    latest, contents = records, contents_of(records)
    if contents.began is None:  # a run that begins gives it the other name, before it has one of its own
        latest, contents = earlier, contents_of(earlier)
    if contents.began is None:
        version = version_of(records)
        found = f"holds a journal of version {version}"
        if version in (None, VERSION):
            found = "holds no journal" if folder.is_dir() else "is not there"
        raise RunDirectoryError(f"{folder}: {found}; expected the --run-dir of a run, with a journal of version {VERSION}")
    counts = dict.fromkeys(Outcome, 0)
    has_both = latest == records and earlier.exists()
    met = set()
    for rows in rows_of(latest):
        for row in rows:
            counts[row.outcome] += 1
            if has_both:
                met.add(hash(row.key))
    ended = contents.ended
    is_complete = ended is not None and ended.is_complete
    not_met = 0
    if has_both:
        for rows in rows_of(earlier):
            for row in rows:
                if hash(row.key) not in met:
                    not_met += 1
                    counts[row.outcome] += not is_complete
    held_by = holder(folder)
    return RunStatusDocument(
        name=contents.began.name,
        run=contents.began.run,
        started=contents.began.started,
        state="running" if held_by is not None else "stopped" if ended is None else "ended",
        status=None if ended is None else ended.status,
        is_complete=is_complete,
        records={"ended": sum(counts.values()), **{outcome.value: count for outcome, count in counts.items()}},
        to_do=sum(count for outcome, count in counts.items() if outcome not in ENDED_WELL),
        not_met=0 if is_complete else not_met,
        gone=not_met if is_complete else 0,
        dead_letters=_lines_in(folder / DEAD_LETTERS),
        garbled=contents.garbled,
        holder=None if held_by is None else HolderStatus(pid=held_by.pid, host=held_by.host),
    )


def _lines_in(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(line.endswith(b"\n") for line in file)
    except FileNotFoundError:
        return 0
