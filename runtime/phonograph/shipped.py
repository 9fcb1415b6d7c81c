"""Finds the files that are shipped with phonograph: manifests by name, contracts."""

from __future__ import annotations

import os
from pathlib import Path, PosixPath
from typing import Literal

from phonograph.errors import Complaint, ManifestError, Position, nearest

_PACKAGE = Path(__file__).resolve().parent
_SUFFIXES = (".yaml", ".yml")


class NamedManifest(PosixPath):
    """The path of a shipped manifest that was asked for by its name.

    Who names a manifest does not stand in its folder, which may be read-only: what it writes belongs in the working directory.
    """

    __slots__ = ()


def shipped_root(kind: Literal["manifests", "contracts"]) -> Path:
    """The folder of shipped files of one kind: beside the modules when installed, at the top of a checkout."""
    installed = _PACKAGE / kind
    return installed if installed.is_dir() else _PACKAGE.parents[1] / kind


def shipped_manifests() -> dict[str, Path]:
    """Name -> file of every shipped manifest, sorted by name."""
    folder = shipped_root("manifests")
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_manifest(name_or_path: str | os.PathLike[str]) -> Path:
    """The manifest that a command line means: an existing file, else the shipped manifest of that name.

    Raises:
        ManifestError: neither; the complaint names the nearest shipped manifests and files.
    """
    given = os.fspath(name_or_path)
    if os.path.isfile(given):
        return Path(given)
    shipped = shipped_manifests()
    if given in shipped:
        return NamedManifest(shipped[given])
    if os.path.exists(given) and not os.path.isdir(given):
        return Path(given)  # a pipe, such as a shell's <(...)
    found = (
        "a folder of that name, and no manifest" if os.path.isdir(given) else "no such file, and no shipped manifest of that name"
    )
    expected = f"the path of a YAML file, or one of {', '.join(shipped)}" if shipped else "the path of a YAML file"
    candidates = (*nearest(given, shipped), *files_like(given))
    raise ManifestError([Complaint("file_unreadable", Position(given, 1, 1), found, expected, candidates)])


def files_like(given: str) -> tuple[str, ...]:
    """The YAML files in the folder of a path that the path is most likely a slip of."""
    folder, name = os.path.split(given)
    try:
        files = [entry.name for entry in os.scandir(folder or ".") if entry.name.endswith(_SUFFIXES)]
    except (OSError, ValueError):
        return ()
    return tuple(os.path.join(folder, close) for close in nearest(name, files))
