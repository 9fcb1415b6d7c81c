"""The levels of quality of the shared measure of resamplers, by the names that it loads: `high`, and `high_stream`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonograph_nodes import ResampleStream, resample
from phonograph_nodes.resample import Quality
from phonograph_nodes.resample.plans import Latency

Samples = NDArray[np.float32]


class Chunks:
    """A stream as the measure drives it."""

    def __init__(self, stream: ResampleStream) -> None:
        self._stream = stream

    def process(self, chunk: Samples, last: bool) -> Samples:
        outputs = self._stream.push(chunk)
        return np.concatenate([outputs, self._stream.flush()]) if last else outputs


def _whole(quality: Quality) -> Callable[[Samples, int, int], Samples]:
    return lambda samples, in_rate, out_rate: resample(samples, in_rate=in_rate, out_rate=out_rate, quality=quality)


def _stream(quality: Quality, latency: Latency = "block") -> Callable[[int, int], Any]:
    return lambda in_rate, out_rate: Chunks(ResampleStream(in_rate, out_rate, quality=quality, latency=latency))


fast, high, best = _whole("fast"), _whole("high"), _whole("best")
fast_stream, high_stream, best_stream = _stream("fast"), _stream("high"), _stream("best")
fast_low, high_low, best_low = _stream("fast", "low"), _stream("high", "low"), _stream("best", "low")
