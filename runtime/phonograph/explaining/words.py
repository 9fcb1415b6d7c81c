"""Writes values as a manifest has them, each on one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Shown = Callable[[str], str]
"""Says how a text is shown, such as a path relative to a folder."""


def value_in_words(value: Any, unit: str = "", *, shown: Shown = str) -> str:
    """A value on one line.

    Args:
        unit: stands behind numbers; `duration` and `size` mean seconds and bytes, written with the unit that fits.
        shown: for every text in the value.
    """
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value_in_words(item, shown=shown)}" for key, item in value.items()) + "}"
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_in_words(item, shown=shown) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return " ".join(shown(value).split("\n")) or "''"
    if unit == "duration":
        return duration_in_words(value)
    if unit == "size":
        return size_in_words(value)
    number = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    return f"{number} {unit}".rstrip()


def duration_in_words(seconds: float) -> str:
    """Seconds with the unit that makes the number short."""
    for unit, factor in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= factor and (seconds / factor).is_integer():
            return f"{seconds / factor:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"


def size_in_words(num_bytes: int) -> str:
    """Bytes with the largest unit of which they are a whole number."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= factor and num_bytes % factor == 0:
            return f"{num_bytes // factor}{unit}"
    return f"{num_bytes}B"


def path_in_words(path: str, *folders: str) -> str:
    """A path relative to the first of these folders that it is below; absolute when it is below none.

    Args:
        folders: absolute; a relative path starts at the last one.
    """
    absolute = os.path.normpath(os.path.join(folders[-1], path))
    for folder in folders:
        relative = os.path.relpath(absolute, folder)
        if relative != os.pardir and not relative.startswith(os.pardir + os.sep):
            return relative
    return absolute
