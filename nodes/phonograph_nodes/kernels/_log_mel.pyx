"""Binding of the log-mel arithmetic in log_mel/, in the variant for the instruction set that is in use."""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np

from phonograph.isa import ISA

ZERO, REFLECT, SYMMETRIC, REPEAT = PG_ZERO, PG_REFLECT, PG_SYMMETRIC, PG_REPEAT
FLOOR_MAX, FLOOR_ADD, FLOOR_VARIANCE = PG_FLOOR_MAX, PG_FLOOR_ADD, PG_FLOOR_VARIANCE
BUTTERFLIES = (2, 3, 4, 5, 8)

cdef const pg_kernels *kernels = pg_variant(ISA.encode())
if kernels == NULL:
    raise ImportError(f"the log-mel kernel has no variant {ISA!r}")


ctypedef struct pg_finish:
    double range_below_peak
    bint standardises
    bint unbiased
    int floor_in
    double floor
    double scale
    float *high
    float *low
    float *gain


cdef inline void finished(const pg_finish *step, pg_rows rows, int64_t num_rows, int num_columns, double highest,
                          const pg_statistics *sums) noexcept nogil:
    if step.standardises:
        kernels.standardise(sums, num_rows, num_columns, step.unbiased, step.floor_in, step.floor, step.scale, step.high, step.low,
                            step.gain)
    kernels.scale_columns(rows, num_rows, num_columns, <float>(highest - step.range_below_peak), step.high, step.low, step.gain)


cdef pg_statistics sums_of(double[:, ::1] statistics, int64_t rows_before) noexcept:
    cdef pg_statistics sums = pg_statistics(NULL, NULL, NULL, rows_before)
    if statistics is None:
        return sums
    sums.reference, sums.sum, sums.squares = &statistics[0, 0], &statistics[1, 0], &statistics[2, 0]
    return sums


cdef class Finish:
    """What is done to levels once all of them are there, with memory of its own: for one thread at a time."""

    cdef pg_finish step
    cdef float[:, ::1] factors  # high, low, gain of each column: (v - (high + low)) * gain

    def __cinit__(self, *, int num_columns, double range_below_peak, bint standardises, bint unbiased, int floor_in, double floor,
                  double shift, double gain):
        if num_columns < 1 or not range_below_peak >= 0.0 or floor_in not in (PG_FLOOR_MAX, PG_FLOOR_ADD, PG_FLOOR_VARIANCE):
            raise ValueError(f"num_columns {num_columns}, range_below_peak {range_below_peak}, floor_in {floor_in} do not fit")
        self.factors = np.empty((3, num_columns), np.float32)
        self.factors[0, :] = <float>-shift
        self.factors[1, :] = <float>(-shift - <double>self.factors[0, 0])
        self.factors[2, :] = <float>gain
        self.step.high, self.step.low, self.step.gain = &self.factors[0, 0], &self.factors[1, 0], &self.factors[2, 0]
        self.step.range_below_peak = range_below_peak
        self.step.standardises = standardises
        self.step.unbiased = unbiased
        self.step.floor_in = floor_in
        self.step.floor = floor
        self.step.scale = gain

    cdef int check(self, int num_columns, double[:, ::1] statistics) except -1:
        if self.factors.shape[1] != num_columns:
            raise ValueError(f"finish is for {self.factors.shape[1]} columns; expected {num_columns}")
        if self.step.standardises and (statistics is None or statistics.shape[0] != 3 or statistics.shape[1] != num_columns):
            raise ValueError("finish standardises; expected statistics of each column")
        return 0

    def rows(self, float[:, :] out, int64_t num_rows, bint bins_first, double highest, double[:, ::1] statistics):
        cdef pg_statistics sums
        cdef int num_columns = self.factors.shape[1]
        cdef pg_rows rows = rows_of(out, num_rows, num_columns, bins_first)
        self.check(num_columns, statistics)
        if num_rows == 0:
            return
        sums = sums_of(statistics, num_rows)
        with nogil:
            finished(&self.step, rows, num_rows, num_columns, highest, &sums)


