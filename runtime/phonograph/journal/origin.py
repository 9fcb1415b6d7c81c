"""manifest.json: what a run directory's runs were of, so that records of them can be run again, and people can see what it was.

The manifest itself stays where it is, and is read there again: what it includes and the paths in it are relative to that place.
The texts are kept for people, and for comparison.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from phonograph.errors import RunDirectoryError
from phonograph.language.manifest import Manifest
from phonograph.shipped import NamedManifest

ORIGIN = "manifest.json"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a manifest came from.

    Args:
        manifest: absolute path, or the name of a shipped one. folder: the working directory, where paths that were given start.
        params, overrides: that were given beside it; with `***` for a secret in them.
        texts: of the manifest and of what it includes, by path.
    """

    manifest: str
    folder: str
    params: dict[str, Any]
    overrides: tuple[str, ...]
    texts: dict[str, str]


def of_manifest(manifest: Manifest) -> Origin:
    """What is to be kept of a manifest. What cannot be read any more, as a pipe, is left out of the texts."""
    texts = {}
    for path in dict.fromkeys((manifest.path, *manifest.files)):
        if path.is_file():
            texts[os.path.abspath(path)] = path.read_text("utf-8", errors="replace")
    is_named = isinstance(manifest.path, NamedManifest)
    return Origin(
        manifest=manifest.path.stem if is_named else os.path.abspath(manifest.path),
        folder=os.getcwd(),
        params={name: _plain(value) for name, value in manifest.given.items()},
        overrides=manifest.overrides,
        texts=texts,
    )


def origin_in(run_directory: Path) -> Origin:
    """What the runs of a directory were of.

    Raises:
        RunDirectoryError: it does not say, or cannot be read.
    """
    path = run_directory / ORIGIN
    try:
        return msgspec.convert(json.loads(path.read_bytes()), Origin)
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{path}: is not there; expected the directory of a run, which leaves it there; beside a file of dead letters, "
            "name it with --run-dir"
        ) from None
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of msgspec too
        raise RunDirectoryError(f"{path}: is garbled: {error}; run the manifest itself with --resume") from error


def _plain(value: object) -> Any:
    """A value as a command line could give it."""
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
