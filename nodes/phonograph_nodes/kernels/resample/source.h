/* What is resampled: float32 as it lies in memory, or mono float32 that is made of it a few blocks at a time.
 *
 * Theory. A group of blocks is some 100 KB as float32 and stays in the second level of cache, where the transforms find it; so the
 * stored samples are touched once. The mean of two channels is rounded once, to the bits that a sum in float64 gives: the sum of two
 * integers of 24 bits is exact, 32 bits are added in float64, and a sum of two float32 is the same from either (Figueroa 1995, "When
 * is double rounding innocuous?"). Only where such a sum is beyond float32 it becomes infinite, and the outputs are not finite.
 */
#ifndef PHONOGRAPH_RESAMPLE_SOURCE_H
#define PHONOGRAPH_RESAMPLE_SOURCE_H

#include "plan.h"
#include "../convert/samples.h"

#if PG_LANES == 16
#define PG_LEFT 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define PG_RIGHT 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif PG_LANES == 8
#define PG_LEFT 0, 2, 4, 6, 8, 10, 12, 14
#define PG_RIGHT 1, 3, 5, 7, 9, 11, 13, 15
#else
#define PG_LEFT 0, 2, 4, 6
#define PG_RIGHT 1, 3, 5, 7
#endif

enum { PG_FURTHER = 8192 }; /* bytes; the processor's own prefetch ends with a page */

/* The means of pairs; `a` holds the first half of them. */
PG_INLINE pg_vec pg_means_of_floats(pg_vec a, pg_vec b)
{
    return 0.5f * (__builtin_shufflevector(a, b, PG_LEFT) + __builtin_shufflevector(a, b, PG_RIGHT));
}

PG_INLINE pg_vec pg_means_of_short(pg_fixed a, pg_fixed b) /* of up to 24 bits, so that no shift loses one */
{
    const pg_ints left = __builtin_shufflevector(a.times_2_31, b.times_2_31, PG_LEFT);
    const pg_ints right = __builtin_shufflevector(a.times_2_31, b.times_2_31, PG_RIGHT);
    return pg_vec_of_fixed((pg_fixed){(left >> 1) + (right >> 1)});
}

PG_INLINE pg_vec pg_means_of_fixed(pg_fixed a, pg_fixed b)
{
    const pg_pair left = pg_pair_of_fixed((pg_fixed){__builtin_shufflevector(a.times_2_31, b.times_2_31, PG_LEFT)});
    const pg_pair right = pg_pair_of_fixed((pg_fixed){__builtin_shufflevector(a.times_2_31, b.times_2_31, PG_RIGHT)});
    return pg_vec_of_pair((pg_pair){0.5 * (left.low + right.low), 0.5 * (left.high + right.high)});
}

/* `count` samples of a format with 1 or 2 channels to mono; what is left after the last whole vector goes through one with zeros. */
#define PG_DEFINE_TAKE(NAME, BYTES, MONO)                                                                                        \
    static void pg_take_##NAME(const uint8_t *in, int64_t count, float *to)                                                      \
    {                                                                                                                            \
        int64_t i = 0;                                                                                                           \
        for (; i + PG_LANES <= count; i += PG_LANES) {                                                                           \
            const uint8_t *at = in + i * (BYTES);                                                                                \
            PG_UNROLLED                                                                                                          \
            for (int line = 0; line < PG_LANES * (BYTES); line += 64)                                                            \
                __builtin_prefetch(at + PG_FURTHER + line);                                                                      \
            pg_store(to + i, MONO);                                                                                              \
        }                                                                                                                        \
        if (i < count) {                                                                                                         \
            uint8_t at[PG_LANES * (BYTES)] = {0};                                                                                \
            memcpy(at, in + i * (BYTES), (size_t)(count - i) * (BYTES));                                                         \
            const pg_vec last = MONO;                                                                                            \
            memcpy(to + i, &last, (size_t)(count - i) * sizeof(float));                                                          \
        }                                                                                                                        \
    }
PG_DEFINE_TAKE(i16, 2, pg_vec_of_fixed(pg_load_i16(at)))
PG_DEFINE_TAKE(i24, 3, pg_vec_of_fixed(pg_load_i24(at)))
PG_DEFINE_TAKE(i32, 4, pg_vec_of_fixed(pg_load_i32(at)))
PG_DEFINE_TAKE(f32, 4, pg_load_f32(at))
PG_DEFINE_TAKE(i16_pairs, 4, pg_means_of_short(pg_load_i16(at), pg_load_i16(at + 2 * PG_LANES)))
PG_DEFINE_TAKE(i24_pairs, 6, pg_means_of_short(pg_load_i24(at), pg_load_i24(at + 3 * PG_LANES)))
PG_DEFINE_TAKE(i32_pairs, 8, pg_means_of_fixed(pg_load_i32(at), pg_load_i32(at + 4 * PG_LANES)))
PG_DEFINE_TAKE(f32_pairs, 8, pg_means_of_floats(pg_load_f32(at), pg_load_f32(at + 4 * PG_LANES)))

/* Samples [start, start + length) of a source as mono float32, with zeros around it. */
static void pg_take(const pg_source *source, int64_t start, int64_t length, float *to)
{
    static void (*const takes[PG_FORMATS][2])(const uint8_t *in, int64_t count, float *to) = {
        [PG_I16] = {pg_take_i16, pg_take_i16_pairs},
        [PG_I24] = {pg_take_i24, pg_take_i24_pairs},
        [PG_I32] = {pg_take_i32, pg_take_i32_pairs},
        [PG_F32] = {pg_take_f32, pg_take_f32_pairs},
    };
    const int64_t end = source->origin + source->length, step = pg_sample_bytes[source->format] * source->num_channels;
    const int64_t from = start > source->origin ? start : source->origin, until = start + length < end ? start + length : end;
    if (from >= until) {
        memset(to, 0, (size_t)length * sizeof(float));
        return;
    }
    memset(to, 0, (size_t)(from - start) * sizeof(float));
    takes[source->format][source->num_channels - 1]((const uint8_t *)source->samples + (from - source->origin) * step, until - from,
                                                    to + (from - start));
    memset(to + (until - start), 0, (size_t)(start + length - until) * sizeof(float));
}

/* Samples [start, start + length) of a source as mono float32: where they lie, if they are that, else in `room`. */
static const float *pg_taken(const pg_source *source, int64_t start, int64_t length, float *room)
{
    const int is_plain = source->format == PG_F32 && source->num_channels == 1 && (uintptr_t)source->samples % sizeof(float) == 0;
    if (is_plain && start >= source->origin && start + length <= source->origin + source->length)
        return (const float *)source->samples + (start - source->origin);
    pg_take(source, start, length, room);
    return room;
}

#endif
