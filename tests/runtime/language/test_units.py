"""Durations and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.language.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("30s", 30), ("10m", 600), ("1h", 3600), ("1.5 s", 1.5), ("0s", 0)]
)
def test_duration_with_a_unit(text: str, seconds: float) -> None:
    """A duration is its seconds, exactly as a float can say them."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "num_bytes"), [("512MiB", 2**29), ("1GB", 10**9), ("1.5KiB", 1536), ("7B", 7), ("2kB", 2000)])
def test_size_with_a_unit(text: str, num_bytes: int) -> None:
    """MB is a power of 1000, MiB of 1024."""
    assert parse_size(text) == num_bytes


@pytest.mark.parametrize("text", ["", "s", "30", "1e3s", "-1s", "30 seconds", "30S", "1s 2s", "٣s", "9" * 400 + "s"])
def test_text_that_is_no_duration(text: str) -> None:
    """Anything but digits with a known unit is refused, with what is expected."""
    with pytest.raises(ValueError, match="a duration with its unit, such as 100ms"):
        parse_duration(text)


def test_bare_number_is_refused_with_the_remedy() -> None:
    """The message shows the same number with the units that are most likely meant."""
    with pytest.raises(ValueError, match=r"; write 30ms or 30s$"):
        parse_duration("30")
    with pytest.raises(ValueError, match=r"; write 512MiB or 512B$"):
        parse_size("512")


@given(st.integers(0, 10**9))
def test_units_agree_with_each_other(number: int) -> None:
    """A thousand of the smaller unit are one of the larger."""
    assert parse_duration(f"{number}s") == parse_duration(f"{number * 1000}ms")
    assert parse_size(f"{number}MiB") == parse_size(f"{number * 1024}KiB")
