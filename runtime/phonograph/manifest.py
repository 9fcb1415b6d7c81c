"""Reads a manifest into frozen values, with a position for everything that can still turn out wrong.

`load_manifest` checks what the text alone can tell: keys, values, parameters, spelling. Whether the nodes exist and fit together
is for `phonograph.graph`, which needs the installed node types.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from phonograph import fields
from phonograph.entries import NO_POLICIES, EntryReader, InputEntry, NodeEntry
from phonograph.errors import Complaint, ManifestError, Position
from phonograph.fields import Fields, complain, describe
from phonograph.parameters import ID, Parameter, read_parameters
from phonograph.shipped import NamedManifest, shipped_manifests
from phonograph.yaml12 import MAX_BYTES, Located, load

_ROOT = ("version", "name", "description", "params", "defaults", "nodes", "steps", "limits")
_SPELLING = "a-z, then a-z, 0-9, '_' or '-'"


@dataclass(frozen=True, slots=True)
class InputDeclaration:
    """One of the manifest's own inputs: the text of its port type, such as "audio[rate=16000]"."""

    name: str
    type: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that reads well.

    Args:
        path: as it was given.
        nodes: in the order of the text.
        error_rate: share of dead-lettered records above which a run fails.
        input_folder, output_folder: absolute; where relative paths to read and to write start.
        inputs: what a program that embeds the manifest sends, by name; a node reads it as `inputs.NAME`.
        outputs: what such a program receives: name -> the node and port that it comes from.
        plugins: absolute paths of Python files with node types of its own, each with where it is named.
        tests: the section of this name, as it stands.
        files: every file that was read: the manifest itself, then what it includes.
    """

    path: Path
    name: str
    description: str
    params: Mapping[str, Parameter]
    nodes: Mapping[str, NodeEntry]
    error_rate: float
    input_folder: str
    output_folder: str
    position: Position
    inputs: Mapping[str, InputDeclaration] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, InputEntry] = field(default_factory=lambda: MappingProxyType({}))
    plugins: tuple[tuple[str, Position], ...] = ()
    tests: Located | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a manifest, for a caller that has more to check.

    Args:
        manifest: without the nodes that could not be read; None when there is nothing to go on with.
        complaints: the manifest may be used only when there are none.
        unread: ids of the nodes that could not be read.
    """

    manifest: Manifest | None
    complaints: tuple[Complaint, ...]
    unread: frozenset[str]


def load_manifest(path: str | os.PathLike[str], *, params: Mapping[str, object] | None = None) -> Manifest:
    """Read a manifest file.

    Args:
        path: of the file; see `phonograph.shipped.find_manifest` for shipped ones by name.
        params: values for the manifest's parameters; text is read as the parameter's type. Relative paths among them start
            at the working directory.

    Raises:
        ManifestError: with every complaint at once.
    """
    reading = read_manifest(path, params=params)
    if reading.manifest is None or reading.complaints:
        raise ManifestError(reading.complaints)
    return reading.manifest


def read_manifest(path: str | os.PathLike[str], *, params: Mapping[str, object] | None = None) -> Reading:
    """Read as much of a manifest file as can be read; never raises for what is in it."""
    file = path if isinstance(path, Path) else Path(path)
    start = Position(str(file), 1, 1)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        found, expected = f"the manifest cannot be read: {reason}", "a YAML file"
        if os.fspath(path) in shipped_manifests():
            expected += f"; phonograph.shipped.find_manifest({os.fspath(path)!r}) finds the shipped manifest of that name"
        return Reading(None, (Complaint("file_unreadable", start, found, expected),), frozenset())
    try:
        root = load(content, str(file))
    except ManifestError as error:
        return Reading(None, tuple(error.complaints), frozenset())
    return _ManifestReader(file, root, start).read(params or {})


class _ManifestReader:
    def __init__(self, file: Path, root: Located, start: Position) -> None:
        self._file = file
        self._start = start
        self._complaints: list[Complaint] = []
        self._root = Fields(root, what="the manifest", allowed=_ROOT, complaints=self._complaints)

    def read(self, given: Mapping[str, object]) -> Reading:
        self._version()
        name = self._name()
        declared = self._root.get("params")
        parameters = read_parameters(
            declared,
            given,
            environment=os.environ,
            start=declared.position if declared is not None else self._start,
            complaints=self._complaints,
        )
        reader = EntryReader(parameters, os.environ, self._complaints)
        nodes = self._nodes(reader)
        folder = os.path.dirname(os.path.abspath(self._file))
        manifest = Manifest(
            path=self._file,
            name=name,
            description=self._root.read("description", fields.text) or "",
            params=MappingProxyType({name: found for name, found in parameters.items() if found is not None}),
            nodes=MappingProxyType(nodes or {}),
            error_rate=self._error_rate(),
            input_folder=folder,
            output_folder=os.getcwd() if isinstance(self._file, NamedManifest) else folder,
            position=self._start,
        )
        return Reading(None if nodes is None else manifest, tuple(self._complaints), frozenset(reader.unread))

    def _version(self) -> None:
        located = self._root.require("version", "'version: 1'")
        if located is not None and (located.value != 1 or isinstance(located.value, bool | float)):
            found = f"'version' is {describe(located.value)}"
            complain(self._complaints, "unsupported_version", located.position, found, "1, the version that this release reads")

    def _name(self) -> str:
        located = self._root.require("name", "a name for the pipeline")
        name = self._root.read("name", fields.text)
        if located is not None and name is not None and ID.fullmatch(name) is None:
            complain(self._complaints, "bad_id", located.position, f"'name' is {describe(name)}", _SPELLING)
        return name or ""

    def _error_rate(self) -> float:
        located = self._root.get("limits")
        if located is None:
            return 1.0
        limits = Fields(located, what="'limits'", allowed=("error_rate",), complaints=self._complaints)
        rate = limits.read("error_rate", fields.number(0, 1))
        return 1.0 if rate is None else rate

    def _nodes(self, reader: EntryReader) -> dict[str, NodeEntry] | None:
        located = self._root.get("defaults")
        defaults = NO_POLICIES if located is None else reader.defaults(located)
        nodes, steps = self._root.get("nodes"), self._root.get("steps")
        if nodes is not None and steps is not None:
            found, expected = "'steps' beside 'nodes'", "one of them: 'steps' for a line, 'nodes' for any graph"
            complain(self._complaints, "unknown_key", steps.position, found, expected)
        if nodes is not None:
            return reader.nodes(nodes, defaults)
        if steps is not None:
            return reader.steps(steps, defaults)
        if self._root.lacks("nodes") and self._root.lacks("steps"):
            expected = "'nodes', or 'steps' for a line of nodes"
            complain(self._complaints, "missing_key", self._start, "the manifest has no 'nodes'", expected)
        return None
