/* Discrete Fourier transforms of PG_LANES signals side by side, in place, by decimation in frequency.
 *
 * Theory. One pass of radix r over a block of n points (m = n / r) computes, for p < m,
 *     y[p + k m] = e^(-2 pi i p k / n) sum_j x[p + j m] e^(-2 pi i j k / r),      k = 0 .. r-1,
 * and leaves r blocks of m points, number k of which holds the outputs whose index is k modulo r. Passes of radices r1, r2, r3
 * leave X[k1 + r1 (k2 + r2 k3)] at the place k1 n/r1 + k2 n/(r1 r2) + k3: nothing is moved to sort the outputs, their readers know
 * where each lies. The last pass has no twiddle factors.
 *
 * Layout. Point j of all the signals is two vectors: real part at z[2j], imaginary part at z[2j+1]. Twiddle factors of a pass are
 * [p][k = 1 .. r-1][cos, sin](2 pi p k / n) as float32; a product with e^(-i a) is (c - i s)(x + i y).
 *
 * The butterfly of five points is Winograd's: it takes the mean out first, so that a constant gives exact zeros.
 */
#ifndef PHONOGRAPH_FFT_H
#define PHONOGRAPH_FFT_H

#include "transform.h"
#include "vectors.h"

enum { PG_LARGEST_BUTTERFLY = 9 }; /* prime radices above it are summed as the formula stands */

typedef struct {
    pg_vec r, i;
} pg_complex;

PG_INLINE pg_complex pg_plus(pg_complex a, pg_complex b)
{
    return (pg_complex){a.r + b.r, a.i + b.i};
}

PG_INLINE pg_complex pg_minus(pg_complex a, pg_complex b)
{
    return (pg_complex){a.r - b.r, a.i - b.i};
}

PG_INLINE pg_complex pg_minus_i_times(pg_complex a)
{
    return (pg_complex){a.i, -a.r};
}

PG_INLINE pg_complex pg_scaled(float factor, pg_complex a)
{
    return (pg_complex){factor * a.r, factor * a.i};
}

/* a (c - i s), with [c, s] in the table. Fused multiply-adds round one of two products, which leaves the other's rounding where
 * they should cancel; `exact` rounds both, for front ends whose faint bins live on that. It costs some 6 % of the whole. */
PG_INLINE pg_complex pg_turned(pg_complex a, const float *turn, const int exact)
{
    if (!exact)
        return (pg_complex){turn[0] * a.r + turn[1] * a.i, turn[0] * a.i - turn[1] * a.r};
    const pg_vec cosine = pg_splat(turn[0]), sine = pg_splat(turn[1]);
    return (pg_complex){pg_product(cosine, a.r) + pg_product(sine, a.i), pg_product(cosine, a.i) - pg_product(sine, a.r)};
}

PG_INLINE void pg_butterfly2(pg_complex x[2])
{
    const pg_complex sum = pg_plus(x[0], x[1]), difference = pg_minus(x[0], x[1]);
    x[0] = sum, x[1] = difference;
}

PG_INLINE void pg_butterfly3(pg_complex x[3])
{
    const float sine = 0.86602540378443864676f; /* sin 2 pi / 3 */
    const pg_complex sum = pg_plus(x[1], x[2]), turned = pg_scaled(sine, pg_minus_i_times(pg_minus(x[1], x[2])));
    const pg_complex middle = {x[0].r - 0.5f * sum.r, x[0].i - 0.5f * sum.i};
    x[0] = pg_plus(x[0], sum);
    x[1] = pg_plus(middle, turned);
    x[2] = pg_minus(middle, turned);
}

PG_INLINE void pg_butterfly4(pg_complex x[4])
{
    const pg_complex sum02 = pg_plus(x[0], x[2]), dif02 = pg_minus(x[0], x[2]);
    const pg_complex sum13 = pg_plus(x[1], x[3]), dif13 = pg_minus(x[1], x[3]);
    x[0] = pg_plus(sum02, sum13);
    x[1] = (pg_complex){dif02.r + dif13.i, dif02.i - dif13.r};
    x[2] = pg_minus(sum02, sum13);
    x[3] = (pg_complex){dif02.r - dif13.i, dif02.i + dif13.r};
}

