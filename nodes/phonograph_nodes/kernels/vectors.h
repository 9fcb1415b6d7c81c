/* Vectors of PG_LANES float32 values, in the C compiler's vector extensions: the same source for every instruction set.
 *
 * An aligned `pg_vec` fits a register of the instruction set that PG_LANES was chosen for (16 AVX-512, 8 AVX2, 4 SSE2 and NEON).
 * Vectors are never passed between functions that are not inlined, so their calling convention does not matter.
 */
#ifndef PHONOGRAPH_VECTORS_H
#define PHONOGRAPH_VECTORS_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef PG_LANES
#error "PG_LANES is the number of float32 lanes of a vector: 16, 8 or 4"
#endif

#define PG_INLINE static inline __attribute__((always_inline))
#define PG_UNROLLED _Pragma("GCC unroll 16")

typedef float pg_vec __attribute__((vector_size(4 * PG_LANES)));
typedef float pg_vec_anywhere __attribute__((vector_size(4 * PG_LANES), aligned(4), may_alias));
typedef int32_t pg_ints __attribute__((vector_size(4 * PG_LANES)));
typedef float pg_half_anywhere __attribute__((vector_size(2 * PG_LANES), aligned(4), may_alias));
typedef double pg_doubles __attribute__((vector_size(4 * PG_LANES)));
typedef double pg_doubles_anywhere __attribute__((vector_size(4 * PG_LANES), aligned(8), may_alias));

PG_INLINE pg_vec pg_load(const float *at)
{
    return *(const pg_vec_anywhere *)at;
}

PG_INLINE void pg_store(float *at, pg_vec value)
{
    *(pg_vec_anywhere *)at = value;
}

PG_INLINE pg_vec pg_splat(float value)
{
    return value - (pg_vec){0};
}

/* The larger of two; `floor` where `value` is NaN. */
PG_INLINE pg_vec pg_at_least(pg_vec value, pg_vec floor)
{
#if defined(__x86_64__) && PG_LANES == 16
    return (pg_vec)_mm512_max_ps((__m512)value, (__m512)floor);
#elif defined(__x86_64__) && PG_LANES == 8
    return (pg_vec)_mm256_max_ps((__m256)value, (__m256)floor);
#elif defined(__x86_64__)
    return (pg_vec)_mm_max_ps((__m128)value, (__m128)floor);
#else
    const pg_ints above = value > floor;
    return (pg_vec)((above & (pg_ints)value) | (~above & (pg_ints)floor));
#endif
}

/* a * b rounded to float32 before it goes on: the compiler may otherwise fuse it with a sum that follows. */
PG_INLINE pg_vec pg_product(pg_vec a, pg_vec b)
{
    pg_vec product = a * b;
#if defined(__x86_64__) && PG_LANES == 16
    __asm__("" : "+v"(product));
#elif defined(__x86_64__)
    __asm__("" : "+x"(product));
#elif defined(__aarch64__)
    __asm__("" : "+w"(product));
#else
    __asm__("" : "+m"(product));
#endif
    return product;
}

/* Half a vector's worth of values, as float64; the compiler would convert them in pieces. */
PG_INLINE pg_doubles pg_widened(const float *at)
{
#if defined(__x86_64__) && PG_LANES == 16
    return (pg_doubles)_mm512_cvtps_pd(_mm256_loadu_ps(at));
#elif defined(__x86_64__) && PG_LANES == 8
    return (pg_doubles)_mm256_cvtps_pd(_mm_loadu_ps(at));
#else
    return __builtin_convertvector(*(const pg_half_anywhere *)at, pg_doubles);
#endif
}

