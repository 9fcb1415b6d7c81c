"""Sources: what makes records out of files, folders, globs, lists.

A source walks lazily: it holds the names of the folders between the root and the current file, never the whole corpus. A fault
of the request (a path that is not there, a folder without audio) is raised and ends the run; a fault of one row of a list, or of
one folder below the root, becomes a record that says so, which `audio.decode` turns into a dead letter.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from phonograph.errors import BadInputError
from phonograph.item import NO_ATTRIBUTES, Record
from phonograph.node import InputPath, Params, Source, node
from phonograph_nodes.paths import shown
from phonograph_nodes.roots import LIST, Root, Unreadable, shared_folder
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
_REPEATED = re.compile(r"~\d+$")


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
    return any(path.endswith(LIST) for path in paths)


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
        roots = [Root.of(path, self.node_id) for path in given]
        placed = self._placed_records(roots)
        if len(roots) > 1 or roots[0].is_list:
            yield from _without_repeats(placed)
        else:
            yield from (record for _, record in placed)

    def read_only(self, keys: Sequence[str]) -> Iterator[Record]:
        given = [self.params.paths] if isinstance(self.params.paths, str) else self.params.paths
        # Keys of faults, of repeated keys, of names that are not UTF-8 do not say where their records come from.
        if any(key.endswith("/") or "\\" in key or _REPEATED.search(key) for key in keys):
            yield from super().read_only(keys)
            return
        roots = [Root.of(path, self.node_id) for path in given]
        shared = shared_folder(roots)
        left = dict.fromkeys(keys)
        for root in roots:
            for record in self._found(root, shared, left):
                if record.key in left:  # the first of a key that is there twice
                    del left[record.key]
                    yield record

    def _found(self, root: Root, shared: str, keys: Collection[str]) -> Iterator[Record]:
        """The records of a root that have these keys, in its order."""
        if root.is_list:
            yield from (record for _, record in _rows(root.given, self.node_id, only=keys))
            return
        prefix = len(self.node_id) + 1
        paths = [root.given] if root.is_file else [os.path.join(shared, key[prefix:]) for key in tuple(keys)]
        for path in paths:
            key = f"{self.node_id}/{shown(os.path.relpath(path, shared))}"
            if key in keys and not path.endswith(LIST) and root.gives(path, self._accepts):
                yield _record(key, {"path": path})

    def _placed_records(self, roots: Sequence[Root]) -> Iterator[_Placed]:
        shared = shared_folder(roots)
        for root in roots:
            records = self._records(root, shared)
            first = next(records, None)
            if first is None:
                raise BadInputError(f"source {self.node_id!r}: {shown(root.given)}: {self._nothing_in(root)}")
            yield first
            yield from records

    def _records(self, root: Root, shared: str) -> Iterator[_Placed]:
        if root.is_list:
            yield from _rows(root.given, self.node_id)
            return
        for path in root.files(self._accepts):
            if isinstance(path, Unreadable):
                place = shown(path.folder)
                key = f"{self.node_id}/{shown(os.path.relpath(path.folder, shared))}/"
                yield place, _fault(key, f"{place}: cannot be listed: {path.word}")
                continue
            place = shown(path)
            key = f"{self.node_id}/{shown(os.path.relpath(path, shared))}"
            if path.endswith(LIST):
                yield place, _fault(key, f"{place}: is a list; expected audio; give the list itself in 'paths' to read its rows")
            else:
                yield place, _record(key, {"path": path})

    def _accepts(self, root: Root) -> Callable[[str], bool]:
        if self.params.extensions is None and root.pattern:
            return lambda name: True
        wanted = AUDIO_EXTENSIONS
        if self.params.extensions is not None:
            wanted = frozenset(extension.lower().removeprefix(".") for extension in self.params.extensions)
        return lambda name: os.path.splitext(name)[1][1:].lower() in wanted

    def _nothing_in(self, root: Root) -> str:
        if root.is_file:
            return "the list has no rows; expected one JSON object a line"
        if root.pattern:
            return f"no file matches; expected at least one below {shown(root.folder)}"
        kinds = "known audio" if self.params.extensions is None else ", ".join(self.params.extensions)
        return f"the folder holds no file of the wanted kinds ({kinds}); see the parameter 'extensions'"


_Placed = tuple[str, Record]
"""A record and where it comes from: `list:line`, or its path."""


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


def _rows(list_path: str, node_id: str, only: Container[str] | None = None) -> Iterator[_Placed]:
    """The records of a JSONL list; a row that cannot be read becomes a record with an `error`.

    Args:
        only: keys of those that are wanted, so that the files of others are not looked at; None: all.
    """
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
                row = msgspec.json.decode(text)
                key = f"{node_id}/{_identity(row)}"
                if only is not None and key not in only:
                    continue
                record = msgspec.structs.replace(_row(key, row, list_path), digest=f"{zlib.crc32(text):08x}")
            except (ValueError, BadInputError, RecursionError) as error:  # msgspec's and UnicodeDecodeError are ValueErrors
                word = "the row is nested too deeply; expected plain fields" if isinstance(error, RecursionError) else str(error)
                record = _fault(f"{node_id}/{shown(os.path.basename(list_path))}:{number}", f"{place}: {word}")
            yield place, record


def _fault(key: str, message: str) -> Record:
    """A record that says why there is none, for `audio.decode` to refuse."""
    return Record(key=key, payload={"record": {"error": message}})


def _identity(row: Any) -> str | int:
    """What names a row of a list. Raises BadInputError for one that is not as it should be."""
    if not isinstance(row, dict):
        raise BadInputError(f"the row is {type(row).__name__}; expected a JSON object")
    given = row.get(field := _path_field(row))
    if not isinstance(given, str) or not given or "\0" in given:
        raise BadInputError(f"{field} is {given!r}; expected the path of a file")
    if "://" in given:
        raise BadInputError(f"{field} is {given!r}; expected a file on this machine; fetch it first")
    if row.get("offset"):
        raise BadInputError(f"the row asks for a part of its file (offset {row['offset']!r}); expected whole files; cut it first")
    identity = row.get("id")
    if identity is None or identity == "":
        return given.lstrip("/")
    if isinstance(identity, bool) or not isinstance(identity, (str, int)):
        raise BadInputError(f"id is {identity!r}; expected text or a whole number")
    return identity


def _path_field(row: Mapping[str, Any]) -> str:
    field = next((name for name in _PATH_FIELDS if row.get(name) is not None), None)
    if field is None:
        raise BadInputError(f"the row names no file; expected {' or '.join(map(repr, _PATH_FIELDS))}; found {sorted(row)}")
    return field


def _row(key: str, row: dict[str, Any], list_path: str) -> Record:
    """The record of a row that `_identity` has found right."""
    payload = {**row, "path": os.path.abspath(os.path.join(os.path.dirname(list_path), row[_path_field(row)]))}
    attributes = {
        name: value
        for name, value in row.items()
        if name not in ("id", *_PATH_FIELDS) and isinstance(value, (str, int, float, bool))
    }
    return _record(key, payload, attributes)


def _record(key: str, payload: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> Record:
    """A record of the file at `payload["path"]`; a file that is not there is left for the decoder to report."""
    record = Record(key=key, payload={"record": payload}, attributes=attributes or NO_ATTRIBUTES)
    try:
        status = os.stat(payload["path"])
    except OSError:
        return record
    return msgspec.structs.replace(record, size=status.st_size, mtime_ns=status.st_mtime_ns)
