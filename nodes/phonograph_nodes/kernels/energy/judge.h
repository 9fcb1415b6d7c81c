/* The decisions of the energy VAD: from the power of frames to flags and segments, one frame after the other.
 *
 * Theory of operation. A frame is *loud* when its RMS reaches its threshold
 *
 *     T[i] = max(threshold, margin * min(rms[i - W + 1 .. i]))
 *
 * in float32, where the minimum is the tracked noise floor (absent when margin is 0). Loud frames with fewer than `min_silence`
 * frames between them form a *group*; a group that spans `min_speech` frames is kept, and goes on for `hangover` frames. What
 * lies in a kept group or its hangover is speech. Runs of speech that touch once they are widened by the padding are a segment.
 *
 *     state          on a loud frame              on another frame               decided so far
 *     no group       a group begins               -                              every frame
 *     candidate      grows; kept once it spans    after min_silence: dropped     those before it, those under a hangover
 *                    min_speech
 *     kept           grows                        after min_silence: it ends,    up to its last loud frame, and its hangover
 *                                                 and its hangover runs
 *
 * Frames are decided in order, each as soon as nothing to come can change it. A candidate is dropped at the latest when a span of
 * min_speech - 1 frames and g = max(min_silence, 1) others have come, so its first frame waits for min_speech - 2 + g frames
 * (none when min_speech <= 1); a gap in a kept group waits for g - 1 frames, less those under the hangover. Nothing depends on how
 * many frames come at once. Sums are taken in float64 in the order of time.
 */
#ifndef PHONOGRAPH_ENERGY_JUDGE_H
#define PHONOGRAPH_ENERGY_JUDGE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int64_t frame_length; /* samples */
    float threshold;      /* RMS */
    float margin;         /* factor over the noise floor; 0 without one */
    int64_t floor_frames; /* W */
    int64_t min_silence, min_speech, hangover; /* frames */
    int64_t pad_before, pad_after;             /* samples */
} pg_vad_settings;

/* Frame `first + k` is at place k. `energy` and `rms` are read; `threshold` is written when a frame comes, `speech` when it is
 * decided. */
typedef struct {
    int64_t first;
    const double *energy;
    const float *rms;
    float *threshold;
    uint8_t *speech;
} pg_vad_frames;

/* A run of speech, and perhaps further ones that padding joins to it. Sums are over the frames of speech alone. */
typedef struct {
    int64_t start, end; /* frames, without padding */
    double energy;
    double threshold_energy; /* squared thresholds, each times the samples of its frame */
    int64_t num_samples;
} pg_vad_segment;

/* The frames fall into blocks of floor_frames, so a window is the end of one and the beginning of the next: its minimum is that of
 * two running minima (the algorithm of van Herk and of Gil and Werman), without a branch that depends on the levels. */
typedef struct {
    float *rms;    /* of this block; floor_frames */
    float *before; /* lowest RMS of the block before from each place on; floor_frames + 1, infinite where there is none */
    int64_t count; /* frames of this block */
    float lowest;  /* of them; infinite when there is none */
} pg_vad_floor;

typedef struct {
    int64_t num_frames;  /* that came */
    int64_t num_decided;
    int64_t num_samples; /* of all frames that came */
    int64_t group_start, group_end; /* of loud frames; start is -1 when there is no group */
    int64_t hangover_end; /* of the last kept group that has ended */
    int kept;
    int has_segment;
    pg_vad_segment segment; /* not handed out yet: it may grow */
    int64_t num_speech;     /* samples */
    pg_vad_floor floor;
} pg_vad_state;

static void pg_vad_begin(const pg_vad_settings *settings, pg_vad_state *state)
{
    const pg_vad_floor floor = {state->floor.rms, state->floor.before, 0, INFINITY};
    *state = (pg_vad_state){.group_start = -1, .floor = floor};
    for (int64_t k = 0; settings->margin > 0.0f && k <= settings->floor_frames; k++)
        floor.before[k] = INFINITY;
}

static inline int64_t pg_vad_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline float pg_vad_lower(float a, float b)
{
    return b < a ? b : a;
}

