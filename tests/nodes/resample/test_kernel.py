"""Tests of the kernel's own guards, and that its variants agree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from phonograph.isa import AVAILABLE, VARIABLE
from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample import blocks
from phonograph_nodes.resample.filters import FILTERS

COMPUTE = """
import sys
import numpy as np
from phonograph_nodes import ResampleStream, resample, resample_pcm16

noise = np.random.default_rng(1)
samples = noise.uniform(-1, 1, 70_000).astype(np.float32)
pairs = noise.integers(-32768, 32768, (70_000, 2)).astype(np.int16)
ratios = [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (16_000, 44_100), (96_000, 11_025)]
found = [resample(samples, in_rate=i, out_rate=o, quality=q) for i, o in ratios for q in ("fast", "high", "best")]
found.append(resample_pcm16(pairs, in_rate=44_100, out_rate=16_000))
found.append(ResampleStream(44_100, 16_000, latency="low").push(samples))
np.save(sys.argv[1], np.concatenate(found))
"""


def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the kernel is given for 8 to 16 kHz."""
    lengths = blocks.block_lengths(2, 1, 72)
    assert lengths is not None
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "_resample", SimpleNamespace(**{**vars(_resample), "Blocks": lambda **given: given}))
        given: Any = blocks._kernel(2, 1, FILTERS["high"], lengths)
    found: dict[str, Any] = given
    return found


def changed(name: str, index: int, value: int) -> Any:
    def change(given: dict[str, Any]) -> dict[str, Any]:
        table = given[name].copy()
        table[index] = value
        return {name: table}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("radices_in", 0, 11), "radix 11 has no butterfly"),
        (changed("radices_in", 0, 2), "turns; expected"),
        (lambda given: {"turns_out": given["turns_out"][:-1]}, "turns; expected"),
        (lambda given: {"radices_in": np.array([4], np.int32), "turns_in": np.zeros(6, np.float32)}, "turns; expected"),
        (lambda given: {"bins": given["bins"][:-1]}, "places; expected"),
        (changed("bins", 3, -1), "place 3 is -1"),
        (changed("places", 0, 100_000), "place 0 is 100000"),
        (lambda given: {"gains": given["gains"][:-1]}, "gains are"),
        (lambda given: {"turns": given["turns"][:-1]}, "turns are"),
        (lambda given: {"step_out": 17}, "step_out 17"),
        (lambda given: {"step_out": 8}, "step_out 8"),
        (lambda given: {"step_out": 100_000}, "step_out 100000"),
        (lambda given: {"step_in": 0}, "step_in 0"),
        (lambda given: {"lead": -1}, "lead -1"),
    ],
)
def test_tables_that_do_not_fit_make_no_plan(change: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reads where its tables say, so tables that lead outside are refused."""
    given = tables(monkeypatch)
    assert _resample.Blocks(**given).scratch_length > 0
    with pytest.raises(ValueError, match=message):
        _resample.Blocks(**(given | change(given)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scratch": np.empty(10, np.float32)}, "scratch has 10 values"),
        ({"out": np.empty(199, np.float32)}, "200 outputs do not fit a result of 199"),
        ({"first_block": -1}, "first -1"),
        ({"first_block": 9}, "outputs do not fit"),
        ({"origin": -1}, "origin -1"),
    ],
)
def test_arrays_that_do_not_fit_are_not_read(changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs that a result has no room for are refused."""
    plan = _resample.Blocks(**tables(monkeypatch))
    arguments: dict[str, Any] = {
        "samples": np.zeros(100, np.float32),
        "origin": 0,
        "first_block": 0,
        "end": 200,
        "scratch": np.empty(plan.scratch_length, np.float32),
        "out": np.empty(200, np.float32),
    }
    assert plan.resample(*arguments.values())
    with pytest.raises(ValueError, match=message):
        plan.resample(*(arguments | changes).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_byte": -1}, "first_byte is -1"),
        ({"num_samples": -1}, "num_samples is -1"),
        ({"source_format": 5}, "format 5, 2 channels"),
        ({"num_channels": 3}, "format 1, 3 channels"),
    ],
)
def test_places_that_are_in_no_file_are_not_read(changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a format or a channel count that the kernel has no function for."""
    plan = _resample.Blocks(**tables(monkeypatch))
    arguments: dict[str, Any] = {
        "descriptor": -1,
        "first_byte": 0,
        "num_samples": 0,
        "source_format": 1,
        "big_endian": False,
        "num_channels": 2,
        "first_block": 0,
        "end": 0,
        "scratch": np.empty(plan.scratch_length, np.float32),
        "out": np.empty(200, np.float32),
    }
    assert plan.resample_file(*arguments.values())
    with pytest.raises(ValueError, match=message):
        plan.resample_file(*(arguments | changes).values())
    with pytest.raises(OSError, match="Bad file descriptor"):
        plan.resample_file(*(arguments | {"num_samples": 100, "end": 50}).values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"up": 3}, "taps are 2 x 16, up 3"),
        ({"taps": np.zeros((2, 15), np.float32)}, "taps are 2 x 15"),
        ({"lead": -1}, "lead -1"),
        ({"down": 0}, "down 0"),
    ],
)
def test_banks_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    """A bank has a row of whole vectors for each phase."""
    right: dict[str, Any] = {"up": 2, "down": 1, "lead": 3, "taps": np.zeros((2, 16), np.float32)}
    bank = _resample.Bank(**right)
    with pytest.raises(ValueError, match="scratch has 63 values"):
        bank.resample(np.zeros(9, np.float32), 0, 0, 9, np.empty(63, np.float32), np.empty(9, np.float32))
    with pytest.raises(ValueError, match=message):
        _resample.Bank(**(right | given))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 63, 64, 65, 1000])
def test_one_sample_that_is_not_finite_is_found(length: int) -> None:
    """Wherever it stands; infinities of both signs do not cancel."""
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    assert _resample.all_finite(samples)
    for place in {0, length // 2, length - 1} if length else set():
        for value in (np.nan, np.inf, -np.inf):
            broken = samples.copy()
            broken[place] = value
            assert not _resample.all_finite(broken)
    if length > 1:
        samples[[0, -1]] = np.inf, -np.inf
        assert not _resample.all_finite(samples)


def test_variants_agree(tmp_path: Path) -> None:
    """AVX-512 and AVX2 give the same bits wherever lanes hold blocks; the portable variant is within 1e-6 of both."""
    found = {}
    for isa in AVAILABLE:
        path = tmp_path / f"{isa}.npy"
        subprocess.run([sys.executable, "-c", COMPUTE, path], env={**os.environ, VARIABLE: isa}, check=True, timeout=120)
        found[isa] = np.load(path)
    for isa, outputs in found.items():
        assert np.abs(outputs - found["portable"]).max() < 1e-6, isa
    if "avx512" in found:
        last = len(found["avx2"]) - 26_000  # what the bank makes, whose sums have the order of the lanes
        assert np.array_equal(found["avx512"][:last], found["avx2"][:last])
