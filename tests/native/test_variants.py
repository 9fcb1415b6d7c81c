"""Every variant of the kernels' C, without Python around it: on this processor, on older ones, on ARM's."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from native.building import AARCH64, HASWELL, HERE, LOG_MEL, OLDEST_X86_64, Workshop, output, run
from native.log_mel_cases import CASES, Case, Computed, computed
from phonograph.isa import AVAILABLE
from reference.features.bounds import UNIT, truth_and_bound

PLACES = {
    **{f"{isa} here": (HERE, isa) for isa in AVAILABLE},
    "portable on the oldest x86-64": (OLDEST_X86_64, "portable"),
    "avx2 without AVX-512": (HASWELL, "avx2"),
    "portable on aarch64": (AARCH64, "portable"),
}


@pytest.fixture(scope="module")
def workshop(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(checkout, tmp_path_factory.mktemp("native"))


@functools.cache
def truth(case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return truth_and_bound(case.samples, case.settings)


@pytest.mark.parametrize("place", PLACES)
def test_log_mel_agrees_with_the_truth(workshop: Workshop, place: str) -> None:
    """Every front end's levels lie within the bound of float32 arithmetic, by row and by bin; what is made of them is theirs."""
    processor, variant = PLACES[place]
    program = workshop.build(processor, LOG_MEL)
    found = dict(computed(output(processor, program, variant)))
    assert tuple(found) == CASES
    for case, result in found.items():
        expected, bound = truth(case)
        assert result.finite
        assert np.all(np.abs(result.levels - expected) <= bound), case
        assert np.array_equal(result.levels, result.by_bin), case
        assert_extent(result, case)
        if case.num_rows:
            assert_rows(result, case)


def assert_extent(result: Computed, case: Case) -> None:
    total, least, greatest = result.extent
    assert total == pytest.approx(case.samples.sum(dtype=np.float64), abs=1e-9)
    assert (least, greatest) == (case.samples.min(), case.samples.max())


def assert_rows(result: Computed, case: Case) -> None:
    """Statistics, scaled columns, normalized rows and deltas are those of the levels, as NumPy has them in float64."""
    levels = result.levels.astype(np.float64)
    differences = levels - levels[0]
    assert np.array_equal(result.statistics[0], levels[0])
    assert np.allclose(result.statistics[1:], [differences.sum(axis=0), (differences**2).sum(axis=0)], rtol=1e-12, atol=1e-9), (
        case
    )

    column = np.arange(case.num_columns)
    shift, gain = levels[0] + 0.001 * column, 1 + 0.5 * column
    kept = np.maximum(levels, result.highest - 4)
    rounding = 8 * UNIT * gain * (np.abs(kept) + np.abs(shift))
    assert np.all(np.abs(result.scaled - (kept - shift) * gain) <= rounding), case

    deviation = np.maximum(levels.std(axis=1, ddof=1, keepdims=True), 1e-6)
    normalized = (levels - levels.mean(axis=1, keepdims=True)) / deviation
    assert np.all(np.abs(result.normalized - normalized) <= 8 * UNIT * (1 + np.abs(levels).max() / deviation)), case

    around = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
    expected = np.concatenate([levels, (around[2:] - around[:-2]) / 2], axis=1)
    assert np.all(np.abs(result.with_deltas - expected) <= 2 * UNIT * np.abs(levels).max()), case


@pytest.mark.parametrize("variant", AVAILABLE)
def test_what_lay_in_memory_does_not_matter(workshop: Workshop, variant: str) -> None:
    """Workspace and results may hold anything before a call: two patterns of fresh memory give the same bits."""
    program = workshop.build(HERE, LOG_MEL)
    ones, others = (output(HERE, program, variant, environment={"MALLOC_PERTURB_": pattern}) for pattern in ("85", "170"))
    assert ones == others


def test_an_emulated_processor_has_no_more_than_its_own(workshop: Workshop) -> None:
    """The variant for AVX2 ends with an illegal instruction on the oldest x86-64, so what runs there needs none of it."""
    ended = run(OLDEST_X86_64, workshop.build(OLDEST_X86_64, LOG_MEL), "avx2")
    assert ended.returncode != 0
    assert b"Illegal instruction" in ended.stderr


def test_aarch64_has_the_portable_variant_alone(workshop: Workshop) -> None:
    """The files of the other variants compile to nothing there, and their names are refused."""
    ended = run(AARCH64, workshop.build(AARCH64, LOG_MEL), "avx2")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"on x86-64 only" in ended.stderr
