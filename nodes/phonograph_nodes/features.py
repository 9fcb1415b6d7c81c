"""Log-mel features for the named acoustic front ends."""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Params, Streaming, node
from phonograph_nodes.frontends import FRONT_ENDS, SAMPLE_RATE, FrontEnd
from phonograph_nodes.kernels import _log_mel
from phonograph_nodes.mel import mel_filters
from phonograph_nodes.validation import Samples, mono_samples, non_finite

Features = NDArray[np.float32]
Floats = NDArray[np.float64]

_MAX_PAD_S = 3600.0
_MIN_PEAK = 1e-6
_MIN_DEVIATION = 1e-5
_CLAMP_RANGE = 8.0  # log10 units below the highest level of the clip


def log_mel(
    samples: NDArray[Any],
    *,
    sample_rate: int = SAMPLE_RATE,
    frontend: str = "squeezeformer",
    n_mels: int | None = None,
    pad_to_s: float | None = None,
) -> Features:
    """Compute the log-mel features that a model was trained on.

    Args:
        samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples).
        sample_rate: Hz, 16000.
        frontend: "squeezeformer", "zipformer" or "whisper"; the constants are in `phonograph_nodes.frontends`.
        n_mels: mel bins, None for the front end's default, 80; whisper also has 128.
        pad_to_s: seconds to which the signal is cut or filled up with zeros (30 for Whisper's encoder); whisper only.

    Returns:
        float32, shape (num_rows, n_mels): a row for every 10 ms, centred on it. num_rows is max(num_samples, 400) // 160 + 1
        for squeezeformer and zipformer, num_samples // 160 (it may be 0) for whisper.

    Raises:
        AudioFormatError: wrong dtype, shape or rate; NaN or infinity; no sample at all (squeezeformer, zipformer).
        ValueError: a front end or parameter that does not exist.
    """
    return _plan(frontend, n_mels, pad_to_s)(samples, sample_rate=sample_rate)


class LogMel:
    """A front end with its tables built: call it with samples, from any number of threads.

    Arguments, results and errors are those of `log_mel`. Scratch is allocated for each call: 8 bytes for each value of the
    result, because means, deviations and peaks over time are taken in float64.
    """

    def __init__(self, frontend: str = "squeezeformer", *, n_mels: int | None = None, pad_to_s: float | None = None) -> None:
        self.front_end = _front_end(frontend, n_mels, pad_to_s)
        self.num_mel_bins = self.front_end.num_mel_bins[0] if n_mels is None else n_mels
        self._pad_to = None if pad_to_s is None else round(pad_to_s * SAMPLE_RATE)
        self._kernel = _kernel_plan(self.front_end, self.num_mel_bins)

    def __call__(self, samples: NDArray[Any], *, sample_rate: int = SAMPLE_RATE) -> Features:
        if sample_rate != SAMPLE_RATE:
            raise AudioFormatError(f"sample_rate is {sample_rate} Hz; expected {SAMPLE_RATE} (resample first: audio.resample)")
        signal = mono_samples(samples)[: self._pad_to]
        if signal.size == 0 and self.front_end.min_samples:
            raise AudioFormatError("samples are empty; expected at least one sample")
        offset, gain = self._signal_normalisation(signal)
        padded = max(signal.size, self._pad_to or self.front_end.min_samples)
        num_rows = padded // _log_mel.HOP_LENGTH + (0 if self.front_end.drop_last_row else 1)
        levels = np.empty((num_rows, self.num_mel_bins))
        self._kernel.levels(signal, padded, offset, gain, np.empty(_log_mel.SCRATCH_LENGTH), levels)
        return self._scaled(levels)

    def _signal_normalisation(self, signal: Samples) -> tuple[float, float]:
        """Offset and gain; finds samples that are not finite in the same pass."""
        total, low, high = _log_mel.signal_extent(signal)
        if not math.isfinite(total):
            raise non_finite(signal)
        if not self.front_end.normalize_signal:
            return 0.0, 1.0
        mean = total / signal.size
        return mean, 1.0 / max(high - mean, mean - low, _MIN_PEAK)

    def _scaled(self, levels: Floats) -> Features:
        features = np.empty(levels.shape, np.float32)
        if features.size == 0:
            return features
        lowest, shift, gain = -math.inf, np.zeros(self.num_mel_bins), np.ones(self.num_mel_bins)
        if self.front_end.scaling == "standardise":
            _log_mel.column_moments(levels, shift, gain)
            np.divide(1.0, np.maximum(gain, _MIN_DEVIATION), out=gain)
        elif self.front_end.scaling == "clamp":
            lowest = float(levels.max()) - _CLAMP_RANGE
            shift.fill(-4.0)
            gain.fill(0.25)
        _log_mel.scale_columns(levels, lowest, shift, gain, features)
        return features


