"""Writes values as a manifest has them, each on one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import msgspec

from phonograph.language.units import duration_in_words, size_in_words
from phonograph.timeout import TimeoutPolicy

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


def timeouts_in_words(policy: TimeoutPolicy) -> tuple[str, str]:
    """How long an attempt may take, and all of them, as a manifest says it; empty for ever."""
    terms = [duration_in_words(policy.base_s)] if 0 < policy.base_s < inf else []
    terms += [f"{policy.per_audio:g}x audio"] * bool(policy.per_audio)
    return " + ".join(terms), "" if policy.total_s == inf else duration_in_words(policy.total_s)
