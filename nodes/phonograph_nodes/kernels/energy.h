/* Power of successive stretches of a signal.
 *
 * Theory. The sum of squares of stretch i is sum x[t]^2 over t = i L .. min((i+1) L, n) - 1. A float32 squared in float64 is
 * exact and at most 2^256, so a sum is finite exactly when its samples are, whatever the length: NaN and infinity are found
 * without a second pass. Eight partial sums break the chain of dependent additions; the order is fixed, so results repeat.
 */
#ifndef PHONOGRAPH_ENERGY_H
#define PHONOGRAPH_ENERGY_H

#include <math.h>
#include <stdint.h>

enum { PG_SUMS = 8 };

static inline double pg_sum_of_squares(const float *samples, int64_t count)
{
    double sums[PG_SUMS] = {0};
    int64_t t = 0;
    for (; t + PG_SUMS <= count; t += PG_SUMS)
        for (int l = 0; l < PG_SUMS; l++) {
            const double v = samples[t + l];
            sums[l] += v * v;
        }
    for (; t < count; t++)
        sums[0] += (double)samples[t] * samples[t];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* Sums of squares to out[ceil(num_samples / length)], the last one over what is left; returns whether all samples are finite. */
static int pg_stretch_energy(const float *samples, int64_t num_samples, int64_t length, double *out)
{
    int finite = 1;
    for (int64_t start = 0, i = 0; start < num_samples; start += length, i++) {
        out[i] = pg_sum_of_squares(samples + start, num_samples - start < length ? num_samples - start : length);
        finite &= isfinite(out[i]) != 0;
    }
    return finite;
}

#endif
