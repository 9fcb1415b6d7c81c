"""Mutilated manifests: whatever the text, there are complaints and no tracebacks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutations import GOOD, Trial, mutated


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """One folder for all examples: each replaces the text of the one before."""
    return Trial(tmp_path_factory.mktemp("mutated"))


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_a_good_manifest_gets_no_complaint(number: int, tmp_path: Path) -> None:
    """What the mutations start from is right, so that each of them starts from all of the language."""
    assert Trial(tmp_path).complaints_about(GOOD[number].encode()) == 0


@settings(max_examples=400, deadline=None)
@given(text=st.sampled_from(GOOD), chance=st.randoms(use_true_random=False))
def test_a_mutilated_manifest_gets_complaints_and_no_traceback(trial: Trial, text: str, chance: random.Random) -> None:
    """After any mutilation the manifest is read, or complaints tell places that its text has."""
    trial.complaints_about(mutated(text, chance))
