"""The run directory: what a run leaves on disk beside its outputs, written so that a crash leaves whole lines."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import msgspec

from phonograph.engine.ledger import NO_FACTS
from phonograph.errors import PhonographError, RunDirectoryError, in_words, words_with_type
from phonograph.graph.model import Graph, GraphNode
from phonograph.item import Item, Outcome
from phonograph.metrics import MetricsDocument
from phonograph.pickling import places
from phonograph.redaction import NO_SECRETS, Secrets
from phonograph.sink import append_whole


class Owner(Protocol):
    """Who sent a record in, and wants to know what becomes of it: a request or a session.

    Attributes:
        is_live: it is a session, whose items keep their order everywhere and meet the state that they left.
        is_gone: nobody waits any more; what waits of it ends as cancelled.
        ends: at how many of its links the end of the session has come to a node that gathers, by its id; the names of segments
            that it has passed.
    """

    is_live: bool
    is_gone: bool
    ends: dict[str, int]

    def deliver(self, output: str, item: Item, num_bytes: int) -> None:
        """An item has come to an output of the manifest."""

    def letter(self, letter: DeadLetter, error: PhonographError | None) -> None:
        """Something of a record was given up; with an error where that is to fail all of it."""

    def record_ended(self, outcome: Outcome) -> None:
        """A record that was sent in has ended, or the end of a session."""


class Identity(NamedTuple):
    """What tells a record for ever, and whether its file has changed: see `Record`.

    `owner` is None for what a source read.
    """

    key: str
    size: int | None = None
    mtime_ns: int | None = None
    owner: Owner | None = None


_quoted = json.encoder.encode_basestring  # as `ensure_ascii=False` does
_WORDS = {outcome: outcome.value for outcome in Outcome}  # `value` is looked up by a function each time

DEAD_LETTERS = "dead_letters.jsonl"
METRICS = "metrics.json"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A line of dead_letters.jsonl: what failed, where, why, and what it was.

    Args:
        key, ordinal: of the item; the key with `***` for a secret in it. attributes: what was known of it.
        node, type: where it stopped. attempts: how often the node was called, 0 when its breaker never let the item through.
        code: see error-codes.json. message: the error's own words. causes: the chain below it, nearest first.
        traceback: where in the node's code it was raised, for errors that are not phonograph's own; empty for those.
        time: UTC, ISO 8601.
    """

    key: str
    ordinal: int
    node: str
    type: str
    code: str
    message: str
    causes: tuple[str, ...]
    traceback: tuple[str, ...]
    attempts: int
    attributes: dict[str, Any]
    time: str

    @classmethod
    def of(cls, node: GraphNode, item: Item, error: Exception, attempts: int, secrets: Secrets = NO_SECRETS) -> DeadLetter:
        """What is told of a failure, without the secrets that may be in its words."""
        own = isinstance(error, PhonographError)
        return cls(
            key=secrets.clean(item.key),
            ordinal=item.ordinal,
            node=node.id,
            type=node.spec.type,
            code=error.code if isinstance(error, PhonographError) else "exception",
            message=secrets.clean(in_words(error)),
            causes=tuple(secrets.clean(words_with_type(cause)) for cause in _causes(error)),
            traceback=() if own else places(error),
            attempts=attempts,
            attributes=secrets.clean_all(dict(item.attributes)),
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The chain of causes, nearest first; a chain that bites its tail ends there."""
    seen = {id(error)}
    while (cause := error.__cause__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        error = cause


class _RowFile:
    """A JSON Lines file that is written row by row, so that a killed run leaves every row it wrote, and each of them whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._length = 0

    def append(self, row: Mapping[str, Any]) -> None:
        # A file name that is not UTF-8 arrives as lone surrogates, whose backslash form is a JSON escape.
        self.append_text(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False))

    def append_text(self, row: str) -> None:
        """Append a row that is JSON already."""
        self._length = append_whole(self._file.fileno(), self._length, row.encode(errors="backslashreplace") + b"\n")

    def close(self) -> None:
        with self._file:
            os.fsync(self._file.fileno())


