"""The tables that the kernel reads, from a front end's definition."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.mel import mel_filters
from phonograph_nodes.features.windows import window_function
from phonograph_nodes.kernels import _log_mel
from phonograph_nodes.transforms import output_places, pass_turns, turns

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int32]

_BLOCK = 16  # samples that the kernel reads at a time, for every instruction set
_EDGES = {"zero": _log_mel.ZERO, "reflect": _log_mel.REFLECT, "symmetric": _log_mel.SYMMETRIC, "repeat": _log_mel.REPEAT}
_LOG_SCALE = {"ln": 1.0, "log10": 1.0 / math.log(10.0), "db": 10.0 / math.log(10.0)}
# Lengths with straight code in the kernel, which fixes their radices.
_COMPILED = {200: [5, 5, 8], 256: [8, 8, 4]}
_LARGEST_SUMMED = 37  # the largest prime factor that is summed as it stands; above it a chirp is faster
_NONE = np.empty(0, np.float32)


def make_plan(front_end: FrontEnd) -> _log_mel.Plan:
    """The kernel's plan of a front end: everything that can be computed once.

    Args:
        front_end: a definition that holds together; it is not checked again.
    """
    length = front_end.fft_length
    num_points = length // 2 if length % 2 == 0 else length
    radices = transform_radices(num_points)
    chirp, response = _NONE, _NONE
    if max(radices) > _LARGEST_SUMMED:
        num_chirped, num_points = num_points, _convenient_length(2 * num_points - 1)
        radices = transform_radices(num_points)
        chirp, response = _chirp(num_chirped, num_points)
    filters = mel_filters(front_end)
    starts, widths, weights = mel_walk(filters)
    in_window = front_end.preemphasis_in == "window"
    return _log_mel.Plan(
        edges=_EDGES[front_end.edges],
        normalize_signal=front_end.normalize_signal,
        quantise=front_end.quantise,
        signal_preemphasis=0.0 if in_window else front_end.preemphasis,
        dither=front_end.dither / front_end.scale,
        dither_seed=front_end.dither_seed,
        window=_whole_blocks(window_function(front_end.window, front_end.window_length) * front_end.scale),
        window_length=front_end.window_length,
        hop_length=front_end.hop_length,
        first_start=front_end.first_start,
        remove_mean=front_end.remove_mean or _mean_is_only_noise(front_end, filters),
        window_preemphasis=front_end.preemphasis if in_window else 0.0,
        fft_length=length,
        power=front_end.power,
        radices=np.array(radices, np.int32),
        turns=pass_turns(radices, _log_mel.BUTTERFLIES),
        places=output_places(radices),
        chirp=chirp,
        response=response,
        splits=turns(np.arange(length // 2 + 1), length).ravel(),
        starts=starts,
        widths=widths,
        # The kernel computes |2 X|.
        mel_weights=(weights / (4.0 if front_end.power == 2 else 2.0)).astype(np.float32).ravel(),
        floor=front_end.floor,
        add_floor=front_end.add_floor,
        log_scale=_LOG_SCALE[front_end.log],
        cepstra=_cosines(front_end.num_cepstra, front_end.num_mel_bins),
    )


def _mean_is_only_noise(front_end: FrontEnd, filters: Floats) -> bool:
    """Whether a window's mean changes no mel bin but by rounding: under a rectangular window it is in bin 0 alone."""
    whole = front_end.window == "rectangular" and front_end.window_length == front_end.fft_length
    return whole and not filters[:, 0].any()


def transform_radices(num_points: int) -> list[int]:
    """Factors of a transform's length, in the order of its passes.

    Eight points at a time take the fewest passes over memory; prime factors above 5 are summed as they stand.
    """
    if num_points in _COMPILED:
        return _COMPILED[num_points]
    radices, rest = [], num_points
    for radix in (5, 3):
        while rest % radix == 0:
            radices.append(radix)
            rest //= radix
    while rest % 8 == 0:
        radices.append(8)
        rest //= 8
    if rest % 2 == 0:
        radix = 4 if rest % 4 == 0 else 2
        radices.append(radix)
        rest //= radix
    factor = 7
    while rest > 1:
        if factor * factor > rest:
            factor = rest
        while rest % factor == 0:
            radices.append(factor)
            rest //= factor
        factor += 2
    return radices or [1]


