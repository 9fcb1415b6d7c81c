"""Down-mixes of several channels to two, or to one, with the weights of ITU-R BS.775.

Recommendation ITU-R BS.775-3 (table 2) gives the equations for 3/2 sound, with a = 1 / sqrt(2):

    to two channels:  L' = L + a C + a Ls              R' = R + a C + a Rs
    to one channel:   M  = a L + a R + C + a^2 Ls + a^2 Rs

The low-frequency channel is left out. The Recommendation does not know 7.1: there the surrounds at the side and at the back each
count as Ls or Rs, and a single one at the back (6.1) as both, a times each. All weights are then divided by the sum of a row, so
that no mix of samples in [-1, 1] leaves that range.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioFormatError
from phonograph_nodes.kernels import _convert
from phonograph_nodes.validation import Samples

Downmix = Literal["mean", "bs775"]

_A = 0.5**0.5

# Channel, by FFmpeg's short names -> its weights in L' and R', and in M.
_TO_TWO: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "FL": (1.0, 0.0),
        "FR": (0.0, 1.0),
        "FC": (_A, _A),
        "LFE": (0.0, 0.0),
        "SL": (_A, 0.0),
        "SR": (0.0, _A),
        "BL": (_A, 0.0),
        "BR": (0.0, _A),
        "BC": (_A * _A, _A * _A),
    }
)

LAYOUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mono": ("FC",),
        "stereo": ("FL", "FR"),
        "2.1": ("FL", "FR", "LFE"),
        "3.0": ("FL", "FR", "FC"),
        "3.0(back)": ("FL", "FR", "BC"),
        "3.1": ("FL", "FR", "FC", "LFE"),
        "4.0": ("FL", "FR", "FC", "BC"),
        "4.1": ("FL", "FR", "FC", "LFE", "BC"),
        "quad": ("FL", "FR", "BL", "BR"),
        "quad(side)": ("FL", "FR", "SL", "SR"),
        "5.0": ("FL", "FR", "FC", "BL", "BR"),
        "5.0(side)": ("FL", "FR", "FC", "SL", "SR"),
        "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
        "5.1(side)": ("FL", "FR", "FC", "LFE", "SL", "SR"),
        "6.0": ("FL", "FR", "FC", "BC", "SL", "SR"),
        "6.1": ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
        "7.0": ("FL", "FR", "FC", "BL", "BR", "SL", "SR"),
        "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
    }
)
"""FFmpeg's name of a layout -> its channels in their order."""


def bs775_weights(layout: str, num_channels: Literal[1, 2]) -> NDArray[np.float64]:
    """The weights of a down-mix, shape (num_channels, channels of the layout).

    Raises:
        AudioFormatError: a layout that there are no weights for.
    """
    if layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise AudioFormatError(f"its channels are {layout!r}; BS.775 mixes {known}; take the mean of the channels instead")
    to_two = np.array([_TO_TWO[channel] for channel in LAYOUTS[layout]]).T
    weights = to_two if num_channels == 2 else _A * to_two.sum(axis=0, keepdims=True)
    scaled: NDArray[np.float64] = weights / weights.sum(axis=1).max()
    return scaled


def mix(samples: Samples, weights: NDArray[np.float64]) -> Samples:
    """Each channel that comes out is a sum of weight times sample, taken in float64 and rounded once.

    Args:
        samples: shape (num_channels, num_samples). weights: shape (num_outputs, num_channels).

    Returns:
        float32, shape (num_outputs, num_samples), C-contiguous.
    """
    mixed = np.empty((len(weights), samples.shape[1]), np.float32)
    given = np.ascontiguousarray(samples).reshape(-1).view(np.uint8)
    for row, out in zip(np.ascontiguousarray(weights), mixed, strict=True):
        _convert.mix(given, _convert.CODES["f32"], False, row, 1.0, out.view(np.uint8))
    return mixed
