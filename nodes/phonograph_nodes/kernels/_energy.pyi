import numpy as np
from numpy.typing import NDArray

from phonograph.audio import Segment

def stretch_levels(samples: NDArray[np.float32], length: int, energy: NDArray[np.float64], rms: NDArray[np.float32]) -> bool: ...

class Vad:
    """Decides the frames of one signal; all of its arguments have been checked."""

    sample_rate: int
    num_samples: int
    num_speech: int
    num_decided: int
    def __init__(
        self,
        *,
        sample_rate: int,
        frame_length: int,
        threshold: float,
        margin: float,
        floor_frames: int,
        min_silence: int,
        min_speech: int,
        hangover: int,
        pad_before: int,
        pad_after: int,
    ) -> None: ...
    def reset(self) -> None: ...
    def take(
        self, samples: NDArray[np.float32], is_last: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], tuple[Segment, ...]] | None: ...