PG_INLINE void pg_butterfly5(pg_complex x[5])
{
    const float s1 = 0.95105651629515357212f, s2 = 0.58778525229247312917f; /* sin 2 pi / 5, sin 4 pi / 5 */
    const float c = 0.55901699437494742410f;                                /* (cos 2 pi / 5 - cos 4 pi / 5) / 2 */
    const pg_complex sum1 = pg_plus(x[1], x[4]), dif1 = pg_minus(x[1], x[4]);
    const pg_complex sum2 = pg_plus(x[2], x[3]), dif2 = pg_minus(x[2], x[3]);
    const pg_complex sum = pg_plus(sum1, sum2), across = pg_minus(sum1, sum2);
    const pg_complex middle = {x[0].r - 0.25f * sum.r, x[0].i - 0.25f * sum.i};
    const pg_complex even1 = {middle.r + c * across.r, middle.i + c * across.i};
    const pg_complex even2 = {middle.r - c * across.r, middle.i - c * across.i};
    const pg_complex odd1 = {s1 * dif1.r + s2 * dif2.r, s1 * dif1.i + s2 * dif2.i};
    const pg_complex odd2 = {s2 * dif1.r - s1 * dif2.r, s2 * dif1.i - s1 * dif2.i};
    x[0] = pg_plus(x[0], sum);
    x[1] = (pg_complex){even1.r + odd1.i, even1.i - odd1.r};
    x[2] = (pg_complex){even2.r + odd2.i, even2.i - odd2.r};
    x[3] = (pg_complex){even2.r - odd2.i, even2.i + odd2.r};
    x[4] = (pg_complex){even1.r - odd1.i, even1.i + odd1.r};
}

/* 2 times 3 points, whose indices need no twiddle factors between them: j = 3 a + 2 b, k = 3 c + 4 d modulo 6 (Good, Thomas). */
PG_INLINE void pg_butterfly6(pg_complex x[6])
{
    pg_complex even[3] = {pg_plus(x[0], x[3]), pg_plus(x[2], x[5]), pg_plus(x[4], x[1])};
    pg_complex odd[3] = {pg_minus(x[0], x[3]), pg_minus(x[2], x[5]), pg_minus(x[4], x[1])};
    pg_butterfly3(even);
    pg_butterfly3(odd);
    x[0] = even[0], x[4] = even[1], x[2] = even[2];
    x[3] = odd[0], x[1] = odd[1], x[5] = odd[2];
}

/* Sums and differences of the points j and 7 - j: cosines meet the sums, sines the differences. */
PG_INLINE void pg_butterfly7(pg_complex x[7])
{
    const float c1 = 0.62348980185873353053f, c2 = -0.22252093395631440429f, c3 = -0.90096886790241912624f; /* cos 2 pi j / 7 */
    const float s1 = 0.78183148246802980871f, s2 = 0.97492791218182360702f, s3 = 0.43388373911755812048f;   /* sin 2 pi j / 7 */
    const pg_complex sum1 = pg_plus(x[1], x[6]), dif1 = pg_minus(x[1], x[6]);
    const pg_complex sum2 = pg_plus(x[2], x[5]), dif2 = pg_minus(x[2], x[5]);
    const pg_complex sum3 = pg_plus(x[3], x[4]), dif3 = pg_minus(x[3], x[4]);
    const pg_complex even1 = {x[0].r + c1 * sum1.r + c2 * sum2.r + c3 * sum3.r, x[0].i + c1 * sum1.i + c2 * sum2.i + c3 * sum3.i};
    const pg_complex even2 = {x[0].r + c2 * sum1.r + c3 * sum2.r + c1 * sum3.r, x[0].i + c2 * sum1.i + c3 * sum2.i + c1 * sum3.i};
    const pg_complex even3 = {x[0].r + c3 * sum1.r + c1 * sum2.r + c2 * sum3.r, x[0].i + c3 * sum1.i + c1 * sum2.i + c2 * sum3.i};
    const pg_complex odd1 = {s1 * dif1.r + s2 * dif2.r + s3 * dif3.r, s1 * dif1.i + s2 * dif2.i + s3 * dif3.i};
    const pg_complex odd2 = {s2 * dif1.r - s3 * dif2.r - s1 * dif3.r, s2 * dif1.i - s3 * dif2.i - s1 * dif3.i};
    const pg_complex odd3 = {s3 * dif1.r - s1 * dif2.r + s2 * dif3.r, s3 * dif1.i - s1 * dif2.i + s2 * dif3.i};
    x[0] = pg_plus(pg_plus(x[0], sum1), pg_plus(sum2, sum3));
    x[1] = (pg_complex){even1.r + odd1.i, even1.i - odd1.r};
    x[2] = (pg_complex){even2.r + odd2.i, even2.i - odd2.r};
    x[3] = (pg_complex){even3.r + odd3.i, even3.i - odd3.r};
    x[4] = (pg_complex){even3.r - odd3.i, even3.i + odd3.r};
    x[5] = (pg_complex){even2.r - odd2.i, even2.i + odd2.r};
    x[6] = (pg_complex){even1.r - odd1.i, even1.i + odd1.r};
}

