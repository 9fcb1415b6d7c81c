"""Tells how much room text takes where every sign has the same width: on terminals, in monospaced fonts."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """How many cells a text takes: two for a wide sign, none for one that sits on its neighbour."""
    return sum(0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def padded(text: str, width: int) -> str:
    """The text with spaces behind it, up to `width` cells."""
    return text + " " * (width - width_of(text))
