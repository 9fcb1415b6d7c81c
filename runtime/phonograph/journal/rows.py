"""Whose the rows in a file of rows are: in `journal/<node>-<worker>.rows.log`, so that rows of records that are done again go.

A group there says which items the next rows are of, and how long each is. It is written when those rows are on the disk, and
before it is said how their records ended. So rows behind the last group belong to nobody, and are cut off.

A file that is written anew without some of its rows has a journal of its own, which takes the place of the old one right after
the file has; in between, the size and time of the file tell which of them is its.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from phonograph.errors import OutputError, RunDirectoryError
from phonograph.journal.earlier import Earlier
from phonograph.journal.finding import Moves, Numbers
from phonograph.journal.sealed import Group, SealedFile, groups, line_of
from phonograph.points import reached
from phonograph.sink import Kept, Place, RowsJournal, Writer, sync_folder

_ROWS_IN_GROUP = 8192
_DECODER = msgspec.json.Decoder(dict[str, Any])

ResultT = TypeVar("ResultT")
ArgumentsT = ParamSpec("ArgumentsT")


def _storing(method: Callable[Concatenate[RowsLog, ArgumentsT], ResultT]) -> Callable[Concatenate[RowsLog, ArgumentsT], ResultT]:
    """What the operating system refuses is trouble with the journal here, and not with the file of rows."""

    @functools.wraps(method)
    def stored(self: RowsLog, /, *arguments: ArgumentsT.args, **named: ArgumentsT.kwargs) -> ResultT:
        try:
            return method(self, *arguments, **named)
        except OSError as error:
            raise unwritable(self.path, error) from error

    return stored


def unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: the journal cannot be written: {error.strerror}; free space there, or choose another folder with --run-dir"
    )


class Chunk(NamedTuple):
    """Rows of one run: whose they are, where each begins in the file, how long each is."""

    run: int
    ordinals: Numbers
    starts: Numbers
    lengths: Numbers

    def only(self, chosen: npt.NDArray[np.bool_]) -> Chunk:
        return self if chosen.all() else Chunk(self.run, self.ordinals[chosen], self.starts[chosen], self.lengths[chosen])


class RowsLog(RowsJournal):
    """Keeps whose the rows of one file are.

    Args:
        path: of the journal. writer: of the sink's worker, which says whose row comes next.
        earlier: runs before this one that are gone on with. in_order: rows come in the order of the sources.
        must_be_there: a run that is gone on with had this file too, so that without a journal everything is to be done again.
    """

    def __init__(
        self, path: Path, writer: Writer, run: int, earlier: Earlier | None, *, in_order: bool, must_be_there: bool
    ) -> None:
        self.path = path
        self._aside = path.with_suffix(".new")
        self._writer = writer
        self._run = run
        self._earlier = earlier
        self._in_order = in_order
        self._must_be_there = must_be_there
        self._lock = threading.Lock()
        self._waiting: tuple[list[int], list[int]] = ([], [])
        self._sync_file: Callable[[], None] = lambda: None
        self._end = 0
        self._staying: Callable[[], Iterable[Chunk]] = tuple
        self._lost: list[Chunk] = []  # were in a file that is gone
        self._unknown_until = 0  # which rows runs up to this one had in the file is not known
        self._log: SealedFile | None = None

    @_storing
    def kept(self, final: str, partial: str) -> Kept:
        self._settle_rewriting(partial)
        kept = Kept()
        if self._earlier is None:
            self.path.unlink(missing_ok=True)
            self._log = SealedFile(self.path)
        else:
            kept = self._found(self._earlier, final, partial)
        self._end = kept.num_bytes
        if kept.place == "nothing":
            self._open_log.append(line_of({"file": os.path.basename(final), "unknown_until": self._unknown_until}))
            self._open_log.sync()
        return kept

    def syncs(self, sync: Callable[[], None]) -> None:
        self._sync_file = sync

    def appended(self, num_bytes: int) -> None:
        with self._lock:
            ordinals, lengths = self._waiting
            ordinals.append(self._writer.ordinal)
            lengths.append(num_bytes)

    def sync(self) -> None:
        """Make what was appended durable, and known. May be called from another thread. Raises OSError."""
        with self._lock:
            if not self._waiting[0]:
                return
            (ordinals, lengths), self._waiting = self._waiting, ([], [])
            self._sync_file()
            _append_rows(self._open_log, self._run, self._end, ordinals, lengths)
            self._end += sum(lengths)
            self._open_log.sync()
            reached("rows.journalled")

    @_storing
    def closing(self) -> None:
        try:
            self.sync()
        finally:
            if self._log is not None:
                self._log.close()
                self._log = None

    @_storing
    def rearranged(self) -> Kept:
        self.sync()
        earlier = self._earlier
        if earlier is None or not (earlier.superseded or earlier.has_lost or self._in_order):
            return Kept("partial")
        self._staying = partial(self._still_standing, earlier)
        if self._in_order and (chunks := _in_order(self._staying(), earlier.moves)) is not None:
            self._staying = lambda: chunks
        spans = _joined(self._staying())
        return Kept("partial") if _is_all(spans, self._end) else Kept("partial", self._end, spans)

    @_storing
    def rewriting(self, path: str) -> None:
        log = SealedFile(self._aside)
        try:
            status = os.stat(path)
            log.append(line_of({"of": {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}}))
            log.append(line_of({"unknown_until": self._unknown_until}))
            for chunk in self._lost:
                _append_rows(log, chunk.run, 0, chunk.ordinals.tolist(), chunk.lengths.tolist())
            if self._lost:
                log.append(line_of({"cut": 0}))
            start = 0
            for chunk in self._staying():
                _append_rows(log, chunk.run, start, chunk.ordinals.tolist(), chunk.lengths.tolist())
                start += int(chunk.lengths.sum())
            log.sync()
            sync_folder(str(self.path.parent))  # before the file itself takes its place, whose folder may be synced first
        except BaseException:
            log.close()
            raise
        if self._log is not None:
            self._log.close()
        self._log = log
        self._end = start

    @_storing
    def rewritten(self) -> None:
        os.replace(self._aside, self.path)
        sync_folder(str(self.path.parent))
        self._staying = tuple

    @_storing
    def finishing(self, path: str) -> None:
        status = os.stat(path)
        self._open_log.append(line_of({"finish": {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}}))
        self._open_log.sync()

    @property
    def _open_log(self) -> SealedFile:
        assert self._log is not None, "the journal of the rows is not open"
        return self._log

    def _found(self, earlier: Earlier, final: str, partial: str) -> Kept:
        """What there is of earlier runs."""
        if self._in_order:
            earlier.moves = earlier.moves or Moves()
        last, end, finished = self._told()
        if last is None and self._must_be_there:
            self._unknown_until = earlier.began.run
        had_rows = earlier.lose_until(self._unknown_until) or bool(end)
        self._lost = list(self._chunks(are_cut=True))
        for chunk in self._lost:
            earlier.lose(chunk.run, chunk.ordinals)
        place: Place = "nothing"
        if finished is not None:
            place = _place_of_finished(final, partial, finished["bytes"], finished["mtime_ns"])
        elif end and _size_of(partial) >= end:
            place = "partial"
        if place == "nothing":
            if had_rows:
                earlier.tell(f"{final}: is not there as it was, or it is not known whose its rows are, so that it is made again")
            for chunk in self._chunks():
                earlier.lose(chunk.run, chunk.ordinals)
                self._lost.append(chunk)
            self._log = SealedFile(self.path, after=last)
            if last is not None:
                self._log.append(line_of({"cut": 0}))  # whose rows there were stays known until their records are done again
            return Kept()
        self._log = SealedFile(self.path, after=last)
        self._staying = lambda: (chunk.only(earlier.live(chunk.run).of(chunk.ordinals)) for chunk in self._chunks())
        stays = _joined(self._staying())
        if _is_all(stays, end):
            return Kept(place, end)
        if place == "partial" and (not stays or (len(stays) == 1 and stays[0][0] == 0)):
            cut = stays[0][1] if stays else 0
            self._log.append(line_of({"cut": cut}))
            self._log.sync()
            return Kept("partial", cut)
        return Kept(place, end, stays)

    def _told(self) -> tuple[Group | None, int, Any]:
        """The last group of the journal, where the rows that it knows end, and how the file was that has its name."""
        last, end, finished = None, 0, None
        for group in self._groups():
            last, entry = group, _DECODER.decode(group.body)
            finished = entry.get("finish")
            if "cut" in entry:
                end = entry["cut"]
            elif "rows" in entry:
                end = entry["rows"]["start"] + sum(entry["rows"]["lengths"])
            self._unknown_until = max(self._unknown_until, entry.get("unknown_until", 0))
        return last, end, finished

    def _groups(self) -> Iterator[Group]:
        for group in groups(self.path):
            if not group.is_whole:
                raise RunDirectoryError(
                    f"{self.path}:{group.line}: is garbled, so that it is not known whose the rows of the output are; "
                    "expected it as it was written; begin anew without --resume"
                )
            yield group

    def _chunks(self, *, are_cut: bool = False) -> Iterator[Chunk]:
        """The rows of the file, as far as the journal knows them; or those that were there once and were cut off."""
        entries = [(number, _DECODER.decode(group.body)) for number, group in enumerate(self._groups()) if b'"cut"' in group.body]
        cuts = [(number, entry["cut"]) for number, entry in entries if "cut" in entry]
        if are_cut and not cuts:
            return
        for number, group in enumerate(self._groups()):
            told = _DECODER.decode(group.body).get("rows")
            if told is None:
                continue
            lengths = np.array(told["lengths"], np.int64)
            starts = told["start"] + np.cumsum(lengths) - lengths
            chunk = Chunk(told["run"], np.array(told["ordinals"], np.int64), starts, lengths)
            limit = min((cut for at, cut in cuts if at > number), default=None)
            if are_cut:
                if limit is not None:
                    yield chunk.only(starts >= limit)
            else:
                yield chunk if limit is None else chunk.only(starts < limit)

    def _still_standing(self, earlier: Earlier) -> Iterator[Chunk]:
        """Without rows of records that are done again, also for what was found missing after this file had been opened."""
        replaced: dict[int, list[int]] = {}
        for run, ordinal in earlier.superseded:
            replaced.setdefault(run, []).append(ordinal)
        for chunk in self._chunks():
            stands = np.full(len(chunk.ordinals), chunk.run == self._run) | earlier.live(chunk.run).of(chunk.ordinals)
            yield chunk.only(stands & ~np.isin(chunk.ordinals, replaced.get(chunk.run, [])))

    def _settle_rewriting(self, partial: str) -> None:
        """A run was killed while a file was written anew: either it has taken the old one's place, or it has not."""
        first = next(groups(self._aside), None)
        if first is not None and first.is_whole:
            of = _DECODER.decode(first.body)["of"]
            if _is_as_told(partial, of["bytes"], of["mtime_ns"]):
                os.replace(self._aside, self.path)
        self._aside.unlink(missing_ok=True)
        Path(f"{partial}.new").unlink(missing_ok=True)


