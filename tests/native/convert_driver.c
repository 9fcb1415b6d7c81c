/* Runs one variant of the conversions over noise; writes what they computed to standard output.
 *
 * Every array has a block of memory of its own with exactly the length that the kernels are promised, so that an address sanitizer
 * sees one byte too many; half of them begin at an odd byte. For each source format and each shape: for each target format, the
 * samples converted, interleaved and deinterleaved, each followed by the number of NaN that became 0 as an int64; then the mix of
 * planar and of interleaved samples.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert/formats.h"

enum { NUM_SHAPES = 4, MOST_CHANNELS = 19 };

static const int64_t shapes[NUM_SHAPES][2] = {{1, 1003}, {2, 1031}, {7, 150}, {MOST_CHANNELS, 117}}; /* channels, samples of each */

typedef struct {
    uint8_t *memory, *bytes;
} array;

static array made(int64_t size, int odd)
{
    array made = {malloc((size_t)size + 1), NULL};
    if (made.memory == NULL)
        exit(3);
    if (!odd && (made.memory = realloc(made.memory, size ? (size_t)size : 1)) == NULL)
        exit(3);
    made.bytes = made.memory + odd;
    return made;
}

static void give(const void *values, int64_t size)
{
    if (fwrite(values, 1, (size_t)size, stdout) != (size_t)size)
        exit(3);
}

/* Values of a linear congruential generator in [-1.25, 1.25), a NaN in every 29, in some format. */
static array noise(const pg_conversions *conversions, int format, int64_t count)
{
    array values = made(count * 8, 0), samples = made(count * pg_sample_bytes[format], 1);
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        const double value = i % 29 == 7 ? __builtin_nan("") : ((double)state / 2147483648.0 - 1.0) * 1.25;
        memcpy(values.bytes + 8 * i, &value, sizeof value);
    }
    conversions->convert(PG_F64, format, values.bytes, count, samples.bytes);
    free(values.memory);
    return samples;
}

static void run(const pg_conversions *conversions, int source, int64_t num_channels, int64_t num_samples)
{
    const int64_t count = num_channels * num_samples;
    const array samples = noise(conversions, source, count);
    for (int target = 0; target < PG_FORMATS; target++)
        for (int turn = 0; turn < 3; turn++) {
            const int64_t size = count * pg_sample_bytes[target];
            const array out = made(size, (source + target) % 2);
            const int64_t nans =
                turn == 0   ? conversions->convert(source, target, samples.bytes, count, out.bytes)
                : turn == 1 ? conversions->interleave(source, target, samples.bytes, num_channels, num_samples, out.bytes)
                            : conversions->deinterleave(source, target, samples.bytes, num_channels, num_samples, out.bytes, num_samples);
            give(out.bytes, size);
            give(&nans, sizeof nans);
            free(out.memory);
        }
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        double weights[MOST_CHANNELS];
        for (int64_t i = 0; i < num_channels; i++)
            weights[i] = 1.0 - 0.3 * (double)i;
        const array out = made(num_samples * 4, interleaved);
        conversions->mix(source, interleaved, samples.bytes, num_channels, num_samples, weights, (double)num_channels, out.bytes);
        give(out.bytes, num_samples * 4);
        free(out.memory);
    }
    free(samples.memory);
}

int main(int argc, char **argv)
{
    const pg_conversions *conversions = argc == 2 ? pg_convert_variant(argv[1]) : NULL;
    if (conversions == NULL) {
        fprintf(stderr, "usage: %s avx512|avx2|portable; the first two on x86-64 only\n", argv[0]);
        return 2;
    }
    for (int source = 0; source < PG_FORMATS; source++)
        for (int i = 0; i < NUM_SHAPES; i++)
            run(conversions, source, shapes[i][0], shapes[i][1]);
    return 0;
}
