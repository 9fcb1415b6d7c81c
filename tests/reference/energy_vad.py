"""Slow energy-VAD truth, one frame at a time in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def frame_rms(samples: NDArray[Any], length: int) -> list[float]:
    """RMS of each stretch of `length` samples, the last one over what is left."""
    values = [float(v) for v in samples]
    frames = [values[start : start + length] for start in range(0, len(values), length)]
    return [math.sqrt(math.fsum(v * v for v in frame) / len(frame)) for frame in frames]


def decide(rms: list[float], threshold: float, *, min_silence: int, min_speech: int, hangover: int) -> list[bool]:
    """Speech decision for each frame: threshold, then short silences, short speech, hangover; durations in frames."""
    speech = [bool(np.float32(level) >= np.float32(threshold)) for level in rms]
    for start, end in _stretches(speech, value=False):
        if start > 0 and end < len(speech) and end - start < min_silence:
            speech[start:end] = [True] * (end - start)
    for start, end in _stretches(speech, value=True):
        if end - start < min_speech:
            speech[start:end] = [False] * (end - start)
    for _, end in _stretches(speech, value=True):
        for i in range(end, min(end + hangover, len(speech))):
            speech[i] = True
    return speech


def _stretches(flags: list[bool], *, value: bool) -> list[tuple[int, int]]:
    found, start = [], None
    for i, flag in enumerate([*flags, not value]):
        if flag == value and start is None:
            start = i
        elif flag != value and start is not None:
            found.append((start, i))
            start = None
    return found
