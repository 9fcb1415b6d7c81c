/* Makes decoded blocks float32 and mixes them; writes what came out to standard output.
 *
 * Every plane has a block of memory of its own with exactly the length that the conversions are promised. For each format, number
 * of channels and number of samples, planar and then packed: each channel, what was not finite in it as an int64, the mean of all
 * channels, and what was not finite in that.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frames.h"

enum { NUM_SHAPES = 5, MOST_CHANNELS = 17 };

static const int64_t shapes[NUM_SHAPES][2] = {{1, 1003}, {2, 1031}, {2, 512}, {7, 150}, {MOST_CHANNELS, 513}}; /* channels, samples */

static void *made(int64_t size)
{
    void *memory = malloc((size_t)size);
    if (memory == NULL)
        exit(3);
    return memory;
}

static void give(const void *values, int64_t size)
{
    if (fwrite(values, 1, (size_t)size, stdout) != (size_t)size)
        exit(3);
}

/* Bytes of a linear congruential generator; as floating point they hold NaN and infinity too. */
static uint8_t *noise(int64_t size)
{
    static uint32_t state = 1;
    uint8_t *bytes = made(size);
    for (int64_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(state >> 24);
    }
    return bytes;
}

static void run(int format, int64_t num_channels, int64_t num_samples, int packed)
{
    const int64_t size = pg_frame_bytes[format], step = packed ? num_channels : 1;
    uint8_t *planes[MOST_CHANNELS];
    const uint8_t *starts[MOST_CHANNELS];
    float *out = made(num_samples * 4);
    for (int64_t c = 0; c < num_channels; c++) {
        planes[c] = packed && c ? NULL : noise(num_samples * size * step);
        starts[c] = packed ? planes[0] + c * size : planes[c];
    }
    for (int64_t c = 0; c <= num_channels; c++) {
        const int64_t wild = c < num_channels ? pg_frame_load(format, starts[c], step, num_samples, out)
                                              : pg_frame_mean(format, starts, step, num_channels, num_samples, out);
        give(out, num_samples * 4);
        give(&wild, sizeof wild);
    }
    for (int64_t c = 0; c < num_channels; c++)
        free(planes[c]);
    free(out);
}

int main(void)
{
    for (int format = 0; format < PG_FRAME_FORMATS; format++)
        for (int i = 0; i < NUM_SHAPES; i++)
            for (int packed = 0; packed < 2; packed++)
                run(format, shapes[i][0], shapes[i][1], packed);
    return 0;
}
