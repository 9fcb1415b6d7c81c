"""Speech detection by signal level, in audio that comes in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.vad.found import VadFrames, VadUpdate
from phonograph_nodes.vad.settings import FLOOR_WINDOW_MS, checked
from phonograph_nodes.validation import Samples, mono_samples, non_finite

_NOTHING: Samples = np.empty(0, np.float32)


class EnergyVadStream:
    """Frames and segments of a signal whose samples come in pieces, bit for bit what `energy_vad` gives for all of them.

        stream = EnergyVadStream(sample_rate=16_000, min_silence_ms=300, min_speech_ms=90)
        for chunk in microphone:
            update = stream.push(chunk)
            for segment in update.segments:
                send(segment)
        send_all(stream.flush().segments)

    A frame is handed out once nothing to come can change its decision, at the latest `latency_samples` after its first sample. A
    segment is handed out once it is sure to have ended: when frames of silence have been decided that outlast both paddings.

    Memory: the samples of one frame, the frames of `latency_samples`, and with `margin_db` 8 bytes for each frame of the floor's
    window, however long the signal; and room for the frames of the longest piece. A stream belongs to one thread at a time.

    Args:
        all: as `energy_vad`, with the same errors.

    Attributes:
        frame_length: samples.
        latency_samples: so many samples from a frame's first one on, its decision is known; fewer when min_speech_ms and
            min_silence_ms have nothing to wait for.
    """

    __slots__ = ("_frame_length", "_sample_rate", "_vad", "latency_samples")

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        frame_ms: float = 30.0,
        threshold: float | None = None,
        threshold_db: float | None = None,
        margin_db: float | None = None,
        floor_window_ms: float = FLOOR_WINDOW_MS,
        min_silence_ms: float = 0.0,
        min_speech_ms: float = 0.0,
        hangover_ms: float = 0.0,
        pad_before_ms: float = 0.0,
        pad_after_ms: float = 0.0,
    ) -> None:
        settings = checked(
            sample_rate,
            frame_ms,
            threshold,
            threshold_db,
            margin_db,
            floor_window_ms,
            min_silence_ms,
            min_speech_ms,
            hangover_ms,
            pad_before_ms,
            pad_after_ms,
        )
        self._vad = settings.begin()
        self._frame_length = settings.frame_length
        self._sample_rate = settings.sample_rate
        self.latency_samples = (1 + settings.late_frames) * settings.frame_length

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return self._frame_length

    def push(self, samples: NDArray[Any], *, sample_rate: int | None = None) -> VadUpdate:
        """Take the next samples of the signal; the first ones after `flush` begin a new one.

        Args:
            samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples), of any length; not kept.
            sample_rate: Hz; None takes them to be at the stream's.

        Returns:
            The frames that are decided now, perhaps none, and the segments that have ended.

        Raises:
            AudioFormatError: wrong dtype, shape or rate; NaN or infinity. Nothing of these samples was taken, and the signal can
                go on.
        """
        if sample_rate is not None and sample_rate != self._sample_rate:
            raise AudioFormatError(
                f"samples are at {sample_rate} Hz; expected the stream's {self._sample_rate} Hz (see phonograph_nodes.resample)"
            )
        return self._update(mono_samples(samples), False)

    def flush(self) -> VadUpdate:
        """End the signal: the frames and segments that were still open. What is pushed next begins a new signal."""
        update = self._update(_NOTHING, True)
        self._vad.reset()
        return update

    def reset(self) -> None:
        """Forget the signal."""
        self._vad.reset()

    def _update(self, signal: Samples, is_last: bool) -> VadUpdate:
        vad, length = self._vad, self._frame_length
        first = vad.num_decided
        taken = vad.take(signal, is_last)
        if taken is None:
            raise non_finite(signal, f"chunk from sample {vad.num_samples} on")
        rms, threshold, speech, segments = taken
        end = min((first + len(rms)) * length, vad.num_samples)
        return VadUpdate(VadFrames(rms, threshold, speech, length, self._sample_rate, first * length, end), segments)
