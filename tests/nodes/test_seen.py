"""Tests of the memory of keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phonograph_nodes.seen import SeenKeys


@given(st.lists(st.text(st.characters(), max_size=2), max_size=60))
def test_a_key_is_new_exactly_once(keys: list[str]) -> None:
    """It answers as a set does, whatever the keys are."""
    seen, truth = SeenKeys(), set[str]()
    for key in keys:
        assert seen.add(key) == (key not in truth)
        truth.add(key)


def test_every_key_is_still_known_after_growth() -> None:
    """Doubling the table loses no key and knows none that was not added."""
    seen = SeenKeys()
    assert all(seen.add(f"clips/{number}") for number in range(20_000))
    assert not any(seen.add(f"clips/{number}") for number in range(20_000))


def test_a_key_takes_16_to_32_bytes() -> None:
    """The table is between a quarter and half full, but for its first KiB."""
    seen = SeenKeys()
    for number in range(10_000):
        seen.add(str(number))
    assert 16 <= seen._slots.nbytes / 10_000 <= 32
    assert seen._slots.dtype == np.uint64
