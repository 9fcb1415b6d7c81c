"""The run directory: what a run leaves on disk beside its outputs, written so that a crash leaves whole lines."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType

import msgspec

from phonograph.errors import RunDirectoryError
from phonograph.graph.model import Graph
from phonograph.journal.earlier import Earlier, Resume, earlier_runs
from phonograph.journal.fingerprint import digest_of
from phonograph.journal.letters import DEAD_LETTERS, DeadLetter, LetterFile
from phonograph.journal.lock import Lock
from phonograph.journal.origin import ORIGIN, Origin
from phonograph.journal.records import (
    RECORDS,
    VERSION,
    Began,
    Ended,
    RecordRow,
    StoredPart,
    encoded,
    write_beginning,
    write_end,
)
from phonograph.journal.redrive import Redrive
from phonograph.journal.rows import RowsLog
from phonograph.journal.sealed import SealedFile
from phonograph.journal.writers import ROWS_LOG, JournalWriter, Stored, begun_in, file_logs, orphans, remove, remove_stale
from phonograph.metrics import MetricsDocument
from phonograph.points import reached
from phonograph.redaction import NO_SECRETS, Secrets
from phonograph.sink import Writer, sync_folder

METRICS = "metrics.json"
JOURNAL = "journal"
MOST_ROWS = 4096
"""That wait before they are written."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_GROUP_ROWS = 1024  # which are read at once later: some hundred kilobytes

_NOTHING: Mapping[str, str] = MappingProxyType({})


