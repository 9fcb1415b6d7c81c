"""Gets the graph of the manifest that a command line names, or says what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phonograph.cli.options import Assignments, joined

if TYPE_CHECKING:  # loaded when they are used: `run-pipeline --help` must not wait for them
    from phonograph.cases import Case
    from phonograph.errors import Complaint, PhonographError
    from phonograph.graph.model import Graph
    from phonograph.language.manifest import Manifest


def load(manifest: str, params: Assignments, overrides: Assignments, *, inputs_in_place: bool = True) -> Graph:
    """The graph of a manifest.

    Args:
        inputs_in_place: paths that nodes read must exist.

    Raises:
        ManifestError, GraphError: with every complaint at once.
        RegistryError: the installed packages contradict each other.
        InstructionSetError: the environment asks for kernels that cannot run here.
    """
    import phonograph.isa  # noqa: F401  # what is wrong with it is one complaint, and not one for each node type with a kernel
    from phonograph.graph.builder import load_graph
    from phonograph.graph.registry import Registry
    from phonograph.shipped import find_manifest

    return load_graph(
        find_manifest(manifest),
        Registry.installed(),
        params=dict(params),
        overrides=joined(overrides),
        inputs_in_place=inputs_in_place,
    )


def load_or_complain(manifest: str, params: Assignments, overrides: Assignments) -> Graph | None:
    """The same; None, and complaints on standard error, when there is something wrong."""
    from phonograph.cli.complaints import show_complaints
    from phonograph.cli.redaction import redaction
    from phonograph.errors import PhonographError

    try:
        return load(manifest, params, overrides)
    except PhonographError as error:
        show_complaints(complaints_in(error, manifest), sys.stderr, redact=redaction(manifest, params, overrides))
        return None


@dataclass(frozen=True, slots=True)
class Checked:
    """A manifest with its test cases.

    Args:
        graph: None when a complaint about the manifest itself is an error.
        complaints: about the manifest and its section `tests`, warnings and notes among them, in the order of the text.
    """

    graph: Graph | None
    cases: tuple[Case, ...]
    complaints: tuple[Complaint, ...]


def load_checked(manifest: str, params: Assignments, overrides: Assignments, *, inputs_in_place: bool = True) -> Checked:
    """All that can be said about a manifest; of `tests`, what can be told without a graph when there is none."""
    from phonograph.cases import read_cases
    from phonograph.errors import PhonographError

    graph: Graph | None = None
    try:
        graph = load(manifest, params, overrides, inputs_in_place=inputs_in_place)
        found, complaints = graph.manifest, graph.warnings
    except PhonographError as error:
        complaints = tuple(complaints_in(error, manifest))
        readable = _readable(manifest, params, overrides)
        if readable is None:
            return Checked(None, (), complaints)
        found = readable
    cases, about_cases = read_cases(found, graph)
    return Checked(graph, cases, tuple(sorted([*complaints, *about_cases], key=lambda complaint: complaint.position)))


def _readable(manifest: str, params: Assignments, overrides: Assignments) -> Manifest | None:
    """What can be read of a manifest that has something wrong."""
    from phonograph.errors import ManifestError
    from phonograph.language.manifest import read_manifest
    from phonograph.shipped import find_manifest

    try:
        return read_manifest(find_manifest(manifest), params=dict(params), overrides=joined(overrides)).manifest
    except ManifestError:  # there is no such file
        return None


def complaints_in(error: PhonographError, manifest: str) -> Sequence[Complaint]:
    """What `load` raised, as complaints; a fault of installation or environment stands at the beginning of the manifest."""
    from phonograph.errors import Complaint, GraphError, ManifestError, Position, one_line

    if isinstance(error, ManifestError | GraphError):
        return error.complaints
    return (Complaint(error.code, Position(manifest, 1, 1), one_line(error)),)
