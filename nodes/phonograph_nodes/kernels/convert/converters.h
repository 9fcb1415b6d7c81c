/* From every sample format to every other, and into a mix of channels: load, change, store; PG_LANES samples at a time. */
#ifndef PHONOGRAPH_CONVERT_CONVERTERS_H
#define PHONOGRAPH_CONVERT_CONVERTERS_H

#include "formats.h"
#include "samples.h"

/* Returns how many NaN it wrote as 0. */
typedef int64_t (*pg_converter)(const uint8_t *in, int64_t count, uint8_t *out);

enum {
    PG_TURN = 16,   /* samples that a turn of the loop takes, with vectors of any width */
    PG_AHEAD = 1024 /* samples; the processor's own prefetch ends with a page, and is late where vectors straddle lines */
};

/* A turn is several short vectors long: on Zen 5 a loop of a dozen instructions takes up to 1.7 times as long at some places within
 * a line of code as at others, and each change of the code before it moves it. To lay all loops at the start of a line is no help:
 * some are slowest there. What is left after the last whole turn goes through one that is filled up with zeros. */
#define PG_CONVERTER(FROM, TO, IN_BYTES, OUT_BYTES)                                                                              \
    PG_INLINE void pg_turn_##FROM##_to_##TO(const uint8_t *in, uint8_t *out, pg_nans *nans)                                      \
    {                                                                                                                            \
        PG_UNROLLED                                                                                                              \
        for (int k = 0; k < PG_TURN; k += PG_LANES)                                                                              \
            PG_STORE_##TO(out + k * OUT_BYTES, pg_load_##FROM(in + k * IN_BYTES), nans);                                         \
    }                                                                                                                            \
    static int64_t pg_##FROM##_to_##TO(const uint8_t *in, int64_t count, uint8_t *out)                                           \
    {                                                                                                                            \
        pg_nans nans = {{0}, {0}, {0}};                                                                                          \
        int64_t i = 0;                                                                                                           \
        for (; i + PG_TURN <= count; i += PG_TURN) {                                                                             \
            PG_UNROLLED                                                                                                          \
            for (int line = 0; line < PG_TURN * IN_BYTES; line += 64)                                                            \
                __builtin_prefetch(in + (i + PG_AHEAD) * IN_BYTES + line);                                                       \
            pg_turn_##FROM##_to_##TO(in + i * IN_BYTES, out + i * OUT_BYTES, &nans);                                             \
        }                                                                                                                        \
        if (i < count) {                                                                                                         \
            uint8_t last_in[PG_TURN * IN_BYTES] = {0}, last_out[PG_TURN * OUT_BYTES];                                            \
            memcpy(last_in, in + i * IN_BYTES, (size_t)(count - i) * IN_BYTES);                                                  \
            pg_turn_##FROM##_to_##TO(last_in, last_out, &nans);                                                                  \
            memcpy(out + i * OUT_BYTES, last_out, (size_t)(count - i) * OUT_BYTES);                                              \
        }                                                                                                                        \
        return pg_total_nans(nans);                                                                                              \
    }

/* Sums of weights[i] times row i, over `divisor`, as float32. Rows are `row` samples apart, and what they hold `step` samples. */
#define PG_MIXER(FROM, BYTES)                                                                                                    \
    static void pg_mix_##FROM(const uint8_t *in, int64_t row, int64_t step, int64_t num_rows, int64_t count,                     \
                              const double *weights, double divisor, uint8_t *out)                                               \
    {                                                                                                                            \
        for (int64_t t = 0; t < count; t += PG_LANES) {                                                                          \
            const int64_t here = count - t < PG_LANES ? count - t : PG_LANES;                                                    \
            pg_pair sum = {{0}, {0}};                                                                                            \
            for (int64_t i = 0; i < num_rows; i++) {                                                                             \
                const uint8_t *at = in + (i * row + t * step) * BYTES;                                                           \
                uint8_t gathered[PG_LANES * BYTES];                                                                              \
                if (step != 1 || here != PG_LANES) {                                                                             \
                    memset(gathered, 0, sizeof gathered);                                                                        \
                    for (int64_t k = 0; k < here; k++)                                                                           \
                        memcpy(gathered + k * BYTES, at + k * step * BYTES, BYTES);                                              \
                    at = gathered;                                                                                               \
                }                                                                                                                \
                const pg_pair values = PG_AS_PAIR(pg_load_##FROM(at));                                                           \
                sum.low += weights[i] * values.low;                                                                              \
                sum.high += weights[i] * values.high;                                                                            \
            }                                                                                                                    \
            if (divisor != 1.0)                                                                                                  \
                sum = (pg_pair){sum.low / divisor, sum.high / divisor};                                                          \
            const pg_vec mixed = pg_vec_of_pair(sum);                                                                            \
            if (here == PG_LANES)                                                                                                \
                memcpy(out + t * 4, &mixed, sizeof mixed);                                                                       \
            else                                                                                                                 \
                memcpy(out + t * 4, &mixed, (size_t)here * 4);                                                                   \
        }                                                                                                                        \
    }

#define PG_CONVERTERS_OF(FROM, BYTES)                                                                                            \
    PG_CONVERTER(FROM, u8, BYTES, 1)                                                                                             \
    PG_CONVERTER(FROM, i16, BYTES, 2)                                                                                            \
    PG_CONVERTER(FROM, i24, BYTES, 3)                                                                                            \
    PG_CONVERTER(FROM, i32, BYTES, 4)                                                                                            \
    PG_CONVERTER(FROM, f32, BYTES, 4)                                                                                            \
    PG_CONVERTER(FROM, f64, BYTES, 8)                                                                                            \
    PG_CONVERTER(FROM, alaw, BYTES, 1)                                                                                           \
    PG_CONVERTER(FROM, mulaw, BYTES, 1)                                                                                          \
    PG_MIXER(FROM, BYTES)                                                                                                        \
    static const pg_converter pg_from_##FROM[PG_FORMATS] = {pg_##FROM##_to_u8,   pg_##FROM##_to_i16, pg_##FROM##_to_i24,         \
                                                            pg_##FROM##_to_i32,  pg_##FROM##_to_f32, pg_##FROM##_to_f64,         \
                                                            pg_##FROM##_to_alaw, pg_##FROM##_to_mulaw};
PG_CONVERTERS_OF(u8, 1)
PG_CONVERTERS_OF(i16, 2)
PG_CONVERTERS_OF(i24, 3)
PG_CONVERTERS_OF(i32, 4)
PG_CONVERTERS_OF(f32, 4)
PG_CONVERTERS_OF(f64, 8)
PG_CONVERTERS_OF(alaw, 1)
PG_CONVERTERS_OF(mulaw, 1)

/* [source][target] */
static const pg_converter *const pg_converters[PG_FORMATS] = {pg_from_u8,  pg_from_i16, pg_from_i24,  pg_from_i32,
                                                              pg_from_f32, pg_from_f64, pg_from_alaw, pg_from_mulaw};

typedef void (*pg_mixer)(const uint8_t *in, int64_t row, int64_t step, int64_t num_rows, int64_t count, const double *weights,
                         double divisor, uint8_t *out);
static const pg_mixer pg_mixers[PG_FORMATS] = {pg_mix_u8,  pg_mix_i16, pg_mix_i24,  pg_mix_i32,
                                               pg_mix_f32, pg_mix_f64, pg_mix_alaw, pg_mix_mulaw};

#endif
