"""Nodes for speech and audio, which are plain functions for a notebook or another program too.

The functions are imported when they are first asked for: FFmpeg's libraries and the kernels are not loaded by `import` alone.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonograph_nodes.audio.loading import load
    from phonograph_nodes.convert import convert, mix_to_mono
    from phonograph_nodes.features import LogMel, LogMelStream, log_mel
    from phonograph_nodes.resample import ResampleStream, resample, resample_pcm16
    from phonograph_nodes.vad import EnergyVadStream, energy_vad

__all__ = [
    "EnergyVadStream",
    "LogMel",
    "LogMelStream",
    "ResampleStream",
    "convert",
    "energy_vad",
    "load",
    "log_mel",
    "mix_to_mono",
    "resample",
    "resample_pcm16",
]

_ROOMS = {
    "EnergyVadStream": "vad",
    "LogMel": "features",
    "LogMelStream": "features",
    "ResampleStream": "resample",
    "convert": "convert",
    "energy_vad": "vad",
    "load": "audio.loading",
    "log_mel": "features",
    "mix_to_mono": "convert",
    "resample": "resample",
    "resample_pcm16": "resample",
}


class _Package(ModuleType):
    """This package. A name that is a room's and a function's (`convert`, `resample`) always means the function.

    Without this, importing the room anywhere in the program would put the module in the function's place.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ROOMS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
