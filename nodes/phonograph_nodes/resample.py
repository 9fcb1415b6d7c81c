"""Change of the sample rate."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import soxr  # type: ignore[import-untyped]  # ships neither stubs nor a marker
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.validation import Samples, audio_samples, refuse_non_finite

Quality = Literal["fast", "high", "best"]

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Hz; wider ratios make the resampler's filters grow until a short clip takes gigabytes."""

MAX_SAMPLES = 2**30
"""Per channel of the result: 4 GiB, or 18 hours at 16 kHz."""

# libsoxr's recipes of 16, 20 and 28 bits of precision.
_RECIPES: Mapping[str, str] = MappingProxyType({"fast": "MQ", "high": "HQ", "best": "VHQ"})


def resample(samples: NDArray[Any], *, in_rate: int, out_rate: int, quality: Quality = "high") -> Samples:
    """Change the sample rate with libsoxr's band-limited filters.

    Args:
        samples: float32, shape (num_samples,) or (num_channels, num_samples).
        in_rate, out_rate: Hz, whole numbers, 1000 to 768000.
        quality: "fast", "high" or "best", with 16, 20 or 28 bits of precision: aliases are at least
            100, 125 or 150 dB down, and each step costs up to a quarter more time; "fast" lets the pass band ripple by 0.2 dB.

    Returns:
        float32, as many dimensions as given, ceil(num_samples * out_rate / in_rate) samples; no delay. The array itself when
        the rates are equal, whatever its samples are: nothing reads them.

    Raises:
        AudioFormatError: wrong dtype or shape; a rate that is no whole number or out of range; at unequal rates NaN or infinity
            (a filter would spread them), a result of more than 2^30 samples a channel, or one beyond the range of float32.
        ValueError: an unknown quality.
    """
    if quality not in _RECIPES:
        raise ValueError(f"quality is {quality!r}; expected one of {', '.join(_RECIPES)}")
    in_rate, out_rate = _rate("in_rate", in_rate), _rate("out_rate", out_rate)
    signal = audio_samples(samples)
    if in_rate == out_rate:
        return signal
    length = -(-signal.shape[-1] * out_rate // in_rate)
    if length > MAX_SAMPLES:
        raise AudioFormatError(
            f"{signal.shape[-1]} samples at {in_rate} Hz become {length} at {out_rate} Hz; "
            f"expected at most {MAX_SAMPLES} (cut the clip)"
        )
    refuse_non_finite(signal)
    resampled = np.empty((*signal.shape[:-1], length), np.float32)
    for channel, out in zip(np.atleast_2d(signal), np.atleast_2d(resampled), strict=True):
        out[:] = _resampled_channel(channel, in_rate, out_rate, _RECIPES[quality], length)
    refuse_non_finite(resampled, "the resampled audio (scale the samples to [-1, 1] first)")
    return resampled


class ResampleParams(Params, frozen=True):
    sample_rate: Annotated[
        Annotated[int, msgspec.Meta(ge=MIN_RATE, le=MAX_RATE)] | None,
        msgspec.Meta(description="rate of the result; null leaves it as it is", extra={"unit": "Hz"}),
    ] = 16_000
    channels: Annotated[
        Literal[1] | None, msgspec.Meta(description="1 mixes all channels with equal weights; unchanged when absent")
    ] = None
    quality: Annotated[
        Quality, msgspec.Meta(description="fast, high or best; a longer filter rejects more alias energy and takes more time")
    ] = "high"


@node(
    "audio.resample",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate={sample_rate|r}, channels={channels|c}]"},
    converts={"rate": "sample_rate", "channels": "channels"},
    attributes={"duration": "float", "sample_rate": "int", "channels": "int"},
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 8000, channels: 1}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Resample(Node[ResampleParams]):
    """Change the sample rate, mixing to mono first where asked for.

    Audio that already has the rate and the channels is handed on as it is. Sets the attributes `duration` (s), `sample_rate` (Hz)
    and `channels` of what comes out.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        samples = chunk.samples if self.params.channels is None else mix_to_mono(chunk.samples)
        rate = self.params.sample_rate or chunk.sample_rate
        if samples is chunk.samples and rate == chunk.sample_rate:
            return item.with_payload({"audio": chunk}, described(chunk))
        samples = resample(samples, in_rate=chunk.sample_rate, out_rate=rate, quality=self.params.quality)
        made = AudioChunk(samples, rate)
        return item.with_payload({"audio": made}, described(made))


def described(chunk: AudioChunk) -> Mapping[str, Any]:
    """The attributes that say what audio is."""
    return {"duration": chunk.duration_s, "sample_rate": chunk.sample_rate, "channels": chunk.num_channels}


def _rate(name: str, rate: int) -> int:
    """The rate as Python's own integer: NumPy's would overflow in the length."""
    try:
        whole = operator.index(rate)
    except TypeError:
        raise AudioFormatError(f"{name} is {rate!r}; expected a whole number of Hz") from None
    if not MIN_RATE <= whole <= MAX_RATE:
        raise AudioFormatError(f"{name} is {whole} Hz; expected {MIN_RATE} to {MAX_RATE} Hz")
    return whole


def _resampled_channel(channel: Samples, in_rate: int, out_rate: int, recipe: str, length: int) -> Samples:
    # libsoxr rounds the length to the nearest; silence worth two samples of the result makes sure that the last one exists.
    if length == 0:
        return np.empty(0, np.float32)
    silence = np.zeros(2 * in_rate // out_rate + 2, np.float32)
    resampled: Samples = soxr.resample(np.concatenate([channel, silence]), in_rate, out_rate, quality=recipe)
    return resampled[:length]