PG_INLINE void pg_butterfly8(pg_complex x[8])
{
    const float h = 0.70710678118654752440f; /* sqrt(1/2) */
    pg_complex even[4] = {pg_plus(x[0], x[4]), pg_plus(x[1], x[5]), pg_plus(x[2], x[6]), pg_plus(x[3], x[7])};
    const pg_complex d0 = pg_minus(x[0], x[4]), d1 = pg_minus(x[1], x[5]), d2 = pg_minus(x[2], x[6]), d3 = pg_minus(x[3], x[7]);
    pg_butterfly4(even);
    /* the odd half: twiddles 1, (1 - i) h, -i, (-1 - i) h, then four points */
    const pg_complex t1 = {d1.r + d1.i, d1.i - d1.r}, t3 = {d3.i - d3.r, -(d3.i + d3.r)};
    const pg_complex sum02 = {d0.r + d2.i, d0.i - d2.r}, dif02 = {d0.r - d2.i, d0.i + d2.r};
    const pg_complex sum13 = pg_plus(t1, t3), dif13 = pg_minus(t1, t3);
    x[0] = even[0], x[2] = even[1], x[4] = even[2], x[6] = even[3];
    x[1] = (pg_complex){sum02.r + h * sum13.r, sum02.i + h * sum13.i};
    x[5] = (pg_complex){sum02.r - h * sum13.r, sum02.i - h * sum13.i};
    x[3] = (pg_complex){dif02.r + h * dif13.i, dif02.i - h * dif13.r};
    x[7] = (pg_complex){dif02.r - h * dif13.i, dif02.i + h * dif13.r};
}

/* 3 times 3 points: j = 3 a + b, k = c + 3 d, with the twiddle factors e^(-2 pi i b c / 9) between. */
PG_INLINE void pg_butterfly9(pg_complex x[9])
{
    const float turn1[2] = {0.76604444311897803520f, 0.64278760968653932632f}; /* cosine and sine of 2 pi / 9 */
    const float turn2[2] = {0.17364817766693034885f, 0.98480775301220805937f}; /* of 4 pi / 9 */
    const float turn4[2] = {-0.93969262078590838405f, 0.34202014332566873304f}; /* of 8 pi / 9 */
    pg_complex a[3] = {x[0], x[3], x[6]}, b[3] = {x[1], x[4], x[7]}, c[3] = {x[2], x[5], x[8]};
    pg_butterfly3(a);
    pg_butterfly3(b);
    pg_butterfly3(c);
    pg_complex first[3] = {a[0], b[0], c[0]};
    pg_complex second[3] = {a[1], pg_turned(b[1], turn1, 0), pg_turned(c[1], turn2, 0)};
    pg_complex third[3] = {a[2], pg_turned(b[2], turn2, 0), pg_turned(c[2], turn4, 0)};
    pg_butterfly3(first);
    pg_butterfly3(second);
    pg_butterfly3(third);
    PG_UNROLLED
    for (int d = 0; d < 3; d++)
        x[3 * d] = first[d], x[3 * d + 1] = second[d], x[3 * d + 2] = third[d];
}

