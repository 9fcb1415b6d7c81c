"""The words that other libraries have for what is called otherwise here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from phonograph.errors import nearest

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # Parameters; docs/features.md has them by library.
        "num_mel_bins": ("n_mels",),
        "n_mels": ("num_mel_bins",),
        "num_mels": ("n_mels", "num_mel_bins"),
        "features": ("n_mels", "num_mel_bins"),
        "feature_size": ("n_mels", "num_mel_bins"),
        "nfilt": ("n_mels", "num_mel_bins"),
        "sr": ("sample_rate",),
        "fs": ("sample_rate",),
        "rate": ("sample_rate",),
        "sampling_rate": ("sample_rate",),
        "sample_frequency": ("sample_rate",),
        "n_fft": ("fft_length",),
        "nfft": ("fft_length",),
        "fft_size": ("fft_length",),
        "win_length": ("window_length",),
        "frame_length": ("window_length",),
        "window_size": ("window_length",),
        "frame_shift": ("hop_length",),
        "window_stride": ("hop_length",),
        "window_fn": ("window",),
        "window_type": ("window",),
        "center": ("placement", "centred"),
        "snip_edges": ("placement",),
        "pad_mode": ("edges",),
        "fmin": ("low_hz",),
        "f_min": ("low_hz",),
        "low_freq": ("low_hz",),
        "lowfreq": ("low_hz",),
        "fmax": ("high_hz",),
        "f_max": ("high_hz",),
        "high_freq": ("high_hz",),
        "highfreq": ("high_hz",),
        "htk": ("mel_scale",),
        "norm": ("mel_area",),
        "mel_norm": ("mel_area",),
        "use_power": ("power",),
        "mag_power": ("power",),
        "power_to_db": ("log",),
        "amin": ("floor",),
        "mel_floor": ("floor",),
        "log_zero_guard_value": ("floor",),
        "log_zero_guard_type": ("add_floor",),
        "top_db": ("range_below_peak",),
        "preemph": ("preemphasis",),
        "preemph_coeff": ("preemphasis",),
        "preemphasis_coefficient": ("preemphasis",),
        "remove_dc_offset": ("remove_mean",),
        "normalize": ("normalisation",),
        "do_normalize": ("normalisation",),
        "n_mfcc": ("num_cepstra",),
        "num_ceps": ("num_cepstra",),
        "stride": ("hop_length", "stack"),
        "frame_splicing": ("stack",),
        "pad_to": ("pad_rows_to",),
        "chunk_length": ("pad_to_s",),
        # Values.
        "hanning": ("hann",),
        "hann_window": ("hann",),
        "boxcar": ("rectangular",),
        "ones": ("rectangular",),
        "centre": ("centred",),
        "constant": ("zero",),
        "zeros": ("zero",),
        "edge": ("repeat",),
        "replicate": ("repeat",),
        "HTK": ("htk",),
        "log": ("ln",),
        "natural": ("ln",),
        "dB": ("db",),
        "per_feature": ("per_bin",),
        "NA": ("none",),
        # Front ends.
        "parakeet": ("nemo",),
        "canary": ("nemo",),
        "fastconformer": ("nemo",),
        "seamless-m4t": ("w2v-bert",),
        "seamless_m4t": ("w2v-bert",),
        "kaldi-native-fbank": ("kaldi",),
        "wenet": ("kaldi",),
        "wespeaker": ("kaldi",),
        "funasr": ("kaldi",),
        "sensevoice": ("kaldi",),
        "fbank": ("kaldi", "icefall"),
        "lhotse": ("icefall",),
        "sherpa": ("icefall",),
        "sherpa-onnx": ("icefall",),
        "k2": ("icefall",),
    }
)
"""Word -> the names or values that it may stand for; which of them are meant depends on where it is said."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about a word that is not known; empty when no known one is near."""
    close = nearest(word, known, synonyms=SYNONYMS)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def unknown_argument(name: str, known: tuple[str, ...]) -> TypeError:
    """The error for a keyword argument that there is not."""
    meant = suggestion(name, known)
    if "_length" in meant:
        meant += " Lengths are in samples."
    return TypeError(f"unexpected keyword argument {name!r}{meant or '; expected one of ' + ', '.join(known)}")
