/* Log-mel spectrum of 16 kHz audio in float64.
 *
 * Theory. The spectrum of a real window x[0..399] comes from a complex DFT of half the length: with z[j] = x[2j] + i x[2j+1]
 * and Z its DFT over 200 points, E[k] = (Z[k] + conj Z[200-k]) / 2 is the DFT of the even samples, O[k] = (Z[k] - conj Z[200-k]) / 2i
 * that of the odd ones, and X[k] = E[k] + e^(-2 pi i k / 400) O[k], X[200-k] = conj(E[k] - e^(-2 pi i k / 400) O[k]).
 * The DFT over 200 = 5 * 5 * 8 points is Stockham's self-sorting algorithm with decimation in frequency: a stage of radix r
 * over n points and stride s (m = n / r) computes, for p < m and q < s,
 *     y[q + s (r p + k)] = e^(-2 pi i p k / n) sum_j x[q + s (p + j m)] e^(-2 pi i j k / r),      k = 0 .. r-1,
 * then goes on with n = m and stride s r; the output is in natural order, and the last stage has no twiddle factor.
 *
 * Layout. PG_LANES windows are computed side by side: value j of lane l lies at [j * PG_LANES + l], real and imaginary parts in
 * separate arrays, so every loop is contiguous and has no shuffle. All tables and all scratch belong to the caller.
 *
 * A window that reaches over an edge reads the signal reflected about its first and last sample, as often as needed.
 */
#ifndef PHONOGRAPH_LOG_MEL_H
#define PHONOGRAPH_LOG_MEL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    PG_LANES = 4,
    PG_WINDOW = 400,
    PG_HOP = 160,
    PG_HALF = PG_WINDOW / 2,                       /* points of the complex DFT, and the reflection at each edge */
    PG_TWIDDLES = (PG_HALF / 5 + PG_HALF / 25) * 8, /* doubles: stages 1 and 2, [p][k = 1..4][cos, sin] */
    PG_SPLITS = (PG_HALF / 2 + 1) * 2,             /* doubles: [k = 0..100][cos, sin](2 pi k / 400) */
    PG_SCRATCH = 4 * PG_HALF * PG_LANES            /* doubles: two complex buffers */
};

/* Tables of a front end; read only, shared by threads. */
typedef struct {
    const double *window;      /* [PG_WINDOW] */
    const double *twiddles;    /* [PG_TWIDDLES] */
    const double *splits;      /* [PG_SPLITS] */
    const int32_t *mel_begin;  /* [num_mel_bins], first spectral bin of the triangle */
    const int32_t *mel_end;    /* [num_mel_bins], one past the last */
    const double *mel_weights; /* rows of the filter bank without their zeros, one after another */
    int64_t num_mel_bins;
    double preemphasis;
    double floor;     /* of the mel energy, before the logarithm */
    double log_scale; /* 1 for ln, 1 / ln 10 for log10 */
} pg_log_mel_plan;

/* The signal y[t] = v[t] - preemphasis * v[t-1], y[0] = v[0], with v = (samples - offset) * gain, and zeros up to `padded`. */
typedef struct {
    const float *samples;
    int64_t num_samples;
    int64_t padded; /* >= num_samples */
    double offset;
    double gain;
} pg_signal;

typedef struct {
    double sum;
    double min;
    double max;
} pg_extent;

