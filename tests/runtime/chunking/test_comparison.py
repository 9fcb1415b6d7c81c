"""What differs between one piece and chunks is found, and said."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk, Segment
from phonograph.chunking.comparison import Deviation, deviation
from phonograph.chunking.line import chunk_lengths
from phonograph.item import Item

SEGMENT = Segment(0.0, 30.0, -20.0, 0.5)


def item(value: Any, start: int = 0, *, apart: bool = False) -> Item:
    return Item(key="k", ordinal=0, payload={"port": value}, start_sample=start, discontinuity=apart)


def chunk(*samples: float, rate: int = 16_000) -> AudioChunk:
    return AudioChunk(np.array([samples], np.float32), rate)


def test_pieces_of_a_stretch_are_joined() -> None:
    """Chunks that are one stretch are compared as one, NaN with NaN."""
    whole = item(chunk(0.5, math.nan, 0.25))
    assert deviation([whole], [item(chunk(0.5)), item(chunk(math.nan, 0.25), 1)]) == Deviation()


def test_each_stretch_is_held_against_an_item() -> None:
    """Parts that are apart are compared one by one."""
    parts = [item("a", apart=True), item("b", 5, apart=True)]
    assert deviation([item("a"), item("b", 5)], parts) == Deviation()
    assert deviation([item("a"), item("c", 5)], parts) == Deviation(math.inf, "item 1, port 'port': another text")


def test_items_that_overlap_are_compared_one_by_one() -> None:
    """As many items as there were of one piece are each one of these, though none says discontinuity."""
    whole = [item(chunk(0.5, 0.25)), item(chunk(0.25, 0.75), 1)]
    assert deviation(whole, whole) == Deviation()
    assert deviation(whole, [whole[0], item(chunk(0.25, 0.5), 1)]).largest == 0.25


@pytest.mark.parametrize(
    ("whole", "chunked", "largest", "where"),
    [
        ([item(chunk(0.5, 0.25))], [item(chunk(0.5, 0.75))], 0.5, r"at \[0, 1\] 0.25, of chunks 0.75"),
        ([item(chunk(0.5))], [item(chunk(math.inf))], math.inf, r"at \[0, 0\] 0.5, of chunks inf"),
        ([item(chunk(0.5))], [item(chunk(0.5, rate=8_000))], math.inf, "16000 Hz, of chunks 8000 Hz"),
        ([item(chunk(0.5))], [item(chunk(0.5, 0.5))], math.inf, r"shape \(1, 1\), of chunks float32 of shape \(1, 2\)"),
        ([item(chunk(0.5))], [item(chunk(0.5), 3)], math.inf, "begins at sample 0, in chunks at 3"),
        ([item(np.zeros((2, 3)))], [item(np.zeros((1, 3))), item(np.ones((1, 3)))], 1.0, r"at \[1, 0\]"),
        ([item(np.zeros((2, 3)))], [item(np.zeros((1, 3))), item(np.ones((1, 4)))], math.inf, "cannot be made one"),
        ([item((SEGMENT,))], [item(()), item(())], math.inf, "1 of one piece, 0 of chunks"),
        ([item((SEGMENT,))], [item((Segment(0.0, 31.0, -20.0, 0.5),))], 1.0, "30.0, of chunks 31.0"),
        ([item("some text")], [item("some "), item("words")], math.inf, "another text"),
        ([item({"a": 1})], [item({"a": 2})], math.inf, "another value"),
        ([item("a")], [], math.inf, "1 item of one piece, 0 items of chunks"),
        ([], [item("a")], math.inf, "0 items of one piece, 1 item of chunks"),
    ],
)
def test_what_differs_is_told(whole: list[Item], chunked: list[Item], largest: float, where: str) -> None:
    """The largest difference is the figure, and its place the words; what has no figure is infinitely far."""
    found = deviation(whole, chunked)
    assert found.largest == largest
    assert re.search(where, found.where), found.where


def test_lengths_of_chunks_follow_the_seed() -> None:
    """A seed gives the same lengths again, from one sample to three seconds."""
    lengths = [next(generator) for generator in [chunk_lengths(7, 8_000)] for _ in range(2_000)]
    assert lengths == [next(generator) for generator in [chunk_lengths(7, 8_000)] for _ in range(2_000)]
    assert min(lengths) == 1
    assert 12_000 < max(lengths) <= 24_000
