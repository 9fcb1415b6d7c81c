"""What the energy VAD gives: frames, segments."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph.audio import Segment

LOWEST_RMS = 1e-6
"""-120 dBFS; what is fainter has that level."""

Levels = NDArray[np.float32]
Times = NDArray[np.float64]


# msgspec Structs and not dataclasses, because a stream makes one for every push: construction is several times cheaper.
class VadFrames(msgspec.Struct, frozen=True, eq=False):
    """Level, threshold and decision of successive analysis frames, which do not overlap.

    Args:
        rms: float32, shape (num_frames,), linear, 0 to 1 for samples in [-1, 1].
        threshold: float32, shape (num_frames,), linear RMS: what each frame was held against.
        speech: bool, shape (num_frames,), after all smoothing, without padding.
        frame_length: samples; the last frame of a signal may hold fewer.
        sample_rate: Hz.
        start, end: places in the signal of the first frame's first sample, and behind the last frame's last one.
    """

    rms: Levels
    threshold: Levels
    speech: NDArray[np.bool_]
    frame_length: int
    sample_rate: int
    start: int
    end: int

    @property
    def start_ms(self) -> Times:
        """Where each frame begins, in milliseconds from the start of the signal."""
        return self._edges[:-1] * 1000.0 / self.sample_rate

    @property
    def end_ms(self) -> Times:
        """Where each frame ends."""
        return self._edges[1:] * 1000.0 / self.sample_rate

    @property
    def energy_db(self) -> Levels:
        """The level of each frame in dBFS, at least -120."""
        levels: Levels = np.log10(np.maximum(self.rms, np.float32(LOWEST_RMS)))
        return levels * np.float32(20.0)

    @property
    def confidence(self) -> Levels:
        """P / (P + T^2) of each frame, for power P and threshold T: 0.5 at the threshold, 0.91 at 10 dB above it."""
        power: Times = np.square(self.rms, dtype=np.float64)
        confidence: Times = power / (power + np.square(self.threshold, dtype=np.float64))
        return confidence.astype(np.float32)

    @property
    def _edges(self) -> Times:
        edges: Times = np.minimum(self.start + np.arange(len(self.rms) + 1) * float(self.frame_length), self.end)
        return edges


class EnergyVad(msgspec.Struct, frozen=True, eq=False):
    """What `energy_vad` found.

    Args:
        frames: level and decision of each frame.
        segments: in order of time, none touches the next.
        speech_ratio: samples in speech frames over all samples, 0 to 1, without padding; 0 for empty audio.
    """

    frames: VadFrames
    segments: tuple[Segment, ...]
    speech_ratio: float


class VadUpdate(msgspec.Struct, frozen=True, eq=False):
    """What has become known with the last samples of a stream.

    Args:
        frames: those that are decided now; `frames.speech` says of the last one whether somebody is speaking.
        segments: those that cannot change any more.
    """

    frames: VadFrames
    segments: tuple[Segment, ...]