/* Sum and extremes of a signal; the sum is not finite exactly when a sample is not, as floats cannot overflow a double. */
static pg_extent pg_signal_extent(const float *samples, int64_t num_samples)
{
    double sum[PG_LANES] = {0};
    float min = INFINITY, max = -INFINITY;
    int64_t t = 0;
    for (; t + PG_LANES <= num_samples; t += PG_LANES)
        for (int l = 0; l < PG_LANES; l++) {
            const float v = samples[t + l];
            sum[l] += v;
            min = v < min ? v : min;
            max = v > max ? v : max;
        }
    for (; t < num_samples; t++) {
        const float v = samples[t];
        sum[0] += v;
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    for (int l = 1; l < PG_LANES; l++)
        sum[0] += sum[l];
    return (pg_extent){sum[0], min, max};
}

static inline int64_t pg_reflected(int64_t index, int64_t length)
{
    if (length == 1)
        return 0;
    const int64_t period = 2 * (length - 1);
    index %= period;
    if (index < 0)
        index += period;
    return index < length ? index : period - index;
}

static inline double pg_signal_at(const pg_signal *signal, int64_t t, double preemphasis)
{
    const double here = t < signal->num_samples ? (signal->samples[t] - signal->offset) * signal->gain : 0.0;
    if (t == 0 || t >= signal->num_samples) /* the padding is appended after pre-emphasis */
        return here;
    return here - preemphasis * (signal->samples[t - 1] - signal->offset) * signal->gain;
}

/* Window number `row` into lane `lane`, multiplied by the window function; even samples to re, odd ones to im. */
static inline void pg_load_window(const pg_log_mel_plan *plan, const pg_signal *signal, int64_t row, int lane, double *re, double *im)
{
    const int64_t start = row * PG_HOP - PG_HALF;
    const double preemphasis = plan->preemphasis, offset = signal->offset, gain = signal->gain;
    if (start >= 1 && start + PG_WINDOW <= signal->num_samples) {
        const float *x = signal->samples + start;
        for (int j = 0; j < PG_HALF; j++) {
            const double before = x[2 * j - 1] - offset, even = x[2 * j] - offset, odd = x[2 * j + 1] - offset;
            re[j * PG_LANES + lane] = plan->window[2 * j] * (gain * (even - preemphasis * before));
            im[j * PG_LANES + lane] = plan->window[2 * j + 1] * (gain * (odd - preemphasis * even));
        }
        return;
    }
    for (int i = 0; i < PG_WINDOW; i++) {
        const double value = pg_signal_at(signal, pg_reflected(start + i, signal->padded), preemphasis);
        (i & 1 ? im : re)[(i >> 1) * PG_LANES + lane] = plan->window[i] * value;
    }
}

/* One stage of radix 5 over n points with stride s. */
static inline void pg_radix5(int n, int s, const double *twiddles, const double *restrict xr, const double *restrict xi,
                             double *restrict yr, double *restrict yi)
{
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410; /* cos 2 pi / 5, cos 4 pi / 5 */
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;  /* sin 2 pi / 5, sin 4 pi / 5 */
    const int m = n / 5, run = s * PG_LANES, step = m * run;
    for (int p = 0; p < m; p++) {
        const double *w = twiddles + 8 * p;
        const double *ar = xr + p * run, *ai = xi + p * run;
        double *br = yr + 5 * p * run, *bi = yi + 5 * p * run;
        for (int i = 0; i < run; i++) {
            const double sum1r = ar[step + i] + ar[4 * step + i], sum1i = ai[step + i] + ai[4 * step + i];
            const double sum2r = ar[2 * step + i] + ar[3 * step + i], sum2i = ai[2 * step + i] + ai[3 * step + i];
            const double dif1r = ar[step + i] - ar[4 * step + i], dif1i = ai[step + i] - ai[4 * step + i];
            const double dif2r = ar[2 * step + i] - ar[3 * step + i], dif2i = ai[2 * step + i] - ai[3 * step + i];
            const double even1r = ar[i] + c1 * sum1r + c2 * sum2r, even1i = ai[i] + c1 * sum1i + c2 * sum2i;
            const double even2r = ar[i] + c2 * sum1r + c1 * sum2r, even2i = ai[i] + c2 * sum1i + c1 * sum2i;
            const double odd1r = s1 * dif1r + s2 * dif2r, odd1i = s1 * dif1i + s2 * dif2i;
            const double odd2r = s2 * dif1r - s1 * dif2r, odd2i = s2 * dif1i - s1 * dif2i;
            const double b1r = even1r + odd1i, b1i = even1i - odd1r, b4r = even1r - odd1i, b4i = even1i + odd1r;
            const double b2r = even2r + odd2i, b2i = even2i - odd2r, b3r = even2r - odd2i, b3i = even2i + odd2r;
            br[i] = ar[i] + sum1r + sum2r;
            bi[i] = ai[i] + sum1i + sum2i;
            br[run + i] = w[0] * b1r + w[1] * b1i; /* times cos - i sin */
            bi[run + i] = w[0] * b1i - w[1] * b1r;
            br[2 * run + i] = w[2] * b2r + w[3] * b2i;
            bi[2 * run + i] = w[2] * b2i - w[3] * b2r;
            br[3 * run + i] = w[4] * b3r + w[5] * b3i;
            bi[3 * run + i] = w[4] * b3i - w[5] * b3r;
            br[4 * run + i] = w[6] * b4r + w[7] * b4i;
            bi[4 * run + i] = w[6] * b4i - w[7] * b4r;
        }
    }
}

/* The last stage: radix 8 over 8 points with stride s, as two DFTs of four points and a butterfly. */
static inline void pg_radix8_last(int s, const double *restrict xr, const double *restrict xi, double *restrict yr,
                                  double *restrict yi)
{
    const double h = 0.70710678118654752440; /* sqrt(1/2) */
    const int run = s * PG_LANES;
    for (int i = 0; i < run; i++) {
        double er[4], ei[4], or_[4], oi[4];
        for (int half = 0; half < 2; half++) {
            double *fr = half ? or_ : er, *fi = half ? oi : ei;
            const double *ar = xr + half * run + i, *ai = xi + half * run + i;
            const double s02r = ar[0] + ar[4 * run], s02i = ai[0] + ai[4 * run];
            const double d02r = ar[0] - ar[4 * run], d02i = ai[0] - ai[4 * run];
            const double s13r = ar[2 * run] + ar[6 * run], s13i = ai[2 * run] + ai[6 * run];
            const double d13r = ar[2 * run] - ar[6 * run], d13i = ai[2 * run] - ai[6 * run];
            fr[0] = s02r + s13r, fi[0] = s02i + s13i;
            fr[1] = d02r + d13i, fi[1] = d02i - d13r;
            fr[2] = s02r - s13r, fi[2] = s02i - s13i;
            fr[3] = d02r - d13i, fi[3] = d02i + d13r;
        }
        const double tr[4] = {or_[0], h * (or_[1] + oi[1]), oi[2], h * (oi[3] - or_[3])};
        const double ti[4] = {oi[0], h * (oi[1] - or_[1]), -or_[2], -h * (or_[3] + oi[3])};
        for (int k = 0; k < 4; k++) {
            yr[k * run + i] = er[k] + tr[k];
            yi[k * run + i] = ei[k] + ti[k];
            yr[(k + 4) * run + i] = er[k] - tr[k];
            yi[(k + 4) * run + i] = ei[k] - ti[k];
        }
    }
}

/* |X[k]|^2, k = 0..200, from the half-length transform. */
static inline void pg_power(const double *splits, const double *restrict zr, const double *restrict zi, double *restrict power)
{
    for (int l = 0; l < PG_LANES; l++) {
        const double first = zr[l] + zi[l], last = zr[l] - zi[l];
        power[l] = first * first;
        power[PG_HALF * PG_LANES + l] = last * last;
    }
    for (int k = 1; k <= PG_HALF / 2; k++) {
        const double c = splits[2 * k], s = splits[2 * k + 1];
        const int here = k * PG_LANES, there = (PG_HALF - k) * PG_LANES;
        for (int l = 0; l < PG_LANES; l++) {
            const double evenr = 0.5 * (zr[here + l] + zr[there + l]), eveni = 0.5 * (zi[here + l] - zi[there + l]);
            const double oddr = 0.5 * (zi[here + l] + zi[there + l]), oddi = 0.5 * (zr[there + l] - zr[here + l]);
            const double turnedr = c * oddr + s * oddi, turnedi = c * oddi - s * oddr;
            const double sumr = evenr + turnedr, sumi = eveni + turnedi, difr = evenr - turnedr, difi = eveni - turnedi;
            power[here + l] = sumr * sumr + sumi * sumi;
            power[there + l] = difr * difr + difi * difi;
        }
    }
}

/* Log-mel levels of windows 0 .. num_rows-1 to levels[num_rows][num_mel_bins]; scratch holds PG_SCRATCH doubles. */
static void pg_log_mel(const pg_log_mel_plan *plan, const pg_signal *signal, int64_t num_rows, double *scratch, double *levels)
{
    const int part = PG_HALF * PG_LANES;
    double *ar = scratch, *ai = scratch + part, *br = scratch + 2 * part, *bi = scratch + 3 * part;
    double *power = scratch; /* over ar and ai, which are free by then */
    for (int64_t row = 0; row < num_rows; row += PG_LANES) {
        const int used = num_rows - row < PG_LANES ? (int)(num_rows - row) : PG_LANES;
        if (used < PG_LANES)
            memset(scratch, 0, 2 * (size_t)part * sizeof(double));
        for (int l = 0; l < used; l++)
            pg_load_window(plan, signal, row + l, l, ar, ai);
        pg_radix5(PG_HALF, 1, plan->twiddles, ar, ai, br, bi);
        pg_radix5(PG_HALF / 5, 5, plan->twiddles + 8 * (PG_HALF / 5), br, bi, ar, ai);
        pg_radix8_last(25, ar, ai, br, bi);
        pg_power(plan->splits, br, bi, power);
        const double *weight = plan->mel_weights;
        for (int64_t bin = 0; bin < plan->num_mel_bins; bin++) {
            double energy[PG_LANES] = {0};
            for (int32_t k = plan->mel_begin[bin]; k < plan->mel_end[bin]; k++, weight++)
                for (int l = 0; l < PG_LANES; l++)
                    energy[l] += *weight * power[k * PG_LANES + l];
            for (int l = 0; l < used; l++) {
                const double kept = energy[l] > plan->floor ? energy[l] : plan->floor;
                levels[(row + l) * plan->num_mel_bins + bin] = plan->log_scale * log(kept);
            }
        }
    }
}

/* Mean and biased standard deviation of each column. Differences to the first row are summed, so that a constant column has a
 * deviation of exactly 0: the front ends divide by deviations down to 1e-5. */
static void pg_column_moments(const double *levels, int64_t num_rows, int64_t num_columns, double *mean, double *deviation)
{
    for (int64_t d = 0; d < num_columns; d++)
        mean[d] = deviation[d] = 0.0;
    for (int64_t row = 0; row < num_rows; row++)
        for (int64_t d = 0; d < num_columns; d++)
            mean[d] += levels[row * num_columns + d] - levels[d];
    for (int64_t d = 0; d < num_columns; d++)
        mean[d] = levels[d] + mean[d] / (double)num_rows;
    for (int64_t row = 0; row < num_rows; row++)
        for (int64_t d = 0; d < num_columns; d++) {
            const double difference = levels[row * num_columns + d] - mean[d];
            deviation[d] += difference * difference;
        }
    for (int64_t d = 0; d < num_columns; d++)
        deviation[d] = sqrt(deviation[d] / (double)num_rows);
}

/* out = (max(levels, lowest) - shift) * gain, with a shift and a gain for each column. */
static void pg_scale_columns(const double *levels, int64_t num_rows, int64_t num_columns, double lowest, const double *shift,
                             const double *gain, float *out)
{
    for (int64_t row = 0; row < num_rows; row++)
        for (int64_t d = 0; d < num_columns; d++) {
            const double level = levels[row * num_columns + d];
            out[row * num_columns + d] = (float)(((level > lowest ? level : lowest) - shift[d]) * gain[d]);
        }
}

#endif
