"""What an item says of itself as a line of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.item import Item


def encoded_row(item: Item) -> bytes:
    """The item as a line of JSON, in UTF-8.

    Raises:
        BadInputError: a value that JSON has no form for.
    """
    try:
        # Only names of files can hold lone surrogates; a question mark keeps the line readable for every parser.
        return (_json(_row_of(item)) + "\n").encode(errors="replace")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a nesting of thousands of levels
        raise BadInputError(f"the item has no form in JSON: {error}; expected text, numbers, mappings or segments") from error


def _row_of(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"key": item.key}
    if item.parents:
        row["parents"] = list(item.parents)
    for name, value in _carried(item.payload["item"]).items():
        _put(row, name, value, "payload")
    for name, value in item.attributes.items():
        _put(row, name, value, "attribute")
    return row


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _carried(value: Any) -> Mapping[str, Any]:
    """The payload as named values; empty for what a row has no place for."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, (tuple, list)) and all(isinstance(one, Segment) for one in value):
        return {"segments": value}
    return {} if isinstance(value, AudioChunk | np.ndarray | bytes) else {"value": value}


def _put(row: dict[str, Any], name: str, value: Any, origin: str) -> None:
    plain = _plain(value)
    if plain is _LEFT_OUT:
        return
    free, number = name, 1
    while free in row:
        if _json(row[free]) == _json(plain):  # not ==, for which 1, 1.0 and true are the same
            return
        free = f"{origin}_{name}" if number == 1 else f"{origin}_{name}_{number}"
        number += 1
    row[free] = plain


_LEFT_OUT = object()


def _plain(value: Any) -> Any:
    """The value as JSON knows it, or `_LEFT_OUT`."""
    if isinstance(value, np.generic):
        value = float(str(value)) if isinstance(value, np.float32) else value.item()  # str: as many digits as float32 has
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Segment):
        return _plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        named: dict[str, Any] = {}
        for name, one in value.items():
            _put(named, str(name), one, "other")  # 1 and "1" are two keys of a mapping and one name in JSON
        return named
    if isinstance(value, (tuple, list)):
        return [None if plain is _LEFT_OUT else plain for plain in map(_plain, value)]
    if isinstance(value, (AudioChunk, np.ndarray, bytes, bytearray, memoryview)):
        return _LEFT_OUT
    raise BadInputError(f"a {type(value).__name__} has no form in JSON; expected text, numbers, mappings or segments")
