/* Decoded blocks of samples, as FFmpeg's decoders leave them, made float32.
 *
 * Theory. A block holds `count` samples of each channel, planar or packed, in one of six formats. Integers of b bits become
 * q / 2^(b-1), u8 (q - 128) / 128; NaN and infinity, also a double too large for float32, become 0 and are counted. A mono mix is
 * the mean of the converted channels: products and their sum, in the order of the channels, in float64, rounded to float32 once,
 * which are the bits of mixing afterwards.
 */
#ifndef PHONOGRAPH_FRAMES_H
#define PHONOGRAPH_FRAMES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { PG_FRAME_U8, PG_FRAME_S16, PG_FRAME_S32, PG_FRAME_S64, PG_FRAME_FLT, PG_FRAME_DBL, PG_FRAME_FORMATS };
static const int64_t pg_frame_bytes[PG_FRAME_FORMATS] = {1, 2, 4, 8, 4, 8};

/* A block of samples as a decoder leaves it: where the first sample of each channel lies, each `step` samples before the next. */
enum { PG_FRAME_CHANNELS = 64 }; /* of a block; readers allow fewer */
typedef struct {
    int format;
    int64_t num_channels, count, step;
    const uint8_t *starts[PG_FRAME_CHANNELS];
} pg_block;

enum { PG_FRAME_BLOCK = 512 }; /* samples of a channel that are mixed at a time: float32 and float64 stay in the first cache */

/* Whether some of `samples` is NaN or infinite. */
static inline int pg_any_wild(const float *samples, int64_t count)
{
    uint32_t wild = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, samples + i, sizeof bits);
        wild |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return wild != 0;
}

/* Replaces what is not finite in `samples` by 0, and returns how many there were. */
static int64_t pg_scrub(float *samples, int64_t count)
{
    int64_t found = 0;
    if (!pg_any_wild(samples, count)) /* nearly always */
        return 0;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(samples[i])) {
            samples[i] = 0;
            found++;
        }
    return found;
}

/* `step` is 1 in a plane of its own; with a constant step the loop compiles to whole vectors. */
#define PG_FRAME_LOADER(NAME, TYPE, VALUE)                                                                                       \
    static inline void pg_frame_##NAME(const void *plane, int64_t step, int64_t count, float *out)                               \
    {                                                                                                                            \
        const TYPE *in = plane;                                                                                                  \
        if (step == 1)                                                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                                                \
                const TYPE q = in[i];                                                                                            \
                out[i] = VALUE;                                                                                                  \
            }                                                                                                                    \
        else if (step == 2)                                                                                                      \
            for (int64_t i = 0; i < count; i++) {                                                                                \
                const TYPE q = in[2 * i];                                                                                        \
                out[i] = VALUE;                                                                                                  \
            }                                                                                                                    \
        else                                                                                                                     \
            for (int64_t i = 0; i < count; i++) {                                                                                \
                const TYPE q = in[i * step];                                                                                     \
                out[i] = VALUE;                                                                                                  \
            }                                                                                                                    \
    }
PG_FRAME_LOADER(u8, uint8_t, (float)(q - 128) * 0x1p-7f)
PG_FRAME_LOADER(s16, int16_t, (float)q * 0x1p-15f)
PG_FRAME_LOADER(s32, int32_t, (float)q * 0x1p-31f)
PG_FRAME_LOADER(s64, int64_t, (float)((double)q * 0x1p-63))
PG_FRAME_LOADER(flt, float, q)
PG_FRAME_LOADER(dbl, double, (float)q)

/* One channel of a block as float32. */
static void pg_frame_values(int format, const void *plane, int64_t step, int64_t count, float *out)
{
    switch (format) {
    case PG_FRAME_U8:
        pg_frame_u8(plane, step, count, out);
        break;
    case PG_FRAME_S16:
        pg_frame_s16(plane, step, count, out);
        break;
    case PG_FRAME_S32:
        pg_frame_s32(plane, step, count, out);
        break;
    case PG_FRAME_S64:
        pg_frame_s64(plane, step, count, out);
        break;
    case PG_FRAME_FLT:
        pg_frame_flt(plane, step, count, out);
        break;
    default:
        pg_frame_dbl(plane, step, count, out);
    }
}

/* The same with 0 for what is not finite; returns how many samples that were. */
static int64_t pg_frame_load(int format, const void *plane, int64_t step, int64_t count, float *out)
{
    pg_frame_values(format, plane, step, count, out);
    return format == PG_FRAME_FLT || format == PG_FRAME_DBL ? pg_scrub(out, count) : 0;
}

/* The mean of two channels in float32, where that gives the same bits: the rounded sum of two float32 is that of their exact sum,
 * and halving it is exact. Not so where the sum overflows or a sample is wild: returns 0 then, and `out` is void. */
static int pg_frame_half(int format, const uint8_t *const *planes, int64_t step, int64_t count, float *out)
{
    float left[PG_FRAME_BLOCK], right[PG_FRAME_BLOCK];
    for (int64_t start = 0; start < count; start += PG_FRAME_BLOCK) {
        const int64_t here = count - start < PG_FRAME_BLOCK ? count - start : PG_FRAME_BLOCK;
        const int64_t at = start * step * pg_frame_bytes[format];
        const float *a = left, *b = right;
        if (format == PG_FRAME_FLT && step == 1) {
            a = (const float *)(const void *)(planes[0] + at);
            b = (const float *)(const void *)(planes[1] + at);
        } else {
            pg_frame_values(format, planes[0] + at, step, here, left);
            pg_frame_values(format, planes[1] + at, step, here, right);
        }
        for (int64_t i = 0; i < here; i++)
            out[start + i] = (a[i] + b[i]) * 0.5f;
    }
    return !pg_any_wild(out, count);
}

/* The mean of all channels of a block; `planes` are where each channel's first sample lies. */
static int64_t pg_frame_mean(int format, const uint8_t *const *planes, int64_t step, int64_t num_channels, int64_t count,
                             float *out)
{
    /* Divided by 2^n as a factor, which is the same value; a division would take longest. */
    const double weight = (num_channels & (num_channels - 1)) == 0 ? 1.0 / (double)num_channels : 1.0;
    float channel[PG_FRAME_BLOCK];
    double sum[PG_FRAME_BLOCK];
    int64_t non_finite = 0;
    if (num_channels == 2 && pg_frame_half(format, planes, step, count, out))
        return 0;
    for (int64_t start = 0; start < count; start += PG_FRAME_BLOCK) {
        const int64_t here = count - start < PG_FRAME_BLOCK ? count - start : PG_FRAME_BLOCK;
        for (int64_t i = 0; i < here; i++)
            sum[i] = 0;
        for (int64_t c = 0; c < num_channels; c++) {
            non_finite += pg_frame_load(format, planes[c] + start * step * pg_frame_bytes[format], step, here, channel);
            for (int64_t i = 0; i < here; i++)
                sum[i] += weight * (double)channel[i];
        }
        if (weight != 1.0 || num_channels == 1)
            for (int64_t i = 0; i < here; i++)
                out[start + i] = (float)sum[i];
        else
            for (int64_t i = 0; i < here; i++)
                out[start + i] = (float)(sum[i] / (double)num_channels);
    }
    return non_finite;
}

#endif
