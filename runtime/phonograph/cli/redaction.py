"""Hides the secrets in those lines of a manifest that are shown below a complaint."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from phonograph.cli.loading import Assignments, joined

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.cli.complaints import Redact
    from phonograph.language.manifest import Manifest
    from phonograph.redaction import Secrets

_DEFAULT = re.compile(r"(\bdefault:\s*)(?!$).*")
"""A default in text that is no YAML, to the end of the line: where it ends nobody can tell, nor whether it is secret."""


def redaction(manifest: str, params: Assignments, overrides: Assignments) -> Redact:
    """What may be shown of a line of the manifest; what is secret is found out when the first line is asked for."""

    @functools.cache
    def secrets() -> tuple[Secrets, bool]:
        from phonograph.errors import PhonographError
        from phonograph.language.manifest import read_manifest
        from phonograph.redaction import NO_SECRETS, Secrets
        from phonograph.shipped import find_manifest

        try:
            path = find_manifest(manifest)
            found = read_manifest(path, params=dict(params), overrides=joined(overrides)).manifest
            known, files = (found.secrets | _written(found), found.files) if found is not None else (NO_SECRETS, (path,))
        except PhonographError:
            return NO_SECRETS, True
        declared: dict[str, str] = {}
        for file in files:
            found_there = _declared(file)
            if found_there is None:
                return known, True
            declared |= found_there
        return known | Secrets([*declared.values(), *(value for name, value in params if name in declared)]), False

    def redact(line: str) -> str:
        from phonograph.redaction import HIDDEN

        known, is_guarded = secrets()
        cleaned = known.clean(line)
        return _DEFAULT.sub(rf"\1{HIDDEN}", cleaned) if is_guarded else cleaned

    return redact


def _declared(file: Path) -> dict[str, str] | None:
    """The secret parameters that a file declares, rightly or not, with their defaults; None when that cannot be told."""
    from phonograph.errors import ManifestError
    from phonograph.language.yaml12 import Located, load

    def inside(located: Located | None, key: str) -> Located | None:
        return located.value.get(key) if located is not None and isinstance(located.value, Mapping) else None

    try:
        params = inside(load(file.read_bytes(), str(file)), "params")
    except (ManifestError, OSError):
        return None
    declarations = params.value if params is not None and isinstance(params.value, Mapping) else {}
    found: dict[str, str] = {}
    for name, one in declarations.items():
        kind, default = inside(one, "type"), inside(one, "default")
        if kind is not None and kind.value == "secret":
            found[name] = "" if default is None else str(default.value)
    return found


def _written(manifest: Manifest) -> Secrets:
    """What stands in a manifest for parameters of nodes that their types call secret."""
    from phonograph.errors import PhonographError
    from phonograph.graph.registry import Registry
    from phonograph.redaction import Secrets
    from phonograph.spec import secret_fields

    registry = Registry.installed()
    texts: list[str] = []
    for entry in manifest.nodes.values():
        written = entry.params.value
        try:
            spec = registry.get(entry.type)
        except PhonographError:
            continue
        if spec is not None and isinstance(written, Mapping):
            texts += [str(written[name].value) for name in secret_fields(spec.params) if name in written]
    return Secrets(texts)
