/* PG_LANES samples in registers, as float32, as float64 in two halves, or as integers; from each to each.
 *
 * Theory. Full scale is 1: an integer q of b bits stands for q / 2^(b-1). As integers, samples of every format are held with
 * their value times 2^31, so that formats differ by a shift. All 32 bits are exact in float64, the 24 of shorter formats in
 * float32 too.
 *
 * Rounding adds and subtracts 1.5 * 2^52 (1.5 * 2^23 in float32): beside a number of that size there is no room for a fraction,
 * and the addition itself rounds as the processor does, halves to even. It needs no instruction that older processors lack, and
 * must not be compiled with reassociation of floating-point sums (-ffast-math).
 */
#ifndef PHONOGRAPH_CONVERT_LANES_H
#define PHONOGRAPH_CONVERT_LANES_H

#include "../vectors.h"

typedef int64_t pg_longs __attribute__((vector_size(4 * PG_LANES)));
typedef int32_t pg_half_ints __attribute__((vector_size(2 * PG_LANES)));
typedef float pg_half_floats __attribute__((vector_size(2 * PG_LANES)));

typedef long long pg_half_bits __attribute__((vector_size(2 * PG_LANES)));

typedef struct {
    pg_ints times_2_31;
} pg_fixed;

typedef struct {
    pg_doubles low, high;
} pg_pair;

/* How many NaN were found, by lane. */
typedef struct {
    pg_ints single;
    pg_longs low, high;
} pg_nans;

#if PG_LANES == 16
#define PG_FIRST_HALF 0, 1, 2, 3, 4, 5, 6, 7
#define PG_SECOND_HALF 8, 9, 10, 11, 12, 13, 14, 15
#define PG_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#elif PG_LANES == 8
#define PG_FIRST_HALF 0, 1, 2, 3
#define PG_SECOND_HALF 4, 5, 6, 7
#define PG_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#else
#define PG_FIRST_HALF 0, 1
#define PG_SECOND_HALF 2, 3
#define PG_EVEN 0, 2, 4, 6
#endif

#if defined(__x86_64__) && PG_LANES == 16
#define PG_X86(operation) _mm512_##operation
#elif defined(__x86_64__) && PG_LANES == 8
#define PG_X86(operation) _mm256_##operation
#elif defined(__x86_64__)
#define PG_X86(operation) _mm_##operation
#endif

/* mask is -1 or 0 in each lane; all three are integer vectors of one size. */
#define PG_WHERE(mask, yes, no) (((mask) & (yes)) | (~(mask) & (no)))

PG_INLINE pg_ints pg_at_most_int(pg_ints v, int32_t most)
{
    const pg_ints above = v > most;
    return PG_WHERE(above, (pg_ints){0} + most, v);
}

/* Half of the lanes, by name: the compiler would convert them in pieces. */
#if defined(__x86_64__) && PG_LANES >= 8
#define PG_DOUBLES_OF_INTS(v) ((pg_doubles)PG_X86(cvtepi32_pd)((pg_half_bits)(v)))
#define PG_DOUBLES_OF_FLOATS(v) ((pg_doubles)PG_X86(cvtps_pd)(v))
#define PG_FLOATS_OF_DOUBLES(v) ((pg_half_floats)PG_X86(cvtpd_ps)(v))
#else
#define PG_DOUBLES_OF_INTS(v) __builtin_convertvector(v, pg_doubles)
#define PG_DOUBLES_OF_FLOATS(v) __builtin_convertvector(v, pg_doubles)
#define PG_FLOATS_OF_DOUBLES(v) __builtin_convertvector(v, pg_half_floats)
#endif

PG_INLINE pg_pair pg_pair_of_fixed(pg_fixed v)
{
    const pg_half_ints low = __builtin_shufflevector(v.times_2_31, v.times_2_31, PG_FIRST_HALF);
    const pg_half_ints high = __builtin_shufflevector(v.times_2_31, v.times_2_31, PG_SECOND_HALF);
    return (pg_pair){PG_DOUBLES_OF_INTS(low) * 0x1p-31, PG_DOUBLES_OF_INTS(high) * 0x1p-31};
}

