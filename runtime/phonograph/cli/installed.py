"""The node types that a verb speaks of: the installed ones, those of a manifest's plug-ins, those of plug-in files."""

from __future__ import annotations

from collections.abc import Sequence

from phonograph.errors import ManifestError
from phonograph.manifest import read_manifest
from phonograph.registry import Registry
from phonograph.shipped import find_manifest


def registry_with(*, manifest: str | None = None, plugins: Sequence[str] = ()) -> Registry:
    """The installed node types and those that plug-ins add.

    Args:
        manifest: path or shipped name; whatever else is wrong in it does not matter here.
        plugins: paths of Python files.

    Raises:
        ManifestError: no such manifest, nothing that can be read in it, or a plug-in that cannot be loaded.
        RegistryError: two installed packages, or a package and a plug-in, declare the same type.
    """
    registry = Registry.installed()
    if manifest is not None:
        reading = read_manifest(find_manifest(manifest))
        if reading.manifest is None:
            raise ManifestError(reading.complaints)
    return registry
