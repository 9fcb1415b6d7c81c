"""Redrive: runs the records that ended as dead letters again, by themselves, and leaves all others as they ended.

Theory of operation. It goes on with the runs before like any run that does, with two differences: a source is asked for the
records that are to be done again and for no others, and whatever is not done again stands, however it ended. Rows are met in the
order of the source, so that records have the place that they had. A letter stays in dead_letters.jsonl until it is on the disk
that its record ended, and in which way: what a killed redrive leaves is what another one begins with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from phonograph.errors import NodeContractError, RunDirectoryError
from phonograph.item import Outcome, Record
from phonograph.journal.letters import DeadLetter, FiledLetter, filed_letters
from phonograph.journal.records import ENDED_WELL, Again, RecordRow
from phonograph.metrics import RedriveMetrics
from phonograph.node import Source

if TYPE_CHECKING:  # each of the two is a part of the other's work
    from phonograph.journal.earlier import Earlier, EarlierRecords

_MOST_TOLD = 20
_UNDONE = frozenset({Outcome.DEAD_LETTERED, Outcome.CANCELLED})


class Redrive:
    """Which records are done again, and what became of them. Memory is some 1.3 kB a letter.

    Args:
        sources: ids, in the order of the plan.
        letters: a file with those to run again, in the form of dead_letters.jsonl; None: every record that ended as one.

    Raises:
        RunDirectoryError: the file cannot be read, has none, or holds something else.

    Attributes:
        notes: what a person should know of single records, in words, the first few. num_notes: how many there are.
    """

    def __init__(self, sources: Sequence[str], letters: Path | None = None) -> None:
        self.notes: list[str] = []
        self.num_notes = 0
        self._sources = sources
        self._file = letters
        self._chosen = None if letters is None else dict(_chosen(letters))
        self._wanted: dict[int, dict[str, RecordRow]] = {}
        self._filed: dict[int, int] = {}  # letter -> attempts
        self._with_letter: set[int] = set()
        self._ended: dict[Outcome, int] = {}
        self._settled: set[int] = set()
        self._num_gone = 0

    def begin(self, own: Path, fingerprint: str) -> None:
        """Look at the letters that the run directory has, before its rows.

        Raises:
            RunDirectoryError: the letters to run again are of another manifest.
        """
        for number, letter in filed_letters(own) if own.exists() else ():
            if letter is None:
                self._note(f"{own}:{number}: is no dead letter; it stays as it is; remove the line by hand")
                continue
            self._with_letter.add(_tag(letter.source, letter.record))
            self._filed[_tag(letter.source, letter.record, letter.key, letter.node)] = letter.attempts
        for head in (self._chosen or {}).values():
            if head.letter.fingerprint != fingerprint:
                raise RunDirectoryError(
                    f"{self._file}:{head.line}: the dead letter of {head.letter.record} is of another manifest, or of another "
                    f"version of it; expected one of the runs in {own.parent}; name theirs with --run-dir"
                )

    def look_at(self, row: RecordRow) -> None:
        """How a record ended in an earlier run."""
        tag = self._tag_of(row)
        if row.outcome in ENDED_WELL:
            if tag in self._with_letter:
                self._settled.add(tag)  # a redrive that was killed had healed it
            self._forget(tag)
            return
        is_wanted = row.outcome is Outcome.DEAD_LETTERED or tag in self._with_letter
        if row.outcome not in _UNDONE or not is_wanted or (self._chosen is not None and tag not in self._chosen):
            return
        self._forget(tag)
        if row.is_hidden:
            self._note(f"{row.key}: a secret stands in its key, so that its source cannot be asked for it; use --resume")
            return
        self._wanted.setdefault(row.source, {})[row.key] = row

    def looked(self) -> None:
        """All rows have been looked at."""
        for head in (self._chosen or {}).values():
            self._note(
                f"{self._file}:{head.line}: how {head.letter.record} ended is not known, because its run was killed; use --resume"
            )

    def wanted(self, source: int) -> dict[str, int]:
        """Keys of a source's records that are done again, in its order, with their place in that."""
        rows = sorted(self._wanted.get(source, {}).values(), key=lambda row: (row.place < 0, row.place))
        return {row.key: rank for rank, row in enumerate(rows)}

    def with_attempts(self, letter: DeadLetter) -> int:
        """How often the node of a letter was called for its item in all."""
        return letter.attempts + self._filed.get(_tag(letter.source, letter.record, letter.key, letter.node), 0)

    def ended(self, row: RecordRow) -> None:
        """A record that was done again has ended."""
        self._ended[row.outcome] = self._ended.get(row.outcome, 0) + 1
        if row.outcome is not Outcome.CANCELLED:
            self._settled.add(self._tag_of(row))

    def is_settled(self, letter: FiledLetter) -> bool:
        """Whether a letter from before says nothing any more: its record ended well, or has a new one."""
        return _tag(letter.source, letter.record) in self._settled

    def gone(self, row: RecordRow) -> None:
        """A source does not have a record any more."""
        self._num_gone += 1
        self._note(f"{row.key}: its source does not give it any more, so that it stays a dead letter")

    def changed(self, row: RecordRow) -> None:
        """The input of a record is not what it was."""
        self._note(f"{row.key}: its input has changed since; what comes of it is made of the input as it is now")

    def metrics(self) -> RedriveMetrics:
        return RedriveMetrics(
            records=sum(map(len, self._wanted.values())),
            healed=sum(count for outcome, count in self._ended.items() if outcome in ENDED_WELL),
            failed_again=self._ended.get(Outcome.DEAD_LETTERED, 0),
            gone=self._num_gone,
        )

    def _tag_of(self, row: RecordRow) -> int:
        return _tag(self._sources[row.source] if row.source < len(self._sources) else "", row.key)

    def _forget(self, tag: int) -> None:
        if self._chosen is not None:
            self._chosen.pop(tag, None)

    def _note(self, words: str) -> None:
        self.num_notes += 1
        if len(self.notes) < _MOST_TOLD:
            self.notes.append(words)


