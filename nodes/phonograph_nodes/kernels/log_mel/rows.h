/* Arithmetic on rows of features after all are there: means, deviations, clamping. Sums are in float64, row after row, so that they
 * do not depend on how the rows came to be. */
#ifndef PHONOGRAPH_LOG_MEL_ROWS_H
#define PHONOGRAPH_LOG_MEL_ROWS_H

#include "plan.h"
#include "../vectors.h"

static inline double pg_divisor(double variance, int32_t floor_in, double floor)
{
    const double deviation = sqrt(variance);
    switch (floor_in) {
    case PG_FLOOR_VARIANCE: return sqrt(variance + floor);
    case PG_FLOOR_ADD: return deviation + floor;
    default: return deviation > floor ? deviation : floor;
    }
}

/* Differences to the first row are summed: a column that never changes has sums of exactly 0, and the front ends divide by
 * deviations down to 1e-5. `rows` has column_step 1. */
static void pg_accumulate(pg_rows rows, int64_t num_rows, int32_t num_columns, pg_statistics *statistics)
{
    if (num_rows == 0)
        return;
    double *reference = statistics->reference, *sum = statistics->sum, *squares = statistics->squares;
    if (statistics->rows_before == 0)
        for (int32_t column = 0; column < num_columns; column++) {
            reference[column] = rows.data[column * rows.column_step];
            sum[column] = squares[column] = 0.0;
        }
    statistics->rows_before += num_rows;
    int32_t column = 0;
    if (rows.column_step == 1)
        for (; column + PG_LANES / 2 <= num_columns; column += PG_LANES / 2) {
            const pg_doubles from = *(const pg_doubles_anywhere *)(reference + column);
            pg_doubles total = *(const pg_doubles_anywhere *)(sum + column);
            pg_doubles square = *(const pg_doubles_anywhere *)(squares + column);
            for (int64_t row = 0; row < num_rows; row++) {
                const float *at = rows.data + row * rows.row_step + column;
                const pg_doubles v = pg_widened(at) - from;
                total += v;
                square += v * v;
            }
            *(pg_doubles_anywhere *)(sum + column) = total;
            *(pg_doubles_anywhere *)(squares + column) = square;
        }
    for (; column < num_columns; column++)
        for (int64_t row = 0; row < num_rows; row++) {
            const double v = rows.data[row * rows.row_step + column * rows.column_step] - reference[column];
            sum[column] += v;
            squares[column] += v * v;
        }
}

/* What (v - (high + low)) * gain has to be for each column so that its mean is 0 and its deviation `scale`; of a single row, the
 * deviation divides by 1. */
static void pg_standardise(const pg_statistics *statistics, int64_t num_rows, int32_t num_columns, int32_t unbiased,
                           int32_t floor_in, double floor, double scale, float *high, float *low, float *gain)
{
    const double divisor = (double)(num_rows - (unbiased && num_rows > 1));
    for (int32_t column = 0; column < num_columns; column++) {
        const double sum = statistics->sum[column], mean = statistics->reference[column] + sum / (double)num_rows;
        const double squares = statistics->squares[column] - sum * (sum / (double)num_rows);
        const double variance = scale * scale * (squares > 0.0 ? squares : 0.0) / divisor; /* rounding may leave less than 0 */
        high[column] = (float)mean;
        low[column] = (float)(mean - high[column]);
        gain[column] = (float)(scale / pg_divisor(variance, floor_in, floor));
    }
}

/* In place, (max(v, lowest) - (high + low)) * gain for each column; the shift in two parts, as one float32 is too coarse where a
 * deviation is small. */
