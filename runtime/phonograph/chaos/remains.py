"""What a run leaves: its outputs, how its records ended, its dead letters, and what it should not have left."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from phonograph.chaos.faults import Done
from phonograph.chaos.injection import Stored
from phonograph.executor import RunReport
from phonograph.item import Outcome
from phonograph.journal.directory import JOURNAL
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.journal.records import RECORDS, RecordRow, rows_of

OUT, RUN, TEMPORARY = "out", "run", "tmp"
"""Folders of a run: outputs, run directory, temporary files."""


class RecordId(NamedTuple):
    """A record: number of its source, and its key."""

    source: int
    key: str


@dataclass(frozen=True, slots=True)
class Remains:
    """What there is when a run has ended or stopped.

    Args:
        report: None for a run that did not come to its end. error: what it raised, or why it failed.
        is_stopped: it stopped dead.
        outputs: path below the output folder -> content.
        rows: how records ended, as the journal has it. letters: dead letters in the run directory.
        faults: what it did besides that no run may do: bounds that were not kept, what leaked.
        done: how much it has asked of the disk.
    """

    report: RunReport | None
    error: BaseException | None
    is_stopped: bool
    outputs: Mapping[str, bytes]
    rows: Sequence[RecordRow]
    letters: Sequence[Mapping[str, Any]]
    faults: Sequence[str]
    done: Done

    @property
    def endings(self) -> Counter[RecordId]:
        """How many records of a source and a key have ended; one, unless the source gives a key more than once."""
        return Counter(RecordId(row.source, row.key) for row in self.rows)

    @property
    def has_ended_well(self) -> bool:
        return self.report is not None and self.report.exit_code == 0


def outputs_in(root: Path) -> dict[str, bytes]:
    """Every file below the output folder."""
    folder = root / OUT
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows_in(root: Path) -> list[RecordRow]:
    """What the journal has of records."""
    path = root / RUN / JOURNAL / RECORDS
    return [row for rows in rows_of(path) for row in rows] if path.exists() else []


def letters_in(root: Path) -> list[dict[str, Any]]:
    """The dead letters of a run directory; the last may be torn."""
    path = root / RUN / DEAD_LETTERS
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def is_unfinished(path: str) -> bool:
    """Whether a file has no final name yet, so that nobody takes it for a result."""
    name = os.path.basename(path)
    return (name.startswith(".") and name.endswith(".tmp")) or name.endswith((".partial", ".partial.new"))


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run without faults makes, which all others are held against.

    Args:
        outcomes: how each record ends. endings: see `Remains`. letters: (node, key) of what fails by itself.
        outputs: as of `Remains`. owners: path -> records that are in the file. alone: files that are one part each.
        row_owners: digest of a part of a file that several share -> its record. row_sizes: bytes of such parts, most frequent
            first.
    """

    outcomes: Mapping[RecordId, Outcome]
    endings: Mapping[RecordId, int]
    letters: frozenset[tuple[str, str]]
    outputs: Mapping[str, bytes]
    owners: Mapping[str, frozenset[RecordId]]
    alone: frozenset[str]
    row_owners: Mapping[str, RecordId]
    row_sizes: Sequence[int]

    @classmethod
    def of(cls, remains: Remains, stored: Sequence[Stored], root: Path) -> Undisturbed:
        """What a run has made.

        Args:
            stored: by its sinks, in order.
        """
        records = {row.ordinal: RecordId(row.source, row.key) for row in remains.rows}
        owners: dict[str, set[RecordId]] = {}
        parts: dict[str, int] = {}
        row_owners: dict[str, RecordId] = {}
        shared: set[str] = set()
        sizes: dict[str, Counter[int]] = {}
        for one in stored:
            path = os.path.relpath(os.path.realpath(one.written.path), root / OUT) if one.written.path else ""
            parts[path] = parts.get(path, 0) + 1
            if one.is_row:
                shared.add(path)
            sizes.setdefault(path, Counter())[one.written.num_bytes] += 1
            if one.ordinal in records:
                owners.setdefault(path, set()).add(records[one.ordinal])
                row_owners[one.written.sha256] = records[one.ordinal]
        shared |= {path for path, number in parts.items() if number > 1} | (remains.outputs.keys() - parts.keys())
        return cls(
            outcomes={RecordId(row.source, row.key): row.outcome for row in remains.rows},
            endings=remains.endings,
            letters=frozenset((letter["node"], letter["key"]) for letter in remains.letters),
            outputs=remains.outputs,
            owners={path: frozenset(found) for path, found in owners.items()},
            alone=frozenset(parts.keys() - shared),
            row_owners=row_owners,
            row_sizes=[size for size, _ in sum((sizes[path] for path in shared & sizes.keys()), Counter()).most_common() if size],
        )
