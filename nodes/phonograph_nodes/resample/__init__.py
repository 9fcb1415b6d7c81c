"""Change of the sample rate.

The node is imported when it is first asked for: who only resamples an array need not load what nodes are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phonograph_nodes.resample.checks import MAX_RATE, MAX_SAMPLES, MIN_RATE
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.stream import ResampleStream
from phonograph_nodes.resample.whole import resample, resample_pcm16

if TYPE_CHECKING:
    from phonograph_nodes.resample.node import Resample, ResampleParams

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


def __getattr__(name: str) -> Any:
    if name not in ("Resample", "ResampleParams"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from phonograph_nodes.resample import node

    return getattr(node, name)
