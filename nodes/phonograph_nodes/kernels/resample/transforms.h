/* The transforms of the resampler's blocks: PG_LANES real blocks to spectra, spectra to PG_LANES real blocks.
 *
 * Theory. A real block x[0 .. 2n-1] is transformed as n complex points z[j] = x[2j] + i x[2j+1] (fft.h has the passes). After the
 * first pass the others do not leave its sub-blocks: each is brought to its end while it is in the first level of cache.
 *
 * Blocks are rows in memory and lanes in the transform: PG_LANES samples of each are read and transposed in registers, which gives
 * row 2j the real, row 2j+1 the imaginary parts of point j. Every lane does the same whatever the others hold, so a block's outputs
 * do not depend on its lane or on its neighbours.
 */
#ifndef PHONOGRAPH_RESAMPLE_TRANSFORMS_H
#define PHONOGRAPH_RESAMPLE_TRANSFORMS_H

#include "plan.h"
#include "../fft.h"

/* Loads rows that are `stride` samples apart, and does the first pass. It walks through radix * PG_LANES places at once, more than a
 * processor foresees by itself, so what comes after the next is asked for: a fifth less time for signals that fill no cache. */
PG_INLINE void pg_load_and_pass(const int radix, const float *samples, int64_t stride, int m, const float *turns, pg_vec *restrict z)
{
    enum { STEP = PG_LANES / 2 }; /* points that one transposition gives */
    for (int next = 0; next < m; next += STEP) {
        const int p = next + STEP <= m ? next : m - STEP; /* the last ones partly anew, to the same values */
        pg_vec rows[PG_LARGEST_BUTTERFLY][PG_LANES];
        PG_UNROLLED
        for (int j = 0; j < radix; j++) {
            PG_UNROLLED
            for (int lane = 0; lane < PG_LANES; lane++) {
                const float *at = samples + lane * stride + 2 * (p + j * m);
                rows[j][lane] = pg_load(at);
                __builtin_prefetch(at + 2 * PG_LANES);
            }
            pg_transpose(rows[j]);
        }
        for (int i = 0; i < STEP; i++) {
            pg_complex x[PG_LARGEST_BUTTERFLY];
            PG_UNROLLED
            for (int j = 0; j < radix; j++)
                x[j] = (pg_complex){rows[j][2 * i], rows[j][2 * i + 1]};
            pg_butterfly(radix, x);
            const float *turn = turns + 2 * (p + i) * (radix - 1);
            PG_UNROLLED
            for (int k = 0; k < radix; k++) {
                const pg_complex y = k ? pg_turned(x[k], turn + 2 * (k - 1), 0) : x[k];
                z[2 * (p + i + k * m)] = y.r, z[2 * (p + i + k * m) + 1] = y.i;
            }
        }
    }
}

#define PG_FOR_RADICES(ACT) ACT(2) ACT(3) ACT(4) ACT(5) ACT(6) ACT(7) ACT(8) ACT(9)

#define PG_DEFINE_LOADS(RADIX)                                                                                                 \
    static __attribute__((noinline)) void pg_load_and_pass##RADIX(const float *samples, int64_t stride, int m,                 \
                                                                  const float *turns, pg_vec *restrict z)                      \
    {                                                                                                                          \
        pg_load_and_pass(RADIX, samples, stride, m, turns, z);                                                                 \
    }
#define PG_DEFINE_PASSES(RADIX)                                                                                                \
    static __attribute__((noinline)) void pg_pass##RADIX(pg_vec *z, int blocks, int m, const float *turns)                     \
    {                                                                                                                          \
        if (m == 1)                                                                                                            \
            pg_pass(RADIX, z, blocks, 1, NULL, 0);                                                                             \
        else                                                                                                                   \
            pg_pass(RADIX, z, blocks, m, turns, 0);                                                                            \
    }
PG_FOR_RADICES(PG_DEFINE_LOADS)
PG_FOR_RADICES(PG_DEFINE_PASSES)

static void pg_one_pass(int radix, pg_vec *z, int blocks, int m, const float *turns)
{
#define PG_CASE(RADIX) case RADIX: pg_pass##RADIX(z, blocks, m, turns); break;
    switch (radix) {
        PG_FOR_RADICES(PG_CASE)
    }
#undef PG_CASE
}

/* All passes but the first, on one of its sub-blocks after another. */
static void pg_later_passes(const pg_transform *transform, pg_vec *z)
{
    const int first = transform->radices[0], points = transform->num_points / first;
    for (int sub = 0; sub < first; sub++, z += 2 * points) {
        const float *turns = transform->turns + 2 * points * (first - 1);
        int blocks = 1, n = points;
        for (int pass = 1; pass < transform->num_passes; pass++) {
            const int radix = transform->radices[pass], m = n / radix;
            pg_one_pass(radix, z, blocks, m, turns);
            turns += 2 * m * (radix - 1);
            blocks *= radix;
            n = m;
        }
    }
}

/* Z of PG_LANES blocks, each where fft.h leaves it. */
static void pg_forward(const pg_blocks *plan, const float *samples, int64_t stride, pg_vec *z)
{
    const pg_transform *transform = &plan->forward;
    const int m = transform->num_points / transform->radices[0];
#define PG_CASE(RADIX) case RADIX: pg_load_and_pass##RADIX(samples, stride, m, transform->turns, z); break;
    switch (transform->radices[0]) {
        PG_FOR_RADICES(PG_CASE)
    }
#undef PG_CASE
    pg_later_passes(transform, z);
}

/* The inverse of PG_LANES spectra whose real and imaginary parts have changed places, in place: conj(F(conj u)) is the inverse, and
 * with the parts exchanged both conjugations are. */
static void pg_inverse(const pg_transform *transform, pg_vec *u)
{
    const int radix = transform->radices[0];
    pg_one_pass(radix, u, 1, transform->num_points / radix, transform->turns);
    pg_later_passes(transform, u);
}

#endif
