/* From samples to what the windows read: edges, normalization, 16-bit rounding, dither, pre-emphasis, the windows' means.
 *
 * Where a window's samples lie inside the signal and no step changes them, windows read the caller's array. All else is staged: one
 * stretch of samples that holds PG_LANES windows, each of its values a function of its place in the signal alone. The same vector
 * code makes a value wherever the stretch begins, so that a stream cut in any way gives equal bits.
 */
#ifndef PHONOGRAPH_LOG_MEL_SIGNAL_H
#define PHONOGRAPH_LOG_MEL_SIGNAL_H

#include "plan.h"
#include "../vectors.h"

/* Workspace of the staging, in float32 values; each part begins at a multiple of 16. */
typedef struct {
    int64_t span;  /* of one stretch: PG_LANES windows, the last one filled up to whole vectors */
    int64_t total;
} pg_stage_size;

PG_INLINE int64_t pg_whole_vectors(int64_t length)
{
    return (length + 15) / 16 * 16;
}

static pg_stage_size pg_stage_sizes(const pg_plan *plan)
{
    const int64_t span = pg_whole_vectors((PG_LANES - 1) * (int64_t)plan->hop_length + pg_whole_vectors(plan->window_length));
    const int64_t sums = plan->remove_mean ? 2 * pg_whole_vectors(span / plan->sum_block + 1) : 0;
    return (pg_stage_size){span, 3 * (span + 16) + sums};
}

/* Place of sample t in a signal of `length` samples, -1 for a zero. */
static int64_t pg_place(int64_t t, int64_t length, int32_t edges)
{
    if (t >= 0 && t < length)
        return t;
    if (edges == PG_ZERO || length == 0)
        return -1;
    if (edges == PG_REPEAT)
        return t < 0 ? 0 : length - 1;
    if (length == 1)
        return 0;
    const int64_t period = edges == PG_REFLECT ? 2 * (length - 1) : 2 * length;
    const int64_t mirror = edges == PG_REFLECT ? period : period - 1;
    t %= period;
    if (t < 0)
        t += period;
    return t < length ? t : mirror - t;
}

static inline uint64_t pg_mixed(uint64_t x) /* the finalizer of SplitMix64 (Steele, Lea, Flood 2014) */
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Standard normal value number t of the sequence `seed`: Box and Muller's transform of two hashes. */
static float pg_normal(uint64_t seed, int64_t t)
{
    const uint64_t bits = pg_mixed(pg_mixed(seed + 0x9e3779b97f4a7c15u) + 0x9e3779b97f4a7c15u * (uint64_t)t);
    const double radius = sqrt(-2.0 * log(((double)(bits >> 32) + 1.0) * 0x1p-32));
    return (float)(radius * cos(6.283185307179586 * 0x1p-32 * (double)(bits & 0xffffffffu)));
}

static inline float pg_raw(const pg_plan *plan, const pg_signal *signal, int64_t place)
{
    if (place < 0 || place >= signal->num_samples)
        return 0.0f;
    const float x = signal->samples[place - signal->origin];
    return plan->dither > 0.0f ? x + plan->dither * pg_normal(plan->dither_seed, place) : x;
}

PG_INLINE pg_vec pg_rounded(pg_vec v) /* to the nearest integer, ties to even, for |v| < 2^22 */
{
    const float magic = 12582912.0f;
    return (v + magic) - magic;
}

typedef struct {
    float high, low, gain; /* the offset is high + low */
    int normalize, quantise;
} pg_change;

/* Products are rounded, not fused with what follows: fused, a value would depend on which copy of this code has made it. */
PG_INLINE pg_vec pg_changed(pg_vec x, const pg_change *change)
{
    if (change->quantise)
        x = pg_product(pg_rounded(x * 32768.0f), pg_splat(1.0f / 32767.0f));
    if (change->normalize)
        x = pg_product((x - change->high) - change->low, pg_splat(change->gain));
    return x;
}

/* y = v - preemphasis * v_before, v the changed samples */
PG_INLINE void pg_emphasise(const float *here, const float *before, int64_t length, const pg_change *change, float preemphasis,
                            float *y)
{
    for (int64_t i = 0; i < length; i += PG_LANES) {
        const pg_vec v = pg_changed(pg_load(here + i), change);
        const pg_vec emphasis = pg_product(pg_splat(preemphasis), pg_changed(pg_load(before + i), change));
        pg_store(y + i, preemphasis != 0.0f ? v - emphasis : v);
    }
}

