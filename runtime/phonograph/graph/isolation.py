"""Which nodes can run in a process of their own.

A worker process is a fresh Python, not a fork: this one has threads, and a fork would have the locks that they hold at that
moment and nobody to release them. So a node's class, its parameters and its ports travel there by name and value, and the class
has to be one that can be imported: from a module, or from a plug-in file.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace

from phonograph.breaker import BreakerPolicy
from phonograph.errors import in_words, one_line
from phonograph.graph.model import GraphNode
from phonograph.graph.plugins import load_plugin, module_name
from phonograph.pickling import dumps
from phonograph.retry import RetryPolicy
from phonograph.spec import NodeSpec, Params


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Nodes as another process makes them.

    Args:
        plugins: files that declare some of their types, with the names of the modules that those become.
        nodes: pickled `GraphNode`s, for the plug-ins have to be loaded before they can be read.
    """

    plugins: tuple[str, ...]
    nodes: bytes

    @classmethod
    def of(cls, nodes: tuple[GraphNode, ...]) -> Blueprint:
        """Raises whatever pickling raises; a graph has no node that runs in a process and cannot be pickled."""
        plugins = [path for node in nodes if (path := _plugin_of(node.spec))]
        return cls(tuple(dict.fromkeys(plugins)), dumps(tuple(map(_bare, nodes))))

    def made(self) -> tuple[GraphNode, ...]:
        """The nodes, in the process that this was sent to."""
        for path in self.plugins:
            load_plugin(path)
        nodes: tuple[GraphNode, ...] = pickle.loads(self.nodes)
        return nodes


def stays(spec: NodeSpec) -> str:
    """Why nodes of a type never run in a process, in words; empty when they can."""
    words: str = getattr(spec.factory, "stays", "")
    return words


def obstacle(spec: NodeSpec, params: Params) -> str:
    """Why another process cannot make a node, in words; empty when it can."""
    module, _, name = spec.origin.rpartition(":")
    made_of = getattr(spec.factory, "__wrapped__", spec.factory)
    if getattr(made_of, "__module__", module) == "__main__":
        return f"{name} is defined in the program's main file, which no other process can import"
    try:
        dumps((_bare_spec(spec), params))
    except Exception as error:  # noqa: BLE001  # which exception is up to what cannot be pickled
        return one_line(in_words(error))
    return ""


def _bare(node: GraphNode) -> GraphNode:
    """What a worker needs of a node."""
    return replace(node, spec=_bare_spec(node.spec), outputs=(), dead_letters=(), retry=RetryPolicy(), breaker=BreakerPolicy())


def _bare_spec(spec: NodeSpec) -> NodeSpec:
    """A declaration without the functions that are asked before a run, which may be closures."""
    return replace(spec, ports_of=None, open_attributes=False, retryable=(), params=Params)


def _plugin_of(spec: NodeSpec) -> str:
    """The path of the plug-in file that declares a type; empty when none does."""
    path = os.path.realpath(spec.origin.rpartition(":")[0])
    module = getattr(getattr(spec.factory, "__wrapped__", spec.factory), "__module__", "")
    return path if module == module_name(path) else ""
