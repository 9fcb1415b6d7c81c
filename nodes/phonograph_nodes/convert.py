"""Sample formats, channel layouts, mixing: the forms that audio takes at the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.kernels import _convert
from phonograph_nodes.validation import Samples, refuse_turned

Layout = Literal["planar", "interleaved"]

# How NumPy holds each format. i24 has no NumPy type: three bytes, lowest first, on a last axis of their own.
FormatName = str | np.dtype[Any] | type[np.generic]
"""What a sample format may be called."""

_STORAGE: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "u8": np.dtype("u1"),
        "i16": np.dtype("<i2"),
        "i24": np.dtype("u1"),
        "i32": np.dtype("<i4"),
        "f32": np.dtype("<f4"),
        "f64": np.dtype("<f8"),
        "alaw": np.dtype("u1"),
        "mulaw": np.dtype("u1"),
    }
)
_LONG_NAMES = MappingProxyType(
    {"uint8": "u8", "int16": "i16", "int24": "i24", "int32": "i32", "float32": "f32", "float64": "f64"}
)
_FORMAT_OF = MappingProxyType({_STORAGE[name]: name for name in ("u8", "i16", "i32", "f32", "f64")})
_TOLD = "uint8 with source='i24', 'alaw' or 'mulaw'"


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """Converted samples, with the number of NaN that the format could not hold, which are now 0."""

    samples: NDArray[Any]
    num_nan: int


def convert(
    samples: NDArray[Any],
    *,
    dtype: FormatName,
    source: FormatName | None = None,
    layout: Layout | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Change the sample format, and the layout of the channels on the way if asked for.

    Integers of b bits stand for q / 2^(b-1), u8 for (q - 128) / 128, codes of A-law and mu-law for q / 32768 with the 16-bit
    level q that ITU-T G.711 gives them. To an integer format, values are multiplied by the same power of two, clamped to the
    integer's range and rounded to the nearest, halves to even; to A-law and mu-law, they become the code between whose decision
    values (G.711) they lie, and the upper one on such a value. NaN becomes 0 there (counted by `convert_counted`). Between float
    formats nothing is clamped. Integer formats come back from any wider format, i16 and i24 from f32, and A-law and mu-law from
    all of 16 bits or more, bit for bit (but for mu-law's negative zero, which comes back positive).

    Args:
        samples: any shape; i24 as uint8 with a last axis of 3, lowest byte first. Copied first unless it is C-contiguous.
        dtype: "u8", "i16", "i24", "i32", "f32", "f64", "alaw" or "mulaw"; NumPy's names and types (np.int16) are taken too.
        source: the format of `samples`, by the same names; needed for i24, A-law and mu-law, which are all uint8.
        layout: "planar" turns interleaved (num_samples, num_channels) into planar (num_channels, num_samples), "interleaved"
            does the opposite; by default the shape stays.
        out: where the result goes, of the shape and dtype that it would have, C-contiguous, apart from `samples`.

    Returns:
        `out`, or a new C-contiguous array (a last axis of 3 is added for i24 and removed from it).

    Raises:
        AudioFormatError: an array that is in none of the formats, or not in the one that `source` names; no two axes to turn;
            `out` cannot take the result.
        ValueError: an unknown format or layout.
    """
    return convert_counted(samples, dtype=dtype, source=source, layout=layout, out=out).samples


def convert_counted(
    samples: NDArray[Any],
    *,
    dtype: FormatName,
    source: FormatName | None = None,
    layout: Layout | None = None,
    out: NDArray[Any] | None = None,
) -> Conversion:
    """As `convert`, and count the NaN that became 0."""
    target = _format_named("dtype", dtype)
    given, array, shape = _read(samples, source)
    if layout is not None:
        _check_axes(shape, array, layout)
    result = _result(shape if layout is None else shape[::-1], target, out, array)
    codes, taken, given_out = _convert.CODES, _bytes_of(array), _bytes_of(result)
    if layout is None or 1 in shape or array.size == 0:
        num_nan = _convert.convert(taken, codes[given], given_out, codes[target])
    elif layout == "planar":
        num_nan = _convert.deinterleave(taken, codes[given], shape[1], given_out, codes[target])
    else:
        num_nan = _convert.interleave(taken, codes[given], shape[0], given_out, codes[target])
    return Conversion(result, num_nan)


