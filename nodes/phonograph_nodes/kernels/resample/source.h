/* What is resampled: float32 as it lies in memory, or mono float32 that is made of it a few blocks at a time.
 *
 * Theory. A group of blocks is some 100 KB as float32 and stays in the second level of cache, where the transforms find it; so the
 * stored samples are touched once. The mean of two channels is rounded once, to the bits that a sum in float64 gives: the sum of two
 * integers of 24 bits is exact, 32 bits are added in float64, and a sum of two float32 is the same from either (Figueroa 1995, "When
 * is double rounding innocuous?"). Only where such a sum is beyond float32 it becomes infinite, and the outputs are not finite.
 *
 * A file is read in pieces that stay in the cache too. To map it costs more, unless the system happens to hold it in large pieces:
 * each of its pages has to be entered in the tables of the process, and taken out again.
 */
#ifndef PHONOGRAPH_RESAMPLE_SOURCE_H
#define PHONOGRAPH_RESAMPLE_SOURCE_H

#include <errno.h>
#include <unistd.h>

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

_Static_assert(sizeof(off_t) == 8, "files may be longer than 2 GB");

enum {
    PG_FURTHER = 8192, /* bytes; the processor's own prefetch ends with a page */
    PG_PIECE = 1 << 18 /* bytes that are read of a file at once: half of them cost a tenth more, by the calls of the system */
};

/* The lowest byte of each last. */
PG_INLINE pg_ints pg_turned_bytes(pg_ints v)
{
    typedef uint32_t words __attribute__((vector_size(4 * PG_LANES)));
    const words w = (words)v;
    return (pg_ints)(((w << 8 | w >> 24) & 0x00ff00ff) | ((w >> 8 | w << 24) & 0xff00ff00));
}

PG_INLINE pg_fixed pg_load_i16_big(const uint8_t *in)
{
    return (pg_fixed){pg_turned_bytes(pg_load_i16(in).times_2_31) << 16};
}

PG_INLINE pg_fixed pg_load_i24_big(const uint8_t *in)
{
    return (pg_fixed){pg_turned_bytes(pg_load_i24(in).times_2_31) << 8};
}

PG_INLINE pg_fixed pg_load_i32_big(const uint8_t *in)
{
    return (pg_fixed){pg_turned_bytes(pg_load_i32(in).times_2_31)};
}

PG_INLINE pg_vec pg_load_f32_big(const uint8_t *in)
{
    return (pg_vec)pg_turned_bytes((pg_ints)pg_load_f32(in));
}

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