class RedrivenRecords:
    """The records of one source: those that stand as their rows, those that are done again as it gives them now.

    Args:
        records: the rows of the source.
    """

    def __init__(self, earlier: Earlier, redrive: Redrive, wanted: Mapping[str, int], records: EarlierRecords) -> None:
        self._earlier = earlier
        self._redrive = redrive
        self._ranks = wanted
        self._records = records

    def read(self, source: Source[Any]) -> Iterator[RecordRow | Again]:
        ranks = self._ranks
        records = iter(source.read_only(tuple(ranks)) if ranks else ())
        with closed_at_end(records):
            record = _next(records)
            for row in self._records.in_order():
                self._records.num_met += 1
                rank = ranks.get(row.key)
                while rank is not None and record is not None and ranks.get(record.key, -1) < rank:
                    record = _next(records)  # not in the order of before, and passed
                if rank is None:
                    yield row
                elif record is None or record.key != row.key:
                    self._redrive.gone(row)
                    yield row
                else:
                    if (record.size, record.mtime_ns, record.digest) != (row.size, row.mtime_ns, row.digest):
                        self._redrive.changed(row)
                    self._earlier.superseded.add((row.run, row.ordinal))
                    yield Again(record, row)
                    record = _next(records)


@contextlib.contextmanager
def closed_at_end(records: Iterator[Record]) -> Iterator[None]:
    """Close a source's generator when no more is asked of it; other iterators are left alone."""
    try:
        yield
    finally:
        if hasattr(records, "close"):
            records.close()


class _Chosen(NamedTuple):
    line: int
    letter: FiledLetter


def _chosen(path: Path) -> Iterable[tuple[int, _Chosen]]:
    try:
        found = list(filed_letters(path))
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}; expected dead letters, one a line") from error
    if not found:
        raise RunDirectoryError(f"{path}: is empty; expected dead letters, one a line")
    for number, letter in found:
        if letter is None:
            raise RunDirectoryError(
                f"{path}:{number}: is no dead letter as phonograph writes them; expected a JSON object with 'source', 'record', "
                "'key', 'node', 'attempts' and 'fingerprint'; remove the line, or name the run directory to run all that failed"
            )
        if not letter.record:
            raise RunDirectoryError(
                f"{path}:{number}: the dead letter of {letter.key} names no record, because its item was made of several, or a "
                "program had sent it; expected one of a record that a source read; remove the line"
            )
        yield _tag(letter.source, letter.record), _Chosen(number, letter)


def _next(records: Iterator[Record]) -> Record | None:
    record = next(records, None)
    if record is not None and not isinstance(record, Record):
        raise NodeContractError(f"the source yielded {type(record).__name__}; expected Record")
    return record


def _tag(*names: str) -> int:
    return hash(names)
