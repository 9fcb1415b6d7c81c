"""Sources: what makes records out of files, folders, globs, lists.

A source walks lazily: it holds the names of the folders between the root and the current file, never the whole corpus. A fault
of the request (a path that is not there, a folder without audio) is raised and ends the run; a fault of one row of a list, or of
one folder below the root, becomes a record that says so, which `audio.decode` turns into a dead letter.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from phonograph.errors import BadInputError, nearest
from phonograph.item import NO_ATTRIBUTES, Record
from phonograph.node import InputPath, Params, Source, node

# fmt: off
AUDIO_EXTENSIONS = frozenset({
    "3ga", "8svx", "aa3", "aac", "ac3", "adts", "aif", "aifc", "aiff", "alac", "amr", "ape", "au", "awb", "caf", "dts",
    "eac3", "f32", "flac", "g722", "gsm", "m4a", "m4b", "mka", "mp2", "mp3", "mp4", "mpc", "mpga", "oga", "ogg", "opus",
    "ra", "rf64", "snd", "spx", "tta", "voc", "w64", "wav", "wave", "weba", "webm", "wma", "wv",
})
# fmt: on
"""What a folder is searched for, in lower case, without the dot."""

_PATH_FIELDS = ("path", "audio_filepath")  # the second is NeMo's
_LIST = ".jsonl"
_CANDIDATES = 10_000  # directory entries looked at for a likely spelling


class FilesParams(Params, frozen=True):
    paths: Annotated[
        InputPath | list[InputPath],
        msgspec.Meta(description="files, folders (searched recursively), globs (`**` too), lists of rows (.jsonl)"),
    ]
    extensions: Annotated[
        list[str] | None,
        msgspec.Meta(description="kept in folders and globs, as in ['wav']; default: known audio in folders, all in globs"),
    ] = None


@node("source.files", outputs="record", run="thread")
class Files(Source[FilesParams]):
    """Read audio files: one record a file, or a row of a JSONL list.

    A row names its file in `path` or `audio_filepath`, relative to the list, and may have an `id`; its other plain fields
    (text, speaker, ...) become attributes. Keys are the node's id followed by the path relative to the folder given, to the
    fixed part of the glob, or to the folder of a single file; for a row, by its id or its path. When several paths are given,
    keys of files are relative to the folder that all of them share. Hidden files are left out of folders and globs; folders are
    read in the order of their entries' names. A file that is given by name is taken whatever its extension.
    """

    def read(self) -> Iterator[Record]:
        given = [self.params.paths] if isinstance(self.params.paths, str) else self.params.paths
        if not given:
            raise BadInputError(f"source {self.node_id!r}: paths is empty; expected at least one file, folder, glob or list")
        roots = [_Root.of(path, self.node_id) for path in given]
        folders = [root.folder for root in roots if not root.is_list]
        shared = os.path.commonpath(folders) if folders else "/"
        for root in roots:
            records = self._records(root, shared)
            first = next(records, None)
            if first is None:
                raise BadInputError(f"source {self.node_id!r}: {_shown(root.given)}: {self._nothing_in(root)}")
            yield first
            yield from records

    def _records(self, root: _Root, shared: str) -> Iterator[Record]:
        for path in root.files(self._accepts):
            if isinstance(path, _Unreadable):
                key = f"{self.node_id}/{_shown(os.path.relpath(path.folder, shared))}/"
                yield Record(key=key, payload={"record": {"error": f"{_shown(path.folder)}: cannot be listed: {path.word}"}})
            elif path.endswith(_LIST):
                yield from _rows(path, self.node_id)
            else:
                yield _record(f"{self.node_id}/{_shown(os.path.relpath(path, shared))}", {"path": path})

    def _accepts(self, root: _Root) -> Callable[[str], bool]:
        if self.params.extensions is None and root.pattern:
            return lambda name: True
        wanted = AUDIO_EXTENSIONS
        if self.params.extensions is not None:
            wanted = frozenset(extension.lower().removeprefix(".") for extension in self.params.extensions)
        return lambda name: os.path.splitext(name)[1][1:].lower() in wanted

    def _nothing_in(self, root: _Root) -> str:
        if root.is_file:
            return "the list has no rows; expected one JSON object a line"
        if root.pattern:
            return f"no file matches; expected at least one below {_shown(root.folder)}"
        kinds = "known audio" if self.params.extensions is None else ", ".join(self.params.extensions)
        return f"the folder holds no file of the wanted kinds ({kinds}); see the parameter 'extensions'"


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A folder in the walk that could not be listed."""

    folder: str
    word: str


@dataclass(frozen=True, slots=True)
class _Root:
    """One entry of `paths`.

    Args:
        given: as the manifest has it, absolute.
        folder: the folder that is walked, or that the single file is in.
        pattern: the parts of a glob below `folder`; empty for a folder or a file.
    """

    given: str
    folder: str
    pattern: tuple[str, ...] = ()
    is_file: bool = False

    @property
    def is_list(self) -> bool:
        return self.is_file and self.given.endswith(_LIST)

    @classmethod
    def of(cls, path: str, node_id: str) -> _Root:
        """Raises BadInputError when the path, or the fixed part of the glob, is not there."""
        path = os.path.abspath(path)
        if os.path.isdir(path):
            return cls(path, path)
        if os.path.lexists(path):
            return cls(path, os.path.dirname(path), is_file=True)
        parts = path.split("/")
        fixed = next((number for number, part in enumerate(parts) if _is_magic(part)), None)
        folder = path if fixed is None else "/".join(parts[:fixed]) or "/"
        if fixed is None or not os.path.isdir(folder):
            raise BadInputError(f"source {node_id!r}: {_shown(folder)}: no such file or folder{_likely_meant(folder)}")
        return cls(path, folder, tuple(parts[fixed:]))

    def files(self, accepts: Callable[[_Root], Callable[[str], bool]]) -> Iterator[str | _Unreadable]:
        if self.is_file:
            return iter((self.given,))
        if not self.pattern:
            return _walk(self.folder, accepts(self), lambda relative: True)
        # A `**` at the end means every file below.
        pattern = (*self.pattern, "*") if self.pattern[-1] == "**" else self.pattern
        prefix = len(self.folder.rstrip("/")) + 1
        walked = _walk(self.folder, accepts(self), lambda folder: _may_lead_to_match(folder[prefix:].split("/"), pattern))
        return (path for path in walked if isinstance(path, _Unreadable) or _matches(path[prefix:].split("/"), pattern))


