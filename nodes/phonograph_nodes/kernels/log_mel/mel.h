/* From power spectra to levels: mel bins, logarithm, cepstra; PG_LANES windows side by side.
 *
 * Theory. The triangles of a mel bank overlap their neighbours only: a spectral bin between corners s and s + 1 lies in the filter
 * that falls there (s - 1) and in the one that rises (s). So one walk over the spectrum makes all energies, with two sums at a time.
 * Segments are filled up with weights of zero to the width of those before them: some bins are read for nothing, but widths change
 * only a few times on the way up, and the loops in between are straight code. Unequal loops cost three times as much, in
 * branches that the processor guesses wrong.
 *
 * ln x = e ln 2 + ln m with x = 2^e m and m in [2/3, 4/3). With f = m - 1, ln m = f + f^2 q(f); q is the polynomial of degree 6 whose
 * largest error of f^2 q is least, 4.3e-8, found by iteratively reweighted least squares on that interval. Together with the
 * rounding of float32 the logarithm is right to within 1.2e-7 of its value, at least 8e-8, for all normal numbers.
 */
#ifndef PHONOGRAPH_LOG_MEL_MEL_H
#define PHONOGRAPH_LOG_MEL_MEL_H

#include "plan.h"
#include "../vectors.h"

PG_INLINE pg_vec pg_ln(pg_vec x)
{
    const int32_t two_thirds = 0x3f2aaaab;
    const pg_ints bits = (pg_ints)x;
    const pg_ints exponent = (bits - two_thirds) >> 23;
    const pg_vec f = (pg_vec)(bits - (exponent << 23)) - 1.0f;
    pg_vec q = -0.15918518131073758f * f + 0.1719433059465856f;
    q = q * f - 0.16307469007563993f;
    q = q * f + 0.19784341312380407f;
    q = q * f - 0.2501434037530723f;
    q = q * f + 0.33338042961623005f;
    q = q * f - 0.4999983201068152f;
    const pg_vec whole = __builtin_convertvector(exponent, pg_vec) * 0.69314718055994531f;
    return whole + (f + f * f * q);
}

/* Where a walk over the segments has come to. */
typedef struct {
    const int32_t *start;
    const float *weights;
    pg_vec *energy; /* of the filter that falls in the next segment */
    pg_vec falling; /* what it has from the segment in which it rose */
} pg_walk;

/* `segments` segments of a width that is constant, so that no branch depends on the filter bank. */
PG_INLINE void pg_mel_run(pg_walk *walk, const pg_vec *restrict power, int segments, const int width)
{
    const int32_t *start = walk->start;
    const float *weights = walk->weights;
    pg_vec falling = walk->falling;
    for (int s = 0; s < segments; s++) {
        const pg_vec *at = power + start[s];
        pg_vec rising = {0};
        PG_UNROLLED
        for (int k = 0; k < width; k++) {
            falling += weights[2 * k] * at[k];
            rising += weights[2 * k + 1] * at[k];
        }
        weights += 2 * width;
        walk->energy[s] = falling;
        falling = rising;
    }
    walk->start = start + segments;
    walk->weights = weights;
    walk->energy += segments;
    walk->falling = falling;
}

/* Energies to energies[1 .. num_mel_bins]; energies[0] takes what falls in the first segment, which is nothing. */
static inline void pg_mel(const pg_plan *plan, const pg_vec *restrict power, pg_vec *restrict energies)
{
    pg_walk walk = {plan->starts, plan->mel_weights, energies, {0}};
    for (int run = 0; run < plan->num_runs; run++) {
        const int segments = plan->runs[2 * run], width = plan->runs[2 * run + 1];
        switch (width) {
        case 0: pg_mel_run(&walk, power, segments, 0); break;
        case 1: pg_mel_run(&walk, power, segments, 1); break;
        case 2: pg_mel_run(&walk, power, segments, 2); break;
        case 3: pg_mel_run(&walk, power, segments, 3); break;
        case 4: pg_mel_run(&walk, power, segments, 4); break;
        case 5: pg_mel_run(&walk, power, segments, 5); break;
        case 6: pg_mel_run(&walk, power, segments, 6); break;
        case 7: pg_mel_run(&walk, power, segments, 7); break;
        case 8: pg_mel_run(&walk, power, segments, 8); break;
        case 9: pg_mel_run(&walk, power, segments, 9); break;
        default: pg_mel_run(&walk, power, segments, width); break;
        }
    }
}

/* In place, energies to levels; returns the highest in each lane. An energy that is NaN or infinite makes its lane of `spoilt` NaN,
 * because its level may be the floor's. */
static inline pg_vec pg_levels(const pg_plan *plan, pg_vec *values, pg_vec *spoilt)
{
    const pg_vec floor = pg_splat(plan->floor);
    pg_vec highest = pg_splat(-INFINITY);
    for (int bin = 0; bin < plan->num_mel_bins; bin++) {
        *spoilt += values[bin] * 0.0f;
        const pg_vec level = plan->log_scale * pg_ln(plan->add_floor ? values[bin] + floor : pg_at_least(values[bin], floor));
        values[bin] = level;
        highest = pg_at_least(highest, level);
    }
    return highest;
}

/* Four sums each, which lets float32 lose a quarter as much. */
static inline void pg_cepstra(const pg_plan *plan, const pg_vec *restrict levels, pg_vec *restrict cepstra)
{
    const float *weights = plan->cepstra;
    const int num_bins = plan->num_mel_bins;
    for (int c = 0; c < plan->num_cepstra; c++, weights += num_bins) {
        pg_vec sums[4] = {{0}};
        int bin = 0;
        for (; bin + 4 <= num_bins; bin += 4)
            for (int part = 0; part < 4; part++)
                sums[part] += weights[bin + part] * levels[bin + part];
        for (; bin < num_bins; bin++)
            sums[0] += weights[bin] * levels[bin];
        cepstra[c] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

#endif
