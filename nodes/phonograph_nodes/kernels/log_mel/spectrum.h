/* From windows to power spectra, PG_LANES windows side by side.
 *
 * Theory. The spectrum of a real window x[0 .. 2n-1] comes from a complex transform of n points: with z[j] = x[2j] + i x[2j+1] and Z
 * its transform, E[k] = (Z[k] + conj Z[n-k]) / 2 belongs to the even samples, O[k] = (Z[k] - conj Z[n-k]) / 2i to the odd ones, and
 * X[k] = E[k] + e^(-2 pi i k / 2n) O[k], X[n-k] = conj(E[k] - e^(-2 pi i k / 2n) O[k]). The factors 1/2 are left out: power comes out
 * four times too large, which the mel weights make good.
 *
 * Windows are rows in memory and lanes in the transform. Sixteen samples of each are read, multiplied by the window function and
 * transposed in registers, which gives row 2j the real, row 2j+1 the imaginary parts of point j. A window shorter than the transform
 * stands at its beginning: where it stands turns phases, not powers.
 *
 * Two lengths have straight code, 200 = 5 * 5 * 8 points for 400 samples and 256 = 8 * 8 * 4 for 512: the first pass is fused with the
 * transposition, the last one with the split into two real spectra, so that the points are in memory for one pass only. All
 * other lengths take the passes of fft.h one after another.
 */
#ifndef PHONOGRAPH_LOG_MEL_SPECTRUM_H
#define PHONOGRAPH_LOG_MEL_SPECTRUM_H

#include "../chirp.h"
#include "signal.h"

/* Sample `at` of each window, less the window's mean */
PG_INLINE pg_vec pg_load_sample(const pg_plan *plan, const pg_group *group, int at)
{
    pg_vec row;
    for (int lane = 0; lane < PG_LANES; lane++)
        row[lane] = group->samples[lane * (int64_t)plan->hop_length + at];
    return row - pg_load(group->means);
}

/* What stands before sample `at` of each window, for pre-emphasis: a window's first value is taken twice, f[0] - c f[0] */
PG_INLINE pg_vec pg_load_before(const pg_plan *plan, const pg_group *group, int at)
{
    return pg_load_sample(plan, group, at ? at - 1 : 0);
}

/* PG_LANES samples of each window, from sample `at` on, as rows under the window function. In-window steps are done in the order
 * and with the roundings of Kaldi: mean, pre-emphasis, window; `before` is the row before these and becomes the last of them. */
PG_INLINE void pg_load_block(const pg_plan *plan, const pg_group *group, int at, const int in_window, pg_vec *before,
                             pg_vec rows[PG_LANES])
{
    const float *x = group->samples + at, *window = plan->window + at;
    const int64_t hop = plan->hop_length;
    if (!in_window) {
        const pg_vec factors = pg_load(window);
        PG_UNROLLED
        for (int lane = 0; lane < PG_LANES; lane++)
            rows[lane] = pg_load(x + lane * hop) * factors;
        pg_transpose(rows);
        return;
    }
    PG_UNROLLED
    for (int lane = 0; lane < PG_LANES; lane++)
        rows[lane] = pg_load(x + lane * hop);
    pg_transpose(rows);
    const pg_vec means = pg_load(group->means), preemphasis = pg_splat(plan->window_preemphasis);
    PG_UNROLLED
    for (int i = 0; i < PG_LANES; i++) {
        const pg_vec here = rows[i] - means;
        rows[i] = (here - pg_product(preemphasis, *before)) * window[i];
        *before = here;
    }
}

/* Loading and the first pass, for a radix and a number of filled points that are constants: block j of `m` points is samples
 * 2 m j and up. Points from `filled` on are zero, and the compiler drops the arithmetic on them. */
