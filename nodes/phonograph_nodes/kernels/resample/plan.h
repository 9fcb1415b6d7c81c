/* What a change of sample rate is to the kernels, whatever their instruction set: tables, source, and the table of functions.
 *
 * All tables are read only and shared by threads; all workspace belongs to the caller.
 */
#ifndef PHONOGRAPH_RESAMPLE_PLAN_H
#define PHONOGRAPH_RESAMPLE_PLAN_H

#include <string.h>

#include "../convert/formats.h"
#include "../transform.h"

enum { PG_CUT_SHORT = -1 };

/* The samples [origin, origin + length) of a signal, in memory or in a file; zeros stand around them. */
typedef struct {
    const void *samples;  /* may begin at any byte; NULL: they lie in a file */
    int32_t format;       /* any but PG_F64 */
    int32_t big_endian;   /* the highest byte of a sample comes first */
    int32_t num_channels; /* 1, or 2 that are interleaved, of which the mean is taken */
    int64_t origin;
    int64_t length;
    /* of samples in a file */
    int32_t descriptor; /* its position is neither used nor changed */
    int32_t fault;      /* 0 until it does not give its samples: an errno then, or PG_CUT_SHORT where it ends before them */
    int64_t first_byte; /* where they begin */
    int64_t held_from;  /* the samples that were read last are [held_from, held_until) */
    int64_t held_until;
} pg_source;

/* Overlap-save in the frequency domain (blocks.h). Block b reads block_in samples from b * step_in - lead on, and gives the
 * outputs from b * step_out to (b + 1) * step_out. */
typedef struct {
    int32_t block_in;  /* 2 * forward.num_points */
    int32_t step_in;
    int32_t step_out;  /* even, at least 16, at most 2 * inverse.num_points */
    int32_t lead;
    pg_transform forward;
    pg_transform inverse;
    const int32_t *bins;   /* [forward.num_points] where the forward transform leaves Z[k] */
    const float *gains;    /* [num_bins][4]: of each bin k the factors a and b of Z[k] + Z*[-k] and Z[k] - Z*[-k] */
    const float *turns;    /* [inverse.num_points / 2 + 1][2]: cosine and sine of 2 pi k / (2 inverse.num_points) */
    const int32_t *places; /* [inverse.num_points] where the inverse transform leaves the outputs 2 j and 2 j + 1 */
} pg_blocks;

/* A polyphase filter bank (bank.h): output m is at the input time m * down / up. */
typedef struct {
    int32_t up;
    int32_t down;
    int32_t lead;       /* taps before the input sample at or before an output */
    int32_t num_taps;   /* a multiple of 16; the last ones may be zero */
    const float *taps;  /* [up][num_taps] */
} pg_bank;

typedef struct {
    int32_t lanes;
    int64_t (*workspace)(const pg_blocks *plan); /* float32 values */
    /* Outputs [first_block * step_out, end) to `out`; returns whether all are there and finite. */
    int32_t (*blocks)(const pg_blocks *plan, pg_source *source, int64_t first_block, int64_t end, float *workspace, float *out);
    /* Outputs [first, end) of what is in memory to `out`, with 4 * num_taps values of workspace; returns whether all are finite. */
    int32_t (*bank)(const pg_bank *plan, pg_source *source, int64_t first, int64_t end, float *workspace, float *out);
    int32_t (*finite)(const float *samples, int64_t num_samples);
} pg_resamplers;

extern const pg_resamplers pg_resample_portable;
#if defined(__x86_64__)
extern const pg_resamplers pg_resample_avx512, pg_resample_avx2;
#endif

/* The kernels of the variant "avx512", "avx2" or "portable"; NULL for one that this architecture lacks. */
static inline const pg_resamplers *pg_resample_variant(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return &pg_resample_avx512;
    if (strcmp(name, "avx2") == 0)
        return &pg_resample_avx2;
#endif
    return strcmp(name, "portable") == 0 ? &pg_resample_portable : NULL;
}

#endif
