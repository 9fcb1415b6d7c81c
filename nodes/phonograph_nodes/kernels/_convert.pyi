import numpy as np
from numpy.typing import NDArray

CODES: dict[str, int]

def convert(samples: NDArray[np.uint8], source: int, out: NDArray[np.uint8], target: int) -> int: ...
def interleave(samples: NDArray[np.uint8], source: int, num_channels: int, out: NDArray[np.uint8], target: int) -> int: ...
def deinterleave(samples: NDArray[np.uint8], source: int, num_channels: int, out: NDArray[np.uint8], target: int) -> int: ...
def deinterleave_rows(samples: NDArray[np.uint8], source: int, out: NDArray[np.float32]) -> None: ...
def mix(
    samples: NDArray[np.uint8],
    source: int,
    interleaved: bool,
    weights: NDArray[np.float64],
    divisor: float,
    out: NDArray[np.uint8],
) -> None: ...
