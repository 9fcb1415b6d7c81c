/* Discrete Fourier transforms of any length, in n log n steps even where it is prime, by Bluestein's chirp (1970).
 *
 * Theory. As 2 j k = j^2 + k^2 - (k - j)^2, with w[j] = e^(-pi i j^2 / n)
 *     X[k] = w[k] sum_j (x[j] w[j]) conj w[k - j],
 * which is a convolution with a chirp. It is done in the spectrum of m >= 2 n - 1 points, with m of radices that have butterflies.
 * The inverse transform is the forward one with real and imaginary parts exchanged.
 */
#ifndef PHONOGRAPH_CHIRP_H
#define PHONOGRAPH_CHIRP_H

#include "fft.h"

/* Transforms the first points of z, outputs in their natural order. `passes` has m points and leaves its outputs at `places`; z
 * and `spare` hold m points each. */
static void pg_chirp_fft(const pg_chirp *chirp, const pg_transform *passes, const int32_t *places, pg_vec *restrict z,
                         pg_vec *restrict spare)
{
    const int n = chirp->num_points, m = passes->num_points;
    for (int j = 0; j < n; j++) {
        const pg_complex y = pg_turned((pg_complex){z[2 * j], z[2 * j + 1]}, chirp->turns + 2 * j, 1);
        spare[2 * j] = y.r, spare[2 * j + 1] = y.i;
    }
    memset(spare + 2 * n, 0, 2 * (size_t)(m - n) * sizeof(pg_vec));
    pg_fft(passes, spare, NULL);
    for (int k = 0; k < m; k++) {
        const pg_vec *at = spare + 2 * places[k];
        const pg_complex y = pg_turned((pg_complex){at[0], at[1]}, chirp->response + 2 * k, 1);
        z[2 * k] = y.i, z[2 * k + 1] = y.r;
    }
    pg_fft(passes, z, NULL);
    for (int k = 0; k < n; k++) {
        const pg_vec *at = z + 2 * places[k];
        const pg_complex y = pg_turned((pg_complex){at[1], at[0]}, chirp->turns + 2 * k, 1);
        spare[2 * k] = y.r, spare[2 * k + 1] = y.i;
    }
    memcpy(z, spare, 2 * (size_t)n * sizeof(pg_vec));
}

#endif
