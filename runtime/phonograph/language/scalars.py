"""Reads plain scalars as the core schema of YAML 1.2 does."""

from __future__ import annotations

import math
import re

MAX_BITS = 1000
"""Of a whole number. Every one up to it is within the range of a double, so that comparing and converting cannot overflow."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_MAX_DIGITS = 1100  # of whatever base; longer text is not converted at all, which would cost the square of its length


def scalar(text: str) -> bool | int | float | str | None:
    """What a plain (unquoted) scalar means.

    Raises:
        ValueError: a whole number of more than MAX_BITS, or one beyond the range of a double.
    """
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return whole(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("too large for a floating-point number")
        return number
    return _SPECIAL.get(text, text)


def whole(text: str) -> int:
    """A whole number in decimal digits, or in others after `0o` or `0x`.

    Raises:
        ValueError: more than MAX_BITS.
    """
    if len(text) <= _MAX_DIGITS:
        number = int(text, 0) if text.startswith(("0o", "0x")) else int(text)
        if number.bit_length() <= MAX_BITS:
            return number
    raise ValueError(f"which has more than {MAX_BITS} bits")
