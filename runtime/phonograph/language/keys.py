"""The keys at the top of the files of the language: a manifest, a sub-graph of one, a fragment that others include.

Readers, overrides and the schema for editors all take them from here. What stands below a key belongs to whoever reads it.
"""

from __future__ import annotations

from typing import Literal

_File = Literal["manifest", "sub-graph", "fragment"]
_GRAPHS: tuple[_File, ...] = ("manifest", "sub-graph")
_ALL: tuple[_File, ...] = (*_GRAPHS, "fragment")

_TOP: dict[str, tuple[_File, ...]] = {
    "version": _ALL,
    "name": _ALL,
    "description": _ALL,
    "include": _ALL,
    "plugins": _ALL,
    "params": _ALL,
    "defaults": _ALL,
    "inputs": _GRAPHS,
    "outputs": _GRAPHS,
    "nodes": _ALL,
    "steps": _GRAPHS,
    "limits": _ALL,
    "tests": _GRAPHS,
}


def _allowed(file: _File) -> tuple[str, ...]:
    return tuple(key for key, files in _TOP.items() if file in files)


MANIFEST = _allowed("manifest")
SUBGRAPH = _allowed("sub-graph")
FRAGMENT = _allowed("fragment")

OF_ITSELF = ("version", "name", "description", "include")
"""What a fragment says of itself; a manifest that includes it takes over all else."""
