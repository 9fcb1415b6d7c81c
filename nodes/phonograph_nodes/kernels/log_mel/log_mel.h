/* Log-mel features of a signal, PG_LANES windows at a time: signal.h -> spectrum.h -> mel.h -> rows.
 *
 * A variant for an instruction set is this file compiled with its PG_LANES and PG_VARIANT. What 16 windows need stays in the first two
 * levels of cache. A lane's arithmetic does not depend on which lane it is nor on the others, so a
 * window's levels do not depend on which windows it is computed with.
 */
#ifndef PHONOGRAPH_LOG_MEL_H
#define PHONOGRAPH_LOG_MEL_H

#include "mel.h"
#include "rows.h"
#include "spectrum.h"

/* Between the parts of a workspace an address sanitizer finds what nobody may touch. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { PG_GUARD = 16 };
#define PG_FORBID(at, values) __asan_poison_memory_region(at, (size_t)(values) * sizeof(float))
#define PG_ALLOW(at, values) __asan_unpoison_memory_region(at, (size_t)(values) * sizeof(float))
#else
enum { PG_GUARD = 0 };
#define PG_FORBID(at, values) ((void)0)
#define PG_ALLOW(at, values) ((void)0)
#endif

/* Workspace: every part begins at a multiple of 64 bytes. */
typedef struct {
    pg_vec *points;   /* two vectors a point of the transform */
    pg_vec *power;    /* filled up with zeros by the width of the widest segment */
    pg_vec *levels;   /* one vector, then the levels filled up to a multiple of PG_LANES */
    pg_vec *cepstra;  /* the same */
    pg_vec *spare;
    float *rows;      /* [PG_LANES][columns filled up to a multiple of PG_LANES] */
    float *stage;
} pg_workspace;

PG_INLINE int64_t pg_whole_lanes(int64_t count)
{
    return (count + PG_LANES - 1) / PG_LANES * PG_LANES;
}

/* Parts of a workspace that begins at `at`; returns the float32 values that it takes. */
static int64_t pg_lay_out(const pg_plan *plan, float *at, pg_workspace *workspace)
{
    int64_t used = 0;
#define PG_PART(member, values)                       \
    do {                                              \
        workspace->member = (void *)(at + used);      \
        used += pg_whole_vectors(values) + PG_GUARD;  \
        if (at != NULL && PG_GUARD)                   \
            PG_FORBID(at + used - PG_GUARD, PG_GUARD); \
    } while (0)
    const int64_t points = 2 * (int64_t)plan->transform.num_points, summed = 2 * (int64_t)plan->transform.largest_summed;
    const int64_t levels = 1 + pg_whole_lanes(plan->num_mel_bins);
    PG_PART(points, PG_LANES * (points > levels ? points : levels));
    workspace->levels = workspace->points;
    PG_PART(power, PG_LANES * (int64_t)(plan->fft_length / 2 + 1 + plan->widest));
    PG_PART(cepstra, PG_LANES * pg_whole_lanes(plan->num_cepstra));
    PG_PART(spare, PG_LANES * (plan->chirp.num_points ? points : summed));
    PG_PART(rows, PG_LANES * pg_whole_lanes(pg_num_columns(plan)));
    PG_PART(stage, pg_stage_sizes(plan).total);
#undef PG_PART
    return used;
}

static int64_t pg_workspace_size(const pg_plan *plan)
{
    pg_workspace unused;
    return pg_lay_out(plan, NULL, &unused) + 16; /* to begin at a multiple of 64 bytes */
}

/* Levels of PG_LANES windows from lanes to rows of `row_step` values, each filled up to a whole number of vectors. */
PG_INLINE void pg_store_rows(const pg_vec *levels, int32_t num_columns, float *rows, int64_t row_step)
{
    for (int32_t column = 0; column < num_columns; column += PG_LANES) {
        pg_vec block[PG_LANES];
        PG_UNROLLED
        for (int i = 0; i < PG_LANES; i++)
            block[i] = levels[column + i];
        pg_transpose(block);
        PG_UNROLLED
        for (int lane = 0; lane < PG_LANES; lane++)
            pg_store(rows + lane * row_step + column, block[lane]);
    }
}

static void pg_store_columns(const pg_vec *levels, int32_t num_columns, int lanes_used, float *columns, int64_t column_step)
{
    for (int32_t column = 0; column < num_columns; column++)
        if (lanes_used == PG_LANES)
            pg_store(columns + column * column_step, levels[column]);
        else
            memcpy(columns + column * column_step, &levels[column], (size_t)lanes_used * sizeof(float));
}

