"""Tests of what the package offers: its catalogue of node types, its functions."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import phonograph_nodes
from phonograph_nodes.catalogue import NODES


@pytest.mark.parametrize("node_type", NODES)
def test_a_type_is_where_the_catalogue_says(node_type: str) -> None:
    """Each entry leads to a node of just that type, with a summary for the documentation."""
    module, _, name = NODES[node_type].partition(":")
    spec = getattr(importlib.import_module(module), name).spec
    assert spec.type == node_type
    assert spec.origin == NODES[node_type]
    assert spec.summary.endswith(".") or ":" in spec.summary


def test_a_name_is_the_function_although_its_room_is_imported() -> None:
    """`convert` or `resample` never turn into the modules of that name."""
    for room in ("convert", "resample", "decode", "vad", "features", "features.log_mel"):
        importlib.import_module(f"phonograph_nodes.{room}")
    offered = {name: getattr(phonograph_nodes, name) for name in phonograph_nodes.__all__}
    assert [name for name, one in offered.items() if not (inspect.isfunction(one) or inspect.isclass(one))] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The package has no other names than it lists."""
    with pytest.raises(AttributeError, match="no attribute 'resmaple'"):
        _ = phonograph_nodes.resmaple


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Neither NumPy nor FFmpeg's libraries come with the bare import, or with the catalogue."""
    code = "import sys, phonograph_nodes.catalogue; print(sorted({'numpy', 'av', 'soxr'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