cdef class Plan:
    """Holds the tables of a front end; read only after construction, so threads may share it."""

    cdef pg_plan plan
    cdef object tables  # keeps the arrays alive that `plan` points into
    cdef readonly int num_columns
    cdef readonly int64_t scratch_length

    # Not __init__, which could be called again and would change the tables under a thread that reads them.
    def __cinit__(self, *, int edges, bint normalize_signal, bint quantise, float signal_preemphasis, float dither,
                  uint64_t dither_seed, const float[::1] window, int window_length, int hop_length, int64_t first_start,
                  bint remove_mean, float window_preemphasis, int fft_length, int power, const int32_t[::1] radices,
                  const float[::1] turns, const int32_t[::1] places, const float[::1] chirp, const float[::1] response,
                  const float[::1] splits, const int32_t[::1] starts, const int32_t[::1] widths, const float[::1] mel_weights,
                  float floor, bint add_floor, float log_scale, const float[:, ::1] cepstra):
        cdef int num_points = fft_length if fft_length % 2 else fft_length // 2
        self._check_windows(edges, window, window_length, hop_length, fft_length, power)
        cdef int num_chirped = chirp.shape[0] // 2
        cdef int largest = self._check_transform(response.shape[0] // 2 if num_chirped else num_points, radices, turns, places)
        self._check_chirp(num_points, largest, chirp, response)
        if splits.shape[0] != 2 * (fft_length // 2 + 1):
            raise ValueError(f"splits has {splits.shape[0]} values; expected 2 for each of {fft_length // 2 + 1} bins")
        self._check_mel(fft_length, starts, widths, mel_weights)
        cdef const int32_t[::1] runs = runs_of(widths)
        if cepstra.shape[0] and cepstra.shape[1] != starts.shape[0] - 1:
            raise ValueError(f"cepstra is {cepstra.shape[0]} x {cepstra.shape[1]}; expected a column for each mel bin")
        if not floor > 0.0:
            raise ValueError(f"floor is {floor}; expected more than 0")
        self.tables = (window, radices, turns, places, chirp, response, splits, starts, runs, mel_weights, cepstra)
        self.plan.edges = edges
        self.plan.normalize_signal = normalize_signal
        self.plan.quantise = quantise
        self.plan.signal_preemphasis = signal_preemphasis
        self.plan.dither = dither
        self.plan.dither_seed = dither_seed
        self.plan.window_length = window_length
        self.plan.hop_length = hop_length
        self.plan.first_start = first_start
        self.plan.window = &window[0]
        self.plan.remove_mean = remove_mean
        self.plan.sum_block = gcd(window_length, hop_length)
        self.plan.window_preemphasis = window_preemphasis
        self.plan.fft_length = fft_length
        self.plan.power = power
        self.plan.transform.num_points = places.shape[0]
        self.plan.transform.num_passes = radices.shape[0]
        self.plan.transform.largest_summed = largest
        self.plan.transform.radices = &radices[0]
        self.plan.transform.turns = &turns[0]
        self.plan.chirp.num_points = num_chirped
        self.plan.chirp.turns = &chirp[0] if num_chirped else NULL
        self.plan.chirp.response = &response[0] if num_chirped else NULL
        self.plan.splits = &splits[0]
        self.plan.places = &places[0]
        self.plan.num_mel_bins = starts.shape[0] - 1
        self.plan.num_runs = runs.shape[0] // 2
        self.plan.widest = runs[runs.shape[0] - 1]
        self.plan.runs = &runs[0]
        self.plan.starts = &starts[0]
        self.plan.mel_weights = &mel_weights[0]
        self.plan.floor = floor
        self.plan.add_floor = add_floor
        self.plan.log_scale = log_scale
        self.plan.num_cepstra = cepstra.shape[0]
        self.plan.cepstra = &cepstra[0, 0] if cepstra.shape[0] else NULL
        self.num_columns = pg_num_columns(&self.plan)
        self.scratch_length = kernels.workspace(&self.plan)

    def _check_windows(self, int edges, const float[::1] window, int window_length, int hop_length, int fft_length, int power):
        if edges not in (PG_ZERO, PG_REFLECT, PG_SYMMETRIC, PG_REPEAT):
            raise ValueError(f"edges is {edges}; expected ZERO, REFLECT, SYMMETRIC or REPEAT")
        if not 1 <= window_length <= fft_length or hop_length < 1 or power not in (1, 2):
            raise ValueError(
                f"window_length {window_length}, hop_length {hop_length}, fft_length {fft_length}, power {power} do not fit"
            )
        if window.shape[0] != (window_length + 15) // 16 * 16:
            raise ValueError(f"window has {window.shape[0]} values; expected {window_length} filled up to a multiple of 16")

    def _check_transform(self, int num_points, const int32_t[::1] radices, const float[::1] turns, const int32_t[::1] places):
        """The largest radix without a butterfly, 0 where each has one."""
        cdef Py_ssize_t i
        cdef int64_t product = 1, expected = 0, block = num_points
        cdef int largest = 0
        for i in range(radices.shape[0]):
            if radices[i] < 1 or block % radices[i]:
                raise ValueError(f"radix {radices[i]} does not divide {block}")
            block //= radices[i]
            expected += 2 * block * (radices[i] - 1)
            if radices[i] not in BUTTERFLIES:
                expected += 2 * radices[i]
                largest = max(largest, radices[i])
            product *= radices[i]
        if product != num_points or turns.shape[0] != expected:
            raise ValueError(f"radices multiply to {product} with {turns.shape[0]} turns; expected {num_points} with {expected}")
        if num_points == 200 and tuple(radices) != (5, 5, 8) or num_points == 256 and tuple(radices) != (8, 8, 4):
            raise ValueError("200 points have radices 5, 5, 8, and 256 points 8, 8, 4")
        if places.shape[0] != num_points:
            raise ValueError(f"places are {places.shape[0]}; expected {num_points}")
        for i in range(num_points):
            if not 0 <= places[i] < num_points:
                raise ValueError(f"place {i} is {places[i]}; expected 0 to {num_points - 1}")
        return largest

    def _check_chirp(self, int num_points, int largest_summed, const float[::1] chirp, const float[::1] response):
        if not chirp.shape[0] and not response.shape[0]:
            return
        if chirp.shape[0] != 2 * num_points or response.shape[0] // 2 < 2 * num_points - 1 or response.shape[0] % 2:
            raise ValueError(
                f"chirp has {chirp.shape[0]} values, its response {response.shape[0]}; "
                f"expected {2 * num_points}, and at least {4 * num_points - 2}"
            )
        if num_points in (200, 256) or largest_summed:
            raise ValueError(f"a chirp for {num_points} points, with a radix of {largest_summed}; both have butterflies alone")

    def _check_mel(self, int fft_length, const int32_t[::1] starts, const int32_t[::1] widths, const float[::1] mel_weights):
        cdef Py_ssize_t s
        cdef int64_t bins = 0
        if starts.shape[0] < 2 or starts.shape[0] != widths.shape[0]:
            raise ValueError(f"starts are {starts.shape[0]}, widths {widths.shape[0]}; expected as many, at least 2")
        for s in range(starts.shape[0]):
            if not 0 <= starts[s] <= fft_length // 2 + 1:
                raise ValueError(f"segment {s} starts at bin {starts[s]}; expected 0 to {fft_length // 2 + 1}")
            if widths[s] < 0 or s and widths[s] < widths[s - 1]:
                raise ValueError(f"segment {s} is {widths[s]} bins wide; expected as many as the one before it, or more")
            bins += widths[s]
        if starts[0] > fft_length // 2 or bins == 0 or mel_weights.shape[0] != 2 * bins:
            raise ValueError(f"mel_weights has {mel_weights.shape[0]} values; expected 2 for each of {bins} bins, at least one bin")

    def levels(self, const float[::1] samples, int64_t origin, int64_t num_samples, int64_t padded, double offset, double gain,
               int64_t first_row, int64_t num_rows, float[::1] scratch, float[:, :] out, bint bins_first, double[:, ::1] statistics,
               int64_t rows_before, Finish finish):
        cdef pg_signal signal
        cdef pg_statistics sums
        cdef pg_outcome outcome
        cdef pg_rows rows = rows_of(out, num_rows, self.num_columns, bins_first)
        cdef const pg_finish *step = NULL
        if scratch.shape[0] < self.scratch_length:
            raise ValueError(f"scratch has {scratch.shape[0]} values; expected {self.scratch_length}")
        if statistics is not None and (statistics.shape[0] != 3 or statistics.shape[1] != self.num_columns):
            raise ValueError(f"statistics is {statistics.shape[0]} x {statistics.shape[1]}; expected 3 x {self.num_columns}")
        if finish is not None:
            finish.check(self.num_columns, statistics)
            step = &finish.step
        self._check_reach(samples.shape[0], origin, num_samples, padded, first_row, num_rows)
        if num_rows == 0:
            return True, -INFINITY
        signal.samples = &samples[0] if samples.shape[0] else NULL
        signal.length = samples.shape[0]
        signal.origin = origin
        signal.num_samples = num_samples
        signal.padded = padded
        signal.offset = offset
        signal.gain = gain
        sums = sums_of(statistics, rows_before)
        # One stretch without the GIL: to take it back may mean to wait for another thread.
        with nogil:
            outcome = kernels.levels(&self.plan, &signal, first_row, num_rows, &scratch[0], rows,
                                     NULL if statistics is None else &sums)
            if step != NULL and outcome.finite:
                finished(step, rows, num_rows, self.num_columns, outcome.highest, &sums)
        return outcome.finite != 0, outcome.highest

    cdef int _check_reach(self, int64_t length, int64_t origin, int64_t num_samples, int64_t padded, int64_t first_row,
                          int64_t num_rows) except -1:
        """Refuses rows whose windows read samples that are not there."""
        cdef int64_t start = self.plan.first_start + first_row * self.plan.hop_length
        cdef int64_t end = self.plan.first_start + (first_row + num_rows - 1) * self.plan.hop_length + self.plan.window_length
        cdef int64_t low = start - 1, high = end
        if first_row < 0 or origin < 0 or num_samples < 0 or padded < num_samples:
            raise ValueError(f"first_row {first_row}, origin {origin}, num_samples {num_samples}, padded {padded} do not fit")
        if origin == 0 and length >= num_samples:
            return 0
        if self.plan.edges != PG_ZERO:
            if end > padded:
                low = min(low, 2 * padded - end - 1)
            if start - 1 < 0:
                high = max(high, 2 - start)
        if origin > max(low, 0) or origin + length < min(high, num_samples):
            raise ValueError(f"rows {first_row} to {first_row + num_rows} read samples {max(low, 0)} to {min(high, num_samples)}; "
                             f"samples hold {origin} to {origin + length}")
        return 0


cdef const int32_t[::1] runs_of(const int32_t[::1] widths):
    """[segments, width] of each run of equal widths."""
    values, counts = np.unique(widths, return_counts=True)
    return np.ascontiguousarray(np.stack([counts, values], axis=-1), np.int32).ravel()


cdef int gcd(int a, int b) noexcept:
    while b:
        a, b = b, a % b
    return a


cdef pg_rows rows_of(float[:, :] out, int64_t num_rows, int num_columns, bint bins_first) except *:
    cdef pg_rows rows
    cdef int row_axis = 1 if bins_first else 0
    if num_rows < 0 or out.shape[row_axis] < num_rows or out.shape[1 - row_axis] != num_columns:
        raise ValueError(f"out is {out.shape[0]} x {out.shape[1]}; expected {num_rows} rows of {num_columns}")
    if num_rows and out.strides[1] != sizeof(float) or out.strides[0] % <Py_ssize_t>sizeof(float):
        raise ValueError("out has gaps; expected its last axis to be contiguous")
    rows.data = &out[0, 0] if num_rows else NULL
    rows.row_step = 1 if bins_first else out.strides[0] // <Py_ssize_t>sizeof(float)
    rows.column_step = out.strides[0] // <Py_ssize_t>sizeof(float) if bins_first else 1
    return rows


def signal_extent(const float[::1] samples):
    cdef pg_extent extent
    if samples.shape[0] == 0:
        return 0.0, 0.0, 0.0
    with nogil:
        extent = kernels.extent(&samples[0], samples.shape[0])
    return extent.sum, extent.min, extent.max


def normalize_rows(float[:, :] out, int64_t num_rows, bint bins_first, bint unbiased, int floor_in, double floor):
    cdef int num_columns = out.shape[0 if bins_first else 1]
    cdef pg_rows rows = rows_of(out, num_rows, num_columns, bins_first)
    if num_rows == 0:
        return
    with nogil:
        kernels.normalize_rows(rows, num_rows, num_columns, unbiased, floor_in, floor)


def append_deltas(float[:, :] out, int64_t num_rows, bint bins_first, int num_columns):
    """Columns num_columns to 2 num_columns of `out` become the differences of the first ones."""
    cdef pg_rows rows = rows_of(out, num_rows, 2 * num_columns, bins_first)
    if num_rows == 0:
        return
    with nogil:
        kernels.deltas(rows, num_rows, num_columns)
