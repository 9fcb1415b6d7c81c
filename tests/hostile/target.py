"""What each mutant is fed to: the ways by which programs read audio."""

from __future__ import annotations

import io

import numpy as np

from phonograph.errors import PhonographError
from phonograph_nodes import audio

_LIMITS = audio.Limits(max_duration_s=60.0, max_bytes=64 * 2**20, max_seconds=5.0)
Outcome = str
"""`audio`, `error` for one of the project's own, or `silent` for neither audio nor error."""


def read(content: bytes, number: int) -> Outcome:
    """Read a mutant, in one of four ways by its number. Raises what is no error of the project's own."""
    try:
        samples = _WAYS[number % len(_WAYS)](content, number)
    except PhonographError:
        return "error"
    if not np.isfinite(samples).all():
        raise AssertionError("samples that are not finite came through")
    return "audio" if samples.size else "silent"


def _whole(content: bytes, number: int) -> np.ndarray:
    return audio.load(content, sr=None, mono=False, limits=_LIMITS)[0]


def _as_features_want_it(content: bytes, number: int) -> np.ndarray:
    return audio.load(io.BytesIO(content), sr=16000, limits=_LIMITS)[0]


def _part(content: bytes, number: int) -> np.ndarray:
    """A part that may lie behind the end, so that none at all is an answer."""
    samples, _ = audio.load(content, sr=None, offset=(number % 37) / 10, duration=0.5, limits=_LIMITS)
    return samples if samples.size else np.zeros(1, np.float32)


def _strictly(content: bytes, number: int) -> np.ndarray:
    audio.info(content, limits=_LIMITS)
    return audio.load(content, sr=None, strict=True, limits=_LIMITS)[0]


_WAYS = (_whole, _as_features_want_it, _part, _strictly)
