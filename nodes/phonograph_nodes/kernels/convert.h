/* Conversion between sample formats.
 *
 * Theory. Every format is read as a float64 in which full scale is 1: an integer q of b bits stands for q / 2^(b-1), u8 for
 * (q - 128) / 128. A float64 holds all of these exactly. Writing an integer format multiplies by the same power of two, clamps
 * to the range of the integer, then rounds to the nearest, halves to even. So a value that has come from a format goes back to the
 * same bits. NaN is written as 0 and counted; float formats take over every value unchanged, f32 rounded from f64.
 *
 * Rounding adds and subtracts 1.5 * 2^52: beside a number of that size a float64 has no room for a fraction, and the addition
 * itself rounds as the processor does, halves to even. It needs no call per sample, as rint() does on older processors; it
 * must not be compiled with reassociation of floating-point sums (-ffast-math).
 */
#ifndef PHONOGRAPH_CONVERT_H
#define PHONOGRAPH_CONVERT_H

#include <stdint.h>
#include <string.h>

/* Codes of the formats, in the order of the table below. */
enum { PG_U8, PG_I16, PG_I24, PG_I32, PG_F32, PG_F64, PG_FORMATS };

typedef int64_t (*pg_converter)(const uint8_t *in, int64_t count, uint8_t *out);

static inline int32_t pg_quantised(double value, double scale)
{
    const double rounder = 6755399441055744.0; /* 1.5 * 2^52 */
    double level = value == value ? value * scale : 0.0;
    level = level < -scale ? -scale : level;
    level = level > scale - 1.0 ? scale - 1.0 : level;
    return (int32_t)((level + rounder) - rounder);
}

static inline double pg_load_u8(const uint8_t *in, int64_t i)
{
    return (in[i] - 128) / 128.0;
}

static inline double pg_load_i16(const uint8_t *in, int64_t i)
{
    int16_t q;
    memcpy(&q, in + 2 * i, sizeof q);
    return q / 32768.0;
}

static inline double pg_load_i24(const uint8_t *in, int64_t i)
{
    const uint32_t high = (uint32_t)in[3 * i] << 8 | (uint32_t)in[3 * i + 1] << 16 | (uint32_t)in[3 * i + 2] << 24;
    return (int32_t)high / 2147483648.0; /* 2^8 times the value over 2^8 times 2^23 */
}

static inline double pg_load_i32(const uint8_t *in, int64_t i)
{
    int32_t q;
    memcpy(&q, in + 4 * i, sizeof q);
    return q / 2147483648.0;
}

static inline double pg_load_f32(const uint8_t *in, int64_t i)
{
    float v;
    memcpy(&v, in + 4 * i, sizeof v);
    return v;
}

static inline double pg_load_f64(const uint8_t *in, int64_t i)
{
    double v;
    memcpy(&v, in + 8 * i, sizeof v);
    return v;
}

/* Each store returns how many NaN it has written as 0. */
static inline int pg_store_u8(uint8_t *out, int64_t i, double value)
{
    out[i] = (uint8_t)(pg_quantised(value, 128.0) + 128);
    return value != value;
}

static inline int pg_store_i16(uint8_t *out, int64_t i, double value)
{
    const int16_t q = (int16_t)pg_quantised(value, 32768.0);
    memcpy(out + 2 * i, &q, sizeof q);
    return value != value;
}

static inline int pg_store_i24(uint8_t *out, int64_t i, double value)
{
    const uint32_t q = (uint32_t)pg_quantised(value, 8388608.0);
    out[3 * i] = (uint8_t)q;
    out[3 * i + 1] = (uint8_t)(q >> 8);
    out[3 * i + 2] = (uint8_t)(q >> 16);
    return value != value;
}

static inline int pg_store_i32(uint8_t *out, int64_t i, double value)
{
    const int32_t q = pg_quantised(value, 2147483648.0);
    memcpy(out + 4 * i, &q, sizeof q);
    return value != value;
}

static inline int pg_store_f32(uint8_t *out, int64_t i, double value)
{
    const float v = (float)value;
    memcpy(out + 4 * i, &v, sizeof v);
    return 0;
}

static inline int pg_store_f64(uint8_t *out, int64_t i, double value)
{
    memcpy(out + 8 * i, &value, sizeof value);
    return 0;
}

#define PG_CONVERTER(FROM, TO)                                                                                                    \
    static int64_t pg_##FROM##_to_##TO(const uint8_t *in, int64_t count, uint8_t *out)                                            \
    {                                                                                                                             \
        int64_t nans = 0;                                                                                                         \
        for (int64_t i = 0; i < count; i++)                                                                                       \
            nans += pg_store_##TO(out, i, pg_load_##FROM(in, i));                                                                 \
        return nans;                                                                                                              \
    }
#define PG_CONVERTERS(FROM)                                                                                                       \
    PG_CONVERTER(FROM, u8)                                                                                                        \
    PG_CONVERTER(FROM, i16)                                                                                                       \
    PG_CONVERTER(FROM, i24)                                                                                                       \
    PG_CONVERTER(FROM, i32)                                                                                                       \
    PG_CONVERTER(FROM, f32)                                                                                                       \
    PG_CONVERTER(FROM, f64)
#define PG_ROW(FROM) {pg_##FROM##_to_u8, pg_##FROM##_to_i16, pg_##FROM##_to_i24, pg_##FROM##_to_i32, pg_##FROM##_to_f32, pg_##FROM##_to_f64}

PG_CONVERTERS(u8)
PG_CONVERTERS(i16)
PG_CONVERTERS(i24)
PG_CONVERTERS(i32)
PG_CONVERTERS(f32)
PG_CONVERTERS(f64)

/* [source format][target format] */
static const pg_converter pg_converters[PG_FORMATS][PG_FORMATS] = {PG_ROW(u8),  PG_ROW(i16), PG_ROW(i24),
                                                                   PG_ROW(i32), PG_ROW(f32), PG_ROW(f64)};
static const int64_t pg_bytes_per_sample[PG_FORMATS] = {1, 2, 3, 4, 4, 8};

#endif