class RunDirectory:
    """`plan.json`, `journal/records.log`, `dead_letters.jsonl`, `metrics.json`, and a lock that keeps a second run out.

    A new run replaces what an earlier one left here.

    Args:
        path: the folder; made when missing.
        secrets: what must not be in anything that is told of the run.

    Raises:
        RunDirectoryError: another live run holds it, or it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], secrets: Secrets = NO_SECRETS) -> None:
        self.path = Path(path).absolute()
        self.secrets = secrets
        self._lock = self.path / "lock"
        with self._writing():
            (self.path / "journal").mkdir(parents=True, exist_ok=True)
            self._take_lock()
            with contextlib.ExitStack() as stack:
                stack.callback(self._lock.unlink, missing_ok=True)
                (self.path / METRICS).unlink(missing_ok=True)
                self._records = stack.enter_context(contextlib.closing(_RowFile(self.path / "journal" / "records.log")))
                self._dead_letters = stack.enter_context(contextlib.closing(_RowFile(self.path / DEAD_LETTERS)))
                self._leaving = stack.pop_all()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._writing():
            self._leaving.close()

    @property
    def dead_letters_path(self) -> Path:
        return self.path / DEAD_LETTERS

    def write_plan(self, plan: Mapping[str, object]) -> None:
        self._replace("plan.json", json.dumps(plan, indent=1).encode())

    def record_ended(self, identity: Identity, outcome: Outcome, facts: Mapping[str, str] = NO_FACTS) -> None:
        """Journal the end of a record, with the size and time of its file where there is one; no secret in its key is kept.

        Args:
            facts: about the outcome.
        """
        key, size, mtime_ns, _ = identity
        row = f'{{"key": {_quoted(self.secrets.clean(key))}'  # put together here, for that takes a quarter of the time
        if size is not None:
            row += f', "size": {size}'
        if mtime_ns is not None:
            row += f', "mtime_ns": {mtime_ns}'
        row += f', "outcome": "{_WORDS[outcome]}"'
        for name, value in facts.items():
            row += f', "{name}": {_quoted(value)}'
        try:
            self._records.append_text(row + "}")
        except OSError as error:
            raise self._unwritable(error) from error

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """Append to dead_letters.jsonl."""
        with self._writing():
            try:
                self._dead_letters.append(msgspec.structs.asdict(letter))
            except (ValueError, TypeError, RecursionError):  # of attributes, which can be anything; the rest matters more
                self._dead_letters.append({**msgspec.structs.asdict(letter), "attributes": {}})

    def write_metrics(self, document: MetricsDocument) -> None:
        self._replace(METRICS, msgspec.json.format(msgspec.json.encode(document), indent=1))

    def _replace(self, name: str, content: bytes) -> None:
        temporary = self.path / f".{name}.tmp"
        with self._writing():
            temporary.write_bytes(content)
            temporary.replace(self.path / name)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RunDirectoryError:
        words = f"{self.path}: the run directory cannot be written: {error.strerror}; choose another with --run-dir"
        return RunDirectoryError(words)

    def _take_lock(self) -> None:
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": _start_of(os.getpid())}
        while True:
            try:
                self._make_lock(json.dumps(owner))
                return
            except FileExistsError:
                holder = self._holder(self._lock)
                if holder is not None:
                    raise RunDirectoryError(
                        f"{self.path}: in use by process {holder['pid']} on {holder['host']}; wait for it, or give this run a "
                        f"directory of its own with --run-dir (if that process is gone, remove {self._lock})"
                    ) from None
                self._remove_stale_lock()

    def _make_lock(self, content: str) -> None:
        with self._lock.open("x") as file:
            try:
                file.write(content)
                file.flush()
            except BaseException:  # a full disk must not leave a lock that nobody holds
                self._lock.unlink()
                raise

    def _remove_stale_lock(self) -> None:
        """Remove a lock whose process is gone, unless another run has replaced it by its own in the meantime."""
        aside = self.path / f"lock.stale-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            self._lock.rename(aside)  # only one of several runs gets it
            try:
                if self._holder(aside) is not None:
                    os.link(aside, self._lock)
            finally:
                aside.unlink()

    @staticmethod
    def _holder(lock: Path) -> dict[str, Any] | None:
        """Who holds a lock; None when its process is known to be dead."""
        try:
            holder = json.loads(lock.read_text())
            pid, host, started = holder["pid"], holder["host"], holder["started"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return {"pid": "unknown", "host": "unknown host"}
        if host == socket.gethostname() and (_start_of(pid) is None or _start_of(pid) != started):
            return None
        return {"pid": pid, "host": host}


class NoRunDirectory(RunDirectory):
    """What takes a run directory's place where none is asked for, and keeps nothing."""

    def __init__(self, secrets: Secrets = NO_SECRETS) -> None:
        self.path = Path()
        self.secrets = secrets

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def record_ended(self, identity: Identity, outcome: Outcome, facts: Mapping[str, str] = NO_FACTS) -> None:
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


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _start_of(pid: int) -> str | None:
    """When a process of this machine started, so that a reused pid is not taken for its predecessor; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return None