/* Halves are added to halves: in the order of the tree, whatever the lanes hold. */
PG_INLINE double pg_total(pg_doubles v)
{
    typedef double two __attribute__((vector_size(16)));
#if PG_LANES == 16
    typedef double four __attribute__((vector_size(32)));
    const four quarter = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    const pg_doubles quarter = v;
#endif
#if PG_LANES >= 8
    const two pair = __builtin_shufflevector(quarter, quarter, 0, 1) + __builtin_shufflevector(quarter, quarter, 2, 3);
#else
    const two pair = quarter;
#endif
    return pair[0] + pair[1];
}

#if PG_LANES == 16
#define PG_PAIR_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define PG_PAIR_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define PG_QUAD_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define PG_QUAD_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define PG_EIGHT_LOW 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define PG_EIGHT_HIGH 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#elif PG_LANES == 8
#define PG_PAIR_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define PG_PAIR_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define PG_QUAD_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define PG_QUAD_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#define PG_EIGHT_LOW 0, 1, 2, 3, 8, 9, 10, 11
#define PG_EIGHT_HIGH 4, 5, 6, 7, 12, 13, 14, 15
#else
#define PG_PAIR_LOW 0, 4, 1, 5
#define PG_PAIR_HIGH 2, 6, 3, 7
#define PG_QUAD_LOW 0, 1, 4, 5
#define PG_QUAD_HIGH 2, 3, 6, 7
#endif

/* Transpose PG_LANES vectors in registers: first within the 128-bit parts, which is one cheap shuffle a result, then the parts. */
PG_INLINE void pg_transpose(pg_vec v[PG_LANES])
{
    pg_vec a[PG_LANES];
    PG_UNROLLED
    for (int i = 0; i < PG_LANES; i += 4) {
        const pg_vec low01 = __builtin_shufflevector(v[i], v[i + 1], PG_PAIR_LOW);
        const pg_vec high01 = __builtin_shufflevector(v[i], v[i + 1], PG_PAIR_HIGH);
        const pg_vec low23 = __builtin_shufflevector(v[i + 2], v[i + 3], PG_PAIR_LOW);
        const pg_vec high23 = __builtin_shufflevector(v[i + 2], v[i + 3], PG_PAIR_HIGH);
        a[i] = __builtin_shufflevector(low01, low23, PG_QUAD_LOW);
        a[i + 1] = __builtin_shufflevector(low01, low23, PG_QUAD_HIGH);
        a[i + 2] = __builtin_shufflevector(high01, high23, PG_QUAD_LOW);
        a[i + 3] = __builtin_shufflevector(high01, high23, PG_QUAD_HIGH);
    }
#if PG_LANES == 4
    PG_UNROLLED
    for (int i = 0; i < 4; i++)
        v[i] = a[i];
#elif PG_LANES == 8
    PG_UNROLLED
    for (int i = 0; i < 4; i++) {
        v[i] = __builtin_shufflevector(a[i], a[i + 4], PG_EIGHT_LOW);
        v[i + 4] = __builtin_shufflevector(a[i], a[i + 4], PG_EIGHT_HIGH);
    }
#else
    PG_UNROLLED
    for (int i = 0; i < 4; i++) {
        const pg_vec even0 = __builtin_shufflevector(a[i], a[i + 4], PG_EIGHT_LOW);
        const pg_vec odd0 = __builtin_shufflevector(a[i], a[i + 4], PG_EIGHT_HIGH);
        const pg_vec even1 = __builtin_shufflevector(a[i + 8], a[i + 12], PG_EIGHT_LOW);
        const pg_vec odd1 = __builtin_shufflevector(a[i + 8], a[i + 12], PG_EIGHT_HIGH);
        v[i] = __builtin_shufflevector(even0, even1, PG_EIGHT_LOW);
        v[i + 8] = __builtin_shufflevector(even0, even1, PG_EIGHT_HIGH);
        v[i + 4] = __builtin_shufflevector(odd0, odd1, PG_EIGHT_LOW);
        v[i + 12] = __builtin_shufflevector(odd0, odd1, PG_EIGHT_HIGH);
    }
#endif
}

#endif
