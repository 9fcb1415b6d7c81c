"""Hides the secrets in those lines of a manifest that are shown below a complaint."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from phonograph.cli.options import Assignments, joined

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.cli.complaints import Redact
    from phonograph.errors import Position
    from phonograph.graph.registry import Registry
    from phonograph.language.manifest import Manifest
    from phonograph.language.yaml12 import Located
    from phonograph.redaction import Secrets

_TELLING = re.compile(r"secret|include|plugins|\\")
"""What stands in text in which something secret may be declared, or through which secrets of other files get there."""


def redaction(manifest: str, params: Assignments, overrides: Assignments) -> Redact:
    """What may be shown of a line of the manifest; what is secret is found out when the first line is asked for.

    Nothing is shown while something secret may stand in a part that could not be read, or on several lines.
    """

    @functools.cache
    def secrets() -> Secrets | None:
        from phonograph.errors import PhonographError

        try:
            return _secrets(manifest, params, overrides)
        except (PhonographError, OSError):
            return None

    def redact(line: str) -> str:
        known = secrets()
        return "" if known is None else known.clean(line)

    return redact


def _secrets(manifest: str, params: Assignments, overrides: Assignments) -> Secrets | None:
    """All that must not be seen of the lines of a manifest; None when that cannot be told."""
    from phonograph.graph.registry import Registry
    from phonograph.language.manifest import read_manifest
    from phonograph.redaction import NO_SECRETS, Secrets
    from phonograph.shipped import find_manifest

    reading = read_manifest(find_manifest(manifest), params=dict(params), overrides=joined(overrides))
    found, registry = reading.manifest, Registry.installed()
    if found is not None and found.plugins:
        registry = registry.with_plugins(found.plugins, [])
    texts = {str(file): file.read_text("utf-8-sig", errors="replace") for file in reading.files if file.is_file()}
    names: set[str] = set()
    placed: list[tuple[str, Position]] = []
    for file, text in texts.items():
        root = _root(file, text)
        if root is None and (_TELLING.search(text) or _has_secret_type(text, registry)):
            return None
        if (found is None or reading.unread) and _has_secret_type(text, registry):
            return None
        for name, default in _declared(root, found):
            names.add(name)
            placed += _scalars(default)
    if found is not None:
        placed += [*_given(found), *_written(found, registry)]
    lines = {file: text.replace("\r\n", "\n").replace("\r", "\n").split("\n") for file, text in texts.items()}
    if any(_is_elsewhere(text, place, lines) for text, place in placed):
        return None
    known = found.secrets if found is not None else NO_SECRETS
    return known | Secrets([*(text for text, _ in placed), *(value for name, value in params if name in names)])


def _is_elsewhere(text: str, place: Position, lines: Mapping[str, list[str]]) -> bool:
    """Whether a secret is written in another way than it reads, as on several lines; a reference shows nothing of it."""
    there = lines.get(place.file, ())
    line = there[place.line - 1] if place.line <= len(there) else ""
    return text not in line and "${" not in line


def _root(file: str, text: str) -> Located | None:
    from phonograph.errors import ManifestError
    from phonograph.language.yaml12 import load

    try:
        return load(text.encode(), file)
    except ManifestError:
        return None


def _declared(root: Located | None, manifest: Manifest | None) -> Iterator[tuple[str, Located | None]]:
    """The parameters that a file declares as secret, rightly or not, or that may be meant so, with their defaults."""

    params = _inside(root, "params")
    for name in params.value if params is not None and isinstance(params.value, Mapping) else ():
        one = _inside(params, name)
        kind = _inside(one, "type")
        if _may_be_secret(name, kind, manifest):
            yield name, _inside(one, "default")


def _may_be_secret(name: str, kind: Located | None, manifest: Manifest | None) -> bool:
    from phonograph.language.parameters import TYPES

    if kind is not None and kind.value in TYPES:
        return kind.value == "secret"
    # Its type stands in another file, or is misspelled.
    return manifest is None or name not in manifest.params or manifest.params[name].is_secret


def _inside(located: Located | None, key: str) -> Located | None:
    return located.value.get(key) if located is not None and isinstance(located.value, Mapping) else None


def _scalars(located: Located | None) -> Iterator[tuple[str, Position]]:
    """Each text in a value, and where it stands."""
    value = None if located is None else located.value
    if located is None or value is None:
        return
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
    for one in inside:
        yield from _scalars(one)
    if not isinstance(value, Mapping | tuple) and value != "":
        yield str.__str__(value) if isinstance(value, str) else str(value), located.position


def _given(manifest: Manifest) -> Iterator[tuple[str, Position]]:
    """What stands in a manifest for the secret parameters of its sub-graphs."""
    for subgraph in manifest.subgraphs.values():
        for parameter in subgraph.params.values():
            if parameter.is_secret and isinstance(parameter.value, str):
                yield str.__str__(parameter.value), parameter.position


def _written(manifest: Manifest, registry: Registry) -> Iterator[tuple[str, Position]]:
    """What stands in a manifest for parameters of nodes that their types call secret."""
    from phonograph.spec import secret_fields

    for entry in manifest.nodes.values():
        spec = registry.get(entry.type)
        for name in secret_fields(spec.params) if spec is not None else ():
            yield from _scalars(_inside(entry.params, name))


def _has_secret_type(text: str, registry: Registry) -> bool:
    """Whether a node type with secret parameters is named in a text."""
    from phonograph.spec import secret_fields

    named = (registry.get(name) for name in registry.types() if name in text)
    return any(spec is not None and secret_fields(spec.params) for spec in named)
