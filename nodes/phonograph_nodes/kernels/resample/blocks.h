/* Resampling by overlap-save in the frequency domain, PG_LANES blocks side by side.
 *
 * Theory. A block of N samples has the spectrum X[k] of 2n = N real values, from the complex transform Z of n points (transforms.h):
 * with s = Z[k] + conj Z[n-k] and d = Z[k] - conj Z[n-k], X[k] = (s - i e^(-2 pi i k / N) d) / 2. Times the filter's H[k], of the
 * bins below the lower of the two Nyquist frequencies and no others, it is the spectrum Y of N' = 2n' output samples. They come from
 * the inverse transform of n' points u[j] = y[2j] + i y[2j+1], whose input is, with w = i e^(2 pi i k / N'),
 *     U[k] = S + w D,  U[n'-k] = conj(S - w D),  S = Y[k] + conj Y[n'-k],  D = Y[k] - conj Y[n'-k].
 * So one step takes Z[k], Z[n-k], Z[n'-k] and Z[n-n'+k] to U[k] and U[n'-k]. All constants of Y[k] = a s + b d are in a and b: the
 * filter, the 1/2, the factor 1 / N of the inverse, and the delay that puts the block's first useful output at its beginning.
 *
 * What a block gives is circular where the filter reaches around its ends; those outputs belong to the neighbours and are not stored.
 * The filter is down to less than a millionth where bins are left out, so what they would fold back is not worth the work.
 *
 * Blocks stand on a grid that begins with the signal, whatever part of it is asked for. So the outputs are the same bits for a whole
 * signal and for one that comes in pieces.
 */
#ifndef PHONOGRAPH_RESAMPLE_BLOCKS_H
#define PHONOGRAPH_RESAMPLE_BLOCKS_H

#include "source.h"
#include "transforms.h"

PG_INLINE pg_complex pg_times(pg_complex a, const float *b)
{
    return (pg_complex){b[0] * a.r - b[1] * a.i, b[0] * a.i + b[1] * a.r};
}

/* Y[k] = a s + b d, from the places of Z[k] and Z[n-k] */
PG_INLINE pg_complex pg_filtered(const pg_vec *z, int32_t here, int32_t there, const float *gain)
{
    const pg_vec *p = z + 2 * (int64_t)here, *q = z + 2 * (int64_t)there;
    const pg_complex s = {p[0] + q[0], p[1] - q[1]}, d = {p[0] - q[0], p[1] + q[1]};
    return pg_plus(pg_times(s, gain), pg_times(d, gain + 2));
}

/* U[k] and U[n'-k], their parts exchanged, from S and D */
PG_INLINE void pg_unsplit(pg_complex s, pg_complex d, const float *turn, pg_vec *restrict here, pg_vec *restrict there)
{
    const pg_complex t = {-turn[1] * d.r - turn[0] * d.i, turn[0] * d.r - turn[1] * d.i}; /* i (cos + i sin) d */
    here[0] = s.i + t.i, here[1] = s.r + t.r;
    there[0] = t.i - s.i, there[1] = s.r - t.r;
}

static void pg_filter(const pg_blocks *plan, const pg_vec *restrict z, pg_vec *restrict u)
{
    const int n = plan->forward.num_points, m = plan->inverse.num_points, num_bins = n < m ? n : m;
    const int32_t *bins = plan->bins;
    const float *gains = plan->gains, *turns = plan->turns;
    /* bin 0, which has no partner: its real factor is in a, as s = 2 Re Z[0] and d = 2i Im Z[0] */
    const pg_vec zero = gains[0] * (z[0] + z[1]);
    u[0] = zero, u[1] = zero;
    int k = 1;
    for (; k <= m - num_bins && 2 * k < m && k < num_bins; k++) { /* bin m - k is above the band */
        const pg_complex y = pg_filtered(z, bins[k], bins[n - k], gains + 4 * k);
        pg_unsplit(y, y, turns + 2 * k, u + 2 * k, u + 2 * (m - k));
    }
    for (; 2 * k < m && k < num_bins; k++) {
        const int j = m - k;
        const pg_complex y = pg_filtered(z, bins[k], bins[n - k], gains + 4 * k), x = pg_filtered(z, bins[j], bins[n - j], gains + 4 * j);
        const pg_complex s = {y.r + x.r, y.i - x.i}, d = {y.r - x.r, y.i + x.i};
        pg_unsplit(s, d, turns + 2 * k, u + 2 * k, u + 2 * j);
    }
    if (2 * k < m)
        memset(u + 2 * k, 0, 2 * (size_t)(m - 2 * k + 1) * sizeof(pg_vec)); /* both bins of each pair are above the band */
    else if (m % 2 == 0) { /* the bin that is its own partner: U = 2 conj Y */
        const int middle = m / 2;
        pg_complex y = {{0}, {0}};
        if (middle < num_bins)
            y = pg_filtered(z, bins[middle], bins[n - middle], gains + 4 * middle);
        u[2 * middle] = -2.0f * y.i, u[2 * middle + 1] = 2.0f * y.r;
    }
}

