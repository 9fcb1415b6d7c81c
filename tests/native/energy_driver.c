/* Runs the energy VAD's kernels in the variant that is named; writes what they computed to standard output.
 *
 * Arrays have exactly the length that the kernels are promised. For several frame lengths: energies (float64) and RMS (float32) of
 * made samples, then the decision of each frame (a byte) under some rules. Frames that come one by one must be decided as those
 * that come at once; if not, the exit status is 4.
 */
#include <stdio.h>
#include <stdlib.h>

#include "energy/judge.h"
#include "energy/variants.h"

enum { NUM_SAMPLES = 1003, FLOOR_FRAMES = 7 }; /* a multiple of no block length */

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

/* Values of a linear congruential generator, loud and faint in turns. */
static float *made_samples(void)
{
    float *samples = block(NUM_SAMPLES * sizeof(float));
    uint32_t state = 1;
    for (int i = 0; i < NUM_SAMPLES; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = (float)((double)state / 2147483648.0 - 1.0) * (i / 37 % 3 ? 0.5f : 0.01f);
    }
    return samples;
}

/* Flags of all frames, given `at_once` frames a call; the number of segments. */
static int64_t decided(const pg_vad_settings *settings, const double *energy, const float *rms, int64_t count, int64_t at_once,
                       uint8_t *speech)
{
    float *threshold = block((size_t)count * sizeof(float));
    pg_vad_segment *segments = block((size_t)(count / 2 + 2) * sizeof(pg_vad_segment));
    pg_vad_state state = {.floor = {.rms = block(FLOOR_FRAMES * sizeof(float)), .before = block((FLOOR_FRAMES + 1) * sizeof(float))}};
    const pg_vad_frames frames = {0, energy, rms, threshold, speech};
    int64_t num_segments = 0;
    pg_vad_begin(settings, &state);
    for (int64_t frame = 0; frame < count; frame += at_once) {
        const int64_t end = pg_vad_least(frame + at_once, count) * settings->frame_length;
        num_segments += pg_vad_judge(settings, &state, &frames, pg_vad_least(at_once, count - frame),
                                     pg_vad_least(end, NUM_SAMPLES) - frame * settings->frame_length, segments + num_segments);
    }
    num_segments += pg_vad_finish(settings, &state, &frames, segments + num_segments);
    free(threshold), free(segments), free(state.floor.rms), free(state.floor.before);
    return num_segments;
}

int main(int argc, char **argv)
{
    const pg_energy_kernel kernel = argc == 2 ? pg_energy_variant(argv[1]) : NULL;
    if (kernel == NULL) {
        fprintf(stderr, "usage: %s avx512|avx2|portable; the first two are on x86-64 only\n", argv[0]);
        return 2;
    }
    float *samples = made_samples();
    for (int64_t length = 1; length <= 2 * NUM_SAMPLES; length = 3 * length + 1) {
        const int64_t count = (NUM_SAMPLES + length - 1) / length;
        double *energy = block((size_t)count * sizeof(double));
        float *rms = block((size_t)count * sizeof(float));
        uint8_t *whole = block((size_t)count), *one_by_one = block((size_t)count);
        const pg_vad_settings settings = {length, 0.1f, 2.0f, FLOOR_FRAMES, 3, 2, 1, length, 1};
        if (!kernel(samples, NUM_SAMPLES, length, energy, rms))
            return 3;
        const int64_t num_segments = decided(&settings, energy, rms, count, count, whole);
        if (decided(&settings, energy, rms, count, 1, one_by_one) != num_segments || memcmp(whole, one_by_one, (size_t)count) != 0)
            return 4;
        give(energy, (size_t)count * sizeof(double));
        give(rms, (size_t)count * sizeof(float));
        give(whole, (size_t)count);
        free(energy), free(rms), free(whole), free(one_by_one);
    }
    free(samples);
    return 0;
}
