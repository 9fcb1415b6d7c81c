"""Tests of the kernel's own guards: tables and arrays that do not fit are refused before anything is read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from phonograph_nodes.features import FRONT_ENDS, FrontEnd, tables
from phonograph_nodes.kernels import _log_mel
from reference.features.signals import noise


def tables_of(front_end: str | FrontEnd, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the kernel is given for a front end."""
    with monkeypatch.context() as patch:
        recording = SimpleNamespace(**{**vars(_log_mel), "Plan": lambda **given: given})
        patch.setattr(tables, "_log_mel", recording)
        given: Any = tables.make_plan(FRONT_ENDS[front_end] if isinstance(front_end, str) else front_end)
    found: dict[str, Any] = given
    return found


def finish(**changes: Any) -> _log_mel.Finish:
    given: dict[str, Any] = {
        "num_columns": 80,
        "range_below_peak": 8.0,
        "standardises": False,
        "unbiased": False,
        "floor_in": _log_mel.FLOOR_MAX,
        "floor": 1e-5,
        "shift": 0.0,
        "gain": 1.0,
    }
    return _log_mel.Finish(**(given | changes))


def longer(name: str, by: int = 1) -> Any:
    """A change that makes a table longer, or shorter."""
    return lambda given: {name: np.resize(given[name], given[name].size + by)}


def replaced(name: str, index: int, value: int) -> Any:
    def change(given: dict[str, Any]) -> dict[str, Any]:
        table = given[name].copy()
        table[index] = value
        return {name: table}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: {"edges": 9}, "edges is 9"),
        (lambda given: {"power": 3}, "power 3 do not fit"),
        (lambda given: {"hop_length": 0}, "hop_length 0"),
        (lambda given: {"window_length": 401}, "window_length 401"),
        (lambda given: {"window_length": 0}, "window_length 0"),
        (longer("window", -1), "window has 399 values; expected 400"),
        (longer("turns", -1), "turns; expected"),
        (longer("splits", 1), "splits has 403 values; expected 2 for each of 201 bins"),
        (longer("places", -1), "places are 199; expected 200"),
        (longer("mel_weights", -1), "mel_weights has"),
        (longer("mel_weights", 2), "mel_weights has"),
        (replaced("places", 3, 200), "place 3 is 200; expected 0 to 199"),
        (replaced("places", 0, -1), "place 0 is -1"),
        (replaced("radices", 0, 7), "radix 7 does not divide 200"),
        (replaced("radices", 0, 0), "radix 0 does not divide 200"),
        (replaced("starts", 2, -1), "segment 2 starts at bin -1"),
        (replaced("starts", 2, 202), "segment 2 starts at bin 202; expected 0 to 201"),
        (replaced("widths", 0, -1), "segment 0 is -1 bins wide"),
        (lambda given: {"cepstra": np.zeros((13, 79), np.float32)}, "cepstra is 13 x 79"),
        (lambda given: {"floor": 0.0}, "floor is 0.0"),
        (lambda given: {"floor": float("nan")}, "floor is nan"),
    ],
)
def test_tables_that_do_not_fit_make_no_plan(change: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reads where its tables say, so tables that lead outside are refused."""
    given = tables_of("zipformer", monkeypatch)
    assert _log_mel.Plan(**given).num_columns == 80
    with pytest.raises(ValueError, match=message):
        _log_mel.Plan(**(given | change(given)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (longer("chirp", -1), "chirp has 1017 values"),
        (longer("response", -2), "does not divide|multiply to"),
        (lambda given: {"chirp": given["chirp"][:0]}, "radix 8 does not divide 509"),
        (lambda given: {"fft_length": 1021, "splits": np.zeros(1022, np.float32)}, "expected 2042, and at least 4082"),
    ],
)
def test_chirp_that_does_not_fit_makes_no_plan(change: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of a transform of prime length must fit each other as well."""
    chirped = FrontEnd(fft_length=509, window_length=400)
    given = tables_of(chirped, monkeypatch)
    assert _log_mel.Plan(**given).num_columns == 80
    with pytest.raises(ValueError, match=message):
        _log_mel.Plan(**(given | change(given)))


def test_plan_cannot_be_changed_under_those_who_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calling __init__ again leaves the tables as they are."""
    plan = _log_mel.Plan(**tables_of("zipformer", monkeypatch))
    before = plan.scratch_length, plan.num_columns
    plan.__init__(**tables_of("librosa", monkeypatch))  # type: ignore[misc]
    assert (plan.scratch_length, plan.num_columns) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scratch": np.empty(10, np.float32)}, "scratch has 10 values"),
        ({"out": np.empty((11, 79), np.float32)}, "out is 11 x 79; expected 11 rows of 80"),
        ({"out": np.empty((10, 80), np.float32)}, "expected 11 rows of 80"),
        ({"out": np.empty((11, 160), np.float32)[:, ::2]}, "out has gaps"),
        ({"bins_first": True}, "expected 11 rows of 80"),
        ({"statistics": np.zeros((3, 79))}, "statistics is 3 x 79; expected 3 x 80"),
        ({"statistics": np.zeros((2, 80))}, "statistics is 2 x 80"),
        ({"finish": finish(num_columns=79)}, "finish is for 79 columns; expected 80"),
        ({"finish": finish(standardises=True)}, "expected statistics of each column"),
        ({"num_rows": -1}, "expected -1 rows"),
        ({"first_row": -1}, "first_row -1"),
        ({"padded": 1599}, "padded 1599 do not fit"),
        ({"samples": noise(1500)}, "read samples"),
        ({"origin": 1}, "read samples"),
        ({"origin": -1}, "origin -1"),
        ({"first_row": 5, "num_samples": 2000, "padded": 2000}, "read samples"),
    ],
)
def test_arrays_that_do_not_fit_are_not_read(changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows whose windows lie outside the samples, and arrays that are too small, are refused."""
    plan = _log_mel.Plan(**tables_of("zipformer", monkeypatch))
    arguments: dict[str, Any] = {
        "samples": noise(1600),
        "origin": 0,
        "num_samples": 1600,
        "padded": 1600,
        "offset": 0.0,
        "gain": 1.0,
        "first_row": 0,
        "num_rows": 11,
        "scratch": np.empty(plan.scratch_length, np.float32),
        "out": np.empty((11, 80), np.float32),
        "bins_first": False,
        "statistics": None,
        "rows_before": 0,
        "finish": None,
    }
    assert plan.levels(*arguments.values())[0]
    with pytest.raises(ValueError, match=message):
        plan.levels(*(arguments | changes).values())


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 1000])
def test_extent_of_a_signal_of_any_length(length: int) -> None:
    """Sum in float64, least and greatest sample; a sum that is not finite where a sample is not."""
    samples = noise(length)
    total, low, high = _log_mel.signal_extent(samples)
    assert total == pytest.approx(samples.sum(dtype=np.float64), rel=1e-12, abs=1e-12)
    assert (low, high) == ((samples.min(), samples.max()) if length else (0.0, 0.0))
    for value in (np.nan, np.inf, -np.inf) if length else ():
        samples[length // 2] = value
        assert not np.isfinite(_log_mel.signal_extent(samples)[0])


@pytest.mark.parametrize(
    "changes", [{"num_columns": 0}, {"range_below_peak": -1.0}, {"range_below_peak": np.nan}, {"floor_in": 3}]
)
def test_finish_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """What is done to levels is checked when it is made, not for each signal."""
    with pytest.raises(ValueError, match="do not fit"):
        finish(**changes)
