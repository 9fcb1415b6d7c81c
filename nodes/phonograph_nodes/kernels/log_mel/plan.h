/* What a log-mel front end is to the kernels, whatever their instruction set: tables, signal, results, and the table of functions.
 *
 * All tables are read only and shared by threads; all workspace belongs to the caller.
 */
#ifndef PHONOGRAPH_LOG_MEL_PLAN_H
#define PHONOGRAPH_LOG_MEL_PLAN_H

#include <string.h>

#include "../transform.h"

/* What a window reads beyond the edges of the signal. */
typedef enum {
    PG_ZERO,      /* 0 */
    PG_REFLECT,   /* x[-t] = x[t] */
    PG_SYMMETRIC, /* x[-t] = x[t-1] */
    PG_REPEAT     /* x[-t] = x[0] */
} pg_edges;

/* How a floor enters the division by a standard deviation. */
typedef enum {
    PG_FLOOR_MAX,    /* max(deviation, floor) */
    PG_FLOOR_ADD,    /* deviation + floor */
    PG_FLOOR_VARIANCE /* sqrt(variance + floor) */
} pg_deviation_floor;

typedef struct {
    /* signal */
    int32_t edges; /* pg_edges */
    int32_t normalize_signal;
    int32_t quantise;
    float signal_preemphasis;
    float dither; /* standard deviation, in units of the samples */
    uint64_t dither_seed;

    /* windows */
    int32_t window_length;
    int32_t hop_length;
    int64_t first_start;  /* sample at which window 0 starts */
    const float *window;  /* [window_length, filled up with zeros to a multiple of 16] */
    int32_t remove_mean;
    int32_t sum_block;    /* greatest common divisor of window and hop */
    float window_preemphasis;

    /* power spectrum */
    int32_t fft_length;
    int32_t power;         /* 1 or 2 */
    pg_transform transform; /* of fft_length / 2 points for an even length, of fft_length points for an odd one... */
    pg_chirp chirp;         /* ... or the longer one by which the chirp transforms so many */
    const float *splits;   /* [k = 0 .. fft_length / 2][cos, sin](2 pi k / fft_length) */
    const int32_t *places; /* [transform.num_points] where the passes leave X[k] */

    /* mel bins: segment s is the bins between corners s and s + 1 of the triangles, from starts[s] on, as many as its width;
     * segments of one width follow each other in runs */
    int32_t num_mel_bins;
    int32_t num_runs;
    int32_t widest;
    const int32_t *runs;      /* [num_runs][segments, width] */
    const int32_t *starts;    /* [num_mel_bins + 1] */
    const float *mel_weights; /* [segment][bin of the segment][in the filter that falls, in the filter that rises] */

    /* levels */
    float floor;
    int32_t add_floor;
    float log_scale;
    int32_t num_cepstra;   /* 0: none */
    const float *cepstra;  /* [num_cepstra][num_mel_bins] */
} pg_plan;

/* The signal from absolute sample `origin` on. It is real up to `num_samples`, zero from there to `padded`, and the edge rule
 * stands at 0 and at `padded`. Of a stream that goes on both are far away. */
typedef struct {
    const float *samples;
    int64_t length; /* values at `samples` */
    int64_t origin;
    int64_t num_samples;
    int64_t padded;
    double offset; /* v = (x - offset) * gain where the plan normalizes the signal */
    double gain;
} pg_signal;

/* Rows of features: value (row, column) is at data[row * row_step + column * column_step]; one of the steps is 1. */
typedef struct {
    float *data;
    int64_t row_step;
    int64_t column_step;
} pg_rows;

/* Sums over rows of v - reference and of its square, each [num_columns]. */
typedef struct {
    double *reference;
    double *sum;
    double *squares;
    int64_t rows_before; /* 0: the first row becomes the reference */
} pg_statistics;

typedef struct {
    double sum;
    float min;
    float max;
} pg_extent;

typedef struct {
    float highest;   /* level */
    int32_t finite;  /* 0 if some energy was NaN or infinite */
} pg_outcome;

typedef struct {
    int32_t lanes;
    int64_t (*workspace)(const pg_plan *plan); /* float32 values */
    pg_outcome (*levels)(const pg_plan *plan, const pg_signal *signal, int64_t first_row, int64_t num_rows, float *workspace,
                         pg_rows out, pg_statistics *statistics);
    pg_extent (*extent)(const float *samples, int64_t num_samples);
    void (*standardise)(const pg_statistics *statistics, int64_t num_rows, int32_t num_columns, int32_t unbiased, int32_t floor_in,
                        double floor, double scale, float *high, float *low, float *gain);
    void (*scale_columns)(pg_rows rows, int64_t num_rows, int32_t num_columns, float lowest, const float *high, const float *low,
                          const float *gain);
    void (*normalize_rows)(pg_rows rows, int64_t num_rows, int32_t num_columns, int32_t unbiased, int32_t floor_in, double floor);
    void (*deltas)(pg_rows rows, int64_t num_rows, int32_t num_columns);
} pg_kernels;

extern const pg_kernels pg_log_mel_portable;
#if defined(__x86_64__)
extern const pg_kernels pg_log_mel_avx512, pg_log_mel_avx2;
#endif

/* The kernels of the variant "avx512", "avx2" or "portable"; NULL for one that this architecture lacks. */
static inline const pg_kernels *pg_variant(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return &pg_log_mel_avx512;
    if (strcmp(name, "avx2") == 0)
        return &pg_log_mel_avx2;
#endif
    return strcmp(name, "portable") == 0 ? &pg_log_mel_portable : NULL;
}

static inline int32_t pg_num_columns(const pg_plan *plan)
{
    return plan->num_cepstra ? plan->num_cepstra : plan->num_mel_bins;
}

#endif
