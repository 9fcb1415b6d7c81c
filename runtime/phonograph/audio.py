"""The payloads of speech pipelines that are more than a plain value: AudioChunk, Segment."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError


class AudioChunk(msgspec.Struct, frozen=True, eq=False):
    """A stretch of audio: what flows over every `audio` edge.

    A msgspec Struct and not a dataclass because one is built for every item and node: construction is four times cheaper.

    Args:
        samples: float32 in [-1, 1], C-contiguous, shape (num_channels, num_samples), planar. Immutable by convention:
            a node that changes samples makes a new array, because branches of the graph share this one.
        sample_rate: Hz, positive.
    """

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def num_channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def num_samples(self) -> int:
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate

    @property
    def nbytes(self) -> int:
        return int(self.samples.nbytes)

    @classmethod
    def of(cls, samples: NDArray[Any], sample_rate: int) -> AudioChunk:
        """Check an array that comes from outside and wrap it; mono may be one-dimensional.

        Raises:
            AudioFormatError: not floating point, more than two dimensions, or a rate that is not positive.
        """
        array = np.asarray(samples)
        if array.dtype.kind != "f":
            raise AudioFormatError(
                f"samples are {array.dtype}; expected floating point in [-1, 1] (see phonograph_nodes.convert)"
            )
        if array.ndim == 1:
            array = array[np.newaxis]
        if array.ndim != 2:
            raise AudioFormatError(f"samples have shape {array.shape}; expected (num_samples,) or (num_channels, num_samples)")
        if sample_rate <= 0:
            raise AudioFormatError(f"sample rate is {sample_rate} Hz; expected a positive number")
        return cls(np.ascontiguousarray(array, dtype=np.float32), int(sample_rate))


class Segment(msgspec.Struct, frozen=True):
    """A stretch of time in which something was found, in milliseconds from the start of the record.

    Args:
        start_ms, end_ms: half-open, `start_ms < end_ms`.
        energy_db: mean level in dBFS (0 is a full-scale square wave).
        confidence: 0 to 1; what it measures is stated by the node that made the segment.
    """

    start_ms: float
    end_ms: float
    energy_db: float
    confidence: float
