"""Reads the files that a manifest is made of, with the fragments that its `include` merges into it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from phonograph.errors import Complaint, ManifestError, Position
from phonograph.language import fields
from phonograph.language.about import check_version, read_name
from phonograph.language.fields import Fields, complain
from phonograph.language.keys import FRAGMENT, OF_ITSELF
from phonograph.language.yaml12 import MAX_BYTES, MAX_VALUES, Located, load
from phonograph.shipped import files_like
from phonograph.traced import Traced, is_piped

MAX_INCLUDES = 16  # of files inside files; what is deeper is no manifest that people keep in their heads
MAX_TOTAL_BYTES = 4 * MAX_BYTES  # of all files of one manifest, each counted once
_SETTINGS = ("params", "defaults", "limits")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read, and the way to it.

    Args:
        file: as positions name it.
        chain: (what the file is on disk, how it is called) for each file from the outermost manifest to this one.
    """

    root: Located
    file: str
    chain: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Files:
    """Every file of one manifest.

    What all of them hold together is capped like what one file may hold: a few small files that include each other several times
    would else be a bomb.

    Attributes:
        paths: of those that were read, in the order of reading, each once.
    """

    complaints: list[Complaint]
    paths: list[Path] = field(default_factory=list)
    _roots: dict[str, Located | None] = field(default_factory=dict)  # what a file is on disk -> None where it is not YAML
    _missing: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # path -> why, and the files that it may be
    _num_bytes: int = 0
    _num_values: int = 0
    _is_full: bool = False  # said once, for what is too large is so at every place

    def outermost(self, path: str, content: bytes) -> Source | None:
        """The manifest itself; None, and complaints, when it is not YAML."""
        self.paths.append(Path(path))
        self._num_bytes = len(content)
        root = self._loaded(content, path, "")
        if root is None:
            return None
        self._num_values = _size(root)
        return Source(root, path, ((os.path.realpath(path), path),))

    def included(self, named: Located, by: Source) -> Source | None:
        """The file that an `include` names; None when it cannot be read, about which there is a complaint.

        One that is no YAML is complained of where it is named first; it may be named a thousand times.
        """
        text = named.value
        assert isinstance(text, str)
        position = named.position
        if self._is_full:
            return None
        path = path_beside(text, position)
        identity = os.path.realpath(path)
        chain = (*by.chain, (identity, path))
        if identity in [known for known, _ in by.chain]:
            circle = " -> ".join(name for _, name in chain)
            self._complain("include_cycle", position, f"files include each other in a circle: {circle}", "one of them not to")
            return None
        if len(chain) > MAX_INCLUDES:
            self._too_large(position, "files that include files too deeply", f"at most {MAX_INCLUDES} levels")
            return None
        note = ", ".join(filter(None, (f"included at {position}", position.note)))
        if identity not in self._roots and not self._add(path, identity, text, position, note):
            return None
        root = self._roots[identity]
        if root is None:
            return None
        self._num_values += _size(root)
        if self._num_values > MAX_VALUES:
            self._too_large(position, "too many values, with what is included", f"at most {MAX_VALUES}")
            return None
        return Source(_named(root, path, note), path, chain)

    def _add(self, path: str, identity: str, text: str, position: Position, note: str) -> bool:
        """Read a file for the first time; whether its content is known then."""
        content = self._read(path, text, position)
        if content is None:
            return False
        self._num_bytes += len(content)
        if self._num_bytes > MAX_TOTAL_BYTES:
            self._too_large(position, "too much text, with what is included", f"at most {MAX_TOTAL_BYTES} bytes")
            return False
        self.paths.append(Path(path))
        self._roots[identity] = self._loaded(content, path, note)
        return True

    def _loaded(self, content: bytes, path: str, note: str) -> Located | None:
        try:
            return load(content, path, note)
        except ManifestError as error:
            self.complaints.extend(error.complaints)
            return None

    def _read(self, path: str, text: str, position: Position) -> bytes | None:
        if path not in self._missing:
            try:
                return read_start(path)
            except (OSError, ValueError) as error:
                close = files_like(path) if isinstance(error, FileNotFoundError) else ()
                self._missing[path] = getattr(error, "strerror", None) or str(error), close
        reason, files = self._missing[path]
        near = tuple(os.path.join(os.path.dirname(text), os.path.basename(name)) for name in files)
        found = f"the included file {path!r} cannot be read: {reason}"
        complain(self.complaints, "file_unreadable", position, found, "a YAML file", near)
        return None

    def _too_large(self, position: Position, found: str, expected: str) -> None:
        self._is_full = True
        self._complain("too_large", position, found, expected)

    def _complain(self, code: str, position: Position, found: str, expected: str) -> None:
        complain(self.complaints, code, position, found, expected)


