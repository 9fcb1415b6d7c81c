/* PG_LANES samples of each format: loaded as one of the three kinds of lanes.h, stored from any of them.
 *
 * Integers are loaded as pg_fixed, f64 as pg_pair, f32 and the two laws (whose levels float32 holds) as pg_vec. Nothing is read
 * or written beyond the PG_LANES samples.
 */
#ifndef PHONOGRAPH_CONVERT_SAMPLES_H
#define PHONOGRAPH_CONVERT_SAMPLES_H

#include "law.h"

typedef int16_t pg_shorts __attribute__((vector_size(2 * PG_LANES)));
typedef uint8_t pg_bytes __attribute__((vector_size(PG_LANES)));

/* Of the compiler's own, vectors of other widths are taken to pieces: integers are widened and narrowed by name. */
PG_INLINE pg_ints pg_load_bytes(const uint8_t *in)
{
#if defined(__x86_64__) && PG_LANES == 16
    return (pg_ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)in));
#elif defined(__x86_64__) && PG_LANES == 8
    return (pg_ints)_mm256_cvtepu8_epi32(_mm_loadu_si64(in));
#elif defined(__x86_64__)
    const __m128i zero = _mm_setzero_si128();
    return (pg_ints)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_loadu_si32(in), zero), zero);
#else
    pg_bytes v;
    memcpy(&v, in, sizeof v);
    return __builtin_convertvector(v, pg_ints);
#endif
}

PG_INLINE pg_fixed pg_load_u8(const uint8_t *in)
{
    return (pg_fixed){(pg_load_bytes(in) - 128) << 24};
}

PG_INLINE pg_fixed pg_load_i16(const uint8_t *in)
{
#if defined(__x86_64__) && PG_LANES == 16
    return (pg_fixed){(pg_ints)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const void *)in)) << 16};
#elif defined(__x86_64__) && PG_LANES == 8
    return (pg_fixed){(pg_ints)_mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)in)) << 16};
#elif defined(__x86_64__)
    return (pg_fixed){(pg_ints)_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadu_si64(in))};
#else
    pg_shorts v;
    memcpy(&v, in, sizeof v);
    return (pg_fixed){__builtin_convertvector(v, pg_ints) << 16};
#endif
}

PG_INLINE pg_fixed pg_load_i24(const uint8_t *in)
{
#if defined(__x86_64__) && PG_LANES == 16
    const __m512i three_of_four = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    const __m512i spread = _mm512_permutexvar_epi32(three_of_four, _mm512_maskz_loadu_epi32(0x0fff, in));
    const __m128i upper = _mm_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11);
    return (pg_fixed){(pg_ints)_mm512_shuffle_epi8(spread, _mm512_broadcast_i32x4(upper))};
#elif defined(__x86_64__) && PG_LANES == 8
    const __m256i spread = _mm256_loadu2_m128i((const void *)(in + 8), (const void *)in);
    const __m256i upper = _mm256_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, /* four bytes further: */
                                           -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15);
    return (pg_fixed){(pg_ints)_mm256_shuffle_epi8(spread, upper)};
#else
    uint32_t w[3];
    memcpy(w, in, sizeof w);
    const uint32_t second = w[1] << 16 | w[0] >> 16, third = w[2] << 24 | w[1] >> 8;
    return (pg_fixed){(pg_ints){(int32_t)(w[0] << 8), (int32_t)second, (int32_t)third, (int32_t)w[2]} & ~0xff};
#endif
}

PG_INLINE pg_fixed pg_load_i32(const uint8_t *in)
{
    pg_ints v;
    memcpy(&v, in, sizeof v);
    return (pg_fixed){v};
}

PG_INLINE pg_vec pg_load_f32(const uint8_t *in)
{
    pg_vec v;
    memcpy(&v, in, sizeof v);
    return v;
}

PG_INLINE pg_pair pg_load_f64(const uint8_t *in)
{
    pg_doubles low, high;
    memcpy(&low, in, sizeof low);
    memcpy(&high, in + sizeof low, sizeof high);
    return (pg_pair){low, high};
}

PG_INLINE pg_vec pg_load_alaw(const uint8_t *in)
{
    return pg_of_alaw(pg_load_bytes(in));
}

PG_INLINE pg_vec pg_load_mulaw(const uint8_t *in)
{
    return pg_of_mulaw(pg_load_bytes(in));
}

