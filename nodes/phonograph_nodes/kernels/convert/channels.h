/* Samples of several channels: from planar to interleaved and back, and mixed into one; converted on the way.
 *
 * Theory. Work goes in blocks that stay in the first level of cache, so that memory is read once and written once. Samples are
 * moved in their interleaved format, whatever their planar one: so conversions see whole stretches of one channel.
 *
 * A mix is (w_0 x_0 + w_1 x_1 + ...) / divisor in float64, products and sums each rounded, in the order of the channels, and
 * then rounded to float32: the same bits on every processor.
 */
#ifndef PHONOGRAPH_CONVERT_CHANNELS_H
#define PHONOGRAPH_CONVERT_CHANNELS_H

#include "converters.h"

enum { PG_BLOCK = 2048, PG_TOGETHER = 16 }; /* so many samples at a time, of at most so many channels */

/* Moves the samples of `count` channels. Interleaved, those of one time lie together, and times are `step` samples apart; planar,
 * channels are `row` samples apart. */
typedef void (*pg_mover)(const void *restrict in, int64_t in_apart, int64_t count, int64_t times, void *restrict out,
                         int64_t out_apart);

/* Samples by their size, which may lie anywhere. */
typedef uint8_t pg_moved_1;
typedef uint16_t __attribute__((aligned(1), may_alias)) pg_moved_2;
typedef struct {
    uint8_t bytes[3];
} pg_moved_3;
typedef uint32_t __attribute__((aligned(1), may_alias)) pg_moved_4;
typedef uint64_t __attribute__((aligned(1), may_alias)) pg_moved_8;

/* A loop over a constant number of channels with a constant step compiles to shuffles of whole vectors. */
#define PG_MOVERS(SIZE)                                                                                                          \
    PG_INLINE void pg_move_##SIZE(const pg_moved_##SIZE *restrict in, int64_t in_time, int64_t in_channel, int64_t count,        \
                                  int64_t times, pg_moved_##SIZE *restrict out, int64_t out_time, int64_t out_channel)           \
    {                                                                                                                            \
        for (int64_t t = 0; t < times; t++)                                                                                      \
            PG_UNROLLED                                                                                                          \
            for (int64_t i = 0; i < count; i++)                                                                                  \
                out[t * out_time + i * out_channel] = in[t * in_time + i * in_channel];                                          \
    }                                                                                                                            \
    static void pg_deal_##SIZE(const void *restrict in, int64_t step, int64_t count, int64_t times, void *restrict out,          \
                               int64_t row)                                                                                      \
    {                                                                                                                            \
        const pg_moved_##SIZE *restrict mixed = in;                                                                              \
        pg_moved_##SIZE *restrict rows = out;                                                                                    \
        int64_t i = 0;                                                                                                           \
        switch (step) {                                                                                                          \
        case 2: pg_move_##SIZE(mixed, 2, 1, 2, times, rows, 1, row); return;                                                     \
        case 3: pg_move_##SIZE(mixed, 3, 1, 3, times, rows, 1, row); return;                                                     \
        case 4: pg_move_##SIZE(mixed, 4, 1, 4, times, rows, 1, row); return;                                                     \
        }                                                                                                                        \
        for (; i + 4 <= count; i += 4)                                                                                           \
            pg_move_##SIZE(mixed + i, step, 1, 4, times, rows + i * row, 1, row);                                                \
        for (; i < count; i++)                                                                                                   \
            pg_move_##SIZE(mixed + i, step, 1, 1, times, rows + i * row, 1, row);                                                \
    }                                                                                                                            \
    static void pg_weave_##SIZE(const void *restrict in, int64_t row, int64_t count, int64_t times, void *restrict out,          \
                                int64_t step)                                                                                    \
    {                                                                                                                            \
        const pg_moved_##SIZE *restrict rows = in;                                                                               \
        pg_moved_##SIZE *restrict mixed = out;                                                                                   \
        int64_t i = 0;                                                                                                           \
        switch (step) {                                                                                                          \
        case 2: pg_move_##SIZE(rows, 1, row, 2, times, mixed, 2, 1); return;                                                     \
        case 3: pg_move_##SIZE(rows, 1, row, 3, times, mixed, 3, 1); return;                                                     \
        case 4: pg_move_##SIZE(rows, 1, row, 4, times, mixed, 4, 1); return;                                                     \
        }                                                                                                                        \
        for (; i + 4 <= count; i += 4)                                                                                           \
            pg_move_##SIZE(rows + i * row, 1, row, 4, times, mixed + i, step, 1);                                                \
        for (; i < count; i++)                                                                                                   \
            pg_move_##SIZE(rows + i * row, 1, row, 1, times, mixed + i, step, 1);                                                \
    }