PG_INLINE void pg_butterfly(int radix, pg_complex *x)
{
    switch (radix) {
    case 2: pg_butterfly2(x); break;
    case 3: pg_butterfly3(x); break;
    case 4: pg_butterfly4(x); break;
    case 5: pg_butterfly5(x); break;
    case 6: pg_butterfly6(x); break;
    case 7: pg_butterfly7(x); break;
    case 9: pg_butterfly9(x); break;
    default: pg_butterfly8(x); break;
    }
}

/* One pass over `blocks` blocks of `radix * m` points; `turns` may be NULL for m = 1. Constant arguments give straight code. */
PG_INLINE void pg_pass(const int radix, pg_vec *z, int blocks, int m, const float *turns, const int exact)
{
    for (int p = 0; p < m; p++)
        for (int block = 0; block < blocks; block++) {
            pg_vec *at = z + 2 * (block * radix * m + p);
            pg_complex x[PG_LARGEST_BUTTERFLY];
            PG_UNROLLED
            for (int j = 0; j < radix; j++)
                x[j] = (pg_complex){at[2 * j * m], at[2 * j * m + 1]};
            pg_butterfly(radix, x);
            PG_UNROLLED
            for (int k = 0; k < radix; k++) {
                const pg_complex y = k && turns ? pg_turned(x[k], turns + 2 * (p * (radix - 1) + k - 1), exact) : x[k];
                at[2 * k * m] = y.r, at[2 * k * m + 1] = y.i;
            }
        }
}

/* A pass of any radix, for prime factors without a butterfly: radix^2 products. `roots` is [q < radix][cos, sin](2 pi q / radix),
 * `spare` holds 2 * radix vectors. */
static void pg_pass_of_any_radix(int radix, pg_vec *z, int blocks, int m, const float *turns, const float *roots, pg_vec *spare)
{
    for (int p = 0; p < m; p++)
        for (int block = 0; block < blocks; block++) {
            pg_vec *at = z + 2 * (block * radix * m + p);
            for (int j = 0; j < radix; j++)
                spare[2 * j] = at[2 * j * m], spare[2 * j + 1] = at[2 * j * m + 1];
            for (int k = 0; k < radix; k++) {
                pg_complex sum = {spare[0], spare[1]};
                for (int j = 1, turn = 0; j < radix; j++) {
                    turn += k;
                    turn -= turn >= radix ? radix : 0;
                    sum = pg_plus(sum, pg_turned((pg_complex){spare[2 * j], spare[2 * j + 1]}, roots + 2 * turn, 1));
                }
                const pg_complex y = k && m > 1 ? pg_turned(sum, turns + 2 * (p * (radix - 1) + k - 1), 1) : sum;
                at[2 * k * m] = y.r, at[2 * k * m + 1] = y.i;
            }
        }
}

/* The radices that `pg_fft` takes a butterfly for; the others of the resampler's are known to its own passes alone. */
static inline int pg_has_butterfly(int radix)
{
    return radix == 2 || radix == 3 || radix == 4 || radix == 5 || radix == 8;
}

/* The whole transform; `spare` holds twice as many vectors as the largest radix without a butterfly. */
static void pg_fft(const pg_transform *transform, pg_vec *z, pg_vec *spare)
{
    const float *turns = transform->turns;
    int blocks = 1, n = transform->num_points;
    for (int pass = 0; pass < transform->num_passes; pass++) {
        const int radix = transform->radices[pass], m = n / radix;
        const float *twiddles = m > 1 ? turns : NULL;
        switch (radix) {
        case 2: pg_pass(2, z, blocks, m, twiddles, 1); break;
        case 3: pg_pass(3, z, blocks, m, twiddles, 1); break;
        case 4: pg_pass(4, z, blocks, m, twiddles, 1); break;
        case 5: pg_pass(5, z, blocks, m, twiddles, 1); break;
        case 8: pg_pass(8, z, blocks, m, twiddles, 1); break;
        default: pg_pass_of_any_radix(radix, z, blocks, m, turns, turns + 2 * m * (radix - 1), spare);
        }
        turns += 2 * m * (radix - 1) + (pg_has_butterfly(radix) ? 0 : 2 * radix);
        blocks *= radix;
        n = m;
    }
}

#endif
