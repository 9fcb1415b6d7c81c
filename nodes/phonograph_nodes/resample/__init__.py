"""Change of the sample rate."""

from phonograph_nodes.resample.checks import MAX_RATE, MAX_SAMPLES, MIN_RATE
from phonograph_nodes.resample.filters import Quality
from phonograph_nodes.resample.node import Resample, ResampleParams
from phonograph_nodes.resample.stream import ResampleStream
from phonograph_nodes.resample.whole import resample, resample_pcm16

__all__ = [
    "MAX_RATE",
    "MAX_SAMPLES",
    "MIN_RATE",
    "Quality",
    "Resample",
    "ResampleParams",
    "ResampleStream",
    "resample",
    "resample_pcm16",
]
