"""Holds what came of a stream in chunks against what came of the same audio in one piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.flow.collect import COLLECTED
from phonograph.item import Item
from phonograph.streaming import joined_values


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far the one is from the other.

    Args:
        largest: the largest absolute difference of two values; 0 when all are equal, infinite when what there is differs.
        where: what differs most, in words; empty when nothing does.
    """

    largest: float = 0.0
    where: str = ""

    def or_worse(self, other: Deviation) -> Deviation:
        """The larger of two."""
        return other if other.largest > self.largest else self


def deviation(whole: Sequence[Item], chunked: Sequence[Item]) -> Deviation:
    """Compare items: those that are one stretch, up to the next that says `discontinuity`, are joined and make one.

    Where that does not come to as many, and what came does, they are compared one by one.

    Args:
        whole: what came of one piece. chunked: what came of the chunks, in order.
    """
    stretches: list[list[Item]] = []
    for item in chunked:
        if item.discontinuity or not stretches:
            stretches.append([])
        stretches[-1].append(item)
    if len(stretches) != len(whole) == len(chunked):
        stretches = [[item] for item in chunked]
    if len(stretches) != len(whole):
        return Deviation(math.inf, f"{_counted(len(whole))} of one piece, {_counted(len(stretches))} of chunks")
    found = Deviation()
    for number, (item, stretch) in enumerate(zip(whole, stretches, strict=True)):
        place = f"item {number}, " if len(whole) > 1 else ""
        found = found.or_worse(_of_item(item, stretch, place))
    return found


def _counted(number: int) -> str:
    return f"{number} item" if number == 1 else f"{number} items"


def _of_item(item: Item, stretch: Sequence[Item], place: str) -> Deviation:
    if item.start_sample != stretch[0].start_sample:
        return Deviation(math.inf, f"{place}begins at sample {item.start_sample}, in chunks at {stretch[0].start_sample}")
    found = Deviation()
    for port, value in item.payload.items():
        pieces = [one.payload[port] for one in stretch if port in one.payload]
        found = found.or_worse(_of_port(value, pieces, port, f"{place}port {port!r}"))
    return found


def _of_port(value: Any, pieces: Sequence[Any], port: str, place: str) -> Deviation:
    if not pieces:
        return Deviation(math.inf, f"{place}: nothing came of chunks")
    if isinstance(value, str) and all(isinstance(piece, str) for piece in pieces):
        return Deviation() if value == "".join(pieces) else Deviation(math.inf, f"{place}: another text")
    try:
        joined = joined_values(pieces, port)
    except BadInputError as error:
        return Deviation(math.inf, str(error))
    return _of_values(value, joined, place)


def _of_values(value: Any, other: Any, place: str) -> Deviation:
    if isinstance(value, AudioChunk) and isinstance(other, AudioChunk):
        if value.sample_rate != other.sample_rate:
            return Deviation(math.inf, f"{place}: {value.sample_rate} Hz, of chunks {other.sample_rate} Hz")
        return _of_arrays(value.samples, other.samples, place)
    if isinstance(value, np.ndarray) and isinstance(other, np.ndarray):
        return _of_arrays(value, other, place)
    if isinstance(value, tuple | list) and isinstance(other, tuple | list):
        if len(value) != len(other):
            return Deviation(math.inf, f"{place}: {len(value)} of one piece, {len(other)} of chunks")
        if all(isinstance(one, Segment) for one in (*value, *other)):
            numbers = [np.array([msgspec.structs.astuple(one) for one in side]) for side in (value, other)]
            return _of_arrays(numbers[0], numbers[1], place)
    if isinstance(value, dict) and isinstance(other, dict) and value.keys() == other.keys() == COLLECTED:
        sides = value["items"], other["items"]  # keys and attributes are those of records and chunks
        if len(sides[0]) != len(sides[1]):
            return Deviation(math.inf, f"{place}: {len(sides[0])} collected of one piece, {len(sides[1])} of chunks")
        found = Deviation()
        for number, (one, another) in enumerate(zip(*sides, strict=True)):
            found = found.or_worse(_of_values(one, another, f"{place}[{number}]"))
        return found
    same = type(value) is type(other) and value == other
    return Deviation() if same else Deviation(math.inf, f"{place}: another value")


def _of_arrays(one: Any, other: Any, place: str) -> Deviation:
    if one.shape != other.shape or one.dtype != other.dtype:
        return Deviation(math.inf, f"{place}: {one.dtype} of shape {one.shape}, of chunks {other.dtype} of shape {other.shape}")
    if one.dtype.kind not in "fiub":
        return Deviation() if np.array_equal(one, other) else Deviation(math.inf, f"{place}: other values")
    apart = one != other
    if one.dtype.kind == "f":
        apart &= ~(np.isnan(one) & np.isnan(other))
    if not apart.any():
        return Deviation()
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(apart, np.abs(one.astype(np.float64) - other.astype(np.float64)), 0.0)
    differences = np.where(np.isnan(differences), math.inf, differences)
    at = tuple(int(index) for index in np.unravel_index(int(np.argmax(differences)), differences.shape))
    return Deviation(float(differences[at]), f"{place}: at {list(at)} {one[at]!s}, of chunks {other[at]!s}")
