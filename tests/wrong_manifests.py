"""The wrong manifests of tests/manifests/wrong, with what is to be said about each."""

from __future__ import annotations

from pathlib import Path

from phonograph.errors import GraphError, ManifestError
from phonograph.graph.builder import load_graph
from pipeline_nodes import registry

WRONG = sorted((Path(__file__).parent / "manifests" / "wrong").glob("*.yaml"))


def expected_complaints(path: Path) -> list[str]:
    """What stands in the file beside a wrong manifest."""
    return path.with_suffix(".expected").read_text("utf-8").splitlines()


def found_complaints(path: Path) -> list[str]:
    """What is said about a wrong manifest, over the node types of the tests; nothing when it is taken for a right one."""
    try:
        load_graph(path, registry())
    except (ManifestError, GraphError) as error:
        return str(error).replace(str(path), "FILE").replace(str(path.parent), "FOLDER").splitlines()
    return []
