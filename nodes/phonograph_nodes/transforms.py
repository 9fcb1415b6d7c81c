"""Tables of the complex Fourier transforms in kernels/fft.h."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
Ints = NDArray[np.int32]


def turns(numerator: NDArray[np.int64], denominator: int) -> Float32s:
    """Cosine and sine of fractions of a full turn, on a new last axis; computed in float64."""
    angle = 2.0 * np.pi * (numerator % denominator) / denominator
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)


def pass_turns(radices: Sequence[int], butterflies: Collection[int]) -> Float32s:
    """Of each pass its twiddle factors, [p][k = 1 .. radix - 1][cos, sin], then its roots where the radix is no butterfly."""
    tables, length = [], math.prod(radices)
    for radix in radices:
        points = np.arange(length // radix)[:, np.newaxis]
        tables.append(turns(points * np.arange(1, radix), length).ravel())
        if radix not in butterflies:
            tables.append(turns(np.arange(radix), radix).ravel())
        length //= radix
    return np.concatenate(tables)


def output_places(radices: Sequence[int]) -> Ints:
    """Where a transform leaves each of its outputs."""
    num_points = math.prod(radices)
    rest, stride = np.arange(num_points), num_points
    places = np.zeros(num_points, np.int64)
    for radix in radices:
        stride //= radix
        places += rest % radix * stride
        rest //= radix
    return places.astype(np.int32)
