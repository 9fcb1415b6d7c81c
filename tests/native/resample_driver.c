/* Runs one of the resampling kernels, in the variant that is named, on a case from a file; writes what it computed to standard output.
 *
 * The file holds 64-bit integers and arrays, an array as its size in bytes and then its content, in the order in which `main` takes
 * them. Arrays have exactly the length that the kernels are promised. After the outputs comes a byte: whether all are finite.
 */
#define _POSIX_C_SOURCE 200809L /* fileno */

#include <stdio.h>
#include <stdlib.h>

#include "resample/plan.h"

static FILE *given;

static void *block(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL)
        exit(3);
    return memory;
}

static int64_t taken_number(void)
{
    int64_t number;
    if (fread(&number, sizeof(number), 1, given) != 1)
        exit(4);
    return number;
}

static const void *taken_array(int64_t *size)
{
    *size = taken_number();
    void *array = block((size_t)*size);
    if (fread(array, 1, (size_t)*size, given) != (size_t)*size)
        exit(4);
    return array;
}

static pg_transform taken_transform(void)
{
    int64_t size;
    pg_transform transform = {.num_points = 1};
    transform.radices = taken_array(&size);
    transform.num_passes = (int32_t)(size / (int64_t)sizeof(int32_t));
    for (int i = 0; i < transform.num_passes; i++)
        transform.num_points *= transform.radices[i];
    transform.turns = taken_array(&size);
    return transform;
}

static void free_transform(const pg_transform *transform)
{
    free((void *)transform->radices), free((void *)transform->turns);
}

static int32_t by_blocks(const pg_resamplers *kernels, pg_source *source, int64_t first, int64_t end, float *out)
{
    int64_t size;
    pg_blocks plan = {.step_in = (int32_t)taken_number(), .step_out = (int32_t)taken_number(), .lead = (int32_t)taken_number()};
    plan.forward = taken_transform();
    plan.inverse = taken_transform();
    plan.block_in = 2 * plan.forward.num_points;
    plan.bins = taken_array(&size);
    plan.gains = taken_array(&size);
    plan.turns = taken_array(&size);
    plan.places = taken_array(&size);
    float *workspace = block((size_t)kernels->workspace(&plan) * sizeof(float));
    const int32_t finite = kernels->blocks(&plan, source, first / plan.step_out, end, workspace, out);
    free_transform(&plan.forward), free_transform(&plan.inverse), free(workspace);
    free((void *)plan.bins), free((void *)plan.gains), free((void *)plan.turns), free((void *)plan.places);
    return finite;
}

static int32_t by_bank(const pg_resamplers *kernels, pg_source *source, int64_t first, int64_t end, float *out)
{
    int64_t size;
    pg_bank plan = {.up = (int32_t)taken_number(), .down = (int32_t)taken_number(), .lead = (int32_t)taken_number()};
    plan.taps = taken_array(&size);
    plan.num_taps = (int32_t)(size / (int64_t)sizeof(float)) / plan.up;
    float *workspace = block((size_t)plan.num_taps * 4 * sizeof(float));
    const int32_t finite = kernels->bank(&plan, source, first, end, workspace, out);
    free((void *)plan.taps), free(workspace);
    return finite;
}

int main(int argc, char **argv)
{
    const pg_resamplers *kernels = argc == 3 ? pg_resample_variant(argv[1]) : NULL;
    if (kernels == NULL || (given = fopen(argv[2], "rb")) == NULL) {
        fprintf(stderr, "usage: %s avx512|avx2|portable CASE; the first two are on x86-64 only\n", argv[0]);
        return 2;
    }
    int64_t size;
    const int64_t has_blocks = taken_number(), first = taken_number(), end = taken_number();
    const int64_t is_in_file = taken_number();
    pg_source source = {.format = (int32_t)taken_number()};
    source.big_endian = (int32_t)taken_number();
    source.num_channels = (int32_t)taken_number();
    source.origin = taken_number();
    source.length = taken_number();
    const void *samples = taken_array(&size);
    if (is_in_file)
        source.descriptor = fileno(given), source.first_byte = ftell(given) - size;
    else
        source.samples = samples;
    float *out = block((size_t)(end - first) * sizeof(float));
    const int32_t finite = (has_blocks ? by_blocks : by_bank)(kernels, &source, first, end, out);
    if (fwrite(out, sizeof(float), (size_t)(end - first), stdout) != (size_t)(end - first) || putchar(finite != 0) == EOF)
        return 3;
    free(out), free((void *)samples), fclose(given);
    return 0;
}
