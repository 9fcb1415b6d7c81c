"""Roots: what `source.files` is told to read, files, folders and globs, walked lazily or asked for single paths."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from phonograph import cancellation
from phonograph.errors import BadInputError
from phonograph_nodes.paths import likely_meant, shown

LIST = ".jsonl"
"""What the name of a list ends with."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder in the walk that could not be listed."""

    folder: str
    word: str


@dataclass(frozen=True, slots=True)
class Root:
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
        return self.is_file and self.given.endswith(LIST)

    @classmethod
    def of(cls, path: str, node_id: str) -> Root:
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

    def files(self, accepts: Callable[[Root], Callable[[str], bool]]) -> Iterator[str | Unreadable]:
        if self.is_file:
            return iter((self.given,))
        if not self.pattern:
            return _walk(self.folder, accepts(self), lambda relative: True)
        pattern, prefix = self._whole_pattern, self._prefix
        walked = _walk(self.folder, accepts(self), lambda folder: _may_lead_to_match(folder[prefix:].split("/"), pattern))
        return (path for path in walked if isinstance(path, Unreadable) or _matches(path[prefix:].split("/"), pattern))

    def gives(self, path: str, accepts: Callable[[Root], Callable[[str], bool]]) -> bool:
        """Whether `files` would give a path, without a walk."""
        if self.is_file:
            return path == self.given
        names = path[self._prefix :].split("/")
        if not path.startswith(self.folder.rstrip("/") + "/") or any(name.startswith(".") or not name for name in names):
            return False
        is_meant = not self.pattern or _matches(names, self._whole_pattern)
        return is_meant and accepts(self)(names[-1]) and os.path.lexists(path) and not os.path.isdir(path)

    @property
    def _whole_pattern(self) -> tuple[str, ...]:
        # A `**` at the end means every file below.
        return (*self.pattern, "*") if self.pattern[-1] == "**" else self.pattern

    @property
    def _prefix(self) -> int:
        return len(self.folder.rstrip("/")) + 1


def shared_folder(roots: Sequence[Root]) -> str:
    """What the keys of files are relative to."""
    folders = [root.folder for root in roots if not root.is_list]
    return os.path.commonpath(folders) if folders else "/"


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


def _walk(folder: str, accepts: Callable[[str], bool], enters: Callable[[str], bool]) -> Iterator[str | Unreadable]:
    """Every wanted path below `folder`, by name within each folder; links to folders are followed, but not in circles."""
    open_folders: list[tuple[str, tuple[int, int], list[str]]] = []

    def enter(path: str) -> Unreadable | None:
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity not in (other for _, other, _ in open_folders):
                with os.scandir(path) as entries:
                    names = [entry.name + "/" * _is_folder(entry) for entry in entries if not entry.name.startswith(".")]
                names.sort(key=lambda name: name.rstrip("/"), reverse=True)  # taken from the end, which frees them one by one
                open_folders.append((path, identity, names))
        except OSError as error:
            return Unreadable(path, error.strerror or str(error))
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
