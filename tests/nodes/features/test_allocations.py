"""Tests that steady work allocates no arrays: results go where the caller says, everything else is kept."""

from __future__ import annotations

import numpy as np
import pytest

from memory import most_allocated
from phonograph_nodes import LogMel, LogMelStream
from reference.features.signals import noise

SMALL = 4096  # bytes, for views, numbers and the iterators of NumPy; the samples of each piece and signal here take more
CAUSAL = ["zipformer", "kaldi", "icefall", "speaker-mfcc"]


def test_arrays_are_seen_when_they_are_allocated() -> None:
    """The measure itself: a result of 40 rows that nobody gave an array for is counted."""
    plan, samples = LogMel("whisper"), noise(6400)

    def call() -> None:
        plan(samples)

    call()
    assert most_allocated(call) >= 40 * 80 * 4


@pytest.mark.parametrize("name", ["squeezeformer", "whisper", "kaldi", "w2v-bert", "nemo", "speaker-mfcc"])
def test_call_with_an_array_for_the_result_allocates_nothing(name: str) -> None:
    """Once a plan has a workspace, calls with `out` need no memory of their own."""
    plan, samples = LogMel(name), noise(16_000)
    out = plan(samples)

    def calls() -> None:
        for _ in range(5):
            plan(samples, out=out)

    calls()
    assert most_allocated(calls) < SMALL


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("piece", [1600, 1777, 16_000])
def test_causal_stream_that_has_settled_allocates_nothing(name: str, piece: int) -> None:
    """Pushing pieces and popping rows into the caller's array needs no memory, however long the signal goes on."""
    stream, samples = LogMelStream(name), noise(piece)
    out = np.empty((110, stream.num_columns), np.float32)

    def pieces() -> None:
        for _ in range(10):
            stream.push(samples)
            stream.pop(out=out)

    for _ in range(4):
        pieces()
    assert most_allocated(pieces) < SMALL