/* Hands out the levels of one group, and adds them to the statistics. */
static void pg_hand_out(const pg_plan *plan, const pg_vec *levels, int lanes_used, float *spare_rows, pg_rows out,
                        pg_statistics *statistics)
{
    const int32_t num_columns = pg_num_columns(plan);
    const int by_row = out.column_step == 1;
    pg_rows rows = {out.data, out.row_step, 1};
    if (by_row && lanes_used == PG_LANES && num_columns % PG_LANES == 0) {
        pg_store_rows(levels, num_columns, out.data, out.row_step);
    } else if (by_row || statistics) {
        rows = (pg_rows){spare_rows, pg_whole_lanes(num_columns), 1};
        pg_store_rows(levels, num_columns, rows.data, rows.row_step);
        for (int lane = 0; by_row && lane < lanes_used; lane++)
            memcpy(out.data + lane * out.row_step, rows.data + lane * rows.row_step, (size_t)num_columns * sizeof(float));
    }
    if (!by_row)
        pg_store_columns(levels, num_columns, lanes_used, out.data, out.column_step);
    if (statistics)
        pg_accumulate(rows, lanes_used, num_columns, statistics);
}

static pg_outcome pg_log_mel_levels(const pg_plan *plan, const pg_signal *signal, int64_t first_row, int64_t num_rows, float *memory,
                                    pg_rows out, pg_statistics *statistics)
{
    pg_workspace workspace;
    pg_lay_out(plan, (float *)(((uintptr_t)memory + 63) & ~(uintptr_t)63), &workspace);
    memset(workspace.power + plan->fft_length / 2 + 1, 0, (size_t)plan->widest * sizeof(pg_vec));
    memset(workspace.cepstra, 0, (size_t)pg_whole_lanes(plan->num_cepstra) * sizeof(pg_vec));
    pg_vec *levels = workspace.levels + 1;
    pg_group group = {NULL, {0}};
    pg_vec poison = {0}, spoilt, highest = pg_splat(-INFINITY), lanes;
    for (int lane = 0; lane < PG_LANES; lane++)
        lanes[lane] = (float)lane;
    for (int64_t row = 0; row < num_rows; row += PG_LANES) {
        const int lanes_used = num_rows - row < PG_LANES ? (int)(num_rows - row) : PG_LANES;
        const int64_t start = plan->first_start + (first_row + row) * plan->hop_length;
        pg_stage(plan, signal, start, lanes_used, workspace.stage, &group);
        pg_power(plan, &group, workspace.points, workspace.spare, workspace.power);
        const pg_ints used = lanes < (float)lanes_used; /* the other lanes hold parts of windows */
        pg_mel(plan, workspace.power, workspace.levels);
        spoilt = workspace.power[plan->starts[0]] * 0.0f;
        const pg_vec peaks = pg_levels(plan, levels, &spoilt);
        poison += (pg_vec)(used & (pg_ints)spoilt);
        highest = pg_at_least(highest, (pg_vec)((used & (pg_ints)peaks) | (~used & (pg_ints)highest)));
        if (plan->num_cepstra)
            pg_cepstra(plan, levels, workspace.cepstra);
        pg_hand_out(plan, plan->num_cepstra ? workspace.cepstra : levels, lanes_used, workspace.rows,
                    (pg_rows){out.data + row * out.row_step, out.row_step, out.column_step}, statistics);
    }
    /* NaN or infinity in one sample makes every power of its window NaN; powers and sums that overflow make an energy infinite or NaN */
    pg_outcome outcome = {-INFINITY, 1};
    for (int lane = 0; lane < PG_LANES; lane++) {
        outcome.highest = highest[lane] > outcome.highest ? highest[lane] : outcome.highest;
        outcome.finite = outcome.finite && poison[lane] == 0.0f;
    }
    PG_ALLOW(workspace.points, pg_workspace_size(plan) - 16);
    return outcome;
}

#define PG_JOINED(a, b) a##b
#define PG_NAMED(variant) PG_JOINED(pg_log_mel_, variant)

const pg_kernels PG_NAMED(PG_VARIANT) = {
    .lanes = PG_LANES,
    .workspace = pg_workspace_size,
    .levels = pg_log_mel_levels,
    .extent = pg_signal_extent,
    .standardise = pg_standardise,
    .scale_columns = pg_scale_columns,
    .normalize_rows = pg_normalize_rows,
    .deltas = pg_deltas,
};

#endif
