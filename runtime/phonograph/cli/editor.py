"""Gives editors the schema of the manifest language, as a file that a manifest can point at."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from phonograph.errors import PhonographError
from phonograph.graph.registry import Registry
from phonograph.reference.catalogue import available
from phonograph.reference.contracts import document_text
from phonograph.reference.schema import manifest_schema
from phonograph.shipped import shipped_root

SCHEMA = "manifest.schema.json"
MODELINE = "# yaml-language-server: $schema="
"""How a manifest tells an editor where its schema is."""


class CacheError(PhonographError):
    """The schema cannot be written to the user's cache folder."""

    code = "output"


class Schema(NamedTuple):
    """The schema as text, with what is said about node types that cannot be loaded and so are not in it."""

    text: str
    left_out: tuple[str, ...]


def schema_of(registry: Registry) -> Schema:
    """The schema of the manifest language with the node types of a registry."""
    specs, faults = available(registry)
    return Schema(document_text(manifest_schema(specs)), tuple(faults.values()))


def schema_file(text: str) -> Path:
    """A file with this schema: the shipped one where that says the same, else one in the user's cache folder, made if need be.

    Its name follows from what it holds, so a file that an editor has open is never changed.

    Raises:
        CacheError: the file cannot be written.
    """
    shipped = shipped_root("contracts") / SCHEMA
    content = text.encode()
    with contextlib.suppress(OSError):
        if shipped.read_bytes() == content:
            return shipped
    folder = _cache_folder()
    path = folder / f"manifest-{hashlib.sha256(content).hexdigest()[:16]}.schema.json"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write(path, content)
    except OSError as error:
        found = f"{path}: the schema cannot be written: {error.strerror or error}"
        raise CacheError(f"{found}; expected a folder that can be written to; XDG_CACHE_HOME=FOLDER names another") from error
    return path


def modeline(schema: Path) -> str:
    """The comment that makes an editor check a manifest against a schema, without a line end."""
    plain = str(schema)
    # The language server reads up to the first blank, and takes a URL as well as a path.
    return MODELINE + (plain if plain.isascii() and not any(c.isspace() or c in "%#?" for c in plain) else schema.as_uri())


def _cache_folder() -> Path:
    """What the XDG base directory specification says, which has relative paths ignored."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~")) / ".cache"
    return base / "phonograph"


def _write(path: Path, content: bytes) -> None:
    """Bring a file into being whole: an editor, or another `schema --path`, may look at any time."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
