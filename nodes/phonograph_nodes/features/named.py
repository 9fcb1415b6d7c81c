"""The front ends that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from phonograph_nodes.features.definition import FrontEnd

FrontEndName = Literal[
    "squeezeformer", "zipformer", "paraformer", "w2v-bert", "whisper", "kaldi", "icefall", "nemo", "librosa", "speaker-mfcc"
]

_FLOAT32_EPSILON = 2.0**-23

_ZIPFORMER = FrontEnd(mel_scale="htk", min_samples=400, floor=1e-5)

_SQUEEZEFORMER = replace(_ZIPFORMER, normalize_signal=True, preemphasis=0.97, normalisation="per_bin")

_KALDI = FrontEnd(
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
    floor=_FLOAT32_EPSILON,
)

FRONT_ENDS: Mapping[str, FrontEnd] = MappingProxyType(
    {
        # torchaudio's MelSpectrogram with normalisation of signal and features.
        "squeezeformer": _SQUEEZEFORMER,
        # The same spectrum, as it is.
        "zipformer": _ZIPFORMER,
        # The arithmetic of squeezeformer; a name of its own because models and caches are known by it.
        "paraformer": _SQUEEZEFORMER,
        # w2v-BERT 2.0 with SeamlessM4T's feature extractor. That one fills up an odd number of rows with 0, the models here were
        # trained with 1 (padding_value). Too short a clip has no row.
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
        # OpenAI's Whisper; num_mel_bins 128 since large-v3.
        "whisper": FrontEnd(
            placement="centred_but_last", mel_area=True, log="log10", floor=1e-10, range_below_peak=8.0, shift=4.0, gain=0.25
        ),
        # Kaldi's compute-fbank-feats with snip_edges, without dither; scale 32768 where a model was trained on 16-bit values.
        "kaldi": _KALDI,
        # The same as icefall, lhotse and sherpa set it: snip_edges=false, 400 Hz below the Nyquist frequency.
        "icefall": replace(_KALDI, placement="covering", high_hz=-400.0),
        # NVIDIA NeMo's AudioToMelSpectrogramPreprocessor, the valid rows. Older releases: placement "centred", edges "reflect".
        "nemo": FrontEnd(
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
        ),
        # librosa's defaults: power_to_db(melspectrogram(y)); the one to start from for a front end of one's own.
        "librosa": FrontEnd(
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
        # 20 MFCC with first and second differences for speaker recognition.
        "speaker-mfcc": FrontEnd(
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
            deviation_floor=1e-6,
        ),
    }
)
"""Name -> definition."""
