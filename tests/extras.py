"""Parts that only an extra brings: what needs them is skipped where they are not installed, by name."""

from __future__ import annotations

import importlib.util

import pytest

_MODULES = {"silero": ("silero_vad", "onnxruntime")}
_NODE_TYPES = {"vad.silero": "silero"}


def skip_without(extra: str) -> None:
    """Skip the test unless what the extra brings is installed."""
    missing = [module for module in _MODULES[extra] if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'phonograph[{extra}]'")


def skip_without_extra_of(node_type: str) -> None:
    """Skip the test unless the node type can be opened here."""
    if node_type in _NODE_TYPES:
        skip_without(_NODE_TYPES[node_type])
