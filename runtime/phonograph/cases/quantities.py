"""Reads the quantities of a test case: frequencies, levels, shapes, lists of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import Complaint
from phonograph.language.fields import MismatchError, complain, describe
from phonograph.language.yaml12 import Located

MAX_VALUES = 2**26  # of one array that a case makes; an hour of audio at 16 kHz, and no slip of a digit fills the memory

_FREQUENCY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(k?)Hz")
_LEVEL = re.compile(r"([-+]?[0-9]{1,6}(?:\.[0-9]{1,9})?) ?dB(?:FS)?")


def finite(value: object) -> float:
    """A finite number of either sign."""
    expected = "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MismatchError(expected)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MismatchError("a finite number", code="wrong_value")
    return number


def frequency(value: object) -> float:
    """Hz, from 440, 440Hz or 1.5kHz."""
    expected = "a frequency, such as 440Hz or 1kHz"
    if isinstance(value, str):
        match = _FREQUENCY.fullmatch(value.strip())
        if match is None:
            raise MismatchError(expected, code="wrong_value")
        return float(match[1]) * (1000 if match[2] else 1)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MismatchError(expected)
    return finite(value)


def level(value: object) -> float:
    """Decibels, from -6, -6dB or -6dBFS."""
    expected = "a level, such as -6dBFS"
    if isinstance(value, str):
        match = _LEVEL.fullmatch(value.strip())
        if match is None:
            raise MismatchError(expected, code="wrong_value")
        return float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MismatchError(expected)
    return finite(value)


def plain(located: Located) -> Any:
    """A value without its positions; lists stay tuples."""
    value = located.value
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return tuple(plain(entry) for entry in value) if isinstance(value, tuple) else value


def as_json(located: Located) -> Any:
    """A value without its positions, as it would come out of JSON: lists are lists."""
    value = located.value
    if isinstance(value, Mapping):
        return {key: as_json(entry) for key, entry in value.items()}
    return [as_json(entry) for entry in value] if isinstance(value, tuple) else value


def shape(located: Located, what: str, complaints: list[Complaint]) -> tuple[int, ...] | None:
    """The sizes of an array's dimensions."""
    sizes = open_shape(located, what, complaints, expected="a list of whole numbers, such as [10, 80]")
    if sizes is None:
        return None
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        complain(complaints, "wrong_value", located.position, f"{what} holds null", "the size of each dimension")
        return None
    if math.prod(known) > MAX_VALUES:
        complain(complaints, "too_large", located.position, f"{what} has {math.prod(known)} values", f"at most {MAX_VALUES}")
        return None
    return known


def open_shape(
    located: Located,
    what: str,
    complaints: list[Complaint],
    *,
    expected: str = "a list of whole numbers, such as [null, 80], where null is any size",
) -> tuple[int | None, ...] | None:
    """The sizes of an array's dimensions; None stands for any size."""
    sizes = plain(located)
    if not isinstance(sizes, tuple):
        complain(complaints, "wrong_type", located.position, f"{what} is {describe(located.value)}", expected)
        return None
    for size in sizes:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            complain(complaints, "wrong_value", located.position, f"{what} holds {describe(size)}", expected)
            return None
    return sizes


def numbers(located: Located, what: str, complaints: list[Complaint]) -> NDArray[np.float64] | None:
    """A list of numbers, or of such lists that are equally long, as an array."""
    expected = "a list of numbers, or of lists of numbers that are equally long"
    if not isinstance(located.value, tuple):
        complain(complaints, "wrong_type", located.position, f"{what} is {describe(located.value)}", expected)
        return None
    if wrong := _not_a_number(located):
        complain(complaints, "wrong_type", wrong.position, f"{what} holds {describe(wrong.value)}", expected)
        return None
    try:
        return np.array(plain(located), np.float64)
    except (ValueError, OverflowError):
        complain(complaints, "wrong_value", located.position, f"{what} has lists of different lengths, or depths", expected)
        return None


def _not_a_number(located: Located) -> Located | None:
    value = located.value
    if isinstance(value, tuple):
        return next((wrong for entry in value if (wrong := _not_a_number(entry))), None)
    return located if isinstance(value, bool) or not isinstance(value, int | float) else None
