"""Binding of the log-mel arithmetic in log_mel.h."""

from libc.stdint cimport int32_t, int64_t

cdef extern from "log_mel.h" nogil:
    enum:
        PG_WINDOW
        PG_HOP
        PG_TWIDDLES
        PG_SPLITS
        PG_SCRATCH

    ctypedef struct pg_log_mel_plan:
        const double *window
        const double *twiddles
        const double *splits
        const int32_t *mel_begin
        const int32_t *mel_end
        const double *mel_weights
        int64_t num_mel_bins
        double preemphasis
        double floor
        double log_scale

    ctypedef struct pg_signal:
        const float *samples
        int64_t num_samples
        int64_t padded
        double offset
        double gain

    ctypedef struct pg_extent:
        double sum
        double min
        double max

    pg_extent pg_signal_extent(const float *samples, int64_t num_samples)
    void pg_log_mel(const pg_log_mel_plan *plan, const pg_signal *signal, int64_t num_rows, double *scratch, double *levels)
    void pg_column_moments(const double *levels, int64_t num_rows, int64_t num_columns, double *mean, double *deviation)
    void pg_scale_columns(const double *levels, int64_t num_rows, int64_t num_columns, double lowest, const double *shift,
                          const double *gain, float *out)

WINDOW_LENGTH = PG_WINDOW
HOP_LENGTH = PG_HOP
SCRATCH_LENGTH = PG_SCRATCH


cdef class Plan:
    """Holds the tables of a front end; read only after construction, so threads may share it."""

    cdef pg_log_mel_plan plan
    cdef object tables  # keeps the arrays alive that `plan` points into

    # Not __init__, which could be called again and would change the tables under a thread that reads them.
    def __cinit__(self, const double[::1] window, const double[::1] twiddles, const double[::1] splits,
                  const int32_t[::1] mel_begin, const int32_t[::1] mel_end, const double[::1] mel_weights,
                  double preemphasis, double floor, double log_scale):
        cdef Py_ssize_t row
        cdef int64_t num_weights = 0
        if (window.shape[0], twiddles.shape[0], splits.shape[0]) != (PG_WINDOW, PG_TWIDDLES, PG_SPLITS):
            raise ValueError("window, twiddles or splits have a wrong length")
        if mel_begin.shape[0] == 0 or mel_begin.shape[0] != mel_end.shape[0]:
            raise ValueError(f"mel_begin has {mel_begin.shape[0]} rows, mel_end {mel_end.shape[0]}; expected as many, at least 1")
        for row in range(mel_begin.shape[0]):
            if not 0 <= mel_begin[row] <= mel_end[row] <= PG_WINDOW // 2 + 1:
                raise ValueError(f"mel row {row} is bins {mel_begin[row]} to {mel_end[row]}; expected 0 to {PG_WINDOW // 2 + 1}")
            num_weights += mel_end[row] - mel_begin[row]
        if num_weights == 0 or num_weights != mel_weights.shape[0]:
            raise ValueError(f"mel_weights has {mel_weights.shape[0]} values; the rows have {num_weights} bins, expected at least 1")
        self.tables = (window, twiddles, splits, mel_begin, mel_end, mel_weights)
        self.plan.window = &window[0]
        self.plan.twiddles = &twiddles[0]
        self.plan.splits = &splits[0]
        self.plan.mel_begin = &mel_begin[0]
        self.plan.mel_end = &mel_end[0]
        self.plan.mel_weights = &mel_weights[0]
        self.plan.num_mel_bins = mel_begin.shape[0]
        self.plan.preemphasis = preemphasis
        self.plan.floor = floor
        self.plan.log_scale = log_scale

    def levels(self, const float[::1] samples, int64_t padded, double offset, double gain,
               double[::1] scratch, double[:, ::1] out):
        cdef pg_signal signal
        if out.shape[0] == 0:
            return
        if out.shape[1] != self.plan.num_mel_bins or scratch.shape[0] != PG_SCRATCH or padded < max(samples.shape[0], 1):
            raise ValueError("out, scratch or padded do not fit the plan")
        signal.samples = &samples[0] if samples.shape[0] else NULL
        signal.num_samples = samples.shape[0]
        signal.padded = padded
        signal.offset = offset
        signal.gain = gain
        with nogil:
            pg_log_mel(&self.plan, &signal, out.shape[0], &scratch[0], &out[0, 0])


def signal_extent(const float[::1] samples):
    cdef pg_extent extent
    if samples.shape[0] == 0:
        return 0.0, 0.0, 0.0
    with nogil:
        extent = pg_signal_extent(&samples[0], samples.shape[0])
    return extent.sum, extent.min, extent.max


def column_moments(const double[:, ::1] levels, double[::1] mean, double[::1] deviation):
    if levels.shape[0] == 0 or levels.shape[1] == 0 or not levels.shape[1] == mean.shape[0] == deviation.shape[0]:
        raise ValueError("levels are empty, or mean or deviation do not have its number of columns")
    with nogil:
        pg_column_moments(&levels[0, 0], levels.shape[0], levels.shape[1], &mean[0], &deviation[0])


def scale_columns(const double[:, ::1] levels, double lowest, const double[::1] shift, const double[::1] gain, float[:, ::1] out):
    if levels.shape[0] == 0:
        return
    if out.shape[0] != levels.shape[0] or not levels.shape[1] == out.shape[1] == shift.shape[0] == gain.shape[0]:
        raise ValueError("out, shift or gain do not fit levels")
    with nogil:
        pg_scale_columns(&levels[0, 0], levels.shape[0], levels.shape[1], lowest, &shift[0], &gain[0], &out[0, 0])
