"""The node types that a verb speaks of: the installed ones, those of a manifest's plug-ins, those of plug-in files."""

from __future__ import annotations

import importlib
import inspect
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from phonograph.errors import Complaint, ManifestError, Position
from phonograph.graph.plugins import load_plugin
from phonograph.graph.registry import GROUP, Registry
from phonograph.spec import NodeSpec


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a node type comes from, in words; `package` is empty for a plug-in, `file` where there is no source.

    Args:
        package: the distribution with its version, and its entry point.
        target: module:object.
        file: PATH:LINE.
    """

    package: str
    target: str
    file: str


def registry_with(*, manifest: str | None = None, plugins: Sequence[str] = ()) -> Registry:
    """The installed node types and those that plug-ins add.

    Args:
        manifest: path or shipped name; whatever else is wrong in it does not matter here.
        plugins: paths of Python files.

    Raises:
        ManifestError: no such manifest, nothing that can be read in it, or a plug-in that cannot be loaded.
        RegistryError: two installed packages declare the same type.
    """
    registry = Registry.installed()
    if manifest is None and not plugins:
        return registry
    files = [(os.path.abspath(path), Position(path, 1, 1)) for path in plugins]
    if manifest is not None:
        files = [*_plugins_of(manifest), *files]
    complaints: list[Complaint] = []
    registry = registry.with_plugins(files, complaints)
    if complaints:
        raise ManifestError(complaints)
    return registry


def _plugins_of(manifest: str) -> tuple[tuple[str, Position], ...]:
    from phonograph.language.manifest import read_manifest
    from phonograph.shipped import find_manifest

    reading = read_manifest(find_manifest(manifest))
    if reading.manifest is None:
        raise ManifestError(reading.complaints)
    return reading.manifest.plugins


def declared(spec: NodeSpec, registry: Registry) -> Declared:
    """Where a node type comes from."""
    return Declared(_package(registry.origin_of(spec.type)), spec.origin, _file(spec.origin))


def _package(origin: str) -> str:
    """The package with an entry point, which is told as `NAME = VALUE`."""
    for point in entry_points(group=GROUP):
        if point.dist is not None and f"{point.name} = {point.value}" == origin:
            return f"{point.dist.name} {point.dist.version} (entry point {origin})"
    return origin


def _file(target: str) -> str:
    module, _, name = target.rpartition(":")
    try:
        loaded = load_plugin(module).module if os.path.isabs(module) else importlib.import_module(module)
        found = inspect.unwrap(operator.attrgetter(name)(loaded))
        return f"{inspect.getsourcefile(found)}:{inspect.getsourcelines(found)[1]}"
    except (ImportError, AttributeError, OSError, TypeError):  # declared inside a function, or without source
        return ""