PG_INLINE pg_pair pg_pair_of_vec(pg_vec v)
{
    const pg_half_floats low = __builtin_shufflevector(v, v, PG_FIRST_HALF), high = __builtin_shufflevector(v, v, PG_SECOND_HALF);
    return (pg_pair){PG_DOUBLES_OF_FLOATS(low), PG_DOUBLES_OF_FLOATS(high)};
}

PG_INLINE pg_pair pg_pair_of_pair(pg_pair v)
{
    return v;
}

PG_INLINE pg_vec pg_vec_of_fixed(pg_fixed v)
{
    return __builtin_convertvector(v.times_2_31, pg_vec) * 0x1p-31f;
}

PG_INLINE pg_vec pg_vec_of_vec(pg_vec v)
{
    return v;
}

PG_INLINE pg_vec pg_vec_of_pair(pg_pair v)
{
    return __builtin_shufflevector(PG_FLOATS_OF_DOUBLES(v.low), PG_FLOATS_OF_DOUBLES(v.high), PG_FIRST_HALF, PG_SECOND_HALF);
}

/* value * scale within [-scale, scale - 1]; 0 for NaN, which is counted. */
PG_INLINE pg_vec pg_clamped(pg_vec value, float scale, pg_ints *nans)
{
    const pg_ints nan = value != value;
    const pg_vec level = (pg_vec)(~nan & (pg_ints)(value * scale)), least = pg_splat(-scale), most = pg_splat(scale - 1.0f);
    *nans -= nan;
#if defined(PG_X86)
    return (pg_vec)PG_X86(min_ps)(PG_X86(max_ps)(level, least), most);
#else
    const pg_ints below = level < least, above = level > most;
    return (pg_vec)PG_WHERE(above, (pg_ints)most, PG_WHERE(below, (pg_ints)least, (pg_ints)level));
#endif
}

PG_INLINE pg_doubles pg_clamped_doubles(pg_doubles value, double scale, pg_longs *nans)
{
    const pg_longs nan = value != value;
    const pg_doubles level = (pg_doubles)(~nan & (pg_longs)(value * scale));
    const pg_doubles least = (pg_doubles){0} - scale, most = (pg_doubles){0} + (scale - 1.0);
    *nans -= nan;
#if defined(PG_X86)
    return (pg_doubles)PG_X86(min_pd)(PG_X86(max_pd)(level, least), most);
#else
    const pg_longs below = level < least, above = level > most;
    return (pg_doubles)PG_WHERE(above, (pg_longs)most, PG_WHERE(below, (pg_longs)least, (pg_longs)level));
#endif
}

/* Rounded to integers, which are the low 32 bits of what comes back. */
PG_INLINE pg_doubles pg_rounded(pg_doubles v)
{
    return v + 0x1.8p52;
}

PG_INLINE pg_ints pg_low_halves(pg_doubles low, pg_doubles high)
{
    return __builtin_shufflevector((pg_ints)low, (pg_ints)high, PG_EVEN);
}

/* The nearest integers of `bits` bits, halves to even; or, up to 16 bits, anything below for values below their range. */
PG_INLINE pg_ints pg_nearest_of_pair(pg_pair v, int bits, pg_nans *nans)
{
    const double scale = (double)(1u << (bits - 1));
    return pg_low_halves(pg_rounded(pg_clamped_doubles(v.low, scale, &nans->low)),
                         pg_rounded(pg_clamped_doubles(v.high, scale, &nans->high)));
}

