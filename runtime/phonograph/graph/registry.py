"""Knows the installed node types: name -> NodeSpec, each loaded when it is first asked for."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from phonograph.errors import Complaint, PhonographError, Position, in_words
from phonograph.graph.plugins import PluginError, load_plugin
from phonograph.language.binding import nearest_paths
from phonograph.language.fields import complain
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
        self._faults: dict[str, str] = {}  # type -> what is wrong with its declaration
        self._broken: list[tuple[str, str]] = []
        self.is_partial = False  # a plug-in could not be loaded, and nobody knows which types it has

    @classmethod
    def installed(cls) -> Registry:
        """The node types of all installed packages.

        A package that is broken makes its own types unavailable and no others: see `broken`, and what `get` raises.

        Raises:
            RegistryError: two entry points declare the same type.
        """
        registry = cls()
        for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
            origin = f"{point.name} = {point.value}"
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    catalogue = point.load()
            except Exception as error:  # noqa: BLE001  # importing a package runs its code, which may raise anything
                registry._broken.append((origin, f"cannot be loaded: {in_words(error)}"))
                continue
            if not isinstance(catalogue, Mapping):
                registry._broken.append((origin, _no_catalogue(catalogue)))
                continue
            for name, target in catalogue.items():
                if not isinstance(name, str):
                    registry._broken.append((origin, _malformed(name, target)))
                elif not _is_target(target):
                    registry._faults[name] = f"node type {name!r} ({origin}): its target {target!r} is no 'module:object'"
                else:
                    registry.add({name: target}, origin=origin)
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
            raise RegistryError(f"{origin}: {_no_catalogue(catalogue)}")
        for name, target in catalogue.items():
            if not (isinstance(name, str) and _is_target(target)):
                raise RegistryError(f"{origin}: {_malformed(name, target)}")
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

    def with_plugins(self, plugins: Iterable[tuple[str, Position]], complaints: list[Complaint]) -> Registry:
        """Another registry, with the node types of plug-in files too; this one stays as it is.

        Args:
            plugins: absolute paths, each with where the manifest names it.
            complaints: is added to: files that cannot be loaded, types that somebody else has.
        """
        registry = Registry()
        registry._specs, registry._targets = dict(self._specs), dict(self._targets)
        registry._faults, registry._broken = dict(self._faults), list(self._broken)
        for path, position in plugins:
            try:
                plugin = load_plugin(path)
            except PluginError as error:
                close = () if os.path.exists(path) else tuple(one for one in nearest_paths(path) if one.endswith(".py"))
                expected = error.expected or "a file that loads; until then nobody knows which node types it has"
                complain(complaints, error.code, position, str(error), expected, close)
                registry.is_partial = True
                continue
            for spec in plugin.specs:
                try:
                    registry._refuse_clash(spec.type, spec.origin, same=spec.origin)
                except RegistryError as error:
                    complain(complaints, error.code, position, str(error))
                else:
                    registry._specs[spec.type] = spec
        return registry

    def get(self, type_name: str) -> NodeSpec | None:
        """The declaration of a node type, None when nobody declares it.

        Raises:
            RegistryError: it is declared, and its code cannot be loaded or is something else.
        """
        if type_name not in self._specs and type_name in self._faults:
            raise RegistryError(self._faults[type_name])
        if type_name not in self._specs and type_name in self._targets:
            try:
                self._specs[type_name] = _load(type_name, *self._targets[type_name])
            except RegistryError as error:
                self._faults[type_name] = str(error)  # a thousand nodes of a type must not import its package a thousand times
                raise
        return self._specs.get(type_name)

    def types(self) -> tuple[str, ...]:
        """All names, sorted; those that turn out to be unavailable are among them."""
        return tuple(sorted({*self._specs, *self._targets, *self._faults}))

    def origin_of(self, type_name: str) -> str:
        """Who declares a type, as it was told to `add`; empty for one that was registered by itself."""
        return self._targets.get(type_name, ("", ""))[1]

    def broken(self) -> tuple[tuple[str, str], ...]:
        """(entry point, reason) of each catalogue that cannot be read, so that nobody knows which types it has."""
        return tuple(self._broken)

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


def _is_target(target: object) -> bool:
    module, _, attribute = target.partition(":") if isinstance(target, str) else ("", "", "")
    return bool(module and attribute)


def _no_catalogue(found: object) -> str:
    return f"is a {type(found).__name__}; expected a mapping from node type to 'module:object'"


def _malformed(name: object, target: object) -> str:
    return f"{name!r}: {target!r}; expected a node type, with 'module:object'"


def _load(type_name: str, target: str, origin: str) -> NodeSpec:
    module, _, attribute = target.partition(":")
    where = f"node type {type_name!r}, {target} ({origin})"
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints must not stand among what a verb prints
            declared = getattr(importlib.import_module(module), attribute)
        spec = getattr(declared, "spec", None)
    except Exception as error:  # the code of a package may raise anything, when it is imported and when it is asked
        raise RegistryError(f"{where}: cannot be loaded: {in_words(error)}") from error
    if not isinstance(spec, NodeSpec):
        raise RegistryError(f"{where}: is no node; expected a class or function under @node")
    if spec.type != type_name:
        raise RegistryError(f"{where}: declares the type {spec.type!r}; expected {type_name!r}")
    return spec
