import numpy as np
from numpy.typing import NDArray

def stretch_energy(samples: NDArray[np.float32], length: int, out: NDArray[np.float64]) -> bool: ...
