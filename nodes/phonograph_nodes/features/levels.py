"""From the kernel's levels to a front end's rows: clamping and normalisation."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.tables import make_plan
from phonograph_nodes.kernels import _log_mel

Features = NDArray[np.float32]

_MIN_PEAK = 1e-6  # of the signal that is normalised
_FLOOR_IN = {"max": _log_mel.FLOOR_MAX, "add": _log_mel.FLOOR_ADD, "add_to_variance": _log_mel.FLOOR_VARIANCE}


class Workspace:
    """The arrays that a call, or a stream, computes in; nobody else may use them at that time.

    Attributes:
        scratch: the kernel's own.
        statistics: of each column a reference, and the sums of v - reference and of its square; None where nobody asks for them.
        finish: what is done to levels once all are there; None where they stay as they are.
    """

    __slots__ = ("finish", "scratch", "statistics")

    def __init__(self, scratch_length: int, front_end: FrontEnd) -> None:
        standardises = front_end.normalisation == "per_bin"
        self.scratch = np.empty(scratch_length, np.float32)
        self.statistics = np.zeros((3, front_end.num_levels)) if standardises else None
        self.finish = None
        if standardises or front_end.range_below_peak is not None or (front_end.shift, front_end.gain) != (0.0, 1.0):
            self.finish = _log_mel.Finish(
                num_columns=front_end.num_levels,
                range_below_peak=math.inf if front_end.range_below_peak is None else front_end.range_below_peak,
                standardises=standardises,
                unbiased=front_end.unbiased,
                floor_in=_FLOOR_IN[front_end.deviation_floor_in],
                floor=front_end.deviation_floor,
                shift=front_end.shift,
                gain=front_end.gain,
            )


class Levels:
    """A front end's plan and the steps behind it; read only, so threads may share it."""

    __slots__ = ("_front_end", "plan")

    def __init__(self, front_end: FrontEnd) -> None:
        self.plan = make_plan(front_end)
        self._front_end = front_end

    def workspace(self) -> Workspace:
        return Workspace(self.plan.scratch_length, self._front_end)

    def normalize_rows(self, rows: Features, num_rows: int, bins_first: bool) -> None:
        """In place, where the front end normalises each row."""
        one = self._front_end
        if one.normalisation == "per_row":
            floor_in = _FLOOR_IN[one.deviation_floor_in]
            _log_mel.normalize_rows(rows, num_rows, bins_first, one.unbiased, floor_in, one.deviation_floor)


levels_of = functools.lru_cache(maxsize=32)(Levels)
"""The levels of a front end, the same for all who ask: ten thousand streams share one set of tables."""


def signal_scale(extent: tuple[float, float, float], num_samples: int) -> tuple[float, float]:
    """Offset and gain, (x - offset) * gain, that take out the mean of a signal and bring its peak to 1.

    Args:
        extent: sum, least and greatest of the samples, of which there is at least one.
    """
    total, low, high = extent
    mean = total / num_samples
    return mean, 1.0 / max(high - mean, mean - low, _MIN_PEAK)