static void pg_scale_columns(pg_rows rows, int64_t num_rows, int32_t num_columns, float lowest, const float *high, const float *low,
                             const float *gain)
{
    const pg_vec floor = pg_splat(lowest);
    const int by_row = rows.column_step == 1;
    const int64_t outer = by_row ? num_rows : num_columns, inner = by_row ? num_columns : num_rows;
    const int64_t step = by_row ? rows.row_step : rows.column_step;
    for (int64_t i = 0; i < outer; i++) {
        float *at = rows.data + i * step;
        int64_t j = 0;
        if (by_row)
            for (; j + PG_LANES <= inner; j += PG_LANES)
                pg_store(at + j, ((pg_at_least(pg_load(at + j), floor) - pg_load(high + j)) - pg_load(low + j)) * pg_load(gain + j));
        else
            for (; j + PG_LANES <= inner; j += PG_LANES)
                pg_store(at + j, ((pg_at_least(pg_load(at + j), floor) - high[i]) - low[i]) * gain[i]);
        for (; j < inner; j++) {
            const int64_t column = by_row ? j : i;
            const float v = at[j] > lowest ? at[j] : lowest;
            at[j] = ((v - high[column]) - low[column]) * gain[column];
        }
    }
}

/* In place, (v - mean) / deviation of each row. */
static void pg_normalize_rows(pg_rows rows, int64_t num_rows, int32_t num_columns, int32_t unbiased, int32_t floor_in, double floor)
{
    for (int64_t row = 0; row < num_rows; row++) {
        float *at = rows.data + row * rows.row_step;
        double sum = 0.0, squares = 0.0;
        for (int32_t column = 0; column < num_columns; column++)
            sum += (double)at[column * rows.column_step] - at[0];
        const double mean = at[0] + sum / num_columns;
        for (int32_t column = 0; column < num_columns; column++) {
            const double v = at[column * rows.column_step] - mean;
            squares += v * v;
        }
        const double variance = squares / (num_columns - (unbiased && num_columns > 1));
        const double divisor = pg_divisor(variance, floor_in, floor);
        for (int32_t column = 0; column < num_columns; column++)
            at[column * rows.column_step] = (float)((at[column * rows.column_step] - mean) / divisor);
    }
}

/* columns [0, n) -> [n, 2n): (next - previous) / 2 over rows, the first and the last row repeated beyond the edges */
static void pg_deltas(pg_rows rows, int64_t num_rows, int32_t num_columns)
{
    for (int64_t row = 0; row < num_rows; row++) {
        const float *before = rows.data + (row ? row - 1 : row) * rows.row_step;
        const float *after = rows.data + (row + 1 < num_rows ? row + 1 : row) * rows.row_step;
        float *at = rows.data + row * rows.row_step;
        for (int32_t column = 0; column < num_columns; column++)
            at[(column + num_columns) * rows.column_step] =
                (after[column * rows.column_step] - before[column * rows.column_step]) * 0.5f;
    }
}

/* Sum and extremes of a signal; the sum is not finite exactly when a sample is not, as floats cannot overflow a double. */
static pg_extent pg_signal_extent(const float *samples, int64_t num_samples)
{
    pg_doubles sums[4] = {{0}};
    pg_vec low = pg_splat(INFINITY), high = pg_splat(-INFINITY);
    int64_t t = 0;
    for (; t + 2 * PG_LANES <= num_samples; t += 2 * PG_LANES) {
        PG_UNROLLED
        for (int part = 0; part < 4; part++)
            sums[part] +=
                pg_widened(samples + t + part * (PG_LANES / 2));
        PG_UNROLLED
        for (int part = 0; part < 2; part++) {
            const pg_vec v = pg_load(samples + t + part * PG_LANES);
            high = pg_at_least(high, v);
            low = -pg_at_least(-low, -v);
        }
    }
    pg_extent extent = {pg_total((sums[0] + sums[1]) + (sums[2] + sums[3])), INFINITY, -INFINITY};
    for (int lane = 0; lane < PG_LANES; lane++) {
        extent.max = high[lane] > extent.max ? high[lane] : extent.max;
        extent.min = low[lane] < extent.min ? low[lane] : extent.min;
    }
    for (; t < num_samples; t++) {
        extent.sum += samples[t];
        extent.max = samples[t] > extent.max ? samples[t] : extent.max;
        extent.min = samples[t] < extent.min ? samples[t] : extent.min;
    }
    return extent;
}

#endif
