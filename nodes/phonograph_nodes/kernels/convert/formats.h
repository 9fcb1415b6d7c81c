/* The sample formats, and the functions that each variant of the conversions exports. */
#ifndef PHONOGRAPH_CONVERT_FORMATS_H
#define PHONOGRAPH_CONVERT_FORMATS_H

#include <stdint.h>
#include <string.h>

/* Codes of the formats, in the order of every table. Integers are little-endian, i24 is three bytes. */
enum { PG_U8, PG_I16, PG_I24, PG_I32, PG_F32, PG_F64, PG_ALAW, PG_MULAW, PG_FORMATS };

static const int64_t pg_sample_bytes[PG_FORMATS] = {1, 2, 3, 4, 4, 8, 1, 1};

/* Arrays may begin at any byte; `out` shares no memory with `in`. What is returned is how many NaN were written as 0: they are
 * counted in 32 bits by lane, so all of them as long as there are fewer than 2^33 samples. */
typedef struct {
    int64_t (*convert)(int source, int target, const uint8_t *in, int64_t count, uint8_t *out);
    /* from planar to interleaved */
    int64_t (*interleave)(int source, int target, const uint8_t *in, int64_t num_channels, int64_t num_samples, uint8_t *out);
    /* from interleaved to planar, channels `row` samples apart */
    int64_t (*deinterleave)(int source, int target, const uint8_t *in, int64_t num_channels, int64_t num_samples, uint8_t *out,
                            int64_t row);
    /* from planar or interleaved to one channel of f32 */
    void (*mix)(int source, int interleaved, const uint8_t *in, int64_t num_channels, int64_t num_samples, const double *weights,
                double divisor, uint8_t *out);
} pg_conversions;

extern const pg_conversions pg_convert_portable;
#if defined(__x86_64__)
extern const pg_conversions pg_convert_avx512, pg_convert_avx2;
#endif

/* The conversions of the variant "avx512", "avx2" or "portable"; NULL for one that this architecture lacks. */
static inline const pg_conversions *pg_convert_variant(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return &pg_convert_avx512;
    if (strcmp(name, "avx2") == 0)
        return &pg_convert_avx2;
#endif
    return strcmp(name, "portable") == 0 ? &pg_convert_portable : NULL;
}

#endif