PG_INLINE void pg_load_and_first_pass(const pg_plan *plan, const pg_group *group, const int in_window, const int radix, const int m,
                                      const int filled, pg_vec *restrict z)
{
    const int step = PG_LANES / 2; /* points that one transposition gives */
    pg_vec before[PG_LARGEST_BUTTERFLY];
    for (int j = 0; in_window && j * m < filled; j++)
        before[j] = pg_load_before(plan, group, 2 * j * m);
    for (int p = 0; p < m; p += step) {
        pg_vec rows[PG_LARGEST_BUTTERFLY][PG_LANES];
        const int full = filled / m, rest = p < filled % m; /* blocks that are filled at these points */
        PG_UNROLLED
        for (int j = 0; j < full; j++)
            pg_load_block(plan, group, 2 * (p + j * m), in_window, &before[j], rows[j]);
        if (rest)
            pg_load_block(plan, group, 2 * (p + full * m), in_window, &before[full], rows[full]);
        for (int i = 0; i < step; i++) {
            pg_complex x[PG_LARGEST_BUTTERFLY];
            PG_UNROLLED
            for (int j = 0; j < radix; j++)
                x[j] = j < full ? (pg_complex){rows[j][2 * i], rows[j][2 * i + 1]} : (pg_complex){{0}, {0}};
            if (rest)
                x[full] = (pg_complex){rows[full][2 * i], rows[full][2 * i + 1]};
            pg_butterfly(radix, x);
            const float *turns = plan->transform.turns + 2 * (p + i) * (radix - 1);
            PG_UNROLLED
            for (int k = 0; k < radix; k++) {
                const pg_complex y = k ? pg_turned(x[k], turns + 2 * (k - 1), in_window) : x[k];
                z[2 * (p + i + k * m)] = y.r, z[2 * (p + i + k * m) + 1] = y.i;
            }
        }
    }
}

/* Four times |X[k]|^2 and |X[n-k]|^2 from Z[k] and Z[n-k]; split: cosine and sine of 2 pi k / 2n */
PG_INLINE void pg_split_power(pg_complex a, pg_complex b, const float *split, pg_vec *here, pg_vec *there)
{
    const pg_complex even = {a.r + b.r, a.i - b.i};
    const pg_complex odd = pg_turned((pg_complex){a.i + b.i, b.r - a.r}, split, 0);
    const pg_complex sum = pg_plus(even, odd), difference = pg_minus(even, odd);
    *here = sum.r * sum.r + sum.i * sum.i;
    *there = difference.r * difference.r + difference.i * difference.i;
}

PG_INLINE void pg_power_at_ends(pg_complex zero, pg_vec *first, pg_vec *last)
{
    const pg_vec sum = 2.0f * (zero.r + zero.i), difference = 2.0f * (zero.r - zero.i);
    *first = sum * sum;
    *last = difference * difference;
}

PG_INLINE pg_vec pg_power_in_middle(pg_complex z)
{
    return 4.0f * (z.r * z.r + z.i * z.i);
}

/* The last pass and the split, for two radices before the last. Block q = k1 + r1 k2 holds the outputs q + blocks * k3, and their
 * mirror images stand in block `blocks - q`: the two are transformed together. */
PG_INLINE void pg_last_pass_and_power(const int r1, const int r2, const int r3, const float *splits, const pg_vec *restrict z,
                                      pg_vec *restrict power)
{
    const int blocks = r1 * r2, n = blocks * r3;
#define PG_BLOCK(q) (z + 2 * (((q) % r1) * (n / r1) + ((q) / r1) * r3))
    for (int q = 1; q <= (blocks - 1) / 2; q++) {
        pg_complex a[PG_LARGEST_BUTTERFLY], b[PG_LARGEST_BUTTERFLY];
        const pg_vec *at_a = PG_BLOCK(q), *at_b = PG_BLOCK(blocks - q);
        PG_UNROLLED
        for (int j = 0; j < r3; j++)
            a[j] = (pg_complex){at_a[2 * j], at_a[2 * j + 1]};
        pg_butterfly(r3, a);
        PG_UNROLLED
        for (int j = 0; j < r3; j++)
            b[j] = (pg_complex){at_b[2 * j], at_b[2 * j + 1]};
        pg_butterfly(r3, b);
        PG_UNROLLED
        for (int k3 = 0; k3 < r3; k3++) {
            const int k = q + blocks * k3;
            pg_split_power(a[k3], b[r3 - 1 - k3], splits + 2 * k, &power[k], &power[n - k]);
        }
    }
    for (int q = 0; q < blocks; q += blocks - blocks / 2) { /* blocks 0 and, for an even number, the middle one are their own images */
        if (q && blocks % 2)
            break;
        pg_complex a[PG_LARGEST_BUTTERFLY];
        const pg_vec *at = PG_BLOCK(q);
        PG_UNROLLED
        for (int j = 0; j < r3; j++)
            a[j] = (pg_complex){at[2 * j], at[2 * j + 1]};
        pg_butterfly(r3, a);
        if (q == 0) {
            pg_power_at_ends(a[0], &power[0], &power[n]);
            PG_UNROLLED
            for (int k3 = 1; k3 < r3 / 2; k3++)
                pg_split_power(a[k3], a[r3 - k3], splits + 2 * blocks * k3, &power[blocks * k3], &power[n - blocks * k3]);
            power[n / 2] = pg_power_in_middle(a[r3 / 2]);
        } else {
            PG_UNROLLED
            for (int k3 = 0; k3 < r3 / 2; k3++) {
                const int k = q + blocks * k3;
                pg_split_power(a[k3], a[r3 - 1 - k3], splits + 2 * k, &power[k], &power[n - k]);
            }
        }
    }
#undef PG_BLOCK
}

