"""The golden set's names of front ends, in the words of `log_mel`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes import log_mel

_SETTINGS: dict[str, dict[str, Any]] = {
    "squeezeformer": {"frontend": "squeezeformer"},
    "zipformer": {"frontend": "zipformer"},
    "whisper80": {"frontend": "whisper", "n_mels": 80},
    "whisper128": {"frontend": "whisper", "n_mels": 128},
    "whisper80_pad30": {"frontend": "whisper", "n_mels": 80, "pad_to_s": 30.0},
    "whisper128_pad30": {"frontend": "whisper", "n_mels": 128, "pad_to_s": 30.0},
}


def compute(name: str, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Features, shape (T, D). Raises NotImplementedError for a front end that `log_mel` lacks, as the checker wants it."""
    if name not in _SETTINGS:
        raise NotImplementedError(name)
    return log_mel(samples, sample_rate=sample_rate, **_SETTINGS[name])
