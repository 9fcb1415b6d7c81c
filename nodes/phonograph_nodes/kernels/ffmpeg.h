/* FFmpeg's reading and decoding, in the libraries that PyAV has loaded.
 *
 * Theory. PyAV opens, probes, seeks and closes; the packets between are read, decoded and converted here, many in one stretch
 * without the interpreter. A packet holds a fiftieth of a second, and asking PyAV for one takes the interpreter six times, each
 * of which wakes the other threads that wait for it: two threads were no faster than one.
 *
 * There are no headers of FFmpeg, and nothing is linked: PyAV brings its own FFmpeg, of a version that only it knows. Its functions
 * are looked up by their names (audio/ffmpeg/abi.py). Declared here are the beginnings of two structures, which are the same from
 * FFmpeg 4 to 8; where other fields lie is found by trying, and where anything is not as expected, none of this is called. Every
 * packet and block belongs to an object of PyAV's, which gives it back whatever happens.
 */
#ifndef PHONOGRAPH_FFMPEG_H
#define PHONOGRAPH_FFMPEG_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "frames.h"

typedef struct {
    void *buffer;
    int64_t pts, dts;
    uint8_t *data;
    int size, stream_index, flags;
    void *side_data;
    int num_side_data;
    int64_t duration, position;
} pg_av_packet;

typedef struct {
    uint8_t *data[8];
    int line_bytes[8];
    uint8_t **planes;
    int width, height, num_samples, format;
} pg_av_frame;

/* In the order of abi.FUNCTIONS. */
typedef struct {
    int (*read)(void *container, pg_av_packet *packet);
    void (*unref)(pg_av_packet *packet);
    int (*send)(void *decoder, const pg_av_packet *packet);
    int (*receive)(void *decoder, pg_av_frame *frame);
    void (*move)(pg_av_frame *to, pg_av_frame *from);
    int (*describe)(const void *layout, char *name, size_t size);
} pg_ffmpeg;

#define PG_AV_NO_TIME INT64_MIN
#define PG_AV_ERROR(A, B, C, D) (-((A) | (B) << 8 | (C) << 16 | (D) << 24))
enum {
    PG_AV_AGAIN = -EAGAIN, /* everything that there was came out */
    PG_AV_END = PG_AV_ERROR('E', 'O', 'F', ' '),
    PG_AV_INVALID = PG_AV_ERROR('I', 'N', 'D', 'A'),
};

/* Formats by FFmpeg's numbers; see abi.FORMATS. */
enum { PG_AV_FORMATS = 12 };
static const int pg_av_formats[PG_AV_FORMATS] = {
    PG_FRAME_U8,  PG_FRAME_S16, PG_FRAME_S32, PG_FRAME_FLT, PG_FRAME_DBL, PG_FRAME_U8,
    PG_FRAME_S16, PG_FRAME_S32, PG_FRAME_FLT, PG_FRAME_DBL, PG_FRAME_S64, PG_FRAME_S64,
};
static const int pg_av_planar[PG_AV_FORMATS] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1};

/* Functions are pointers here and numbers in Python. */
static void pg_ffmpeg_link(pg_ffmpeg *library, const uintptr_t addresses[6])
{
    memcpy(&library->read, &addresses[0], sizeof library->read);
    memcpy(&library->unref, &addresses[1], sizeof library->unref);
    memcpy(&library->send, &addresses[2], sizeof library->send);
    memcpy(&library->receive, &addresses[3], sizeof library->receive);
    memcpy(&library->move, &addresses[4], sizeof library->move);
    memcpy(&library->describe, &addresses[5], sizeof library->describe);
}

/* An int at a place that only the running FFmpeg tells. */
static int pg_av_int(const void *structure, int64_t place)
{
    int value;
    memcpy(&value, (const char *)structure + place, sizeof value);
    return value;
}

/* Where the samples of a decoded block lie; 0 where its planes are too short, or its format is none that is known. */
static int pg_av_block(const pg_av_frame *frame, int64_t num_channels, pg_block *block)
{
    if (frame->format < 0 || frame->format >= PG_AV_FORMATS || num_channels < 1 || num_channels > PG_FRAME_CHANNELS)
        return 0;
    const int is_planar = pg_av_planar[frame->format];
    block->format = pg_av_formats[frame->format];
    block->num_channels = num_channels;
    block->count = frame->num_samples;
    block->step = is_planar ? 1 : num_channels;
    const int64_t bytes = pg_frame_bytes[block->format];
    if (frame->line_bytes[0] < block->count * block->step * bytes)
        return 0;
    for (int64_t c = 0; c < num_channels; c++)
        block->starts[c] = is_planar ? frame->planes[c] : frame->planes[0] + c * bytes;
    return 1;
}

#endif
