import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
Ints = NDArray[np.int32]

ZERO: int
REFLECT: int
SYMMETRIC: int
REPEAT: int
FLOOR_MAX: int
FLOOR_ADD: int
FLOOR_VARIANCE: int
BUTTERFLIES: tuple[int, ...]  # radices that need no table of roots

class Finish:
    """What is done to levels once all are there: lifted to the range below the highest one, then shifted and scaled.

    Or standardised, each column by its own mean and deviation. It holds memory of its own: for one thread at a time.
    """

    def __init__(
        self,
        *,
        num_columns: int,
        range_below_peak: float,  # infinity: none is lifted
        standardises: bool,
        unbiased: bool,
        floor_in: int,
        floor: float,
        shift: float,
        gain: float,
    ) -> None: ...
    def rows(
        self, out: Float32s, num_rows: int, bins_first: bool, highest: float, statistics: NDArray[np.float64] | None
    ) -> None: ...  # in place

class Plan:
    """Holds the tables of a front end; read only after construction, so threads may share it."""

    num_columns: int  # mel bins, or cepstra
    scratch_length: int  # float32 values of workspace that `levels` needs

    def __init__(
        self,
        *,
        edges: int,
        normalize_signal: bool,
        quantise: bool,
        signal_preemphasis: float,
        dither: float,
        dither_seed: int,
        window: Float32s,  # filled up with zeros to a multiple of 16
        window_length: int,
        hop_length: int,
        first_start: int,
        remove_mean: bool,
        window_preemphasis: float,
        fft_length: int,
        power: int,
        radices: Ints,
        turns: Float32s,
        places: Ints,
        chirp: Float32s,  # empty where the radices are those of the transform itself
        response: Float32s,
        splits: Float32s,
        starts: Ints,  # of each segment between corners of the filters, its first bin
        widths: Ints,  # and how many bins are read; never less than before
        mel_weights: Float32s,
        floor: float,
        add_floor: bool,
        log_scale: float,
        cepstra: Float32s,  # (num_cepstra, num_mel_bins)
    ) -> None: ...
    def levels(
        self,
        samples: Float32s,  # (k,), the signal from absolute sample `origin` on
        origin: int,
        num_samples: int,  # absolute end of the signal; zeros follow up to `padded`. A stream that goes on passes a huge number
        padded: int,  # where the edge rule stands; at least num_samples
        offset: float,  # v = (x - offset) * gain, for a plan that normalizes the signal
        gain: float,
        first_row: int,
        num_rows: int,
        scratch: Float32s,
        out: Float32s,  # (num_rows or more, columns), or (columns, num_rows or more) when bins_first; last axis without gaps
        bins_first: bool,
        statistics: NDArray[np.float64] | None,  # (3, columns): reference, sum of v - reference, sum of its square
        rows_before: int,  # rows that the statistics hold already; with 0 the first row becomes the reference
        finish: Finish | None,  # what is done to these rows when every energy is finite
    ) -> tuple[bool, float]: ...  # whether every energy is finite; the highest level

def signal_extent(samples: Float32s) -> tuple[float, float, float]: ...  # sum, not finite when a sample is not; min; max
def normalize_rows(
    out: Float32s, num_rows: int, bins_first: bool, unbiased: bool, floor_in: int, floor: float
) -> None: ...  # in place, (v - mean) / deviation of each row
def append_deltas(
    out: Float32s, num_rows: int, bins_first: bool, num_columns: int
) -> None: ...  # columns [n, 2 n) of an array of 2 n columns become the differences of the first n
