"""Sources: what makes records out of files, folders, globs, lists.

A source walks lazily: it holds the names of the folders between the root and the current file, never the whole corpus. A fault
of the request (a path that is not there, a folder without audio) is raised and ends the run; a fault of one row of a list, or of
one folder below the root, becomes a record that says so, which `audio.decode` turns into a dead letter.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from phonograph import cancellation
from phonograph.errors import BadInputError
from phonograph.item import NO_ATTRIBUTES, Record
from phonograph.node import InputPath, Params, Source, node
from phonograph_nodes.paths import likely_meant, shown
from phonograph_nodes.seen import SeenKeys

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


class FilesParams(Params, frozen=True):
    paths: Annotated[
        InputPath | list[InputPath],
        msgspec.Meta(description="files, folders (searched recursively), globs (`**` too), lists of rows (.jsonl)"),
    ]
    extensions: Annotated[
        list[str] | None,
        msgspec.Meta(description="kept in folders and globs, as in ['wav']; default: known audio in folders, all in globs"),
    ] = None


def _reads_a_list(params: FilesParams) -> bool:
    paths = [params.paths] if isinstance(params.paths, str) else params.paths
    return any(path.endswith(_LIST) for path in paths)


@node(
    "source.files",
    outputs="record",
    run="thread",
    open_attributes=_reads_a_list,
    example="""
        steps:
          - {type: source.files, params: {paths: [samples/*0870.wav, samples/*0880.wav]}}
          - {type: audio.decode}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Files(Source[FilesParams]):
    """Read audio files: one record a file, or a row of a JSONL list.

    A row names its file in `path` or `audio_filepath`, relative to the list, and may have an `id`; its other plain fields
    (text, speaker, ...) become attributes. Keys are the node's id followed by the path relative to the folder given, to the
    fixed part of the glob, or to the folder of a single file; for a row, by its id or its path. When several paths are given,
    keys of files are relative to the folder that all of them share. Hidden files are left out of folders and globs; folders are
    read in the order of their entries' names. A file that is given by name is taken whatever its extension; a list is read
    only when it is given by name.

    A key that comes a second time (two rows with one id, paths that overlap) becomes a record that says so, under the key
    followed by `~` and a number. Lists and several paths are watched for this, which takes 16 to 32 bytes a record; the keys of
    one folder or glob differ anyhow.
    """

    def read(self) -> Iterator[Record]:
        given = [self.params.paths] if isinstance(self.params.paths, str) else self.params.paths
        if not given:
            raise BadInputError(f"source {self.node_id!r}: paths is empty; expected at least one file, folder, glob or list")
        roots = [_Root.of(path, self.node_id) for path in given]
        placed = self._placed_records(roots)
        if len(roots) > 1 or roots[0].is_list:
            yield from _without_repeats(placed)
        else:
            yield from (record for _, record in placed)

    def _placed_records(self, roots: Sequence[_Root]) -> Iterator[_Placed]:
        folders = [root.folder for root in roots if not root.is_list]
        shared = os.path.commonpath(folders) if folders else "/"
        for root in roots:
            records = self._records(root, shared)
            first = next(records, None)
            if first is None:
                raise BadInputError(f"source {self.node_id!r}: {shown(root.given)}: {self._nothing_in(root)}")
            yield first
            yield from records

    def _records(self, root: _Root, shared: str) -> Iterator[_Placed]:
        if root.is_list:
            yield from _rows(root.given, self.node_id)
            return
        for path in root.files(self._accepts):
            if isinstance(path, _Unreadable):
                place = shown(path.folder)
                key = f"{self.node_id}/{shown(os.path.relpath(path.folder, shared))}/"
                yield place, _fault(key, f"{place}: cannot be listed: {path.word}")
                continue
            place = shown(path)
            key = f"{self.node_id}/{shown(os.path.relpath(path, shared))}"
            if path.endswith(_LIST):
                yield place, _fault(key, f"{place}: is a list; expected audio; give the list itself in 'paths' to read its rows")
            else:
                yield place, _record(key, {"path": path})

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
            return f"no file matches; expected at least one below {shown(root.folder)}"
        kinds = "known audio" if self.params.extensions is None else ", ".join(self.params.extensions)
        return f"the folder holds no file of the wanted kinds ({kinds}); see the parameter 'extensions'"


_Placed = tuple[str, Record]
"""A record and where it comes from: `list:line`, or its path."""


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
            raise BadInputError(f"source {node_id!r}: {shown(folder)}: no such file or folder{likely_meant(folder)}")
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
    return len(pattern) in _reached(names, pattern)


def _may_lead_to_match(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether something below this folder can match, so that the walk need not enter the others."""
    return any(place < len(pattern) for place in _reached(names, pattern))


def _reached(names: Sequence[str], pattern: Sequence[str]) -> set[int]:
    """How many parts of the pattern the names can have used up. All ways are followed at once: trying them one after another
    takes exponential time when `**` stands several times."""

    def with_skips(places: set[int]) -> set[int]:
        for place, part in enumerate(pattern):  # `**` may stand for no folder at all
            if part == "**" and place in places:
                places.add(place + 1)
        return places

    places = with_skips({0})
    for name in names:
        stepped = set()
        for place, part in enumerate(pattern):
            if place in places and part == "**":
                stepped.add(place)
            elif place in places and fnmatch.fnmatchcase(name, part):
                stepped.add(place + 1)
        places = with_skips(stepped)
    return places


def _walk(folder: str, accepts: Callable[[str], bool], enters: Callable[[str], bool]) -> Iterator[str | _Unreadable]:
    """Every wanted path below `folder`, by name within each folder; links to folders are followed, but not in circles."""
    open_folders: list[tuple[str, tuple[int, int], list[str]]] = []

    def enter(path: str) -> _Unreadable | None:
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity not in (other for _, other, _ in open_folders):
                with os.scandir(path) as entries:
                    names = [entry.name + "/" * _is_folder(entry) for entry in entries if not entry.name.startswith(".")]
                names.sort(key=lambda name: name.rstrip("/"), reverse=True)  # taken from the end, which frees them one by one
                open_folders.append((path, identity, names))
        except OSError as error:
            return _Unreadable(path, error.strerror or str(error))
        return None

    failed = enter(folder)
    if failed is not None:
        raise BadInputError(f"{shown(folder)}: cannot be listed: {failed.word}")
    token = cancellation.current()
    while open_folders:
        token.raise_if_cancelled()
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


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """What cannot be looked at, as a link to itself, is no folder: the decoder reports it if it is named like audio."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _without_repeats(placed: Iterator[_Placed]) -> Iterator[Record]:
    """The records, those whose key was there before made faults with keys of their own."""
    seen, number = SeenKeys(), 1
    for place, record in placed:
        if seen.add(record.key):
            yield record
            continue
        # One count for all keys: a count for each would need memory, or time that grows with the repeats.
        number += 1
        while not seen.add(f"{record.key}~{number}"):
            number += 1
        key = f"{record.key}~{number}"
        row = record.payload["record"]
        message = (
            f"{place}: the key {record.key!r} stands already in this list or another path; expected each key once; "
            "remove the repetition, or give the row an id of its own"
        )
        yield _fault(key, message if "path" in row else row["error"])


def _rows(list_path: str, node_id: str) -> Iterator[_Placed]:
    """The records of a JSONL list; a row that cannot be read becomes a record with an `error`."""
    place = f"source {node_id!r}: {shown(list_path)}"
    try:
        if not stat.S_ISREG(os.stat(list_path).st_mode):  # to open a pipe could block for ever
            raise BadInputError(f"{place}: is a pipe or a device; expected a plain file; store the rows in one")
        file = open(list_path, "rb")  # noqa: SIM115  # closed below; the failure to open is another one than a bad row
    except OSError as error:
        raise BadInputError(f"{place}: cannot be read: {error.strerror}") from error
    with file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            place = f"{shown(list_path)}:{number}"
            try:
                record = _row(msgspec.json.decode(text), list_path, node_id)
                record = msgspec.structs.replace(record, digest=f"{zlib.crc32(text):08x}")
            except (ValueError, BadInputError, RecursionError) as error:  # msgspec's and UnicodeDecodeError are ValueErrors
                word = "the row is nested too deeply; expected plain fields" if isinstance(error, RecursionError) else str(error)
                record = _fault(f"{node_id}/{shown(os.path.basename(list_path))}:{number}", f"{place}: {word}")
            yield place, record


def _fault(key: str, message: str) -> Record:
    """A record that says why there is none, for `audio.decode` to refuse."""
    return Record(key=key, payload={"record": {"error": message}})


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
    elif isinstance(identity, bool) or not isinstance(identity, (str, int)):
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
