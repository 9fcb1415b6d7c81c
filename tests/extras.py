"""Parts that only an extra brings: what needs them is skipped where they are not installed, by name."""

from __future__ import annotations

import importlib.util

import pytest

_MODULES = {"silero": ("silero_vad", "onnxruntime")}
_NODE_TYPES = {"vad.silero": "silero"}


def missing(extra: str) -> list[str]:
    """The modules of the extra that are not installed."""
    return [module for module in _MODULES[extra] if importlib.util.find_spec(module) is None]


def missing_extra_of(node_type: str) -> str | None:
    """The extra that opening the node type needs and that is not all there."""
    extra = _NODE_TYPES.get(node_type)
    return extra if extra is not None and missing(extra) else None


def skip_without(extra: str) -> None:
    """Skip the test unless what the extra brings is installed."""
    if modules := missing(extra):
        pytest.skip(f"needs {', '.join(modules)}: pip install 'phonograph[{extra}]'")


def skip_without_extra_of(node_type: str) -> None:
    """Skip the test unless the node type can be opened here."""
    if extra := missing_extra_of(node_type):
        skip_without(extra)