def _append_rows(log: SealedFile, run: int, start: int, ordinals: list[int], lengths: list[int]) -> None:
    for first in range(0, len(ordinals), _ROWS_IN_GROUP):
        some = slice(first, first + _ROWS_IN_GROUP)
        log.append(line_of({"rows": {"run": run, "start": start, "ordinals": ordinals[some], "lengths": lengths[some]}}))
        start += sum(lengths[some])


def _joined(chunks: Iterable[Chunk]) -> tuple[tuple[int, int], ...]:
    """The spans of rows, as few as can be."""
    spans: list[tuple[int, int]] = []
    for chunk in chunks:
        if not len(chunk.starts):
            continue
        ends = chunk.starts + chunk.lengths
        breaks = np.flatnonzero(chunk.starts[1:] != ends[:-1])
        for first, last in zip([0, *(breaks + 1)], [*breaks, len(ends) - 1], strict=True):
            start, end = int(chunk.starts[first]), int(ends[last])
            if spans and sum(spans[-1]) == start:
                start = spans.pop()[0]
            spans.append((start, end - start))
    return tuple(spans)


def _is_all(spans: tuple[tuple[int, int], ...], end: int) -> bool:
    return spans == ((0, end),) or (not spans and not end)


def _in_order(chunks: Iterable[Chunk], moves: Moves | None) -> list[Chunk] | None:
    """The rows in the order of the sources; None when they are. Takes 40 bytes a row."""
    found = list(chunks)
    if not found:
        return None
    ordinals = [chunk.ordinals if moves is None else moves.of(chunk.run, chunk.ordinals) for chunk in found]
    order = np.argsort(np.concatenate(ordinals), kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return None
    runs = np.concatenate([np.full(len(chunk.ordinals), chunk.run) for chunk in found])[order]
    own, starts, lengths = (np.concatenate([chunk[field] for chunk in found])[order] for field in (1, 2, 3))
    borders = [0, *(np.flatnonzero(np.diff(runs)) + 1), len(runs)]
    return [
        Chunk(int(runs[first]), own[first:last], starts[first:last], lengths[first:last])
        for first, last in itertools.pairwise(borders)
        if last > first
    ]


def _place_of_finished(final: str, partial: str, size: int, mtime_ns: int) -> Place:
    """Where a file is that was given its final name, or was about to be."""
    if _is_as_told(final, size, mtime_ns):
        return "final"
    if _is_as_told(partial, size, mtime_ns):
        return "partial"
    if _size_of(final) < 0:
        return "nothing"
    raise OutputError(
        f"{final}: has been changed since a run wrote it, so that rows cannot be added to it or taken out; expected it as it "
        "was; put it elsewhere to have its rows made again, or begin anew without --resume"
    )


def _is_as_told(path: str, size: int, mtime_ns: int) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)


def _size_of(path: str) -> int:
    """-1 when it is not there."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1
