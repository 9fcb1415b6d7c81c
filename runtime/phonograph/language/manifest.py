"""Reads a manifest into frozen values, with a position for everything that can still turn out wrong.

`load_manifest` checks what the text alone can tell: keys, values, parameters, spelling. Whether the nodes exist and fit together
is for `phonograph.graph.model`, which needs the installed node types.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from phonograph.errors import Complaint, ManifestError, Position
from phonograph.language import fields
from phonograph.language.about import Limits, check_version, read_limits, read_name
from phonograph.language.entries import InputDeclaration, InputEntry, NodeEntry
from phonograph.language.fields import Fields
from phonograph.language.include import Files, Source, path_beside, read_start, with_fragments
from phonograph.language.keys import MANIFEST
from phonograph.language.overrides import Override, overridden, read_overrides
from phonograph.language.parameters import Parameter
from phonograph.language.references import Scope
from phonograph.language.subgraphs import LevelReader, Subgraph
from phonograph.language.yaml12 import Located
from phonograph.redaction import NO_SECRETS, Secrets, redacted
from phonograph.shipped import NamedManifest, shipped_manifests
from phonograph.traced import Home

__all__ = ["InputDeclaration", "Manifest", "Reading", "load_manifest", "read_manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that reads well.

    Args:
        path: as it was given.
        nodes: in the order of the text, those of sub-graphs in place of the nodes that include them: `clean/vad`.
        input_folder, output_folder: absolute; where relative paths to read and to write start.
        inputs: what a program that embeds the manifest sends, by name; a node reads it as `inputs.NAME`.
        outputs: what such a program receives: name -> the node and port that it comes from.
        plugins: absolute paths of Python files with node types of its own, each with where it is named.
        limits: what a run may at most do.
        tests: the section of this name, as it stands.
        files: every file that was read: the manifest itself, then what it includes.
        subgraphs: by the id of the node that includes one.
        secrets: values of parameters that must not be seen.
        given, overrides: the parameters and overrides that it was read with.
    """

    path: Path
    name: str
    description: str
    params: Mapping[str, Parameter]
    nodes: Mapping[str, NodeEntry]
    input_folder: str
    output_folder: str
    position: Position
    inputs: Mapping[str, InputDeclaration] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, InputEntry] = field(default_factory=lambda: MappingProxyType({}))
    plugins: tuple[tuple[str, Position], ...] = ()
    limits: Limits = field(default_factory=Limits)
    tests: Located | None = None
    files: tuple[Path, ...] = ()
    subgraphs: Mapping[str, Subgraph] = field(default_factory=lambda: MappingProxyType({}))
    secrets: Secrets = NO_SECRETS
    given: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), repr=False)  # may hold secrets
    overrides: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a manifest, for a caller that has more to check.

    Args:
        manifest: without the nodes that could not be read; None when there is nothing to go on with.
        complaints: the manifest may be used only when there are none.
        unread: ids of the nodes that could not be read.
        files: the manifest's and those that it includes, also where they could not be read.
    """

    manifest: Manifest | None
    complaints: tuple[Complaint, ...]
    unread: frozenset[str]
    files: tuple[Path, ...] = ()


def load_manifest(
    path: str | os.PathLike[str], *, params: Mapping[str, object] | None = None, overrides: Sequence[str] = ()
) -> Manifest:
    """Read a manifest file.

    Args:
        path: of the file; see `phonograph.shipped.find_manifest` for shipped ones by name.
        params: values for the manifest's parameters; text is read as the parameter's type. Relative paths among them start
            at the working directory.
        overrides: `PATH=VALUE`, such as "nodes.mel.params.n_mels=128"; see `phonograph.language.overrides`. Later ones win.

    Raises:
        ManifestError: with every complaint at once.
        TypeError: `overrides` is no list of texts.
    """
    reading = read_manifest(path, params=params, overrides=overrides)
    if reading.manifest is None or reading.complaints:
        raise ManifestError(reading.complaints)
    return reading.manifest


def read_manifest(
    path: str | os.PathLike[str], *, params: Mapping[str, object] | None = None, overrides: Sequence[str] = ()
) -> Reading:
    """Read as much of a manifest file as can be read; never raises for what is in it.

    Raises:
        TypeError: `overrides` is one text, which would be taken for a list of letters, or has something else in it.
    """
    if isinstance(overrides, str) or not all(isinstance(one, str) for one in overrides):
        raise TypeError(f"overrides is {overrides!r}; expected a list of texts, such as ['nodes.mel.params.n_mels=128']")
    file = path if isinstance(path, Path) else Path(path)
    start = Position(str(file), 1, 1)
    complaints: list[Complaint] = []
    try:
        content = read_start(str(file), is_given=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        found, expected = f"the manifest cannot be read: {reason}", "a YAML file"
        if os.fspath(path) in shipped_manifests():
            expected += f"; phonograph.shipped.find_manifest({os.fspath(path)!r}) finds the shipped manifest of that name"
        return Reading(None, (Complaint("file_unreadable", start, found, expected),), frozenset())
    files = Files(complaints)
    source = files.outermost(str(file), content)
    if source is None:
        return Reading(None, tuple(complaints), frozenset(), (file,))
    given = read_overrides(overrides, start, complaints)
    root, inside = overridden(with_fragments(source, files), given, complaints)
    reading = _ManifestReader(file, root, files, complaints).read(source, params or {}, inside)
    if reading.manifest is None:
        return reading
    manifest = replace(reading.manifest, given=MappingProxyType(dict(params or {})), overrides=tuple(overrides))
    return replace(reading, manifest=manifest)


class _ManifestReader:
    """Reads the outermost level, and what only that one has."""

    def __init__(self, file: Path, root: Located, files: Files, complaints: list[Complaint]) -> None:
        self._file = file
        self._files = files
        self._complaints = complaints
        self._home = Home(str(file), is_named=isinstance(file, NamedManifest))
        self._root = Fields(root, what="the manifest", allowed=MANIFEST, complaints=complaints)

    def read(self, source: Source, given: Mapping[str, object], inside: Mapping[str, Sequence[Override]]) -> Reading:
        self._root.require("version", "'version: 1'")
        check_version(self._root, self._complaints)
        self._root.require("name", "a name for the pipeline")
        name = read_name(self._root, self._complaints)
        levels = LevelReader(self._files, Scope(None, os.environ, self._home), self._complaints)
        level = levels.read(self._root, given, source, inside)
        nodes = levels.resolved(level.nodes or ())
        outputs = {output: levels.followed(entry) for output, entry in level.outputs.items() if entry is not None}
        secrets = Secrets(
            value for one in levels.parameters if one.is_secret for value in (one.value, one.default) if isinstance(value, str)
        )
        limits = read_limits(self._root, self._complaints)
        manifest = Manifest(
            path=self._file,
            name=name,
            description=self._root.read("description", fields.text) or "",
            params=level.parameters,
            nodes=MappingProxyType(nodes),
            limits=limits,
            input_folder=self._home.read_from,
            output_folder=self._home.write_to,
            position=Position(str(self._file), 1, 1),
            inputs=MappingProxyType(dict(level.inputs)),
            outputs=MappingProxyType(outputs),
            plugins=_plugins(levels.plugins),
            tests=self._root.get("tests"),
            files=tuple(self._files.paths),
            subgraphs=MappingProxyType(levels.subgraphs),
            secrets=secrets,
        )
        complaints = redacted(self._complaints, secrets)
        unread = frozenset(levels.unread | levels.nowhere)
        return Reading(None if level.nodes is None else manifest, complaints, unread, tuple(self._files.paths))


def _plugins(named: Sequence[Located]) -> tuple[tuple[str, Position], ...]:
    """Absolute paths, each with where it is named first."""
    places: dict[str, Position] = {}
    for one in named:
        assert isinstance(one.value, str)
        places.setdefault(os.path.abspath(path_beside(one.value, one.position)), one.position)
    return tuple(places.items())