def interleave(samples: NDArray[Any], *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Turn planar (num_channels, num_samples) into interleaved (num_samples, num_channels), copied; i24 keeps its last axis of 3.

    `convert` does the same on the way from one format to another.

    Raises:
        AudioFormatError: fewer than two dimensions, or more than two and no i24; no sample format; `out` cannot take the result.
    """
    return _turned(samples, "interleaved", out)


def deinterleave(samples: NDArray[Any], *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Turn interleaved (num_samples, num_channels) into planar (num_channels, num_samples), copied; i24 keeps its last axis of 3.

    `convert` does the same on the way from one format to another.

    Raises:
        AudioFormatError: fewer than two dimensions, or more than two and no i24; no sample format; `out` cannot take the result.
    """
    return _turned(samples, "planar", out)


def mix_to_mono(
    samples: NDArray[Any],
    *,
    weights: Sequence[float] | NDArray[np.float64] | None = None,
    source: FormatName | None = None,
    layout: Layout = "planar",
    out: Samples | None = None,
) -> Samples:
    """Mix all channels into one: sum of weight times sample, or the mean.

    Products and their sum, in the order of the channels, are taken in float64, and the result is rounded to float32 once: the
    same bits on every processor. Nothing is clamped: weights that add up to more than 1 can leave [-1, 1].

    Args:
        samples: any sample format, shape (num_samples,), which is one channel, or (num_channels, num_samples).
        weights: one factor for each channel; equal ones of sum 1 by default.
        source: the format of `samples`, as for `convert`.
        layout: "interleaved" for samples of shape (num_samples, num_channels).
        out: where the result goes: float32, shape (1, num_samples), C-contiguous, apart from `samples`.

    Returns:
        `out`, or float32 of shape (1, num_samples); a single channel of float32 without weights is not copied.

    Raises:
        AudioFormatError: no sample format, more than two axes, no channel; not a finite weight for each channel; `out` cannot
            take the result.
        ValueError: an unknown format or layout.
    """
    given, array, shape = _read(samples, source)
    if len(shape) == 1:
        array, shape, layout = array[np.newaxis], (1, *shape), "planar"
    _check_axes(shape, array, layout)
    num_channels, num_samples = shape if layout == "planar" else shape[::-1]
    if layout == "planar":
        refuse_turned(shape)
    if num_channels == 0:
        raise AudioFormatError(f"samples have shape {array.shape}; expected at least one channel")
    if num_channels == 1 and given == "f32" and weights is None and out is None:
        return array if layout == "planar" else array.reshape(1, num_samples)
    factors, divisor = _mixing(weights, num_channels)
    result = _result((1, num_samples), "f32", out, array)
    _convert.mix(_bytes_of(array), _convert.CODES[given], layout == "interleaved", factors, divisor, _bytes_of(result))
    return result


def _format_named(parameter: str, name: FormatName) -> str:
    text = name if isinstance(name, str) else np.dtype(name).name
    short = _LONG_NAMES.get(text, text)
    if short not in _STORAGE:
        raise ValueError(f"{parameter} is {name!r}; expected one of {', '.join(_STORAGE)}")
    return short


def _read(samples: NDArray[Any], source: FormatName | None) -> tuple[str, NDArray[Any], tuple[int, ...]]:
    """The format, the samples as a C-contiguous array, and their shape, of which the bytes of i24 are no axis."""
    array = np.asarray(samples)
    given = _format_of(array) if source is None else _format_named("source", source)
    if array.dtype != _STORAGE[given] or (given == "i24" and array.shape[-1:] != (3,)):
        expected = f"{_STORAGE[given]}" + (" with a last axis of 3" if given == "i24" else "")
        raise AudioFormatError(f"samples are {array.dtype} of shape {array.shape}; {given} samples are {expected}")
    shape = array.shape[:-1] if given == "i24" else array.shape
    return given, np.ascontiguousarray(array), shape


def _format_of(array: NDArray[Any]) -> str:
    if array.dtype not in _FORMAT_OF:
        known = ", ".join(str(dtype) for dtype in _FORMAT_OF)
        raise AudioFormatError(f"samples are {array.dtype}; expected {known}, or {_TOLD}")
    return _FORMAT_OF[array.dtype]


def _check_axes(shape: tuple[int, ...], array: NDArray[Any], layout: str) -> None:
    if layout not in ("planar", "interleaved"):
        raise ValueError(f"layout is {layout!r}; expected 'planar' or 'interleaved'")
    if len(shape) != 2:
        raise AudioFormatError(f"samples have shape {array.shape}; expected two axes (a third of length 3 for i24)")


def _result(shape: tuple[int, ...], target: str, out: NDArray[Any] | None, apart_from: NDArray[Any]) -> NDArray[Any]:
    """`out`, when a result of this shape and format can be written into it; a new array when it is None."""
    dtype, stored = _STORAGE[target], (*shape, 3) if target == "i24" else shape
    if out is None:
        return np.empty(stored, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != stored:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise AudioFormatError(f"out is {found}; expected {dtype} of shape {stored}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise AudioFormatError("out is read-only or not C-contiguous; expected a writeable C-contiguous array")
    if np.may_share_memory(out, apart_from):
        raise AudioFormatError("out shares memory with the samples; expected an array of its own")
    return out


def _mixing(weights: Sequence[float] | NDArray[np.float64] | None, num_channels: int) -> tuple[NDArray[np.float64], float]:
    """A factor for each channel, and what their sum is divided by: not at all for 2^n channels, since that would take longest."""
    if weights is None and num_channels & (num_channels - 1) == 0:
        return np.full(num_channels, 1 / num_channels), 1.0
    if weights is None:  # not by weights, which would be rounded: 1 / 3 is no float64
        return np.ones(num_channels), float(num_channels)
    factors = np.ascontiguousarray(weights, np.float64)
    if factors.shape != (num_channels,) or not np.isfinite(factors).all():
        raise AudioFormatError(f"weights are {factors.tolist()}; expected a finite number for each of {num_channels} channels")
    return factors, 1.0


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _turned(samples: NDArray[Any], layout: Layout, out: NDArray[Any] | None) -> NDArray[Any]:
    array = np.asarray(samples)
    packed = array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] == 3
    own = "i24" if packed else _format_of(array)
    return convert(array, dtype=own, source=own, layout=layout, out=out)
