/* Resampling by a polyphase filter bank, the lanes along the taps.
 *
 * Theory. Output m lies at the input time m * down / up, between the samples i and i + 1 with i = floor of it, and `phase` = m * down
 * modulo `up` says where. It is the sum of taps[phase][j] * x[i - lead + j]. Each output is the same sequence of operations on its
 * own samples, whichever others are asked for with it, so that a signal in pieces gives the same bits as a whole one.
 */
#ifndef PHONOGRAPH_RESAMPLE_BANK_H
#define PHONOGRAPH_RESAMPLE_BANK_H

#include "source.h"

enum { PG_OUTPUTS = 4 }; /* that are summed at once */

typedef float pg_four __attribute__((vector_size(16)));
typedef float pg_four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

/* Halves are added to halves. */
PG_INLINE pg_four pg_folded(pg_vec v)
{
#if PG_LANES == 16
    typedef float eight __attribute__((vector_size(32)));
    const eight half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    const pg_vec half = v;
#endif
#if PG_LANES >= 8
    return __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
#else
    return half;
#endif
}

/* The sum of the lanes of each. */
PG_INLINE pg_four pg_sums(const pg_vec v[PG_OUTPUTS])
{
    const pg_four a = pg_folded(v[0]), b = pg_folded(v[1]), c = pg_folded(v[2]), d = pg_folded(v[3]);
    const pg_four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const pg_four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

static int32_t pg_resample_bank(const pg_bank *plan, pg_source *source, int64_t first, int64_t end, float *workspace, float *out)
{
    const int64_t num_taps = plan->num_taps, source_end = source->origin + source->length;
    const float *plain = pg_plain(source);
    const int32_t whole = plan->down / plan->up, part = plan->down % plan->up;
    int64_t start = first * plan->down / plan->up - plan->lead; /* the first sample that an output reads */
    int32_t phase = (int32_t)(first * plan->down % plan->up);
    pg_four poison = {0};
    for (int64_t m = first; m < end; m += PG_OUTPUTS) {
        int64_t starts[PG_OUTPUTS];
        const float *x[PG_OUTPUTS], *taps[PG_OUTPUTS];
        const int used = end - m < PG_OUTPUTS ? (int)(end - m) : PG_OUTPUTS;
        for (int i = 0; i < PG_OUTPUTS; i++) { /* those that are not used too */
            taps[i] = plan->taps + phase * num_taps;
            starts[i] = start;
            phase += part;
            start += whole + (phase >= plan->up);
            phase -= phase >= plan->up ? plan->up : 0;
        }
        const int all_lie = plain != NULL && starts[0] >= source->origin && starts[PG_OUTPUTS - 1] + num_taps <= source_end;
        for (int i = 0; i < PG_OUTPUTS; i++) /* with a call for each output, where they lie too, it all takes a tenth longer */
            x[i] = all_lie ? plain + (starts[i] - source->origin)
                           : pg_taken(source, starts[i], num_taps, workspace + i * num_taps, NULL);
        pg_vec sums[PG_OUTPUTS] = {{0}};
        for (int64_t j = 0; j < num_taps; j += PG_LANES)
            PG_UNROLLED
            for (int i = 0; i < PG_OUTPUTS; i++)
                sums[i] += pg_load(x[i] + j) * pg_load(taps[i] + j);
        const pg_four y = pg_sums(sums);
        poison += y * 0.0f;
        if (used == PG_OUTPUTS)
            *(pg_four_anywhere *)(out + (m - first)) = y;
        else
            memcpy(out + (m - first), &y, (size_t)used * sizeof(float));
    }
    return poison[0] == 0.0f && poison[1] == 0.0f && poison[2] == 0.0f && poison[3] == 0.0f;
}

static int32_t pg_all_finite(const float *samples, int64_t num_samples)
{
    pg_vec poison[PG_OUTPUTS] = {{0}};
    int64_t i = 0;
    for (; i + PG_OUTPUTS * PG_LANES <= num_samples; i += PG_OUTPUTS * PG_LANES)
        PG_UNROLLED
        for (int part = 0; part < PG_OUTPUTS; part++)
            poison[part] += pg_load(samples + i + part * PG_LANES) * 0.0f;
    const pg_four sums = pg_sums(poison);
    float rest = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (; i < num_samples; i++)
        rest += samples[i] * 0.0f;
    return rest == 0.0f;
}

#endif