class LogMelParams(Params, frozen=True):
    frontend: Annotated[
        Literal["squeezeformer", "zipformer", "whisper"],
        msgspec.Meta(description="whose features: the model family they are made for"),
    ] = "squeezeformer"
    n_mels: Annotated[
        int | None, msgspec.Meta(description="mel bins; the front end's default (80) when absent, whisper also has 128")
    ] = None
    pad_to_s: Annotated[
        Annotated[float, msgspec.Meta(ge=0.01, le=_MAX_PAD_S)] | None,
        msgspec.Meta(description="cut or fill up the clip to this length; whisper only", extra={"unit": "s"}),
    ] = None

    def __post_init__(self) -> None:
        _front_end(self.frontend, self.n_mels, self.pad_to_s)


# A type has one declaration, so the most demanding of its front ends decides.
_STREAMING: Streaming = max((front_end.streaming for front_end in FRONT_ENDS.values()), key=get_args(Streaming).index)


@node(
    "features.log_mel",
    inputs={"audio": "audio[rate=16000, channels=1]"},
    outputs={"features": "features[bins={n_mels|80}]"},  # every front end has 80 unless told otherwise
    streaming=_STREAMING,
    sees_native_memory=True,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: features.log_mel, params: {frontend: whisper, n_mels: 128}}
          - {type: sink.npy, params: {path: out}}
        """,
)
class LogMelNode(Node[LogMelParams]):
    """Compute the log-mel features that a model was trained on.

    Takes 16 kHz mono audio; gives float32 of shape (num_rows, n_mels), a row for every 10 ms.
    """

    def open(self) -> None:
        self.log_mel = _plan(self.params.frontend, self.params.n_mels, self.params.pad_to_s)

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        return item.with_payload({"features": self.log_mel(chunk.samples, sample_rate=chunk.sample_rate)})


@functools.lru_cache(maxsize=32)
def _plan(frontend: str, n_mels: int | None, pad_to_s: float | None) -> LogMel:
    return LogMel(frontend, n_mels=n_mels, pad_to_s=pad_to_s)


def _front_end(frontend: str, n_mels: int | None, pad_to_s: float | None) -> FrontEnd:
    """The constants of a front end, after a check that it takes these parameters."""
    if frontend not in FRONT_ENDS:
        raise ValueError(f"frontend is {frontend!r}; expected one of {', '.join(FRONT_ENDS)}")
    front_end = FRONT_ENDS[frontend]
    if n_mels is not None and n_mels not in front_end.num_mel_bins:
        accepted = " or ".join(map(str, front_end.num_mel_bins))
        raise ValueError(f"n_mels is {n_mels}; frontend {frontend!r} has {accepted}")
    if pad_to_s is not None:
        if front_end.min_samples:
            raise ValueError(f"pad_to_s is {pad_to_s}; frontend {frontend!r} does not pad, only whisper does")
        if not _log_mel.HOP_LENGTH / SAMPLE_RATE <= pad_to_s <= _MAX_PAD_S:
            raise ValueError(f"pad_to_s is {pad_to_s}; expected 0.01 to {_MAX_PAD_S:g} s")
    return front_end


def _kernel_plan(front_end: FrontEnd, num_mel_bins: int) -> _log_mel.Plan:
    length = _log_mel.WINDOW_LENGTH
    filters = mel_filters(
        num_mel_bins, scale=front_end.mel_scale, area=front_end.mel_area, num_bins=length // 2 + 1, high_hz=SAMPLE_RATE / 2
    )
    begin, end, weights = _sparse_rows(filters)
    return _log_mel.Plan(
        0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length),
        np.concatenate([_twiddles(length // 2, 5), _twiddles(length // 10, 5)]),
        _turns(np.arange(length // 4 + 1), length).ravel(),
        begin,
        end,
        weights,
        front_end.preemphasis,
        front_end.floor,
        1.0 / math.log(10.0) if front_end.log_base_10 else 1.0,
    )


def _turns(numerator: NDArray[np.int64], denominator: int) -> Floats:
    """Cosine and sine of fractions of a full turn, on a new last axis."""
    angle = 2.0 * np.pi * (numerator % denominator) / denominator
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _twiddles(num_points: int, radix: int) -> Floats:
    """Twiddle factors of one stage, [p][k = 1 .. radix-1][cos, sin], flat."""
    products = np.arange(num_points // radix)[:, np.newaxis] * np.arange(1, radix)
    return _turns(products, num_points).ravel()


def _sparse_rows(filters: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """First bin, one past the last bin, and the weights between them, of each filter; a filter without a bin gives none."""
    support = filters > 0.0
    any_bin = support.any(axis=1)
    begin = np.where(any_bin, support.argmax(axis=1), 0).astype(np.int32)
    end = np.where(any_bin, filters.shape[1] - support[:, ::-1].argmax(axis=1), 0).astype(np.int32)
    weights = np.concatenate([row[first:last] for row, first, last in zip(filters, begin, end, strict=True)])
    return begin, end, weights
