"""A graph with something changed for one run: what the instances of its nodes do, and where they write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec

from phonograph.graph.model import Graph, GraphNode
from phonograph.spec import path_fields


def with_instances(node: GraphNode, change: Callable[[Any], None]) -> GraphNode:
    """The same node; each of its instances is given to `change` when it has been made."""
    factory = node.spec.factory
    if isinstance(factory, type):  # the engine asks the class what kind of sink or of gathering it is
        begin = cast(Any, factory).__init__

        def begin_changed(made: Any, *arguments: Any) -> None:
            begin(made, *arguments)
            change(made)

        made_by: Any = type(factory.__name__, (factory,), {"__init__": begin_changed})
    else:

        def made_by(*arguments: Any) -> Any:
            made = factory(*arguments)
            change(made)
            return made

    return replace(node, spec=replace(node.spec, factory=made_by))


def writing_below(graph: Graph, folder: Path) -> Graph:
    """The graph with every path that a node writes to in that folder, each node's in one of its own."""
    return replace(graph, nodes={node.id: _moved(node, folder / node.id) for node in graph.nodes.values()})


def _moved(node: GraphNode, folder: Path) -> GraphNode:
    paths = {
        name: str(folder / name / Path(path).name)  # its last part may have a suffix that means something
        for name in path_fields(node.spec.params, "output")
        if isinstance(path := getattr(node.params, name), str)
    }
    return replace(node, params=msgspec.structs.replace(node.params, **paths)) if paths else node
