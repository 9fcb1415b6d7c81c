/* Energy and RMS of successive stretches of a signal, in vectors of float64.
 *
 * Theory. The sum of squares of stretch i is sum x[t]^2 over t = i L .. min((i+1) L, n) - 1. A float32 squared in float64 is
 * exact and at most 2^256, so a sum is finite exactly when its samples are, whatever the length: NaN and infinity are found
 * without a second pass, and nothing underflows. Sample t of a stretch goes to partial sum t mod PG_SUMS; the sums are added as
 * a tree, halves to halves. No part of that depends on the number of lanes, and a product that is exact is the same fused and
 * not: every variant gives the same bits. Relative error: at most (L / PG_SUMS + 5) 2^-53.
 *
 * Float32 lanes are no faster on a signal that does not fit the inner caches: reading it is what takes the time.
 */
#ifndef PHONOGRAPH_ENERGY_ENERGY_H
#define PHONOGRAPH_ENERGY_ENERGY_H

#include "variants.h"
#include "vectors.h"

enum {
    PG_SUMS = 32,
    PG_SUM_LANES = PG_LANES / 2,
    PG_SUM_VECTORS = PG_SUMS / PG_SUM_LANES,
    PG_AT_ONCE = PG_SUM_VECTORS < 8 ? PG_SUM_VECTORS : 8, /* that registers hold; a stretch is read again for further ones */
    PG_AHEAD = 4096, /* bytes: what is read so much later is fetched now; 2 to 8 kB gain a fifth where the third cache has it */
};

/* sum + v^2; fused by hand, because the flags, which hold for the decisions too, forbid the compiler to. */
PG_INLINE pg_doubles pg_with_square(pg_doubles sum, pg_doubles v)
{
#if defined(__x86_64__) && PG_LANES == 16
    return (pg_doubles)_mm512_fmadd_pd((__m512d)v, (__m512d)v, (__m512d)sum);
#elif defined(__x86_64__) && PG_LANES == 8
    return (pg_doubles)_mm256_fmadd_pd((__m256d)v, (__m256d)v, (__m256d)sum);
#else
    return sum + v * v;
#endif
}

PG_INLINE pg_doubles pg_wide(const float *at)
{
#if defined(__x86_64__) && PG_LANES == 4
    return (pg_doubles)_mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const void *)at)));
#else
    return pg_widened(at);
#endif
}

/* Fetches the cache lines of a block to come. It may lie behind the end: fetching is no access. */
PG_INLINE void pg_fetch(const float *block)
{
    for (size_t line = 0; line < PG_SUMS * sizeof(float); line += 64)
        __builtin_prefetch((const void *)((uintptr_t)block + PG_AHEAD + line));
}

PG_INLINE void pg_add_squares(const float *block, pg_doubles *sums)
{
    PG_UNROLLED
    for (int v = 0; v < PG_AT_ONCE; v++)
        sums[v] = pg_with_square(sums[v], pg_wide(block + v * PG_SUM_LANES));
}

/* The first `half` vectors get the others added. */
PG_INLINE void pg_fold(pg_doubles *tree, int half)
{
    PG_UNROLLED
    for (int v = 0; v < half; v++)
        tree[v] += tree[v + half];
}

PG_INLINE double pg_sum_of_squares(const float *samples, int64_t count)
{
    const int64_t whole = count - count % PG_SUMS;
    pg_doubles tree[PG_SUM_VECTORS];
    PG_UNROLLED
    for (int first = 0; first < PG_SUM_VECTORS; first += PG_AT_ONCE) {
        const int place = first * PG_SUM_LANES;
        pg_doubles sums[PG_AT_ONCE] = {{0}}; /* apart from the tree, so that they stay in registers */
        for (int64_t t = place; t < whole; t += PG_SUMS) {
            pg_fetch(samples + t);
            pg_add_squares(samples + t, sums);
        }
        if (whole < count) {
            float rest[PG_SUMS] = {0};
            memcpy(rest, samples + whole, (size_t)(count - whole) * sizeof(float));
            pg_add_squares(rest + place, sums);
        }
        PG_UNROLLED
        for (int v = 0; v < PG_AT_ONCE; v++)
            tree[first + v] = sums[v];
    }
#if PG_LANES == 4
    pg_fold(tree, 8);
#endif
#if PG_LANES <= 8
    pg_fold(tree, 4);
#endif
    pg_fold(tree, 2);
    return pg_total(tree[0] + tree[1]);
}

static int pg_stretch_levels(const float *samples, int64_t num_samples, int64_t length, double *energy, float *rms)
{
    int finite = 1;
    for (int64_t start = 0, i = 0; start < num_samples; start += length, i++) {
        const int64_t count = num_samples - start < length ? num_samples - start : length;
        energy[i] = pg_sum_of_squares(samples + start, count);
        rms[i] = (float)sqrt(energy[i] / (double)count);
        finite &= isfinite(energy[i]) != 0;
    }
    return finite;
}

#define PG_JOINED(a, b) a##b
#define PG_NAMED(variant) PG_JOINED(pg_stretch_levels_, variant)

const pg_energy_kernel PG_NAMED(PG_VARIANT) = pg_stretch_levels;

#endif
