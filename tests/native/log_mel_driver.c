/* Runs one variant of the log-mel kernels over the cases of log_mel_cases.h; writes what it computed to standard output.
 *
 * Every array has a block of memory of its own with exactly the length that the kernels are promised, so that an address sanitizer
 * sees one value too many. For each case, in this order: levels [rows][columns]; the same from bins-first arrays, transposed back;
 * statistics [3][columns] as float64; levels scaled by column; levels normalized by row; levels with their deltas
 * [rows][2 columns]; as float64: sum, least and greatest of the samples, whether every energy was finite, the highest level.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log_mel/plan.h"

typedef struct {
    int plan; /* index into `plans` */
    int64_t num_samples, padded, num_rows;
    double offset, gain;
    const float *samples;
} test_case;

#include "log_mel_cases.h"

static void *block(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        exit(3);
    return memory;
}

static void *copy(const void *from, size_t size)
{
    void *memory = block(size);
    memcpy(memory, from, size);
    return memory;
}

static void give(const void *values, size_t size)
{
    if (fwrite(values, 1, size, stdout) != size)
        exit(3);
}

static pg_outcome levels_of(const pg_kernels *kernels, const test_case *one, float *samples, pg_rows out, double *statistics)
{
    const pg_plan *plan = &plans[one->plan];
    const int32_t columns = pg_num_columns(plan);
    const pg_signal signal = {samples, one->num_samples, 0, one->num_samples, one->padded, one->offset, one->gain};
    pg_statistics sums = {statistics, statistics + columns, statistics + 2 * columns, 0};
    float *workspace = block((size_t)kernels->workspace(plan) * sizeof(float));
    const pg_outcome outcome = kernels->levels(plan, &signal, 0, one->num_rows, workspace, out, &sums);
    free(workspace);
    return outcome;
}

static void run(const pg_kernels *kernels, const test_case *one)
{
    const int32_t columns = pg_num_columns(&plans[one->plan]);
    const int64_t rows = one->num_rows;
    const size_t row_size = (size_t)columns * sizeof(float), size = (size_t)rows * row_size;
    float *samples = copy(one->samples, (size_t)one->num_samples * sizeof(float));
    float *levels = block(size), *by_bin = block(size), *wide = block(2 * size);
    double *statistics = block(3 * (size_t)columns * sizeof(double));
    memset(statistics, 0, 3 * (size_t)columns * sizeof(double)); /* without a row they stay as they are */
    const pg_rows by_row = {levels, columns, 1};

    levels_of(kernels, one, samples, (pg_rows){by_bin, 1, rows}, statistics);
    const pg_outcome outcome = levels_of(kernels, one, samples, by_row, statistics);
    give(levels, size);
    for (int64_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column++)
            give(&by_bin[column * rows + row], sizeof(float));
    give(statistics, 3 * (size_t)columns * sizeof(double));

    float *high = block(row_size), *low = block(row_size), *gain = block(row_size), *changed = copy(levels, size);
    for (int32_t column = 0; column < columns; column++) {
        high[column] = (float)statistics[column];
        low[column] = 0.001f * (float)column;
        gain[column] = 1.0f + 0.5f * (float)column;
    }
    kernels->scale_columns((pg_rows){changed, columns, 1}, rows, columns, outcome.highest - 4.0f, high, low, gain);
    give(changed, size);
    memcpy(changed, levels, size);
    kernels->normalize_rows((pg_rows){changed, columns, 1}, rows, columns, 1, PG_FLOOR_MAX, 1e-6);
    give(changed, size);
    for (int64_t row = 0; row < rows; row++)
        memcpy(wide + 2 * row * columns, levels + row * columns, row_size);
    kernels->deltas((pg_rows){wide, 2 * columns, 1}, rows, columns);
    give(wide, 2 * size);

    const pg_extent extent = kernels->extent(samples, one->num_samples);
    const double last[] = {extent.sum, extent.min, extent.max, outcome.finite, outcome.highest};
    give(last, sizeof last);
    free(samples), free(levels), free(by_bin), free(wide), free(statistics), free(high), free(low), free(gain), free(changed);
}

int main(int argc, char **argv)
{
    const pg_kernels *kernels = argc == 2 ? pg_variant(argv[1]) : NULL;
    if (kernels == NULL) {
        fprintf(stderr, "usage: %s avx512|avx2|portable; the first two on x86-64 only\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(kernels, &cases[i]);
    return 0;
}