PG_MOVERS(1)
PG_MOVERS(2)
PG_MOVERS(3)
PG_MOVERS(4)
PG_MOVERS(8)

/* By the size of a sample. */
static const pg_mover pg_deal[] = {[1] = pg_deal_1, [2] = pg_deal_2, [3] = pg_deal_3, [4] = pg_deal_4, [8] = pg_deal_8};
static const pg_mover pg_weave[] = {[1] = pg_weave_1, [2] = pg_weave_2, [3] = pg_weave_3, [4] = pg_weave_4, [8] = pg_weave_8};

PG_INLINE int64_t pg_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* For each block: `count` channels from `channel` on, `times` samples of each from `start` on. */
#define PG_EACH_BLOCK(num_channels, num_samples)                                                                                 \
    for (int64_t channel = 0, count; count = pg_least(PG_TOGETHER, (num_channels) - channel), count > 0; channel += PG_TOGETHER) \
        for (int64_t start = 0, times; times = pg_least(PG_BLOCK / count, (num_samples) - start), times > 0; start += times)

static int64_t pg_deinterleave(int source, int target, const uint8_t *in, int64_t num_channels, int64_t num_samples, uint8_t *out,
                               int64_t row)
{
    const int64_t in_bytes = pg_sample_bytes[source], out_bytes = pg_sample_bytes[target];
    uint8_t block[8 * PG_BLOCK] __attribute__((aligned(64)));
    int64_t nans = 0;
    PG_EACH_BLOCK(num_channels, num_samples) {
        const uint8_t *from = in + (start * num_channels + channel) * in_bytes;
        uint8_t *to = out + (channel * row + start) * out_bytes;
        if (source == target) {
            pg_deal[in_bytes](from, num_channels, count, times, to, row);
            continue;
        }
        pg_deal[in_bytes](from, num_channels, count, times, block, times);
        for (int64_t i = 0; i < count; i++)
            nans += pg_converters[source][target](block + i * times * in_bytes, times, to + i * row * out_bytes);
    }
    return nans;
}

static int64_t pg_interleave(int source, int target, const uint8_t *in, int64_t num_channels, int64_t num_samples, uint8_t *out)
{
    const int64_t in_bytes = pg_sample_bytes[source], out_bytes = pg_sample_bytes[target];
    uint8_t block[8 * PG_BLOCK] __attribute__((aligned(64)));
    int64_t nans = 0;
    PG_EACH_BLOCK(num_channels, num_samples) {
        const uint8_t *from = in + (channel * num_samples + start) * in_bytes;
        uint8_t *to = out + (start * num_channels + channel) * out_bytes;
        if (source == target) {
            pg_weave[in_bytes](from, num_samples, count, times, to, num_channels);
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            nans += pg_converters[source][target](from + i * num_samples * in_bytes, times, block + i * times * out_bytes);
        pg_weave[out_bytes](block, times, count, times, to, num_channels);
    }
    return nans;
}

static void pg_mix(int source, int interleaved, const uint8_t *in, int64_t num_channels, int64_t num_samples,
                   const double *weights, double divisor, uint8_t *out)
{
    if (!interleaved) {
        pg_mixers[source](in, num_samples, 1, num_channels, num_samples, weights, divisor, out);
        return;
    }
    if (num_channels > PG_TOGETHER) {
        pg_mixers[source](in, 1, num_channels, num_channels, num_samples, weights, divisor, out);
        return;
    }
    const int64_t bytes = pg_sample_bytes[source];
    uint8_t block[8 * PG_BLOCK] __attribute__((aligned(64)));
    PG_EACH_BLOCK(num_channels, num_samples) {
        pg_deal[bytes](in + start * num_channels * bytes, num_channels, count, times, block, times);
        pg_mixers[source](block, times, 1, count, times, weights + channel, divisor, out + start * 4);
    }
}

#endif
