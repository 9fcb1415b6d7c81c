from typing import final

import numpy as np
from numpy.typing import NDArray

WINDOW_LENGTH: int
HOP_LENGTH: int
SCRATCH_LENGTH: int

@final
class Plan:
    def __init__(
        self,
        window: NDArray[np.float64],
        twiddles: NDArray[np.float64],
        splits: NDArray[np.float64],
        mel_begin: NDArray[np.int32],
        mel_end: NDArray[np.int32],
        mel_weights: NDArray[np.float64],
        preemphasis: float,
        floor: float,
        log_scale: float,
    ) -> None: ...
    def levels(
        self,
        samples: NDArray[np.float32],
        padded: int,
        offset: float,
        gain: float,
        scratch: NDArray[np.float64],
        out: NDArray[np.float64],
    ) -> None: ...

def signal_extent(samples: NDArray[np.float32]) -> tuple[float, float, float]: ...
def column_moments(levels: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None: ...
def scale_columns(
    levels: NDArray[np.float64],
    lowest: float,
    shift: NDArray[np.float64],
    gain: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None: ...
