"""The parameters of the energy VAD: checked, and in the units of its kernel."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

from phonograph.errors import AudioFormatError
from phonograph_nodes.kernels import _energy
from phonograph_nodes.vad.found import LOWEST_RMS

DEFAULT_THRESHOLD = 0.02
"""Linear RMS, where 1 is full scale: -34 dBFS."""

LOWEST_THRESHOLD = 0.001
"""What takes its place under a margin above the noise floor: -60 dBFS, so that the floor decides."""

FLOOR_WINDOW_MS = 5000.0
LONGEST_MS = 86_400_000.0
"""A day: more than that is meant for something else."""

_MOST = 2**53  # frames or samples that a duration may be: sums of them fit into 64 bits


@dataclass(frozen=True, slots=True)
class Settings:
    """What the kernel is told. Lengths are samples, durations frames, padding samples, levels linear RMS."""

    sample_rate: int
    frame_length: int
    threshold: float
    margin: float
    floor_frames: int
    min_silence: int
    min_speech: int
    hangover: int
    pad_before: int
    pad_after: int

    def begin(self) -> _energy.Vad:
        """The state of a signal of which nothing has come yet."""
        return _energy.Vad(
            sample_rate=self.sample_rate,
            frame_length=self.frame_length,
            threshold=self.threshold,
            margin=self.margin,
            floor_frames=self.floor_frames,
            min_silence=self.min_silence,
            min_speech=self.min_speech,
            hangover=self.hangover,
            pad_before=self.pad_before,
            pad_after=self.pad_after,
        )

    @property
    def late_frames(self) -> int:
        """How many further frames a frame may have to wait for until it is decided."""
        gap = max(self.min_silence, 1)
        candidate = self.min_speech - 2 + gap if self.min_speech > 1 else 0
        return max(candidate, gap - 1 - self.hangover, 0)


@functools.lru_cache(maxsize=64)
def checked(
    sample_rate: int,
    frame_ms: float,
    threshold: float | None,
    threshold_db: float | None,
    margin_db: float | None,
    floor_window_ms: float,
    min_silence_ms: float,
    min_speech_ms: float,
    hangover_ms: float,
    pad_before_ms: float,
    pad_after_ms: float,
) -> Settings:
    """The settings for parameters as `energy_vad` takes them; cached, for a call's cost would be theirs.

    Raises:
        AudioFormatError: a rate that is no positive whole number.
        ValueError: a parameter outside its range, or both thresholds.
    """
    level = linear_threshold(threshold, threshold_db, DEFAULT_THRESHOLD if margin_db is None else LOWEST_THRESHOLD)
    if margin_db is not None and not 0.0 < margin_db <= 60.0:
        raise ValueError(f"margin_db is {margin_db}; expected above 0, at most 60 dB")
    _check_between("frame_ms", frame_ms, 1.0, 1000.0)
    _check_between("floor_window_ms", floor_window_ms, 100.0, 60_000.0)
    durations = (("min_silence_ms", min_silence_ms), ("min_speech_ms", min_speech_ms), ("hangover_ms", hangover_ms))
    for name, value in (*durations, ("pad_before_ms", pad_before_ms), ("pad_after_ms", pad_after_ms)):
        _check_between(name, value, 0.0, LONGEST_MS)
    if not (sample_rate > 0 and float(sample_rate).is_integer()):
        raise AudioFormatError(f"sample_rate is {sample_rate} Hz; expected a positive whole number")
    rate = int(sample_rate)
    length = max(1, round(rate * frame_ms / 1000.0))
    return Settings(
        sample_rate=rate,
        frame_length=length,
        threshold=level,
        margin=0.0 if margin_db is None else 10.0 ** (margin_db / 20.0),
        floor_frames=_whole(floor_window_ms, rate, length),
        min_silence=_whole(min_silence_ms, rate, length),
        min_speech=_whole(min_speech_ms, rate, length),
        hangover=_whole(hangover_ms, rate, length),
        pad_before=_whole(pad_before_ms, rate, 1),
        pad_after=_whole(pad_after_ms, rate, 1),
    )


def linear_threshold(threshold: float | None, threshold_db: float | None, default: float = DEFAULT_THRESHOLD) -> float:
    """The threshold as linear RMS, whichever way it was given.

    Raises:
        ValueError: both are given, or one outside its range.
    """
    if threshold is not None and threshold_db is not None:
        raise ValueError(f"threshold is {threshold} and threshold_db is {threshold_db}; expected one of them, not both")
    if threshold_db is not None:
        _check_between("threshold_db", threshold_db, -120.0, 0.0, "dBFS")
        return float(10.0 ** (threshold_db / 20.0))
    if threshold is None:
        return default
    if not LOWEST_RMS <= threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; expected a linear RMS of {LOWEST_RMS:g} to 1 (levels in dB: threshold_db)")
    return threshold


def _check_between(name: str, value: float, low: float, high: float, unit: str = "ms") -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; expected {low:g} to {high:g} {unit}")


def _whole(duration_ms: float, sample_rate: int, unit: int) -> int:
    """Units of so many samples that last at least so long; exact for the decimal number that was written.

    0.3 ms is 3 times 0.1 ms.
    """
    num_samples = Fraction(repr(float(duration_ms))) * sample_rate / 1000
    return min(math.ceil(num_samples / unit), _MOST)
