"""Resampling by a bank of polyphase filters: output by output, as soon as its samples are there."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes.kernels import _resample
from phonograph_nodes.resample.filters import Filter
from phonograph_nodes.validation import Samples

_LINE = 64  # bytes
MOST_BYTES = 4 << 20
"""Of a bank: from there on it would not stay in a cache."""


class BankPlan:
    """Resamples output by output; for any number of threads."""

    def __init__(self, up: int, down: int, filter_: Filter) -> None:
        self.up, self.down = up, down
        # In whole numbers of 1 / up of an input sample: rounding must not give a tap to a sample that is not waited for.
        half_length = filter_.half_length * max(up, down)
        self._lead = -(-half_length // up) - 1
        self._after = -(-(half_length + up - 1) // up) - 1  # samples after the one at or before an output
        distances = np.arange(up)[:, np.newaxis] + up * (self._lead - np.arange(num_taps(up, down, filter_)))
        taps = np.where(np.abs(distances) < half_length, filter_.at(distances / max(up, down)) * min(1.0, up / down), 0.0)
        self._kernel = _resample.Bank(up=up, down=down, lead=self._lead, taps=_on_cache_lines(taps))
        self._scratch: deque[Samples] = deque()

    @property
    def latency_samples(self) -> int:
        """Input samples after an output's place in time that have to be there before it can be computed, at most."""
        return self._after + 1

    def num_ready(self, num_samples: int) -> int:
        """Outputs that will be the same whatever comes after so many samples."""
        return max(0, -(-(num_samples - self._after) * self.up // self.down))

    def first_needed(self, num_outputs: int) -> int:
        """The place of the first sample that outputs after so many will read."""
        return max(0, num_outputs * self.down // self.up - self._lead)

    def fill(self, samples: Samples, origin: int, first: int, out: Samples) -> bool:
        """Write outputs from number `first` on; False if something is not finite. `samples` as `BlockPlan.fill`."""
        try:
            scratch = self._scratch.pop()
        except IndexError:
            scratch = np.empty(self._kernel.scratch_length, np.float32)
        try:
            return self._kernel.resample(samples, origin, first, first + out.size, scratch, out)
        finally:
            self._scratch.append(scratch)


def num_taps(up: int, down: int, filter_: Filter) -> int:
    """Taps of each phase, filled up to whole vectors of every instruction set."""
    half_length = -(-filter_.half_length * max(up, down) // up)
    return -(-(2 * half_length + 1) // 16) * 16


def bank_bytes(up: int, down: int, filter_: Filter) -> int:
    """Memory that a bank takes."""
    return 4 * up * num_taps(up, down, filter_)


def _on_cache_lines(taps: NDArray[np.float64]) -> Samples:
    """As float32, each row from the start of a cache line on: loads that cross two take a fifth longer in all, with AVX-512."""
    place = np.empty(taps.size + _LINE // 4, np.float32)
    first = -place.ctypes.data % _LINE // 4
    laid: Samples = place[first : first + taps.size].reshape(taps.shape)
    laid[:] = taps
    return laid
