"""Change of the sample rate.

Node and stream are imported when they are first asked for: who only resamples an array need not load what nodes are made of.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from phonograph_nodes.resample.checks import MAX_RATE, MAX_SAMPLES, MIN_RATE
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.whole import resample, resample_pcm16

if TYPE_CHECKING:
    from phonograph_nodes.resample.node import Resample, ResampleParams
    from phonograph_nodes.resample.stream import ResampleStream

__all__ = [
    "MAX_RATE",
    "MAX_SAMPLES",
    "MIN_RATE",
    "Quality",
    "Resample",
    "ResampleParams",
    "ResampleStream",
    "resample",
    "resample_pcm16",
]

_HOME = {"Resample": "node", "ResampleParams": "node", "ResampleStream": "stream"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