/* Sum of some samples; as it depends on them alone, windows may share the sums of what they share. */
static double pg_sum(const float *x, int64_t length)
{
    pg_doubles low = {0}, high = {0};
    int64_t i = 0;
    for (; i + PG_LANES <= length; i += PG_LANES) {
        low += pg_widened(x + i);
        high += pg_widened(x + i + PG_LANES / 2);
    }
    double rest = 0.0;
    for (; i < length; i++)
        rest += x[i];
    return pg_total(low + high) + rest;
}

/* Means of the windows of one stretch. */
static void pg_means(const pg_plan *plan, const float *x, int lanes_used, double *sums, float *means)
{
    const int block = plan->sum_block, per_hop = plan->hop_length / block, per_window = plan->window_length / block;
    const int num_blocks = (lanes_used - 1) * per_hop + per_window;
    for (int i = 0; i < num_blocks; i++)
        sums[i] = pg_sum(x + (int64_t)i * block, block);
    const double scale = 1.0 / plan->window_length;
    for (int lane = 0; lane < PG_LANES; lane++) {
        double sum = 0.0;
        for (int i = 0; lane < lanes_used && i < per_window; i++)
            sum += sums[lane * per_hop + i];
        means[lane] = (float)(sum * scale);
    }
}

/* What the windows of one group read: window `lane` at samples + lane * hop_length, less means[lane]. */
typedef struct {
    const float *samples;
    float means[PG_LANES]; /* 0 unless the plan removes the windows' means */
} pg_group;

/* Points the group at its samples: where they are, or staged. */
static void pg_stage(const pg_plan *plan, const pg_signal *signal, int64_t start, int lanes_used, float *workspace, pg_group *group)
{
    const pg_stage_size size = pg_stage_sizes(plan);
    const int64_t need = (lanes_used - 1) * (int64_t)plan->hop_length + plan->window_length, whole = pg_whole_vectors(need);
    const int64_t end = signal->origin + signal->length < signal->num_samples ? signal->origin + signal->length : signal->num_samples;
    const int changes = plan->normalize_signal || plan->quantise || plan->signal_preemphasis != 0.0f;
    const int inside = start - changes >= signal->origin && start + (changes ? whole : size.span) <= end;
    float *here = workspace, *before = here + size.span + 16, *y = before + size.span + 16;
    double *sums = (double *)(y + size.span + 16);
    const pg_change change = {(float)signal->offset, (float)(signal->offset - (float)signal->offset), (float)signal->gain,
                              plan->normalize_signal, plan->quantise};
    group->samples = y;
    if (inside && plan->dither == 0.0f) {
        const float *x = signal->samples + (start - signal->origin);
        if (changes)
            pg_emphasise(x, x - 1, whole, &change, plan->signal_preemphasis, y);
        else
            group->samples = x;
    } else {
        memset(here + need, 0, (size_t)(whole - need) * sizeof(float));
        memset(before + need, 0, (size_t)(whole - need) * sizeof(float));
        for (int64_t i = 0; i < need; i++) {
            const int64_t place = pg_place(start + i, signal->padded, plan->edges);
            here[i] = pg_raw(plan, signal, place);
            before[i] = pg_raw(plan, signal, place - 1);
        }
        pg_emphasise(here, before, whole, &change, plan->signal_preemphasis, y);
        for (int64_t i = 0; changes && i < need; i++) {
            const int64_t place = pg_place(start + i, signal->padded, plan->edges);
            if (place < 0 || place >= signal->num_samples)
                y[i] = 0.0f; /* what was filled up is zero whatever the mean is */
            else if (place == 0)
                y[i] = pg_changed(pg_splat(here[i]), &change)[0]; /* sample 0 has none before it */
        }
    }
    if (group->samples == y)
        memset(y + need, 0, (size_t)(size.span + 16 - need) * sizeof(float));
    if (plan->remove_mean)
        pg_means(plan, group->samples, lanes_used, sums, group->means);
}

#endif
