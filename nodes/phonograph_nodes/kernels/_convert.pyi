import numpy as np
from numpy.typing import NDArray

CODES: dict[str, int]

def convert(samples: NDArray[np.uint8], source: int, out: NDArray[np.uint8], target: int) -> int: ...