/* The first `length` outputs of each lane, to rows that are `stride` values apart. */
static pg_vec pg_store_outputs(const pg_blocks *plan, const pg_vec *u, float *out, int64_t stride, pg_vec poison)
{
    enum { STEP = PG_LANES / 2 };
    const int points = plan->step_out / 2;
    for (int next = 0; next < points; next += STEP) {
        const int first = next + STEP <= points ? next : points - STEP; /* the last ones partly anew */
        pg_vec block[PG_LANES];
        PG_UNROLLED
        for (int i = 0; i < STEP; i++) {
            const pg_vec *at = u + 2 * (int64_t)plan->places[first + i];
            block[2 * i] = at[1], block[2 * i + 1] = at[0];
            poison += (at[0] + at[1]) * 0.0f; /* NaN from NaN and infinity */
        }
        pg_transpose(block);
        PG_UNROLLED
        for (int lane = 0; lane < PG_LANES; lane++)
            pg_store(out + lane * stride + 2 * first, block[lane]);
    }
    return poison;
}

/* Workspace: every part begins at a multiple of 64 bytes. */
typedef struct {
    pg_vec *z;     /* two vectors a point of the forward transform */
    pg_vec *u;     /* and of the inverse */
    float *samples; /* of PG_LANES blocks, where they are not to be had from their source */
    uint8_t *stored; /* what was read of a file */
    float *outputs;  /* [PG_LANES][step_out]: outputs of which not all are wanted */
} pg_block_workspace;

/* Input samples that PG_LANES blocks read. */
PG_INLINE int64_t pg_group_length(const pg_blocks *plan)
{
    return (PG_LANES - 1) * (int64_t)plan->step_in + plan->block_in;
}

static int64_t pg_lay_out_blocks(const pg_blocks *plan, float *at, pg_block_workspace *workspace)
{
    int64_t used = 0;
#define PG_PART(member, values) (workspace->member = (void *)(at + used), used += ((values) + 15) / 16 * 16)
    PG_PART(z, 2 * PG_LANES * (int64_t)plan->forward.num_points);
    PG_PART(u, 2 * PG_LANES * (int64_t)plan->inverse.num_points);
    PG_PART(samples, pg_group_length(plan));
    PG_PART(stored, pg_room_for_stored(pg_group_length(plan)) / (int64_t)sizeof(float));
    PG_PART(outputs, PG_LANES * (int64_t)plan->step_out);
#undef PG_PART
    return used;
}

static int64_t pg_blocks_workspace(const pg_blocks *plan)
{
    pg_block_workspace unused;
    return pg_lay_out_blocks(plan, NULL, &unused) + 16; /* to begin at a multiple of 64 bytes */
}

static int32_t pg_resample_blocks(const pg_blocks *plan, pg_source *source, int64_t first_block, int64_t end, float *memory, float *out)
{
    pg_block_workspace workspace;
    pg_lay_out_blocks(plan, (float *)(((uintptr_t)memory + 63) & ~(uintptr_t)63), &workspace);
    const int64_t num_blocks = (end + plan->step_out - 1) / plan->step_out;
    pg_vec poison = {0};
    for (int64_t block = first_block; block < num_blocks; block += PG_LANES) {
        const float *samples =
            pg_taken(source, block * plan->step_in - plan->lead, pg_group_length(plan), workspace.samples, workspace.stored);
        if (samples == NULL)
            return 0;
        pg_forward(plan, samples, plan->step_in, workspace.z);
        pg_filter(plan, workspace.z, workspace.u);
        pg_inverse(&plan->inverse, workspace.u);
        float *to = out + (block - first_block) * plan->step_out;
        if ((block + PG_LANES) * plan->step_out <= end) {
            poison = pg_store_outputs(plan, workspace.u, to, plan->step_out, poison);
        } else {
            poison = pg_store_outputs(plan, workspace.u, workspace.outputs, plan->step_out, poison);
            memcpy(to, workspace.outputs, (size_t)(end - block * plan->step_out) * sizeof(float));
        }
    }
    int32_t finite = 1;
    for (int lane = 0; lane < PG_LANES; lane++)
        finite = finite && poison[lane] == 0.0f;
    return finite;
}

#endif
