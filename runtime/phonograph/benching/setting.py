"""Where something is measured, and what it is that runs: the two things that figures are of."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from phonograph.benching.document import Setting, Work
from phonograph.engine.plan import Plan
from phonograph.graph.model import Graph, GraphNode
from phonograph.isa import ISA
from phonograph.spec import path_fields

_KINDS = {"cpu family": "family", "model": "model", "CPU implementer": "implementer", "CPU part": "part"}


def setting() -> Setting:
    """This machine, and what runs on it."""
    return Setting(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        isa=ISA,
        versions={"phonograph": version("phonograph"), "python": platform.python_version(), "numpy": version("numpy")},
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The kind of processor: its name alone may be that of a dozen, so family and model (on ARM implementer and part) too."""
    entries: dict[str, str] = {}
    for line in cpuinfo.read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        entries.setdefault(name.strip(), value.strip())
    named = entries.get("model name", platform.machine())
    return ", ".join([named, *(f"{word} {entries[key]}" for key, word in _KINDS.items() if key in entries)])


def work(plan: Plan) -> Work:
    """What a plan does, apart from where it writes."""
    graph = plan.graph
    workers = {node.id: segment.num_workers for segment in plan.segments for node in segment.nodes}
    nodes = {node.id: _digest(_content(node, graph, workers.get(node.id))) for node in graph.nodes.values()}
    params = {name: graph.secrets.clean(str(one.value)) for name, one in graph.manifest.params.items()}
    return Work(name=graph.name, params=params, nodes=nodes, fingerprint=_digest(nodes))


def _content(node: GraphNode, graph: Graph, workers: int | None) -> Any:
    """All of a node that changes what it does. Paths that it reads are told from the manifest's folder on: the tree may move."""
    params = msgspec.to_builtins(node.params, enc_hook=str)
    for name in path_fields(node.spec.params, "output"):
        params.pop(name, None)
    folder = graph.manifest.input_folder
    for name in path_fields(node.spec.params, "input"):
        params[name] = _moved(params.get(name), folder)
    return {
        "type": node.spec.type,
        "version": node.spec.version,
        "params": graph.secrets.clean_all(params),
        "inputs": [[link.source, link.ports, link.is_dead_letters] for link in node.inputs],
        "workers": workers,
    }


def _moved(value: Any, folder: str) -> Any:
    if isinstance(value, list):
        return [_moved(one, folder) for one in value]
    is_inside = isinstance(value, str) and os.path.isabs(value) and os.path.commonpath([value, folder]) == folder
    return os.path.relpath(value, folder) if is_inside else value


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