PG_INLINE pg_ints pg_nearest_of_vec(pg_vec v, int bits, pg_nans *nans)
{
    if (bits > 16) /* float32 has no room to round them */
        return pg_nearest_of_pair(pg_pair_of_vec(v), bits, nans);
    const float scale = (float)(1 << (bits - 1));
#if defined(__x86_64__) && PG_LANES == 16
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    nans->single = (pg_ints)_mm512_mask_sub_epi32((__m512i)nans->single, nan, (__m512i)nans->single, _mm512_set1_epi32(-1));
    return (pg_ints)_mm512_maskz_cvtps_epi32(_knot_mask16(nan), _mm512_min_ps(v * scale, pg_splat(scale - 1.0f)));
#elif defined(PG_X86)
    const pg_ints nan = v != v;
    nans->single -= nan;
    return ~nan & (pg_ints)PG_X86(cvtps_epi32)(PG_X86(min_ps)(v * scale, pg_splat(scale - 1.0f)));
#else
    return __builtin_convertvector((pg_clamped(v, scale, &nans->single) + 0x1.8p23f) - 0x1.8p23f, pg_ints);
#endif
}

PG_INLINE pg_ints pg_nearest_of_fixed(pg_fixed v, int bits, pg_nans *nans)
{
    if (bits == 32)
        return v.times_2_31;
    const int dropped = 32 - bits;
    const pg_ints floor = v.times_2_31 >> dropped, rest = v.times_2_31 & ((1 << dropped) - 1);
    return pg_at_most_int(floor + ((rest + ((1 << (dropped - 1)) - 1) + (floor & 1)) >> dropped), (1 << (bits - 1)) - 1);
}

/* The greatest integers of `bits` bits that are not above the values; up to 16 bits. */
PG_INLINE pg_ints pg_floor_of_pair(pg_pair v, int bits, pg_nans *nans)
{
    const double scale = (double)(1u << (bits - 1));
    const pg_doubles low = pg_clamped_doubles(v.low, scale, &nans->low), high = pg_clamped_doubles(v.high, scale, &nans->high);
    const pg_doubles low_near = pg_rounded(low), high_near = pg_rounded(high);
    const pg_longs low_above = low_near - 0x1.8p52 > low, high_above = high_near - 0x1.8p52 > high; /* -1 where rounded up */
    return pg_low_halves(low_near, high_near) + pg_low_halves((pg_doubles)low_above, (pg_doubles)high_above);
}

PG_INLINE pg_ints pg_floor_of_vec(pg_vec v, int bits, pg_nans *nans)
{
    const pg_vec level = pg_clamped(v, (float)(1 << (bits - 1)), &nans->single), nearest = (level + 0x1.8p23f) - 0x1.8p23f;
    return __builtin_convertvector(nearest, pg_ints) + (nearest > level);
}

PG_INLINE pg_ints pg_floor_of_fixed(pg_fixed v, int bits, pg_nans *nans)
{
    return v.times_2_31 >> (32 - bits);
}

PG_INLINE int64_t pg_total_nans(pg_nans nans)
{
    int64_t total = 0;
    for (int lane = 0; lane < PG_LANES; lane++)
        total += nans.single[lane];
    for (int lane = 0; lane < PG_LANES / 2; lane++)
        total += nans.low[lane] + nans.high[lane];
    return total;
}

/* Whichever of the three `v` is. */
#define PG_AS_PAIR(v) _Generic((v), pg_fixed: pg_pair_of_fixed, pg_vec: pg_pair_of_vec, pg_pair: pg_pair_of_pair)(v)
#define PG_AS_VEC(v) _Generic((v), pg_fixed: pg_vec_of_fixed, pg_vec: pg_vec_of_vec, pg_pair: pg_vec_of_pair)(v)
#define PG_NEAREST(v, bits, nans)                                                                                                \
    _Generic((v), pg_fixed: pg_nearest_of_fixed, pg_vec: pg_nearest_of_vec, pg_pair: pg_nearest_of_pair)(v, bits, nans)
#define PG_FLOOR(v, bits, nans)                                                                                                  \
    _Generic((v), pg_fixed: pg_floor_of_fixed, pg_vec: pg_floor_of_vec, pg_pair: pg_floor_of_pair)(v, bits, nans)

#endif