/* Saturated. */
PG_INLINE void pg_store_i16(uint8_t *out, pg_ints v)
{
#if defined(__x86_64__) && PG_LANES == 16
    _mm256_storeu_si256((void *)out, _mm512_cvtsepi32_epi16((__m512i)v));
#elif defined(__x86_64__) && PG_LANES == 8
    const __m256i packed = _mm256_packs_epi32((__m256i)v, (__m256i)v);
    _mm_storeu_si128((void *)out, _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
#elif defined(__x86_64__)
    _mm_storeu_si64(out, _mm_packs_epi32((__m128i)v, (__m128i)v));
#else
    const pg_shorts shorts = __builtin_convertvector(v, pg_shorts);
    memcpy(out, &shorts, sizeof shorts);
#endif
}

/* Saturated levels of 8 bits, 128 higher. */
PG_INLINE void pg_store_u8(uint8_t *out, pg_ints v)
{
#if defined(__x86_64__) && PG_LANES == 16
    _mm_storeu_si128((void *)out, _mm_xor_si128(_mm512_cvtsepi32_epi8((__m512i)v), _mm_set1_epi8(-128)));
#elif defined(__x86_64__) && PG_LANES == 8
    const __m256i shorts = _mm256_packs_epi32((__m256i)v, (__m256i)v), packed = _mm256_packs_epi16(shorts, shorts);
    const __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1));
    _mm_storeu_si64(out, _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
#elif defined(__x86_64__)
    const __m128i shorts = _mm_packs_epi32((__m128i)v, (__m128i)v);
    _mm_storeu_si32(out, _mm_xor_si128(_mm_packs_epi16(shorts, shorts), _mm_set1_epi8(-128)));
#else
    const pg_bytes bytes = __builtin_convertvector(v + 128, pg_bytes);
    memcpy(out, &bytes, sizeof bytes);
#endif
}

/* The three low bytes of each. */
PG_INLINE void pg_store_i24(uint8_t *out, pg_ints v)
{
#if defined(__x86_64__) && PG_LANES == 16
    const __m128i low = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m512i three_of_four = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15);
    const __m512i packed = _mm512_shuffle_epi8((__m512i)v, _mm512_broadcast_i32x4(low));
    _mm512_mask_storeu_epi32(out, 0x0fff, _mm512_permutexvar_epi32(three_of_four, packed));
#elif defined(__x86_64__) && PG_LANES == 8
    const __m128i low = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i three_of_four = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    const __m256i packed = _mm256_shuffle_epi8((__m256i)v, _mm256_broadcastsi128_si256(low));
    const __m256i together = _mm256_permutevar8x32_epi32(packed, three_of_four);
    _mm_storeu_si128((void *)out, _mm256_castsi256_si128(together));
    _mm_storeu_si64(out + 16, _mm256_extracti128_si256(together, 1));
#else
    uint32_t q[4];
    v &= 0xffffff;
    memcpy(q, &v, sizeof q);
    const uint32_t w[3] = {q[0] | q[1] << 24, q[1] >> 8 | q[2] << 16, q[2] >> 16 | q[3] << 8};
    memcpy(out, w, sizeof w);
#endif
}

#define PG_STORE(out, v)                                                                                                         \
    do {                                                                                                                         \
        const __typeof__(v) whole = (v);                                                                                         \
        memcpy(out, &whole, sizeof whole);                                                                                       \
    } while (0)

/* `v` is of any of the three kinds; NaN that become 0 are added to `nans`. */
#define PG_STORE_u8(out, v, nans) pg_store_u8(out, PG_NEAREST(v, 8, nans))
#define PG_STORE_i16(out, v, nans) pg_store_i16(out, PG_NEAREST(v, 16, nans))
#define PG_STORE_i24(out, v, nans) pg_store_i24(out, PG_NEAREST(v, 24, nans))
#define PG_STORE_i32(out, v, nans) PG_STORE(out, PG_NEAREST(v, 32, nans))
#define PG_STORE_f32(out, v, nans) PG_STORE(out, PG_AS_VEC(v))
#define PG_STORE_f64(out, v, nans) PG_STORE(out, PG_AS_PAIR(v))
#define PG_STORE_alaw(out, v, nans) pg_store_u8(out, pg_to_alaw(PG_FLOOR(v, PG_LAW_BITS, nans)) - 128)
#define PG_STORE_mulaw(out, v, nans) pg_store_u8(out, pg_to_mulaw(PG_FLOOR(v, PG_LAW_BITS, nans)) - 128)

#endif
