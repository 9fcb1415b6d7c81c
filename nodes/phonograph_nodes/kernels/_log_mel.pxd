"""What the binding uses of log_mel/plan.h."""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "log_mel/plan.h" nogil:
    enum:
        PG_ZERO
        PG_REFLECT
        PG_SYMMETRIC
        PG_REPEAT
        PG_FLOOR_MAX
        PG_FLOOR_ADD
        PG_FLOOR_VARIANCE

    ctypedef struct pg_transform:
        int32_t num_points
        int32_t num_passes
        int32_t largest_summed
        const int32_t *radices
        const float *turns

    ctypedef struct pg_chirp:
        int32_t num_points
        const float *turns
        const float *response

    ctypedef struct pg_plan:
        int32_t edges
        int32_t normalize_signal
        int32_t quantise
        float signal_preemphasis
        float dither
        uint64_t dither_seed
        int32_t window_length
        int32_t hop_length
        int64_t first_start
        const float *window
        int32_t remove_mean
        int32_t sum_block
        float window_preemphasis
        int32_t fft_length
        int32_t power
        pg_transform transform
        pg_chirp chirp
        const float *splits
        const int32_t *places
        int32_t num_mel_bins
        int32_t num_runs
        int32_t widest
        const int32_t *runs
        const int32_t *starts
        const float *mel_weights
        float floor
        int32_t add_floor
        float log_scale
        int32_t num_cepstra
        const float *cepstra

    ctypedef struct pg_signal:
        const float *samples
        int64_t length
        int64_t origin
        int64_t num_samples
        int64_t padded
        double offset
        double gain

    ctypedef struct pg_rows:
        float *data
        int64_t row_step
        int64_t column_step

    ctypedef struct pg_statistics:
        double *reference
        double *sum
        double *squares
        int64_t rows_before

    ctypedef struct pg_extent:
        double sum
        float min
        float max

    ctypedef struct pg_outcome:
        float highest
        int32_t finite

    ctypedef struct pg_kernels:
        int32_t lanes
        int64_t (*workspace)(const pg_plan *plan) noexcept nogil
        pg_outcome (*levels)(const pg_plan *plan, const pg_signal *signal, int64_t first_row, int64_t num_rows, float *workspace,
                             pg_rows out, pg_statistics *statistics) noexcept nogil
        pg_extent (*extent)(const float *samples, int64_t num_samples) noexcept nogil
        void (*standardise)(const pg_statistics *statistics, int64_t num_rows, int32_t num_columns, int32_t unbiased,
                            int32_t floor_in, double floor, double scale, float *high, float *low, float *gain) noexcept nogil
        void (*scale_columns)(pg_rows rows, int64_t num_rows, int32_t num_columns, float lowest, const float *high,
                              const float *low, const float *gain) noexcept nogil
        void (*normalize_rows)(pg_rows rows, int64_t num_rows, int32_t num_columns, int32_t unbiased, int32_t floor_in,
                               double floor) noexcept nogil
        void (*deltas)(pg_rows rows, int64_t num_rows, int32_t num_columns) noexcept nogil

    const pg_kernels *pg_variant(const char *name)
    int32_t pg_num_columns(const pg_plan *plan)
