"""The golden set's names of front ends, in the reference's settings: the target for the golden set's checker."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from reference.features.log_mel import Floats, log_mel, padded_or_cut
from reference.features.settings import NAMED

_WHISPER_128 = replace(NAMED["whisper"], num_mel_bins=128)
_NO_SNIP = replace(NAMED["kaldi"], placement="covering")

GOLDEN = MappingProxyType(
    {
        "squeezeformer": NAMED["squeezeformer"],
        "paraformer": NAMED["paraformer"],
        "zipformer": NAMED["zipformer"],
        "w2v_bert_pad0": replace(NAMED["w2v-bert"], padding_value=0.0),
        "w2v_bert_pad1": NAMED["w2v-bert"],
        "whisper80": NAMED["whisper"],
        "whisper80_pad30": NAMED["whisper"],
        "whisper128": _WHISPER_128,
        "whisper128_pad30": _WHISPER_128,
        "kaldi80_snip_x1": NAMED["kaldi"],
        "kaldi80_snip_x32768": replace(NAMED["kaldi"], scale=32768.0),
        "kaldi80_nosnip_x1": _NO_SNIP,
        "kaldi80_nosnip_x32768": replace(_NO_SNIP, scale=32768.0),
        "icefall80": NAMED["icefall"],
        "nemo80": NAMED["nemo"],
        "nemo128": replace(NAMED["nemo"], num_mel_bins=128),
        "nemo80_v1": NAMED["older nemo"],
        "streamz_mfcc60": NAMED["speaker-mfcc"],
        "librosa_db128": NAMED["librosa"],
    }
)


def compute(name: str, samples: NDArray[np.float32], sample_rate: int) -> Floats:
    """Features, shape (T, D). Raises ValueError when the samples are declared at another rate than the front end's."""
    settings = GOLDEN[name]
    if sample_rate != settings.sample_rate:
        raise ValueError(f"{name}: samples at {sample_rate} Hz; expected {settings.sample_rate}")
    return log_mel(padded_or_cut(samples, 30 * sample_rate) if name.endswith("_pad30") else samples, settings)
