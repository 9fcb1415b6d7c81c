"""Tests of resampling in runs, between which it may be ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample import resample
from phonograph_nodes.resample.blocks import BlockPlan, Pcm, Place
from phonograph_nodes.resample.plans import plan_for

RUN = 2**22  # samples, at most
RATES = [(44_100, 16_000), (8_000, 16_000), (16_000, 8_000)]


def plan_between(in_rate: int, out_rate: int) -> BlockPlan:
    plan = plan_for(in_rate, out_rate, "high")
    assert isinstance(plan, BlockPlan)
    return plan


def noise(*shape: int) -> NDArray[np.int16]:
    return np.random.default_rng(7).integers(-32768, 32768, shape).astype(np.int16)


@pytest.mark.parametrize(("in_rate", "out_rate"), [*RATES, (96_000, 8_000), (1_000, 48_000), (96_000, 1_000)])
def test_runs_are_whole_groups_and_not_long(in_rate: int, out_rate: int) -> None:
    """Of blocks that are computed side by side; of several million samples at either rate, or else of one group."""
    plan = plan_between(in_rate, out_rate)
    group = _resample.LANES * plan.lengths.step_out
    assert plan._run % group == 0
    num_samples = plan._run // plan.lengths.step_out * max(plan.lengths.step_in, plan.lengths.step_out)
    assert plan._run == group or RUN / 2 < num_samples <= RUN


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
@pytest.mark.parametrize("more", [-1, 0, 1, 70_000])
def test_runs_give_the_bits_of_one_pass(
    in_rate: int, out_rate: int, more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory as float32 and as it is stored, and from a file, around the end of a run and over several."""
    plan = plan_between(in_rate, out_rate)
    run = _resample.LANES * plan.lengths.step_out
    length = run + more
    pairs = noise(length * in_rate // out_rate, 2)
    stored = pairs.reshape(-1).view(np.uint8)
    (tmp_path / "pairs").write_bytes(b"xyz" + stored.tobytes())
    mono: Any = (pairs.astype(np.float32) / np.float32(32768)).mean(axis=1, dtype=np.float32)
    outs = np.zeros((2, 3, -(-len(pairs) * out_rate // in_rate)), np.float32)
    descriptor = os.open(tmp_path / "pairs", os.O_RDONLY)
    for out, length in zip(outs, (10**9, run), strict=True):
        monkeypatch.setattr(plan, "_run", length)
        assert plan.fill(mono, 0, 0, out[0])
        assert plan.fill_from_pcm(Pcm(stored, "i16", False, 2, len(pairs)), out[1])
        assert plan.fill_from_pcm(Pcm(Place(descriptor, 3), "i16", False, 2, len(pairs)), out[2])
    os.close(descriptor)
    assert outs[0].any()
    np.testing.assert_array_equal(outs[1], outs[0])
    np.testing.assert_array_equal(outs[0, 1:], outs[0, [0, 0]])


def test_what_is_not_finite_is_found_in_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first of several, and in the last."""
    plan = plan_between(44_100, 16_000)
    monkeypatch.setattr(plan, "_run", _resample.LANES * plan.lengths.step_out)
    samples, out = np.zeros(4 * plan._run, np.float32), np.empty(4 * plan._run * 160 // 441, np.float32)
    assert plan.fill(samples, 0, 0, out)
    for place in (0, -1):
        bad = samples.copy()
        bad[place] = np.nan
        assert not plan.fill(bad, 0, 0, out)


@pytest.mark.parametrize("sample_rate", [16_000, 16_001])
def test_what_a_check_raises_ends_it(sample_rate: int) -> None:
    """It is called at the beginning, and between runs."""
    asked: list[bool] = []

    def last_time() -> None:
        asked.append(True)
        if len(asked) == most:
            raise InterruptedError

    samples = np.zeros((2, 100), np.float32) if sample_rate == 16_001 else np.zeros(2 * RUN + 1, np.float32)
    for most in (1, 2):  # noqa: B007
        asked.clear()
        with pytest.raises(InterruptedError):
            resample(samples, in_rate=44_100, out_rate=sample_rate, check=last_time)
    most = 10**9
    asked.clear()
    resample(samples, in_rate=44_100, out_rate=sample_rate, check=last_time)
    assert 2 <= len(asked) <= 5


def test_a_signal_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that arrives while it computes, before it has come to its end."""
    plan = plan_between(44_100, 16_000)
    monkeypatch.setattr(plan, "_run", _resample.LANES * plan.lengths.step_out)
    samples, out = np.zeros(2 * RUN, np.float32), np.empty(-(-2 * RUN * 160 // 441), np.float32)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGVTALRM, end)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_VIRTUAL, 1e-2)  # of the process's own time
            for _ in range(1000):
                out[-1] = 9
                resample(samples, in_rate=44_100, out_rate=16_000, out=out)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
    assert out[-1] == 9