def _convenient_length(least: int) -> int:
    """The first length from `least` on whose radices all have butterflies."""
    length = least
    while not set(transform_radices(length)).issubset(_log_mel.BUTTERFLIES):
        length += 1
    return length


def _chirp(num_points: int, num_convolved: int) -> tuple[Float32s, Float32s]:
    """e^(pi i j^2 / n) as cosine and sine, and the spectrum of that chirp to both sides; see kernels/chirp.h."""
    there = turns(np.arange(num_points) ** 2, 2 * num_points)
    angles = np.pi * (np.arange(num_points) ** 2 % (2 * num_points)) / num_points
    both_sides = np.zeros(num_convolved, np.complex128)
    both_sides[:num_points] = np.exp(1j * angles)
    both_sides[-num_points + 1 :] = both_sides[num_points - 1 : 0 : -1]
    spectrum = np.conj(np.fft.fft(both_sides)) / num_convolved
    return there.ravel(), np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32).ravel()


def mel_walk(filters: Floats) -> tuple[Ints, Ints, Floats]:
    """Triangles that overlap their neighbours only, as one walk over the spectrum in segments between their corners.

    Args:
        filters: shape (num_mel_bins, num_bins); each row is one run of positive weights.

    Returns:
        starts: shape (num_mel_bins + 1,), the first bin of each segment.
        widths: shape (num_mel_bins + 1,), bins that the kernel reads in each segment; never less than before, so a segment may
            be read beyond its end, where its weights are 0.
        weights: shape (sum of widths, 2), of each bin in filter s - 1, which falls in segment s, and in filter s, which rises.
    """
    mel_bins = np.arange(len(filters))[:, np.newaxis]
    inside = filters > 0.0
    first = np.where(inside, mel_bins, len(filters)).min(axis=0)  # the lowest filter that each bin is in
    alone_and_rising = (inside.sum(axis=0) == 1) & (np.arange(filters.shape[1]) <= _at(filters.argmax(axis=1), first))
    segments = np.maximum.accumulate(np.where(inside.any(axis=0), first + 1 - alone_and_rising, 0))
    used = np.flatnonzero(inside.any(axis=0))
    bins = np.arange(used[0], used[-1] + 1)
    corners = used[0] + np.searchsorted(segments[bins], np.arange(len(filters) + 2))
    widths = np.maximum.accumulate(np.diff(corners))
    weights = np.zeros((widths.sum(), 2))
    bordered = np.pad(filters, ((1, 1), (0, 0)))
    for segment, place in enumerate(np.cumsum(widths) - widths):
        begin, end = corners[segment], corners[segment + 1]
        weights[place : place + end - begin] = bordered[segment : segment + 2, begin:end].T
    return corners[:-1].astype(np.int32), widths.astype(np.int32), weights


def _at(values: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """values[indices], 0 where an index is one past the end."""
    return np.append(values, 0)[indices]


def _cosines(num_cepstra: int, num_mel_bins: int) -> Float32s:
    """DCT-II without normalisation, 2 sum v[m] cos(pi c (2 m + 1) / 2 M); shape (num_cepstra, num_mel_bins)."""
    angles = np.arange(num_cepstra)[:, np.newaxis] * (2 * np.arange(num_mel_bins) + 1) * (np.pi / (2 * num_mel_bins))
    return np.asarray(2.0 * np.cos(angles), np.float32)


def _whole_blocks(window: Floats) -> Float32s:
    """The window filled up with zeros to whole blocks."""
    padded = np.zeros(-(-len(window) // _BLOCK) * _BLOCK, np.float32)
    padded[: len(window)] = window
    return padded
