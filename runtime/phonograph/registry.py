"""Knows the installed node types: name -> NodeSpec, each loaded when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from phonograph.errors import PhonographError
from phonograph.spec import NodeSpec

GROUP = "phonograph.nodes"
"""The entry-point group. Each entry point is a mapping from node type to "module:object", so that listing imports no node."""


class RegistryError(PhonographError):
    """Node types are declared wrongly, declared twice, or cannot be loaded. A fault of a package, not of the manifest."""

    code = "registry"


class Registry:
    """Node types by name. A fresh one is empty; `installed` gives one with everything that packages declare."""

    def __init__(self) -> None:
        self._specs: dict[str, NodeSpec] = {}
        self._targets: dict[str, tuple[str, str]] = {}  # type -> ("module:object", the entry point that declares it)

    @classmethod
    def installed(cls) -> Registry:
        """The node types of all installed packages.

        Raises:
            RegistryError: an entry point cannot be loaded, is not such a mapping, or repeats a type.
        """
        registry = cls()
        for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
            try:
                catalogue = point.load()
            except (ImportError, AttributeError) as error:
                raise RegistryError(
                    f"entry point {point.name} = {point.value}: cannot be loaded: {error}; repair or remove its package"
                ) from error
            registry.add(catalogue, origin=f"{point.name} = {point.value}")
        return registry

    def add(self, catalogue: Mapping[str, str], *, origin: str) -> None:
        """Take the types of one catalogue, without loading them.

        Args:
            catalogue: node type -> "module:object".
            origin: who declares it, for messages.

        Raises:
            RegistryError: not such a mapping, or another origin has a type of it already.
        """
        if not isinstance(catalogue, Mapping):
            raise RegistryError(
                f"{origin}: is a {type(catalogue).__name__}; expected a mapping from node type to 'module:object'"
            )
        for name, target in catalogue.items():
            module, separator, attribute = target.partition(":") if isinstance(target, str) else ("", "", "")
            if not (isinstance(name, str) and module and separator and attribute):
                raise RegistryError(f"{origin}: {name!r}: {target!r}; expected a node type, with 'module:object'")
            self._refuse_clash(name, f"{target} ({origin})", same=target)
            self._targets[name] = (target, origin)

    def register(self, target: Any) -> None:
        """Take one class or function that `@node` declared.

        Raises:
            RegistryError: it is not declared with `@node`, or its type is taken.
        """
        spec = getattr(target, "spec", None)
        if not isinstance(spec, NodeSpec):
            raise RegistryError(f"{target!r} is no node; expected a class or function under @node")
        self._refuse_clash(spec.type, spec.origin, same=spec.origin)
        self._specs[spec.type] = spec

    def get(self, type_name: str) -> NodeSpec | None:
        """The declaration of a node type, None when nobody declares it.

        Raises:
            RegistryError: it is declared, and its code cannot be loaded or is something else.
        """
        if type_name not in self._specs and type_name in self._targets:
            self._specs[type_name] = _load(type_name, *self._targets[type_name])
        return self._specs.get(type_name)

    def types(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self._specs, *self._targets}))

    def _refuse_clash(self, name: str, origin: str, *, same: str) -> None:
        if name in self._targets:
            target, owner = self._targets[name]
            known, other = target, f"{target} ({owner})"
        elif name in self._specs:
            known = other = self._specs[name].origin
        else:
            return
        if known != same:
            raise RegistryError(
                f"node type {name!r} is declared twice: by {other} and by {origin}; remove one, or rename its type"
            )


def _load(type_name: str, target: str, origin: str) -> NodeSpec:
    module, _, attribute = target.partition(":")
    where = f"node type {type_name!r}, {target} ({origin})"
    try:
        declared = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{where}: cannot be loaded: {error}") from error
    spec = getattr(declared, "spec", None)
    if not isinstance(spec, NodeSpec):
        raise RegistryError(f"{where}: is no node; expected a class or function under @node")
    if spec.type != type_name:
        raise RegistryError(f"{where}: declares the type {spec.type!r}; expected {type_name!r}")
    return spec
