"""Slow energy-VAD truth, one frame at a time in plain Python, by passes over the whole signal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rules:
    """Durations are whole frames, padding samples, levels linear RMS; margin 0 is none."""

    threshold: float = 0.02
    margin: float = 0.0
    floor_frames: int = 1
    min_silence: int = 0
    min_speech: int = 0
    hangover: int = 0
    pad_before: int = 0
    pad_after: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A segment, in samples; its power and the mean of its squared thresholds."""

    start: int
    end: int
    power: float
    threshold_power: float


def frame_rms(samples: NDArray[Any], length: int) -> list[float]:
    """RMS of each stretch of `length` samples, the last one over what is left."""
    values = [float(v) for v in samples]
    frames = [values[start : start + length] for start in range(0, len(values), length)]
    return [math.sqrt(math.fsum(v * v for v in frame) / len(frame)) for frame in frames]


def thresholds(rms: list[float], rules: Rules) -> list[float]:
    """What each frame is held against, in float32 as the definition says."""
    found = []
    for i in range(len(rms)):
        threshold = np.float32(rules.threshold)
        if rules.margin:
            floor = min(np.float32(level) for level in rms[max(0, i - rules.floor_frames + 1) : i + 1])
            threshold = max(threshold, np.float32(rules.margin) * floor)
        found.append(float(threshold))
    return found


def decide(rms: list[float], rules: Rules) -> list[bool]:
    """Speech decision for each frame: threshold, then short silences, short speech, hangover."""
    speech = [bool(np.float32(level) >= threshold) for level, threshold in zip(rms, thresholds(rms, rules), strict=True)]
    for start, end in _stretches(speech, value=False):
        if start > 0 and end < len(speech) and end - start < rules.min_silence:
            speech[start:end] = [True] * (end - start)
    for start, end in _stretches(speech, value=True):
        if end - start < rules.min_speech:
            speech[start:end] = [False] * (end - start)
    for _, end in _stretches(speech, value=True):
        for i in range(end, min(end + rules.hangover, len(speech))):
            speech[i] = True
    return speech


def segments(samples: NDArray[Any], length: int, rules: Rules) -> list[Stretch]:
    """The stretches of speech, those joined that touch with their padding."""
    rms = frame_rms(samples, length)
    limits = thresholds(rms, rules)
    groups: list[list[int]] = []  # frames of speech
    for start, end in _stretches(decide(rms, rules), value=True):
        if groups and start * length - rules.pad_before <= (groups[-1][-1] + 1) * length + rules.pad_after:
            groups[-1].extend(range(start, end))
        else:
            groups.append(list(range(start, end)))
    found = []
    for frames in groups:
        counts = [min(length, len(samples) - i * length) for i in frames]
        power = math.fsum(rms[i] ** 2 * count for i, count in zip(frames, counts, strict=True)) / sum(counts)
        limit = math.fsum(limits[i] ** 2 * count for i, count in zip(frames, counts, strict=True)) / sum(counts)
        start = max(0, frames[0] * length - rules.pad_before)
        found.append(Stretch(start, min(len(samples), (frames[-1] + 1) * length + rules.pad_after), power, limit))
    return found


def _stretches(flags: list[bool], *, value: bool) -> list[tuple[int, int]]:
    found, start = [], None
    for i, flag in enumerate([*flags, not value]):
        if flag == value and start is None:
            start = i
        elif flag != value and start is not None:
            found.append((start, i))
            start = None
    return found