def read_start(path: str, max_bytes: int = MAX_BYTES, *, is_given: bool = False) -> bytes:
    """As much of a file as it takes to see that it is too large; a file of gigabytes costs no more than one of a mebibyte.

    Args:
        is_given: a person or a program names it, and not another file; then it may be the pipe that a shell makes of `<(...)`.

    Raises:
        OSError: it cannot be read, or is a pipe, which would keep the reader waiting for as long as nobody writes to it.
    """
    if is_given and path.startswith(("/dev/", "/proc/")):
        with open(path, "rb") as stream:
            return stream.read(max_bytes + 1)
    with open(path, "rb", opener=_without_waiting) as stream:
        start: bytes | None = None if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode) else stream.read(max_bytes + 1)
    if start is None:  # a terminal, too, has nothing to give at once
        raise OSError(errno.EINVAL, "it is a pipe or a terminal, and no file")
    return start


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def path_beside(text: str, position: Position) -> str:
    """The path that stands at a place in a manifest: a relative one starts at that file, unless it came from outside."""
    if isinstance(text, Traced) and text.is_outside:
        return os.path.expanduser(text)
    folder = "" if is_piped(position.file) else os.path.dirname(position.file)
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text)))


def named_paths(located: Located | None, key: str, complaints: list[Complaint]) -> tuple[Located, ...]:
    """The paths under a key that takes one or a list of them, those that can be read."""
    if located is None:
        return ()
    named = located.value if isinstance(located.value, tuple) else (located,)
    what = f"an element of {key!r}" if isinstance(located.value, tuple) else repr(key)
    return tuple(one for one in named if fields.read(one, fields.path, what=what, complaints=complaints) is not None)


def with_fragments(source: Source, files: Files) -> Located:
    """The manifest with what its `include` names merged in: what it says itself holds, then what the later fragment says."""
    return _merged(source, files, {source.chain[-1][0]})


def _merged(source: Source, files: Files, seen: set[str]) -> Located:
    root = source.root
    assert isinstance(root.value, Mapping)
    if "include" not in root.value:
        return root
    sections = {key: value for key, value in root.value.items() if key != "include"}
    keys = MappingProxyType({key: position for key, position in root.keys.items() if key != "include"})
    own = replace(root, value=MappingProxyType(sections), keys=keys)
    under: Located | None = None
    for named in named_paths(root.value["include"], "include", files.complaints):
        fragment = files.included(named, source)
        if fragment is None or fragment.chain[-1][0] in seen:
            continue
        seen.add(fragment.chain[-1][0])
        merged = _merged(fragment, files, seen)
        _check(merged, fragment.file, files.complaints)
        under = merged if under is None else _over(under, merged, files.complaints)
    return own if under is None else _over(under, own, files.complaints)


def _check(fragment: Located, file: str, complaints: list[Complaint]) -> None:
    found = Fields(fragment, what=f"the fragment {file!r}", allowed=FRAGMENT, complaints=complaints)
    check_version(found, complaints)
    read_name(found, complaints)
    found.read("description", fields.text)


def _over(under: Located, over: Located, complaints: list[Complaint]) -> Located:
    """One manifest over a fragment; what only a manifest has is taken from it alone."""
    assert isinstance(under.value, Mapping) and isinstance(over.value, Mapping)
    sections, keys = dict(over.value), dict(over.keys)
    for key, located in under.value.items():
        if key not in FRAGMENT or key in OF_ITSELF:
            continue
        if key not in sections:
            sections[key], keys[key] = located, under.keys[key]
        elif key in _SETTINGS:
            sections[key] = _deep(located, sections[key])
        elif key == "nodes":
            sections[key] = _both(located, sections[key], complaints)
        else:
            sections[key] = replace(sections[key], value=(*_listed(located), *_listed(sections[key])))
    return replace(over, value=MappingProxyType(sections), keys=MappingProxyType(keys))


def _deep(under: Located, over: Located) -> Located:
    """Two values as one: mappings key by key, anything else as the one above says."""
    if not isinstance(under.value, Mapping) or not isinstance(over.value, Mapping):
        return over
    entries, keys = dict(under.value), dict(under.keys)
    for key, located in over.value.items():
        entries[key] = _deep(entries[key], located) if key in entries else located
        keys[key] = over.keys[key]
    return replace(over, value=MappingProxyType(entries), keys=MappingProxyType(keys))


def _both(first: Located, second: Located, complaints: list[Complaint]) -> Located:
    """The nodes of two files."""
    if not isinstance(first.value, Mapping) or not isinstance(second.value, Mapping):
        return first if isinstance(second.value, Mapping) else second  # what is no mapping gets its complaint when it is read
    entries, keys = dict(first.value), dict(first.keys)
    for key, located in second.value.items():
        if key in entries:
            found = f"the node {key!r}, which also stands at {keys[key]}"
            complain(complaints, "duplicate_key", second.keys[key], found, "each id once")
            continue
        entries[key], keys[key] = located, second.keys[key]
    return replace(second, value=MappingProxyType(entries), keys=MappingProxyType(keys))


def _listed(located: Located) -> tuple[Located, ...]:
    return located.value if isinstance(located.value, tuple) else (located,)


def _named(located: Located, file: str, note: str) -> Located:
    """The value with positions as those who came to its file in another way name it."""
    if (located.position.file, located.position.note) == (file, note):
        return located
    value = located.value
    if isinstance(value, tuple):
        value = tuple(_named(item, file, note) for item in value)
    elif isinstance(value, Mapping):
        value = MappingProxyType({key: _named(item, file, note) for key, item in value.items()})
    keys = MappingProxyType({key: replace(position, file=file, note=note) for key, position in located.keys.items()})
    return replace(located, value=value, keys=keys, position=replace(located.position, file=file, note=note))


def _size(located: Located) -> int:
    """How many values there are, aliases unfolded."""
    value = located.value
    if isinstance(value, Mapping):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, tuple) else 1