PG_INLINE void pg_power_of_400(const pg_plan *plan, const pg_group *group, const int in_window, pg_vec *z, pg_vec *power)
{
    pg_load_and_first_pass(plan, group, in_window, 5, 40, 200, z);
    pg_pass(5, z, 5, 8, plan->transform.turns + 2 * 40 * 4, in_window);
    pg_last_pass_and_power(5, 5, 8, plan->splits, z, power);
}

PG_INLINE void pg_power_of_512(const pg_plan *plan, const pg_group *group, const int in_window, const int filled, pg_vec *z,
                               pg_vec *power)
{
    pg_load_and_first_pass(plan, group, in_window, 8, 32, filled, z);
    pg_pass(8, z, 8, 4, plan->transform.turns + 2 * 32 * 7, in_window);
    pg_last_pass_and_power(8, 8, 4, plan->splits, z, power);
}

static void pg_power_of_any(const pg_plan *plan, const pg_group *group, pg_vec *z, pg_vec *spare, pg_vec *power)
{
    const int length = plan->fft_length, halved = length % 2 == 0, n = halved ? length / 2 : length;
    const int32_t *places = plan->chirp.num_points ? NULL : plan->places; /* NULL: in their natural order */
    const int step = halved ? 1 : 2; /* an odd length is transformed with imaginary parts of zero */
    memset(z, 0, 2 * (size_t)n * sizeof(pg_vec));
    pg_vec before = pg_load_before(plan, group, 0);
    for (int at = 0; at < plan->window_length; at += PG_LANES) {
        pg_vec rows[PG_LANES];
        if (plan->remove_mean || plan->window_preemphasis != 0.0f)
            pg_load_block(plan, group, at, 1, &before, rows);
        else
            pg_load_block(plan, group, at, 0, &before, rows);
        for (int i = 0; i < PG_LANES && at + i < plan->window_length; i++)
            z[step * (at + i)] = rows[i];
    }
    if (plan->chirp.num_points)
        pg_chirp_fft(&plan->chirp, &plan->transform, plan->places, z, spare);
    else
        pg_fft(&plan->transform, z, spare);
    if (!halved) {
        for (int k = 0; k <= length / 2; k++) {
            const pg_vec *at = z + 2 * (places ? places[k] : k);
            power[k] = 4.0f * (at[0] * at[0] + at[1] * at[1]);
        }
        return;
    }
    pg_power_at_ends((pg_complex){z[0], z[1]}, &power[0], &power[n]);
    for (int k = 1; 2 * k <= n; k++) {
        const pg_vec *a = z + 2 * (places ? places[k] : k), *b = z + 2 * (places ? places[n - k] : n - k);
        pg_split_power((pg_complex){a[0], a[1]}, (pg_complex){b[0], b[1]}, plan->splits + 2 * k, &power[k], &power[n - k]);
    }
}

static void pg_power(const pg_plan *plan, const pg_group *group, pg_vec *z, pg_vec *spare, pg_vec *power)
{
    const int in_window = plan->remove_mean || plan->window_preemphasis != 0.0f;
    if (plan->fft_length == 400 && plan->window_length == 400)
        in_window ? pg_power_of_400(plan, group, 1, z, power) : pg_power_of_400(plan, group, 0, z, power);
    else if (plan->fft_length == 512 && plan->window_length == 400)
        in_window ? pg_power_of_512(plan, group, 1, 200, z, power) : pg_power_of_512(plan, group, 0, 200, z, power);
    else
        pg_power_of_any(plan, group, z, spare, power);
    if (plan->power == 1) /* |X| = |2 X| / 2 */
        for (int k = 0; k <= plan->fft_length / 2; k++)
            for (int lane = 0; lane < PG_LANES; lane++)
                power[k][lane] = sqrtf(power[k][lane]);
}

#endif