PG_INLINE pg_vec pg_means_of_i16(const uint8_t *in) /* by the one instruction that adds pairs */
{
#if defined(__x86_64__) && PG_LANES == 16
    const pg_ints sums = (pg_ints)_mm512_madd_epi16(_mm512_loadu_si512(in), _mm512_set1_epi16(1));
#elif defined(__x86_64__) && PG_LANES == 8
    const pg_ints sums = (pg_ints)_mm256_madd_epi16(_mm256_loadu_si256((const void *)in), _mm256_set1_epi16(1));
#elif defined(__x86_64__)
    const pg_ints sums = (pg_ints)_mm_madd_epi16(_mm_loadu_si128((const void *)in), _mm_set1_epi16(1));
#else
    pg_ints pairs;
    memcpy(&pairs, in, sizeof pairs);
    const pg_ints sums = (pairs << 16 >> 16) + (pairs >> 16);
#endif
    return __builtin_convertvector(sums, pg_vec) * 0x1p-16f;
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
PG_DEFINE_TAKE(u8, 1, pg_vec_of_fixed(pg_load_u8(at)))
PG_DEFINE_TAKE(i16, 2, pg_vec_of_fixed(pg_load_i16(at)))
PG_DEFINE_TAKE(i24, 3, pg_vec_of_fixed(pg_load_i24(at)))
PG_DEFINE_TAKE(i32, 4, pg_vec_of_fixed(pg_load_i32(at)))
PG_DEFINE_TAKE(f32, 4, pg_load_f32(at))
PG_DEFINE_TAKE(alaw, 1, pg_load_alaw(at))
PG_DEFINE_TAKE(mulaw, 1, pg_load_mulaw(at))
PG_DEFINE_TAKE(u8_pairs, 2, pg_means_of_short(pg_load_u8(at), pg_load_u8(at + PG_LANES)))
PG_DEFINE_TAKE(i16_pairs, 4, pg_means_of_i16(at))
PG_DEFINE_TAKE(i24_pairs, 6, pg_means_of_short(pg_load_i24(at), pg_load_i24(at + 3 * PG_LANES)))
PG_DEFINE_TAKE(i32_pairs, 8, pg_means_of_fixed(pg_load_i32(at), pg_load_i32(at + 4 * PG_LANES)))
PG_DEFINE_TAKE(f32_pairs, 8, pg_means_of_floats(pg_load_f32(at), pg_load_f32(at + 4 * PG_LANES)))
PG_DEFINE_TAKE(alaw_pairs, 2, pg_means_of_floats(pg_load_alaw(at), pg_load_alaw(at + PG_LANES)))
PG_DEFINE_TAKE(mulaw_pairs, 2, pg_means_of_floats(pg_load_mulaw(at), pg_load_mulaw(at + PG_LANES)))
PG_DEFINE_TAKE(i16_big, 2, pg_vec_of_fixed(pg_load_i16_big(at)))
PG_DEFINE_TAKE(i24_big, 3, pg_vec_of_fixed(pg_load_i24_big(at)))
PG_DEFINE_TAKE(i32_big, 4, pg_vec_of_fixed(pg_load_i32_big(at)))
PG_DEFINE_TAKE(f32_big, 4, pg_load_f32_big(at))
PG_DEFINE_TAKE(i16_big_pairs, 4, pg_means_of_short(pg_load_i16_big(at), pg_load_i16_big(at + 2 * PG_LANES)))
PG_DEFINE_TAKE(i24_big_pairs, 6, pg_means_of_short(pg_load_i24_big(at), pg_load_i24_big(at + 3 * PG_LANES)))
PG_DEFINE_TAKE(i32_big_pairs, 8, pg_means_of_fixed(pg_load_i32_big(at), pg_load_i32_big(at + 4 * PG_LANES)))
PG_DEFINE_TAKE(f32_big_pairs, 8, pg_means_of_floats(pg_load_f32_big(at), pg_load_f32_big(at + 4 * PG_LANES)))

typedef void (*pg_taker)(const uint8_t *in, int64_t count, float *to);

/* By byte order and number of channels. */
static const pg_taker pg_takers[PG_FORMATS][2][2] = {
    [PG_U8] = {{pg_take_u8, pg_take_u8_pairs}, {pg_take_u8, pg_take_u8_pairs}},
    [PG_I16] = {{pg_take_i16, pg_take_i16_pairs}, {pg_take_i16_big, pg_take_i16_big_pairs}},
    [PG_I24] = {{pg_take_i24, pg_take_i24_pairs}, {pg_take_i24_big, pg_take_i24_big_pairs}},
    [PG_I32] = {{pg_take_i32, pg_take_i32_pairs}, {pg_take_i32_big, pg_take_i32_big_pairs}},
    [PG_F32] = {{pg_take_f32, pg_take_f32_pairs}, {pg_take_f32_big, pg_take_f32_big_pairs}},
    [PG_ALAW] = {{pg_take_alaw, pg_take_alaw_pairs}, {pg_take_alaw, pg_take_alaw_pairs}},
    [PG_MULAW] = {{pg_take_mulaw, pg_take_mulaw_pairs}, {pg_take_mulaw, pg_take_mulaw_pairs}},
};

/* Fills `to` from the source's file; returns 0 where that does not give all bytes, and `fault` says why. */
static int pg_read(pg_source *source, int64_t place, int64_t size, uint8_t *to)
{
    while (size > 0) {
        const ssize_t got = pread(source->descriptor, to, (size_t)size, (off_t)place);
        if (got > 0) {
            to += got, place += got, size -= got;
        } else if (got == 0 || errno != EINTR) {
            source->fault = got == 0 ? PG_CUT_SHORT : errno;
            return 0;
        }
    }
    return 1;
}

/* Bytes of what is read of a file for groups of `length` samples. */
PG_INLINE int64_t pg_room_for_stored(int64_t length)
{
    const int64_t most = 2 * (int64_t)sizeof(float) * length; /* two channels of four bytes */
    return most > PG_PIECE ? most : PG_PIECE;
}

/* Samples [from, until) as the source's file stores them; NULL where it does not give them. What `stored` holds of them is moved to
 * its beginning, and as much as it has room for is read behind that, for groups to come. */
static const uint8_t *pg_stored(pg_source *source, int64_t from, int64_t until, uint8_t *stored)
{
    const int64_t step = pg_sample_bytes[source->format] * source->num_channels, end = source->origin + source->length;
    if (from < source->held_from || until > source->held_until) {
        const int64_t kept = from >= source->held_from && from < source->held_until ? source->held_until - from : 0;
        memmove(stored, stored + (source->held_until - kept - source->held_from) * step, (size_t)(kept * step));
        const int64_t full = from + PG_PIECE / step, most = full > until ? full : until;
        source->held_from = from;
        source->held_until = most < end ? most : end;
        if (!pg_read(source, source->first_byte + (from + kept - source->origin) * step, (source->held_until - from - kept) * step,
                     stored + kept * step))
            return NULL;
    }
    return stored + (from - source->held_from) * step;
}

/* The samples of a source where they lie, if they are mono float32 in memory; else NULL. */
PG_INLINE const float *pg_plain(const pg_source *source)
{
    const int is_mono_f32 = source->format == PG_F32 && source->num_channels == 1 && !source->big_endian;
    return is_mono_f32 && (uintptr_t)source->samples % sizeof(float) == 0 ? (const float *)source->samples : NULL;
}

/* Samples [start, start + length) of a source as mono float32: where they lie, if they are that, else in `room`.
 *
 * `stored` has room for what is read of a file, and is not used for what lies in memory. NULL where the file does not give its samples.
 */
static const float *pg_taken(pg_source *source, int64_t start, int64_t length, float *room, uint8_t *stored)
{
    const uint8_t *in = (const uint8_t *)source->samples;
    const float *plain = pg_plain(source);
    const int64_t end = source->origin + source->length;
    if (plain != NULL && start >= source->origin && start + length <= end)
        return plain + (start - source->origin);
    const int64_t from = start > source->origin ? start : source->origin, until = start + length < end ? start + length : end;
    if (from >= until) {
        memset(room, 0, (size_t)length * sizeof(float));
        return room;
    }
    if (in != NULL)
        in += (from - source->origin) * pg_sample_bytes[source->format] * source->num_channels;
    else if ((in = pg_stored(source, from, until, stored)) == NULL)
        return NULL;
    memset(room, 0, (size_t)(from - start) * sizeof(float));
    pg_takers[source->format][source->big_endian][source->num_channels - 1](in, until - from, room + (from - start));
    memset(room + (until - start), 0, (size_t)(start + length - until) * sizeof(float));
    return room;
}

#endif
