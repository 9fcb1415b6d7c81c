"""The golden set's names of front ends, in the words of `log_mel`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes import log_mel

SETTINGS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "squeezeformer": {"frontend": "squeezeformer"},
        "paraformer": {"frontend": "paraformer"},
        "zipformer": {"frontend": "zipformer"},
        "w2v_bert_pad0": {"frontend": "w2v-bert", "padding_value": 0.0},
        "w2v_bert_pad1": {"frontend": "w2v-bert"},
        "whisper80": {"frontend": "whisper", "n_mels": 80},
        "whisper128": {"frontend": "whisper", "n_mels": 128},
        "whisper80_pad30": {"frontend": "whisper", "n_mels": 80, "pad_to_s": 30.0},
        "whisper128_pad30": {"frontend": "whisper", "n_mels": 128, "pad_to_s": 30.0},
        "kaldi80_snip_x1": {"frontend": "kaldi"},
        "kaldi80_snip_x32768": {"frontend": "kaldi", "scale": 32768.0},
        "kaldi80_nosnip_x1": {"frontend": "kaldi", "placement": "covering"},
        "kaldi80_nosnip_x32768": {"frontend": "kaldi", "placement": "covering", "scale": 32768.0},
        "icefall80": {"frontend": "icefall"},
        "nemo80": {"frontend": "nemo", "n_mels": 80},
        "nemo128": {"frontend": "nemo", "n_mels": 128},
        "nemo80_v1": {"frontend": "nemo", "n_mels": 80, "placement": "centred", "edges": "reflect"},
        "streamz_mfcc60": {"frontend": "speaker-mfcc"},
        "librosa_db128": {"frontend": "librosa"},
    }
)
"""Golden name -> arguments."""


def compute(name: str, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Features, shape (T, D). Raises KeyError for a name that the table lacks, which the checker counts as a failure."""
    return log_mel(samples, sample_rate=sample_rate, **SETTINGS[name])
