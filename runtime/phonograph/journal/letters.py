"""Dead letters: what is told of an item that failed, and of the record that it was, so that this can be run again."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from phonograph.errors import PhonographError, in_words, words_with_type
from phonograph.graph.model import GraphNode
from phonograph.item import Item
from phonograph.pickling import places
from phonograph.redaction import NO_SECRETS, Secrets
from phonograph.sink import append_whole, sync_folder

DEAD_LETTERS = "dead_letters.jsonl"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a source needs to give a record again, and what tells whether that is still the same: see `Record`.

    Args:
        source: id of the node that read it; empty for what a program sent, and for what was made of several records.
        fingerprint: short, of the graph; see `phonograph.journal.fingerprint`.
    """

    source: str = ""
    record: str = ""
    size: int | None = None
    mtime_ns: int | None = None
    digest: str = ""
    fingerprint: str = ""


NOWHERE = Reference()


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A line of dead_letters.jsonl: what failed, where, why, and what it was.

    Args:
        key, ordinal: of the item; the key with `***` for a secret in it. attributes: what was known of it.
        node, type: where it stopped. attempts: how often the node was called, 0 when its breaker never let the item through.
        code: see error-codes.json. message: the error's own words. causes: the chain below it, nearest first.
        traceback: where in the node's code it was raised, for errors that are not phonograph's own; empty for those.
        time: UTC, ISO 8601.
        source, record, size, mtime_ns, digest: the record that the item was, or was made of, with the node that read it;
            empty for what a program sent, and for what was made of several records.
        fingerprint: short, of what the run's results depend on.
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
    source: str
    record: str
    size: int | None
    mtime_ns: int | None
    digest: str
    fingerprint: str

    @classmethod
    def of(
        cls,
        node: GraphNode,
        item: Item,
        error: Exception,
        attempts: int,
        secrets: Secrets = NO_SECRETS,
        reference: Reference = NOWHERE,
    ) -> DeadLetter:
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
            source=reference.source,
            record=secrets.clean(reference.record),
            size=reference.size,
            mtime_ns=reference.mtime_ns,
            digest=reference.digest,
            fingerprint=reference.fingerprint,
        )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The chain of causes, nearest first; a chain that bites its tail ends there."""
    seen = {id(error)}
    while (cause := error.__cause__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        error = cause


class FiledLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of dead_letters.jsonl says that decides what becomes of it; see `DeadLetter`."""

    key: str
    node: str
    attempts: int
    source: str
    record: str
    fingerprint: str


_DECODER = msgspec.json.Decoder(FiledLetter)


def filed_letters(path: Path) -> Iterator[tuple[int, FiledLetter | None]]:
    """The letters of a file, each with its line from 1; None for a line that is none. Raises OSError."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, filed(line)


def filed(line: bytes) -> FiledLetter | None:
    """A line as a letter; None when it is none."""
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with contextlib.suppress(ValueError, RecursionError):  # lone surrogates, which msgspec does not take
            return msgspec.convert(json.loads(line), FiledLetter)
    return None


class LetterFile:
    """dead_letters.jsonl, written line by line, so that a killed run leaves every line it wrote, and each of them whole.

    Args:
        keeps: the letters of earlier runs stay in front.
    """

    def __init__(self, path: Path, *, keeps: bool) -> None:
        self._path = path
        self._is_synced = True
        self._length = self._start = _whole_lines(path) if keeps else 0
        self._file = path.open("r+b" if self._length else "wb", buffering=0)
        os.ftruncate(self._file.fileno(), self._length)

    def add(self, letter: DeadLetter) -> None:
        """Append a letter. Raises OSError."""
        try:
            row = _line_of(msgspec.structs.asdict(letter))
        except (ValueError, TypeError, RecursionError):  # of attributes, which can be anything; the rest matters more
            row = _line_of({**msgspec.structs.asdict(letter), "attributes": {}})
        self._length = append_whole(self._file.fileno(), self._length, row)
        self._is_synced = False

    def sync(self) -> None:
        """Make durable what was added. May be called from another thread. Raises OSError."""
        if not self._is_synced:
            self._is_synced = True  # before: what is added meanwhile is for the next time
            os.fdatasync(self._file.fileno())

    def forget_earlier(self) -> None:
        """Drop the lines of earlier runs, for all that they were about has been done again. Raises OSError."""
        if self._start:
            self._replace(lambda line: False)

    def drop(self, is_settled: Callable[[FiledLetter], bool]) -> None:
        """Drop those letters of earlier runs that say nothing any more; lines that are no letters stay. Raises OSError."""
        self._replace(lambda line: (letter := filed(line)) is None or not is_settled(letter))

    def _replace(self, stays: Callable[[bytes], bool]) -> None:
        """Write the file anew, without those lines of earlier runs that do not stay."""
        aside = self._path.with_name(f".{self._path.name}.tmp")
        length = start = 0
        with self._path.open("rb") as before, aside.open("wb") as kept:
            for line in before:
                is_earlier = length < self._start
                length += len(line)
                if not is_earlier or stays(line):
                    kept.write(line)
                    start += len(line) if is_earlier else 0
            kept.flush()
            os.fsync(kept.fileno())
        aside.replace(self._path)
        sync_folder(str(self._path.parent))
        self._file.close()
        self._file = self._path.open("r+b", buffering=0)
        self._length, self._start = self._path.stat().st_size, start

    def close(self) -> None:
        with self._file:
            os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> int:
    """How many bytes of a file are whole lines; of one that is not there, none."""
    length = 0
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            length += len(line) if line.endswith(b"\n") else 0
    return length


def _line_of(row: Mapping[str, Any]) -> bytes:
    # A file name that is not UTF-8 arrives as lone surrogates, whose backslash form is a JSON escape.
    return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace") + b"\n"


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)
