"""The gate's sittings: on which core they are, which turns count, what a ratio is made of."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from places import NEEDS_SOURCE_TREE, TESTS, source_tree

if source_tree() is None:
    pytest.skip(NEEDS_SOURCE_TREE, allow_module_level=True)
sys.path.append(str(TESTS.parent))  # `benchmarks` is no part of what is installed

from benchmarks.gate import core, relay, sitting
from benchmarks.gate.core import Core
from benchmarks.gate.references import compiled
from benchmarks.gate.subjects import SUBJECTS, Subject

from phonograph.isa import AVAILABLE

BASIS = {"work": "0123", "compiler": "12"}


class Still(Core):
    """A core that stays what it is said to be."""

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared

    def is_shared(self) -> bool:
        return self._shared

    def move(self) -> None:
        pass


def test_a_low_quantile_does_not_see_what_disturbs() -> None:
    """Slow turns, as many as half of them, do not change a ratio; a slower subject does; too few turns give none."""
    quiet = [1.0 + 0.001 * number for number in range(30)]
    assert sitting.ratio_of(quiet, quiet) == 1.0
    assert sitting.ratio_of([*quiet, *[9.0] * 3], quiet) == pytest.approx(1.0, abs=0.01)
    assert sitting.ratio_of([1.15 * one for one in quiet], quiet) == pytest.approx(1 / 1.15)
    assert sitting.ratio_of(quiet[:3], quiet) is None


def _core(monkeypatch: pytest.MonkeyPatch, figures: Mapping[int, float], **options: Any) -> tuple[Core, list[float]]:
    """A core of which the loops' figures are given, by number, and how long it slept."""
    on: list[int] = []
    slept: list[float] = []
    monkeypatch.setattr(core, "_loops", lambda library: ())
    monkeypatch.setattr(core, "pin", on.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(figures))
    monkeypatch.setattr(core.Core, "figure", lambda self: figures[on[-1]])
    monkeypatch.setattr(time, "sleep", slept.append)
    return Core(Path("none.so"), **options), slept


def test_a_core_with_a_second_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two cores it takes the one whose many units are free, without waiting."""
    mine, slept = _core(monkeypatch, {0: 1.5, 1: 1.16}, alone=None, patience_s=9.0)
    assert not mine.is_shared() and mine.alone == 1.16 and slept == []


def test_when_every_core_has_a_second_thread_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figure of a core alone it knows that both are shared, and waits as long as it may."""
    mine, slept = _core(monkeypatch, {0: 1.5, 1: 1.6}, alone=1.15, patience_s=0.1)
    assert mine.is_shared() and sum(slept) == pytest.approx(mine.waited_s) == pytest.approx(0.1)


def test_a_turn_on_a_shared_core_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken, and its time thrown away."""
    monkeypatch.setattr(sitting, "MOST_WAITED", 1e9)  # whatever else the machine does
    side = sitting.Side([lambda: None])
    side.turn(Still(shared=True))
    assert side.seconds == []
    side.turn(Still(shared=False))
    assert len(side.seconds) == 1


def _pair(ours: Sequence[float], on_the_wall: Sequence[float]) -> sitting.Pair:
    """A subject with these times, beside a reference that took 1 s in each of 20 undisturbed turns."""
    mine = sitting.Side([lambda: None], seconds=list(ours), on_the_wall=list(on_the_wall))
    theirs = sitting.Side([lambda: None], seconds=[1.0] * 20, on_the_wall=[1.0] * 20)
    return sitting.Pair(SUBJECTS[0], mine, theirs, BASIS)


def test_what_has_begun_to_wait_is_slower() -> None:
    """A subject that waits in each turn, which costs no processor time, has the ratio of its time on the wall."""
    waiting = _pair([], [2.0] * 20)
    assert waiting.waits and waiting.ratio() == 0.5


def test_what_is_kept_waiting_is_not_measured() -> None:
    """Where other programs had the core in most turns of both sides, and where the turns are too few, nothing is concluded."""
    crowded = _pair([], [2.0] * 20)
    crowded.theirs.on_the_wall += [3.0] * 30
    assert not crowded.waits and crowded.ratio() is None
    assert _pair([], [2.0] * 3).ratio() is None
    assert _pair([1.0] * 12, [2.0] * 20).ratio() == 1.0


def test_the_loops_tell_of_work_that_was_done(tmp_path: Path) -> None:
    """Compiled and called for real, the loops' figure is that of neither an empty loop nor a broken clock."""
    cores = os.sched_getaffinity(0)
    try:
        found = Core(compiled(AVAILABLE[-1], tmp_path), None, 0.0)
    finally:
        os.sched_setaffinity(0, cores)
    assert 0.1 < found.alone < 10


def test_a_sitting_times_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject that does the reference's work twenty times over has a ratio far below that of one that does nothing."""
    monkeypatch.setattr(sitting, "TURN_S", 1e-6)
    monkeypatch.setattr(sitting, "MOST_WAITED", 1e9)  # whatever else the machine does
    subjects = [
        Subject("nothing", "relay", lambda folder: lambda: None, has_kernels=False),
        Subject("twenty", "relay", lambda folder: lambda: [relay.relay() for _ in range(20)], has_kernels=False),
    ]
    monkeypatch.setattr(relay, "PARCELS", 2)
    cores = os.sched_getaffinity(0)
    try:
        found: Any = sitting.sit(subjects, tmp_path / "none.so", tmp_path, Still(shared=False))
    finally:
        os.sched_setaffinity(0, cores)
    assert 0 < found["twenty"]["ratio"] < 1 < found["nothing"]["ratio"]
    assert set(found["twenty"]["basis"]) == {"work", "python"}


def test_the_relay_does_all_its_work() -> None:
    """Each parcel passes each step once: the reference cannot become faster by doing less."""
    assert relay.relay() == relay.PARCELS * relay.STEPS
