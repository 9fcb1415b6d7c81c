"""Targets that do what a decoder must not, for the tests of the mutation run."""

from __future__ import annotations

import os
import time


def read(content: bytes, number: int) -> str:
    """Fail in every way there is, by the number."""
    if number == 3:
        os.abort()
    if number == 5:
        raise KeyError("no such chunk")
    if number == 7:
        return "silent"
    if number == 8:
        time.sleep(600)
    return "audio" if number % 2 else "error"


def needs_bang(content: bytes, number: int) -> str:
    """Crash on what holds the mark."""
    if b"!" in content:
        os.abort()
    return "audio"