/* T of `count` further frames. */
static void pg_vad_thresholds(const pg_vad_settings *settings, pg_vad_floor *floor, const float *restrict rms, int64_t count,
                              float *restrict threshold)
{
    const float least = settings->threshold, margin = settings->margin;
    const int64_t window = settings->floor_frames;
    if (margin == 0.0f) {
        for (int64_t k = 0; k < count; k++)
            threshold[k] = least;
        return;
    }
    while (count) {
        const int64_t fits = pg_vad_least(window - floor->count, count);
        const float *restrict before = floor->before + floor->count + 1;
        float lowest = floor->lowest;
        memcpy(floor->rms + floor->count, rms, (size_t)fits * sizeof(float));
        for (int64_t k = 0; k < fits; k++) {
            lowest = pg_vad_lower(lowest, rms[k]);
            const float above = margin * pg_vad_lower(lowest, before[k]);
            threshold[k] = above > least ? above : least;
        }
        floor->lowest = lowest;
        floor->count += fits;
        if (floor->count == window) {
            lowest = INFINITY;
            for (int64_t k = window; k-- > 0;)
                floor->before[k] = lowest = pg_vad_lower(lowest, floor->rms[k]);
            floor->count = 0;
            floor->lowest = INFINITY;
        }
        rms += fits, threshold += fits, count -= fits;
    }
}

/* Decides the frames up to `end`, not included, all in one way; returns the number of segments that have become final. */
static int64_t pg_vad_decide(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames, int64_t end,
                             int is_speech, pg_vad_segment *out)
{
    const int64_t begin = state->num_decided, length = settings->frame_length;
    pg_vad_segment *segment = &state->segment;
    if (end <= begin)
        return 0;
    state->num_decided = end;
    memset(frames->speech + (begin - frames->first), is_speech, (size_t)(end - begin));
    if (!is_speech) {
        /* The earliest speech to come is at `end`. */
        if (!state->has_segment || end * length - settings->pad_before <= segment->end * length + settings->pad_after)
            return 0;
        *out = *segment;
        state->has_segment = 0;
        return 1;
    }
    if (!state->has_segment)
        *segment = (pg_vad_segment){.start = begin};
    state->has_segment = 1;
    segment->end = end;
    for (int64_t frame = begin; frame < end; frame++) {
        const int64_t k = frame - frames->first, count = pg_vad_least(length, state->num_samples - frame * length);
        const double threshold = frames->threshold[k];
        segment->energy += frames->energy[k];
        segment->threshold_energy += threshold * threshold * (double)count;
        segment->num_samples += count;
        state->num_speech += count;
    }
    return 0;
}

/* Decides the frames up to `end` that no open group will make speech: those under the last hangover are, the others are not. */
static int64_t pg_vad_run_out(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames, int64_t end,
                              pg_vad_segment *out)
{
    pg_vad_decide(settings, state, frames, pg_vad_least(end, state->hangover_end), 1, out);
    return pg_vad_decide(settings, state, frames, end, 0, out);
}

/* Ends the group, where there is one. */
static void pg_vad_close(const pg_vad_settings *settings, pg_vad_state *state)
{
    if (state->kept)
        state->hangover_end = state->group_end + settings->hangover;
    state->kept = 0;
    state->group_start = -1;
}

/* Judges `count` further frames of `num_samples` samples together, all but the last of them of whole length. Final segments go
 * to `out`, which has room for one in two frames that are not decided yet, and one more; returns how many. */
static int64_t pg_vad_judge(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames, int64_t count,
                            int64_t num_samples, pg_vad_segment *out)
{
    const int64_t begin = state->num_frames, min_gap = settings->min_silence > 1 ? settings->min_silence : 1;
    int64_t num_segments = 0;
    state->num_frames += count;
    state->num_samples += num_samples;
    const float *rms = frames->rms + (begin - frames->first);
    float *threshold = frames->threshold + (begin - frames->first);
    pg_vad_thresholds(settings, &state->floor, rms, count, threshold);
    for (int64_t frame = begin; frame < begin + count; frame++) {
        if (*rms++ >= *threshold++) {
            if (state->group_start < 0) {
                num_segments += pg_vad_run_out(settings, state, frames, frame, out + num_segments);
                state->group_start = frame;
            }
            state->group_end = frame + 1;
            state->kept = state->kept || state->group_end - state->group_start >= settings->min_speech;
        } else if (state->group_start >= 0 && frame + 1 - state->group_end >= min_gap) {
            pg_vad_close(settings, state);
        }
    }
    if (state->group_start < 0)
        return num_segments + pg_vad_run_out(settings, state, frames, state->num_frames, out + num_segments);
    const int64_t known = state->kept ? state->group_end + settings->hangover : state->hangover_end;
    pg_vad_decide(settings, state, frames, pg_vad_least(state->num_frames, known), 1, out);
    return num_segments;
}

/* Ends the signal: decides what is left. */
static int64_t pg_vad_finish(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames,
                             pg_vad_segment *out)
{
    pg_vad_close(settings, state);
    int64_t num_segments = pg_vad_run_out(settings, state, frames, state->num_frames, out);
    if (state->has_segment)
        out[num_segments++] = state->segment;
    state->has_segment = 0;
    return num_segments;
}

#endif
