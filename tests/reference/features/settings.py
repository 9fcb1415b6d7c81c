"""What tells one front end from another, and the constants of those that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Constants in the order of the arithmetic, lengths in samples; `spectra`, `mel` and `levels` say what each means."""

    sample_rate: int = 16_000
    scale: float = 1.0
    normalize_signal: bool = False
    quantise: bool = False
    preemphasis: float = 0.0
    preemphasis_in: str = "signal"
    min_samples: int = 0

    window_length: int = 400
    hop_length: int = 160
    fft_length: int = 400
    window: str = "hann"
    placement: str = "centred"
    edges: str = "reflect"
    remove_mean: bool = False
    power: int = 2

    num_mel_bins: int = 80
    mel_scale: str = "slaney"
    low_hz: float = 0.0
    high_hz: float | None = None
    straight_in_mel: bool = False
    mel_area: bool = False

    log: str = "ln"
    floor: float = 1e-5
    add_floor: bool = False
    range_below_peak: float | None = None
    shift: float = 0.0
    gain: float = 1.0
    num_cepstra: int = 0
    deltas: bool = False
    normalisation: str = "none"
    unbiased: bool = False
    deviation_floor_in: str = "max"
    deviation_floor: float = 1e-5

    stack: int = 1
    padding_value: float = 0.0
    pad_rows_to: int = 1


_ZIPFORMER = Settings(mel_scale="htk", min_samples=400, floor=1e-5)

_SQUEEZEFORMER = replace(
    _ZIPFORMER,
    normalize_signal=True,
    preemphasis=0.97,
    normalisation="per_bin",
    deviation_floor_in="max",
    deviation_floor=1e-5,
)

_KALDI = Settings(
    preemphasis=0.97,
    preemphasis_in="window",
    fft_length=512,
    window="povey",
    placement="inside",
    edges="symmetric",
    remove_mean=True,
    mel_scale="kaldi",
    low_hz=20.0,
    high_hz=0.0,
    straight_in_mel=True,
    floor=2.0**-23,
)

_NEMO = Settings(
    preemphasis=0.97,
    fft_length=512,
    window="hann_symmetric",
    placement="centred_but_last",
    edges="zero",
    mel_area=True,
    floor=2.0**-24,
    add_floor=True,
    normalisation="per_bin",
    unbiased=True,
    deviation_floor_in="add",
    deviation_floor=1e-5,
)

NAMED: Mapping[str, Settings] = MappingProxyType(
    {
        "squeezeformer": _SQUEEZEFORMER,
        "paraformer": _SQUEEZEFORMER,
        "zipformer": _ZIPFORMER,
        "w2v-bert": replace(
            _KALDI,
            scale=2.0**15,
            normalisation="per_bin",
            unbiased=True,
            deviation_floor_in="add_to_variance",
            deviation_floor=1e-7,
            stack=2,
            padding_value=1.0,
        ),
        "whisper": Settings(
            placement="centred_but_last", mel_area=True, log="log10", floor=1e-10, range_below_peak=8.0, shift=4.0, gain=0.25
        ),
        "kaldi": _KALDI,
        "icefall": replace(_KALDI, placement="covering", high_hz=-400.0),
        "nemo": _NEMO,
        "older nemo": replace(_NEMO, placement="centred", edges="reflect"),
        "librosa": Settings(
            sample_rate=22_050,
            window_length=2048,
            hop_length=512,
            fft_length=2048,
            edges="zero",
            num_mel_bins=128,
            mel_area=True,
            log="db",
            floor=1e-10,
            range_below_peak=80.0,
        ),
        "speaker-mfcc": Settings(
            sample_rate=44_100,
            quantise=True,
            window_length=800,
            hop_length=400,
            fft_length=800,
            window="rectangular",
            placement="inside",
            num_mel_bins=26,
            mel_area=True,
            floor=1e-12,
            num_cepstra=20,
            deltas=True,
            normalisation="per_row",
            deviation_floor_in="max",
            deviation_floor=1e-6,
        ),
    }
)