def _is_magic(part: str) -> bool:
    return any(character in part for character in "*?[")


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path, as its names, is one that the glob means; `**` stands for any number of folders."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[skipped:], pattern[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def _may_lead_to_match(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether something below this folder can match, so that the walk need not enter the others."""
    if not names or not pattern:
        return bool(pattern)
    if pattern[0] == "**":
        return True
    return fnmatch.fnmatchcase(names[0], pattern[0]) and _may_lead_to_match(names[1:], pattern[1:])


def _walk(folder: str, accepts: Callable[[str], bool], enters: Callable[[str], bool]) -> Iterator[str | _Unreadable]:
    """Every wanted path below `folder`, by name within each folder; links to folders are followed, but not in circles."""
    open_folders: list[tuple[str, tuple[int, int], list[str]]] = []

    def enter(path: str) -> _Unreadable | None:
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity not in (other for _, other, _ in open_folders):
                with os.scandir(path) as entries:
                    names = [entry.name + "/" * entry.is_dir() for entry in entries if not entry.name.startswith(".")]
                names.sort(key=lambda name: name.rstrip("/"), reverse=True)  # taken from the end, which frees them one by one
                open_folders.append((path, identity, names))
        except OSError as error:
            return _Unreadable(path, error.strerror or str(error))
        return None

    failed = enter(folder)
    if failed is not None:
        raise BadInputError(f"{_shown(folder)}: cannot be listed: {failed.word}")
    while open_folders:
        parent, _, names = open_folders[-1]
        if not names:
            open_folders.pop()
            continue
        name = names.pop()
        path = os.path.join(parent, name.rstrip("/"))
        if not name.endswith("/"):
            if accepts(name):
                yield path
        elif enters(path):
            failed = enter(path)
            if failed is not None:
                yield failed


def _rows(list_path: str, node_id: str) -> Iterator[Record]:
    """The records of a JSONL list; a row that cannot be read becomes a record with an `error`."""
    try:
        file = open(list_path, "rb")  # noqa: SIM115  # closed below; the failure to open is another one than a bad row
    except OSError as error:
        raise BadInputError(f"source {node_id!r}: {_shown(list_path)}: cannot be read: {error.strerror}") from error
    with file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                yield _row(msgspec.json.decode(text), list_path, node_id)
            except (ValueError, BadInputError) as error:  # msgspec's DecodeError and UnicodeDecodeError are ValueErrors
                message = f"{_shown(list_path)}:{number}: {error}"
                key = f"{node_id}/{_shown(os.path.basename(list_path))}:{number}"
                yield Record(key=key, payload={"record": {"error": message}})


def _row(row: Any, list_path: str, node_id: str) -> Record:
    if not isinstance(row, dict):
        raise BadInputError(f"the row is {type(row).__name__}; expected a JSON object")
    field = next((name for name in _PATH_FIELDS if row.get(name) is not None), None)
    if field is None:
        raise BadInputError(f"the row names no file; expected {' or '.join(map(repr, _PATH_FIELDS))}; found {sorted(row)}")
    given = row[field]
    if not isinstance(given, str) or not given or "\0" in given:
        raise BadInputError(f"{field} is {given!r}; expected the path of a file")
    if "://" in given:
        raise BadInputError(f"{field} is {given!r}; expected a file on this machine; fetch it first")
    if row.get("offset"):
        raise BadInputError(f"the row asks for a part of its file (offset {row['offset']!r}); expected whole files; cut it first")
    identity = row.get("id")
    if identity is None or identity == "":
        identity = given.lstrip("/")
    elif not isinstance(identity, (str, int)):
        raise BadInputError(f"id is {identity!r}; expected text or a whole number")
    payload = {**row, "path": os.path.abspath(os.path.join(os.path.dirname(list_path), given))}
    attributes = {
        name: value
        for name, value in row.items()
        if name not in ("id", *_PATH_FIELDS) and isinstance(value, (str, int, float, bool))
    }
    return _record(f"{node_id}/{identity}", payload, attributes)


def _record(key: str, payload: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> Record:
    """A record of the file at `payload["path"]`; a file that is not there is left for the decoder to report."""
    record = Record(key=key, payload={"record": payload}, attributes=attributes or NO_ATTRIBUTES)
    try:
        status = os.stat(payload["path"])
    except OSError:
        return record
    return msgspec.structs.replace(record, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _shown(path: str) -> str:
    """The path as text; bytes of a name that are not UTF-8 are spelled out, because keys must be storable."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _likely_meant(path: str) -> str:
    """A hint at the part of `path` that is not there, and what stands in its place."""
    folder, name = os.path.split(path)
    while not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    try:
        with os.scandir(folder) as entries:
            candidates = nearest(name, (entry.name for entry in itertools.islice(entries, _CANDIDATES)))
    except OSError:
        return ""
    return f"; nearest in {_shown(folder)}: " + ", ".join(map(repr, map(_shown, candidates))) if candidates else ""
