/* Runs the conversions between sample formats and the signal power; writes what they computed to standard output.
 *
 * Arrays have exactly the length that the kernels are promised. First every conversion there is, [source][target], of a block of
 * samples in the source's format; then the sums of squares of stretches of several lengths, as float64.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert.h"
#include "energy.h"

enum { NUM_SAMPLES = 1003 }; /* a multiple of no block length */

static void *block(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL)
        exit(3);
    return memory;
}

static void give(const void *values, size_t size)
{
    if (fwrite(values, 1, size, stdout) != size)
        exit(3);
}

/* Values of a linear congruential generator in [-1.25, 1.25), a NaN among them. */
static double *made_samples(void)
{
    double *samples = block(NUM_SAMPLES * sizeof(double));
    uint32_t state = 1;
    for (int i = 0; i < NUM_SAMPLES; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = ((double)state / 2147483648.0 - 1.0) * 1.25;
    }
    samples[NUM_SAMPLES / 2] = NAN;
    return samples;
}

int main(void)
{
    double *samples = made_samples();
    for (int source = 0; source < PG_FORMATS; source++) {
        uint8_t *in = block((size_t)(NUM_SAMPLES * pg_bytes_per_sample[source]));
        pg_converters[PG_F64][source]((const uint8_t *)samples, NUM_SAMPLES, in);
        for (int target = 0; target < PG_FORMATS; target++) {
            const size_t size = (size_t)(NUM_SAMPLES * pg_bytes_per_sample[target]);
            uint8_t *out = block(size);
            pg_converters[source][target](in, NUM_SAMPLES, out);
            give(out, size);
            free(out);
        }
        free(in);
    }
    float *floats = block(NUM_SAMPLES * sizeof(float));
    samples[NUM_SAMPLES / 2] = 0.0;
    pg_converters[PG_F64][PG_F32]((const uint8_t *)samples, NUM_SAMPLES, (uint8_t *)floats);
    for (int64_t length = 1; length <= 2 * NUM_SAMPLES; length = 3 * length + 1) {
        const size_t num_stretches = (size_t)((NUM_SAMPLES + length - 1) / length);
        double *sums = block(num_stretches * sizeof(double));
        pg_stretch_energy(floats, NUM_SAMPLES, length, sums);
        give(sums, num_stretches * sizeof(double));
        free(sums);
    }
    free(floats), free(samples);
    return 0;
}
