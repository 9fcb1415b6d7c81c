"""The fingerprint of a graph: everything that decides what it makes of its input, so that results of two manifests never mix.

In it are node types with their versions and parameters, edges, the code of the packages and plug-ins that the types come from,
the content of the files that nodes read (models; not what sources read, of which each record is looked at), the instruction set.
Left out is what changes only how fast or how patiently a run works: workers, queues, batches, retries, breakers (but for the
edges of what stands in), time-outs, limits.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from phonograph.graph.model import Graph, GraphNode
from phonograph.spec import path_fields

_CODE = {".py", ".so", ".pyd"}
_MOST_TOLD = 20
_DIGITS = 12  # of a digest, as it is shown


def fingerprint(graph: Graph) -> Mapping[str, str]:
    """What the graph's results depend on, by name, in words that can be shown."""
    from phonograph.isa import ISA  # raises under a wrong name, which whoever only names a run directory must not meet here

    clean = graph.secrets.clean
    found = {"name": graph.name, "instruction set": ISA}
    for node in graph.nodes.values():
        found |= {f"nodes.{node.id}.{name}": clean(value) for name, value in _about(node)}
    origins = {module for node in graph.nodes.values() if (module := _module_of(node)) is not None}
    return found | {f"code of {name}": digest for name, digest in sorted(filter(None, map(_code_of, sorted(origins))))}


def digest_of(found: Mapping[str, str]) -> str:
    """A fingerprint in a few characters, to be told apart from others; empty when there is none."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:_DIGITS] if found else ""


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What was and what is, where it is not the same, in words, the first few."""
    names = [*now, *(name for name in before if name not in now)]
    differing = [name for name in names if before.get(name) != now.get(name)]
    told = [f"{name} was {before.get(name, 'not there')}, is {now.get(name, 'not there')}" for name in differing[:_MOST_TOLD]]
    return [*told, f"and {len(differing) - _MOST_TOLD} more"] if len(differing) > _MOST_TOLD else told


def _about(node: GraphNode) -> Iterator[tuple[str, str]]:
    yield "type", f"{node.spec.type} version {node.spec.version}"
    for link in node.inputs:
        ports = ", ".join(f"{source} as {target}" for source, target in link.ports)
        what = "its dead letters" if link.is_dead_letters else f"what it cannot take, {ports}" if link.is_fallback else ports
        yield f"input from {link.source}", what
    for name, value in msgspec.structs.asdict(node.params).items():
        if value is not None:
            yield (
                f"params.{name}",
                json.dumps(msgspec.to_builtins(value, enc_hook=str, str_keys=True), sort_keys=True, default=str),
            )
    if node.spec.kind != "source":
        for name in path_fields(node.spec.params, "input"):
            given = getattr(node.params, name)
            for path in given if isinstance(given, list | tuple) else [given]:
                if path is not None:
                    yield f"params.{name}: content of {os.path.basename(path)}", _content(path)


def _content(path: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "no file"
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:  # the node will say so if that is wrong
        return error.strerror or "unreadable"


def _module_of(node: GraphNode) -> str | None:
    """The module, or the file of the plug-in, that the node's type is declared in."""
    return node.spec.origin.rpartition(":")[0] or None


def _code_of(origin: str) -> tuple[str, str] | None:
    """Name and digest of the code that a type comes from: its package; of phonograph's own its room; else its file."""
    if os.path.isabs(origin):
        return os.path.basename(origin), _digest([Path(origin)])
    top = origin.partition(".")[0]
    module = sys.modules.get(origin)
    file = getattr(module, "__file__", None) if module is not None else _found(origin)
    if file is None:
        return None
    if top == "phonograph" and origin.count(".") < 2:
        return origin, _digest([Path(file)])
    name = ".".join(origin.split(".")[:2]) if top == "phonograph" else top
    package = sys.modules.get(name)
    folders = getattr(package, "__path__", None) if package is not None else None
    if not folders:
        return origin, _digest([Path(file)])
    return name, _digest_of_package(folders[0])


def _found(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


@functools.lru_cache(maxsize=256)
def _digest_of_package(folder: str) -> str:
    return _digest(sorted(path for path in Path(folder).rglob("*") if path.suffix in _CODE))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.name}\0{len(content)}\0".encode(errors="replace"))
        digest.update(content)
    return digest.hexdigest()[:_DIGITS]
