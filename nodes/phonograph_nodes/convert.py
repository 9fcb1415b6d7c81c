"""Sample formats, channel layouts, mixing: the forms that audio takes at the edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.kernels import _convert
from phonograph_nodes.validation import Samples, audio_samples

# How NumPy holds each format. i24 has no NumPy type: three bytes, lowest first, on a last axis of their own.
_STORAGE: Mapping[str, str] = MappingProxyType({"u8": "u1", "i16": "<i2", "i24": "u1", "i32": "<i4", "f32": "<f4", "f64": "<f8"})
_LONG_NAMES = MappingProxyType(
    {"uint8": "u8", "int16": "i16", "int24": "i24", "int32": "i32", "float32": "f32", "float64": "f64"}
)
_FORMAT_OF = MappingProxyType({np.dtype(text): name for name, text in _STORAGE.items() if name != "i24"})
_ScalarT = TypeVar("_ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """Converted samples, with the number of NaN that an integer format could not hold, which are now 0."""

    samples: NDArray[Any]
    num_nan: int


def convert(samples: NDArray[Any], *, dtype: str, source: str | None = None) -> NDArray[Any]:
    """Change the sample format.

    Integers of b bits stand for q / 2^(b-1), u8 for (q - 128) / 128. From floating point, values are multiplied by the same
    power of two, clamped to the integer's range and rounded to the nearest, halves to even; NaN becomes 0 (counted by
    `convert_counted`). Between float formats nothing is clamped. Integer formats come back from any wider format, and i16
    and i24 from f32, bit for bit.

    Args:
        samples: any shape; i24 as uint8 with a last axis of 3, lowest byte first.
        dtype: "u8", "i16", "i24", "i32", "f32" or "f64"; NumPy's names ("int16") are taken too.
        source: the format of `samples`, by the same names; needed only for i24, otherwise the array's dtype says it.

    Returns:
        A new C-contiguous array of the same shape (a last axis of 3 is added for i24 and removed from it).

    Raises:
        AudioFormatError: an array that is in none of the formats, or not in the one that `source` names.
        ValueError: an unknown format name.
    """
    return convert_counted(samples, dtype=dtype, source=source).samples


def convert_counted(samples: NDArray[Any], *, dtype: str, source: str | None = None) -> Conversion:
    """As `convert`, and count the NaN that became 0."""
    array = np.asarray(samples)
    target = _format_named("dtype", dtype)
    given = _format_of(array) if source is None else _format_named("source", source)
    if array.dtype != np.dtype(_STORAGE[given]) or (given == "i24" and array.shape[-1:] != (3,)):
        expected = f"{np.dtype(_STORAGE[given])}" + (" with a last axis of 3" if given == "i24" else "")
        raise AudioFormatError(f"samples are {array.dtype} of shape {array.shape}; {given} samples are {expected}")
    shape = array.shape[:-1] if given == "i24" else array.shape
    converted = np.empty((*shape, 3) if target == "i24" else shape, _STORAGE[target])
    codes = _convert.CODES
    num_nan = _convert.convert(_bytes_of(np.ascontiguousarray(array)), codes[given], _bytes_of(converted), codes[target])
    return Conversion(converted, num_nan)


def interleave(samples: NDArray[_ScalarT]) -> NDArray[_ScalarT]:
    """Turn planar (num_channels, num_samples) into interleaved (num_samples, num_channels), copied; i24 keeps its last axis of 3.

    Raises:
        AudioFormatError: fewer than two dimensions, or more than two and no i24.
    """
    return _transposed(samples)


def deinterleave(samples: NDArray[_ScalarT]) -> NDArray[_ScalarT]:
    """Turn interleaved (num_samples, num_channels) into planar (num_channels, num_samples), copied; i24 keeps its last axis of 3.

    Raises:
        AudioFormatError: fewer than two dimensions, or more than two and no i24.
    """
    return _transposed(samples)


def mix_to_mono(samples: Samples) -> Samples:
    """The mean of all channels with equal weights, taken in float64 and rounded to float32.

    Args:
        samples: float32, shape (num_samples,), which is one channel, or (num_channels, num_samples).

    Returns:
        Shape (1, num_samples); a single channel is not copied.

    Raises:
        AudioFormatError: not float32, or no channel.
    """
    rows = audio_samples(samples)
    if rows.ndim == 1:
        return rows[np.newaxis]
    if len(rows) == 1:
        return rows
    mean: NDArray[np.float64] = np.mean(rows, axis=0, keepdims=True, dtype=np.float64)
    return mean.astype(np.float32)


class ConvertParams(Params, frozen=True):
    dtype: Annotated[
        Literal["u8", "i16", "i24", "i32"], msgspec.Meta(description="sample format whose precision and range the audio gets")
    ] = "i16"
    channels: Annotated[
        Literal[1] | None, msgspec.Meta(description="1 mixes all channels with equal weights; unchanged when absent")
    ] = None


@node(
    "audio.convert",
    inputs={"audio": "audio[rate=r, channels=c]"},
    outputs={"audio": "audio[rate=r, channels=c]"},
    sees_native_memory=True,
    attributes={"sample_format": "str", "num_nan": "int", "channels": "int"},
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.convert, params: {dtype: i24}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Convert(Node[ConvertParams]):
    """Give audio the precision and range of an integer sample format, so that it can be written in it without further loss.

    The audio stays float32, clamped to [-1, 1), with 0 for NaN. Sets the attributes `sample_format`, which `sink.wav` follows,
    `num_nan`, the number of such NaN, and `channels` of what comes out.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        samples = chunk.samples if self.params.channels is None else mix_to_mono(chunk.samples)
        stored = convert_counted(samples, dtype=self.params.dtype)
        back = convert(stored.samples, dtype="f32", source=self.params.dtype)
        attributes = {"sample_format": self.params.dtype, "num_nan": stored.num_nan, "channels": len(back)}
        return item.with_payload({"audio": AudioChunk(back, chunk.sample_rate)}, attributes)


def _format_named(parameter: str, name: str) -> str:
    short = _LONG_NAMES.get(name, name)
    if short not in _STORAGE:
        raise ValueError(f"{parameter} is {name!r}; expected one of {', '.join(_STORAGE)}")
    return short


def _format_of(array: NDArray[Any]) -> str:
    if array.dtype not in _FORMAT_OF:
        known = ", ".join(str(dtype) for dtype in _FORMAT_OF)
        raise AudioFormatError(f"samples are {array.dtype}; expected {known}, or uint8 with source='i24'")
    return _FORMAT_OF[array.dtype]


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _transposed(samples: NDArray[_ScalarT]) -> NDArray[_ScalarT]:
    packed = samples.ndim == 3 and samples.dtype == np.uint8 and samples.shape[2] == 3
    if samples.ndim != 2 and not packed:
        raise AudioFormatError(f"samples have shape {samples.shape}; expected two axes (a third of length 3 for i24)")
    return samples.swapaxes(0, 1).copy()
