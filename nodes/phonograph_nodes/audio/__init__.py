"""Audio in: every codec, sample-exact, from wherever it lies.

The functions are imported when they are first asked for, so that a program pays for what it uses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonograph_nodes.audio.about import AudioInfo
    from phonograph_nodes.audio.batch import BatchResult, batch_decode
    from phonograph_nodes.audio.cache import CacheInfo, cache_info, clear_cache, set_cache_size
    from phonograph_nodes.audio.containers import RawPcm
    from phonograph_nodes.audio.decoder import AudioDecoder
    from phonograph_nodes.audio.given import AudioSource
    from phonograph_nodes.audio.librosa import patch_librosa, unpatch_librosa
    from phonograph_nodes.audio.loading import info, load
    from phonograph_nodes.audio.mixing import bs775_weights
    from phonograph_nodes.audio.reader import Faults, Limits
    from phonograph_nodes.audio.saving import save

__all__ = [
    "AudioDecoder",
    "AudioInfo",
    "AudioSource",
    "BatchResult",
    "CacheInfo",
    "Faults",
    "Limits",
    "RawPcm",
    "batch_decode",
    "bs775_weights",
    "cache_info",
    "clear_cache",
    "info",
    "load",
    "patch_librosa",
    "save",
    "set_cache_size",
    "unpatch_librosa",
]

_ROOMS = {
    "about": ("AudioInfo",),
    "batch": ("BatchResult", "batch_decode"),
    "cache": ("CacheInfo", "cache_info", "clear_cache", "set_cache_size"),
    "containers": ("RawPcm",),
    "decoder": ("AudioDecoder",),
    "given": ("AudioSource",),
    "librosa": ("patch_librosa", "unpatch_librosa"),
    "loading": ("info", "load"),
    "mixing": ("bs775_weights",),
    "reader": ("Faults", "Limits"),
    "saving": ("save",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
