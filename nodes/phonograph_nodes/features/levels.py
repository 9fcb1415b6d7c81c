"""From the kernel's levels to a front end's rows: clamping and normalisation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.tables import make_plan
from phonograph_nodes.kernels import _log_mel

Features = NDArray[np.float32]
Floats = NDArray[np.float64]

_MIN_PEAK = 1e-6  # of the signal that is normalised
_FLOOR_IN = {"max": _log_mel.FLOOR_MAX, "add": _log_mel.FLOOR_ADD, "add_to_variance": _log_mel.FLOOR_VARIANCE}


class Workspace:
    """The arrays that a call, or a stream, computes in; nobody else may use them at that time.

    Attributes:
        scratch: the kernel's own.
        statistics: of each column a reference, and the sums of v - reference and of its square; None where nobody asks for them.
        high, low, gain: of each column, (v - (high + low)) * gain. The shift is in two parts, because a single float32 is too
            coarse for it where the deviation is small.
    """

    __slots__ = ("gain", "high", "low", "scratch", "statistics")

    def __init__(self, scratch_length: int, front_end: FrontEnd) -> None:
        columns = front_end.num_levels
        self.scratch = np.empty(scratch_length, np.float32)
        self.statistics = np.zeros((3, columns)) if front_end.normalisation == "per_bin" else None
        self.high, self.low = np.empty(columns, np.float32), np.empty(columns, np.float32)
        self.gain = np.full(columns, front_end.gain, np.float32)
        self.shift_by(np.full(columns, -front_end.shift))

    def shift_by(self, shift: Floats) -> None:
        self.high[...] = shift
        np.subtract(shift, self.high, out=self.low, casting="same_kind")


class Levels:
    """A front end's plan and the steps behind it; read only, so threads may share it."""

    __slots__ = ("_front_end", "_range", "_scales", "plan")

    def __init__(self, front_end: FrontEnd) -> None:
        self.plan = make_plan(front_end)
        self._front_end = front_end
        self._range = front_end.range_below_peak
        self._scales = (
            front_end.range_below_peak is not None
            or front_end.normalisation == "per_bin"
            or (front_end.shift, front_end.gain) != (0.0, 1.0)
        )

    def workspace(self) -> Workspace:
        return Workspace(self.plan.scratch_length, self._front_end)

    def scale(self, rows: Features, num_rows: int, bins_first: bool, highest: float, workspace: Workspace) -> None:
        """In place: lift what is too far below the `highest` level; shift and scale, by means and deviations if need be."""
        if not self._scales:
            return
        lowest = -math.inf if self._range is None else highest - self._range
        if workspace.statistics is not None:
            # A column that never changes has a sum of exactly 0 and becomes exactly 0, though divided by as little as 1e-5.
            one = self._front_end
            _log_mel.standardise(
                workspace.statistics,
                num_rows,
                one.unbiased,
                _FLOOR_IN[one.deviation_floor_in],
                one.deviation_floor,
                one.gain,
                workspace.high,
                workspace.low,
                workspace.gain,
            )
        _log_mel.scale_columns(rows, num_rows, bins_first, lowest, workspace.high, workspace.low, workspace.gain)

    def normalize_rows(self, rows: Features, num_rows: int, bins_first: bool) -> None:
        """In place, where the front end normalises each row."""
        one = self._front_end
        if one.normalisation == "per_row":
            floor_in = _FLOOR_IN[one.deviation_floor_in]
            _log_mel.normalize_rows(rows, num_rows, bins_first, one.unbiased, floor_in, one.deviation_floor)


def signal_scale(extent: tuple[float, float, float], num_samples: int) -> tuple[float, float]:
    """Offset and gain, (x - offset) * gain, that take out the mean of a signal and bring its peak to 1.

    Args:
        extent: sum, least and greatest of the samples, of which there is at least one.
    """
    total, low, high = extent
    mean = total / num_samples
    return mean, 1.0 / max(high - mean, mean - low, _MIN_PEAK)
