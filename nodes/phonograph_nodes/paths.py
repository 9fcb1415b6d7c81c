"""How messages, keys and attributes word a path."""

from __future__ import annotations

import itertools
import os

from phonograph.errors import nearest

_CANDIDATES = 10_000  # directory entries looked at for a likely spelling


def shown(path: str | os.PathLike[str]) -> str:
    """The path as text; bytes of a name that are not UTF-8 are spelled out, because keys must be storable."""
    return os.fsencode(path).decode(errors="backslashreplace")


def likely_meant(path: str) -> str:
    """A hint at the part of an absolute path that is not there, and what stands in its place; empty when nothing is near."""
    folder, name = os.path.split(path)
    try:
        while not os.path.isdir(folder):
            folder, name = os.path.split(folder)
        with os.scandir(folder) as entries:
            candidates = nearest(name, (entry.name for entry in itertools.islice(entries, _CANDIDATES)))
    except (OSError, ValueError):  # the hint is a courtesy: what is wrong with the path itself is in the message already
        return ""
    return f"; nearest in {shown(folder)}: " + ", ".join(repr(shown(candidate)) for candidate in candidates) if candidates else ""