class RunDirectory:
    """`manifest.json`, `plan.json`, `journal/`, `dead_letters.jsonl`, `metrics.json`, and a lock that keeps a second run out.

    A new run replaces what an earlier one left here, unless it goes on with that. How records ended is told to the event loop's
    side (`ended`), and written by `store`, which may run in another thread, for some time's records together: rows are written
    when all that the records became is on the disk, and so is what they say.

    Args:
        path: the folder; made when missing.
        secrets: what must not be in anything that is told of the run.
        name: of the manifest. fingerprint: see `phonograph.journal.fingerprint`.
        resume: what becomes of earlier runs; None: they are replaced. takes, redrive: see `Earlier`.

    Attributes:
        keeps: whether what is told is kept.
        run: counts the runs that went on with each other, from 1. earlier: those before this one, if it goes on with some.
        fingerprint: the same in a few characters.
        notes: what was wrong with the journal of earlier runs and has been repaired, in words.

    Raises:
        RunDirectoryError: another live run holds it, it cannot be written, or there is something in it that cannot be gone on
        with.
    """

    keeps = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        secrets: Secrets = NO_SECRETS,
        *,
        name: str = "",
        fingerprint: Mapping[str, str] = _NOTHING,
        resume: Resume | None = None,
        takes: bool = True,
        redrive: Redrive | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.secrets = secrets
        self._hides = bool(secrets)
        self.redrive = redrive
        self.notes: list[str] = []
        self._resume = resume
        self._journal = self.path / JOURNAL
        self._waiting: list[RecordRow] = []
        self._stored: Stored = Stored()  # by workers, and not yet by the ordinal below
        self._parts: dict[int, list[StoredPart]] = {}
        self._writers: list[JournalWriter] = []
        self._orphans: set[str] = set()
        self._one_at_a_time = threading.Lock()
        self._is_broken = False
        with self._writing():
            self._journal.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.path)
            with contextlib.ExitStack() as stack:
                stack.callback(lock.release)
                self.earlier = (
                    earlier_runs(self._journal, fingerprint, resume, secrets, self.notes, takes=takes, redrive=redrive)
                    if resume
                    else None
                )
                if redrive is not None:
                    fingerprint = self._of_redriven(fingerprint)
                (self.path / METRICS).unlink(missing_ok=True)
                if self.earlier is None:
                    self._clear()
                else:
                    stack.callback(self.earlier.close)
                    self._orphans = orphans(self._journal, self.earlier)
                self.run = 1 if self.earlier is None else self.earlier.began.run + 1
                self._records = stack.enter_context(contextlib.closing(SealedFile(self._journal / RECORDS)))
                now = datetime.now(UTC).isoformat(timespec="seconds")
                after = self.earlier.began.after if redrive is not None and self.earlier is not None else None
                began = Began(version=VERSION, run=self.run, name=name, started=now, fingerprint=dict(fingerprint), after=after)
                self.fingerprint = digest_of(fingerprint)
                write_beginning(self._records, began)
                self._records.sync()
                sync_folder(str(self._journal))
                letters = LetterFile(self.path / DEAD_LETTERS, keeps=self.earlier is not None)
                self._dead_letters = stack.enter_context(contextlib.closing(letters))
                sync_folder(str(self.path))
                self._leaving = stack.pop_all()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._writing(), self._leaving:
            self.store(self.take())
            for writer in self._writers:
                writer.close()

    @property
    def dead_letters_path(self) -> Path:
        return self.path / DEAD_LETTERS

    def write_plan(self, plan: Mapping[str, object]) -> None:
        self._replace("plan.json", json.dumps(plan, indent=1).encode())

    def write_manifest(self, origin: Origin) -> None:
        """Keep what was run, so that it can be run again."""
        self._replace(ORIGIN, json.dumps(self.secrets.clean_all(msgspec.to_builtins(origin)), indent=1).encode())

    def writer(self, node_id: str, number: int, *, in_order: bool = False) -> Writer:
        """What a worker of a sink tells of what it stores; `in_order`: items reach it in the order of the sources."""
        name = f"{node_id.replace('/', '.')}-{number}"

        def rows_log(writer: Writer, file: str) -> RowsLog:
            return RowsLog(
                self._journal / f"{name}{file and '.'}{file}{ROWS_LOG}",
                writer,
                run=self.run,
                earlier=self.earlier,
                in_order=in_order,
                must_be_there=self._resume != "reuse",
            )

        writer = JournalWriter(self._journal / f"{name}.log", self.run, self._stored, self.secrets, rows_log)
        self._writers.append(writer)
        return writer

    def adopt(self, rows: Sequence[RecordRow]) -> int:
        """Records ended in earlier runs, and stand. Returns how many rows wait for `store`."""
        if not self._is_broken:
            self._waiting += rows
        return len(self._waiting)

    def ended(self, row: RecordRow, before: RecordRow | None = None) -> int:
        """A record has ended. Returns how many rows wait for `store`; no secret in its key is kept.

        Args:
            before: how it ended in an earlier run; files that were made of it then and not now are removed.
        """
        if self._is_broken:
            return 0
        if self._hides:
            key = self.secrets.clean(row.key)
            row.is_hidden = key != row.key
            row.key = key
        if self._stored:
            self._sort_parts()
        if self._parts and (parts := self._parts.pop(row.ordinal, None)) is not None:
            row.parts = tuple(parts)
        if before is not None and before.parts:
            remove_stale(before.parts, row.parts)
        if self.redrive is not None:
            self.redrive.ended(row)
        self._waiting.append(row)
        return len(self._waiting)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def take(self) -> list[RecordRow]:
        """The rows that wait for `store`. For the event loop."""
        rows, self._waiting = self._waiting, []
        return rows

    def store(self, rows: Sequence[RecordRow]) -> None:
        """Write what was taken, once all that the records became is on the disk. May be called from any thread.

        Raises:
            RunDirectoryError: it cannot be written, or the directory is no longer there. Nothing is written from then on.
        """
        with self._one_at_a_time:
            if not rows or self._is_broken:
                return
            try:
                with self._writing():
                    self._write(rows)
            except BaseException:
                self._is_broken = True
                raise

    def write_end(self, status: str, *, has_read: bool, has_seen_all: bool, is_complete: bool) -> None:
        """Say how the run ended, after its last record.

        Args:
            has_read, is_complete: see `Ended`; of a redrive, so far as it was to see and to store anything.
            has_seen_all: of what its sources have, so that nothing that earlier runs left unfinished is waited for.
        """
        self.store(self.take())
        if self._is_broken:
            return
        with self._writing():
            if has_seen_all:
                self._forget_earlier()
            if self.redrive is not None:
                self._dead_letters.drop(self.redrive.is_settled)
                before = self._after
                is_complete, has_read = is_complete and before.is_complete, before.has_read
            write_end(self._records, Ended(status=status, is_complete=is_complete, has_read=has_read))
            self._records.sync()
            reached("run.ended")

    @property
    def finishes(self) -> bool:
        """Whether outputs that span records are complete when this run is: of a redrive, if all records had been read."""
        return self.redrive is None or self._after.has_read

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """Append to dead_letters.jsonl."""
        with self._writing():
            self._dead_letters.add(letter)

    def write_metrics(self, document: MetricsDocument) -> None:
        self._replace(METRICS, msgspec.json.format(msgspec.json.encode(document), indent=1))

    def _write(self, rows: Sequence[RecordRow]) -> None:
        self._dead_letters.sync()
        for writer in tuple(self._writers):
            writer.sync()
        for first in range(0, len(rows), _GROUP_ROWS):
            self._records.append(encoded(rows[first : first + _GROUP_ROWS]))
        reached("records.written")
        self._records.sync()
        reached("records.synced")
        if not self._records.is_there:
            raise RunDirectoryError(
                f"{self.path}: the run directory has been moved or removed while the run wrote there; expected it to "
                "stay; run again"
            )

    @property
    def _after(self) -> Ended:
        after = self.earlier.began.after if self.earlier is not None else None
        return after or Ended(status="killed", is_complete=False)

    def _of_redriven(self, fingerprint: Mapping[str, str]) -> Mapping[str, str]:
        """The fingerprint of the runs whose records are done again: a redrive changes what failed, and not what they are of."""
        if self.earlier is None:
            raise RunDirectoryError(f"{self.path}: no run has been here; expected the directory of one whose records failed")
        return self.earlier.began.fingerprint

    def _sort_parts(self) -> None:
        while self._stored:
            ordinal, part = self._stored.popleft()
            self._orphans.discard(part.path)
            if ordinal >= 0:  # of items that are made of several records there is no telling whose the part is
                self._parts.setdefault(ordinal, []).append(part)

    def _forget_earlier(self) -> None:
        """All that there is has been seen, and nothing is being made."""
        self._sort_parts()
        for orphan in self._orphans:
            remove(orphan)
        for path in file_logs(self._journal):
            path.unlink()
        if self.redrive is None:
            self._dead_letters.forget_earlier()
        if self.earlier is not None and self.earlier.is_exhausted:
            self.earlier.path.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove what earlier runs left: their journal, and the temporary files that they were making."""
        for path in file_logs(self._journal):
            for begun in begun_in(path):
                remove(begun.temporary)
        for path in self._journal.iterdir():
            path.unlink()

    def _replace(self, name: str, content: bytes) -> None:
        temporary = self.path / f".{name}.tmp"
        with self._writing():
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path / name)
            except BaseException:
                remove(str(temporary))
                raise
            sync_folder(str(self.path))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "free space there, or choose another" if error.errno in _FULL else "choose another"
            words = f"{self.path}: the run directory cannot be written: {error.strerror}; {remedy} with --run-dir"
            raise RunDirectoryError(self.secrets.clean(words)) from error


class NoRunDirectory(RunDirectory):
    """What takes a run directory's place where none is asked for, and keeps nothing."""

    keeps = False
    fingerprint = ""
    finishes = True
    redrive: Redrive | None = None
    earlier: Earlier | None = None

    def __init__(self, secrets: Secrets = NO_SECRETS) -> None:
        self.path = Path()
        self.notes = []
        self.secrets = secrets

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def writer(self, node_id: str, number: int, *, in_order: bool = False) -> Writer:
        return Writer()

    def ended(self, row: RecordRow, before: RecordRow | None = None) -> int:
        return 0

    def take(self) -> list[RecordRow]:
        return []

    def store(self, rows: Sequence[RecordRow]) -> None:
        pass

    def write_end(self, status: str, *, has_read: bool, has_seen_all: bool, is_complete: bool) -> None:
        pass

    def add_dead_letter(self, letter: DeadLetter) -> None:
        pass

    def _replace(self, name: str, content: bytes) -> None:
        pass


def default_run_directory(graph: Graph) -> Path:
    """`.phonograph/<name>-<hash of outputs>` below the working directory: runs that write to the same place share it."""
    outputs = {
        node.id: msgspec.to_builtins(node.params, enc_hook=str) for node in graph.nodes.values() if node.spec.kind == "sink"
    }
    digest = hashlib.sha256(json.dumps(outputs, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return Path(".phonograph") / f"{graph.name}-{digest}"
