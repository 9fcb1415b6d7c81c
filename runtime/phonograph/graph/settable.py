"""Lists the paths of a manifest that an override may name, for a command line that completes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from phonograph.graph.registry import Registry, RegistryError
from phonograph.language import policies
from phonograph.language.entries import NodeEntry
from phonograph.language.manifest import Manifest


def settable(manifest: Manifest, registry: Registry) -> dict[str, str]:
    """Each path that `--set` takes -> what it sets, in a few words.

    Args:
        registry: where the node types are found whose parameters can be set. Plug-ins of the manifest are not loaded: nobody
            expects that a press of the tab key runs code. Of their types, and others that are unknown, the parameters are those
            that the manifest gives.
    """
    return dict(_paths(manifest, registry))


def _paths(manifest: Manifest, registry: Registry) -> Iterator[tuple[str, str]]:
    for name, parameter in manifest.params.items():
        yield f"params.{name}.default", parameter.help or parameter.type
    for subgraph in manifest.subgraphs.values():
        for name, parameter in subgraph.params.items():
            yield f"nodes.{subgraph.id}.params.{name}", parameter.help or parameter.type
        yield from _policies(f"nodes.{subgraph.id}", policies.BREAKER_OF_MANY)
    for entry in manifest.nodes.values():
        for name, words in _parameters(entry, registry).items():
            yield f"nodes.{entry.id}.params.{name}", words
        yield from _policies(f"nodes.{entry.id}")
    yield from _policies("defaults", policies.BREAKER_OF_MANY)
    yield "limits.error_rate", "share of dead letters above which a run fails"
    yield "limits.memory", "what the process should stay within"
    yield "limits.watchdog", "how long nothing may move before it is told what is stuck"
    yield "name", "name of the pipeline"
    yield "description", "what it is for"


def _parameters(entry: NodeEntry, registry: Registry) -> dict[str, str]:
    """Name -> description of the parameters of a node: those of its type, else those that the manifest gives."""
    try:
        spec = registry.get(entry.type)
    except RegistryError:
        spec = None
    if spec is None:
        return dict.fromkeys(entry.params.value, "") if isinstance(entry.params.value, Mapping) else {}
    _, components = msgspec.json.schema_components([spec.params])
    described: Mapping[str, Any] = components[spec.params.__name__].get("properties", {})
    return {name: str(field.get("description", "")) for name, field in described.items()}


def _policies(of: str, breaker: Iterable[str] = policies.BREAKER) -> Iterator[tuple[str, str]]:
    tables = {"retry": policies.RETRY, "breaker": breaker}
    for key in policies.KEYS:
        if key in tables:
            yield from ((f"{of}.{key}.{name}", "") for name in tables[key])
        else:
            yield f"{of}.{key}", ""
