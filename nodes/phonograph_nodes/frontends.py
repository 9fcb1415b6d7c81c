"""The named acoustic front ends as constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from phonograph.node import Streaming
from phonograph_nodes.mel import MelScale

SAMPLE_RATE = 16_000
"""Hz; the rate of every front end in the table."""

Scaling = Literal["none", "standardise", "clamp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """What tells one log-mel front end from another.

    All of them take a power spectrum of 400 samples under a periodic Hann window every 160 samples, centred, the signal
    reflected at its edges, and mel triangles from 0 to 8000 Hz.

    Args:
        normalize_signal: subtract the mean of the whole signal, divide by its peak (at least 1e-6).
        preemphasis: coefficient of `y[t] = x[t] - preemphasis * x[t-1]`; 0 is off.
        min_samples: a shorter signal is filled up with zeros; 0 gives as few rows as there are.
        drop_last_row: leave out the window that is centred on the end, so that rows = num_samples // 160.
        num_mel_bins: accepted numbers of mel bins, the default first.
        mel_scale: "htk" or "slaney". mel_area: divide each triangle by its area in Hz.
        log_base_10: log10 instead of ln. floor: lower bound of a mel energy before the logarithm.
        scaling: of the levels: "standardise" each bin over time (biased deviation, at least 1e-5); "clamp" to 8 below the
            highest level, then (v + 4) / 4; or "none".
        streaming: how far the result of a window depends on audio that comes later; see `phonograph.node.NodeSpec`.
    """

    mel_scale: MelScale
    num_mel_bins: tuple[int, ...] = (80,)
    mel_area: bool = False
    normalize_signal: bool = False
    preemphasis: float = 0.0
    min_samples: int = 400
    drop_last_row: bool = False
    log_base_10: bool = False
    floor: float = 1e-5
    scaling: Scaling = "none"
    streaming: Streaming


FRONT_ENDS: Mapping[str, FrontEnd] = MappingProxyType(
    {
        # torchaudio's MelSpectrogram with normalisation of signal and features.
        "squeezeformer": FrontEnd(
            mel_scale="htk", normalize_signal=True, preemphasis=0.97, scaling="standardise", streaming="whole"
        ),
        # The same spectrum, as it is.
        "zipformer": FrontEnd(mel_scale="htk", streaming="causal"),
        # OpenAI's Whisper; 128 bins since large-v3.
        "whisper": FrontEnd(
            mel_scale="slaney",
            num_mel_bins=(80, 128),
            mel_area=True,
            min_samples=0,
            drop_last_row=True,
            log_base_10=True,
            floor=1e-10,
            scaling="clamp",
            streaming="post-normalised",
        ),
    }
)
