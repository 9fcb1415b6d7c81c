"""Runs that stop anywhere: what is left is gone on with, and comes to what an undisturbed run makes."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashes import Loss
from phonograph import points
from stopped import GRAPH, IN_ORDER, IN_SHARDS, Stopped

EVERY = 11
"""How many calls lie between the stops that are tried here; the claims try them all."""


@pytest.fixture(scope="module")
def memory_disk() -> Iterator[Path]:
    """A folder where syncing costs nothing, if there is one: what would be lost without is known from the calls."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module", params=[GRAPH, IN_ORDER, IN_SHARDS], ids=["as it comes", "in order", "in shards"])
def first(request: pytest.FixtureRequest, memory_disk: Path) -> Stopped:
    """A run that begins."""
    return Stopped(Path(tempfile.mkdtemp(dir=memory_disk)), request.param)


@pytest.fixture(scope="module", params=[GRAPH, IN_ORDER, IN_SHARDS], ids=["as it comes", "in order", "in shards"])
def second(request: pytest.FixtureRequest, memory_disk: Path) -> Stopped:
    """A run that goes on with one that has ended, of other inputs."""
    return Stopped(Path(tempfile.mkdtemp(dir=memory_disk)), request.param, goes_on=True)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("loss", ["killed", "data", "half", "all"])
def test_a_run_that_stops_anywhere_comes_to_the_same(first: Stopped, loss: Loss) -> None:
    """Nothing is lost and nothing is there twice, whatever was written last and whatever of it is left."""
    for number in range(len(loss), first.end + 1, EVERY):
        first.goes_on_after(number, loss)


@pytest.mark.parametrize("loss", ["killed", "half", "all"])
def test_a_run_that_goes_on_may_stop_anywhere_too(second: Stopped, loss: Loss) -> None:
    """The same holds while what earlier runs made is taken over, replaced, left out and put in order."""
    for number in range(second.begin + len(loss), second.end + 1, EVERY):
        second.goes_on_after(number, loss)


def test_every_named_step_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps at which a run may be stopped are those that there are."""
    steps: dict[str, None] = {}
    monkeypatch.setattr(points, "hook", steps.setdefault)
    Stopped(tmp_path, IN_ORDER, goes_on=True)
    assert set(steps) == set(points.STEPS)


def test_nothing_is_left_to_do_behind_the_last_call(first: Stopped) -> None:
    """What was recorded is the whole run: built anew from it, everything that ended well is taken over."""
    assert first.goes_on_after(first.end, "killed") == 2


def test_a_run_in_order_gives_the_same_bytes(tmp_path: Path) -> None:
    """Rows in order are those of an undisturbed run byte for byte, also where what failed before comes in between."""
    stopped = Stopped(tmp_path, IN_ORDER, goes_on=True)
    stopped.goes_on_after(stopped.begin, "killed")
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == stopped.rows
    texts = [json.loads(row)["text"] for row in stopped.rows.splitlines()]
    assert texts == ["ONE", "GOOD", "X", "Y", "NEW"]
