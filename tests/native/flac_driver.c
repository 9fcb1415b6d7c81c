/* Decodes frames of FLAC from a file, whole and damaged; writes what came of each to standard output.
 *
 * The file holds, for each frame, its size as an int32 and its bytes. Packets and samples have a block of memory of their own with
 * exactly the length that the decoder is promised, so that an address sanitizer sees one byte too many. Each frame is decoded as
 * it is, and then with a few bytes changed or its end missing and a checksum that is right again, `argv[2]` times. Written are, for
 * each, whether it decoded as an int32, and a hash of the samples; of a frame as it is the samples themselves, as float32.
 */
#include <stdio.h>
#include <stdlib.h>

#include "flac.h"

enum { STREAM_BITS = 16 };

static uint32_t state = 1;

static uint32_t chance(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * below) >> 32);
}

static void *made(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        exit(3);
    return memory;
}

static void give(const void *values, size_t size)
{
    if (fwrite(values, 1, size, stdout) != size)
        exit(3);
}

static void decode(const uint8_t *bytes, int64_t size, int whole)
{
    pg_flac_frame frame;
    uint8_t *packet = made((size_t)size);
    int32_t is_decoded = 0;
    uint32_t hash = 2166136261u;
    memcpy(packet, bytes, (size_t)size);
    if (size > 0 && pg_flac_probe(packet, size, STREAM_BITS, &frame)) {
        const int64_t count = (int64_t)frame.num_channels * frame.num_samples;
        int32_t *rows = made((size_t)count * sizeof *rows);
        is_decoded = pg_flac_decode(packet, size, STREAM_BITS, rows) == size;
        if (is_decoded) {
            pg_flac_to_float(rows, count, frame.bits);
            for (int64_t i = 0; i < count; i++)
                hash = (hash ^ (uint32_t)rows[i]) * 16777619u;
            if (whole)
                give(rows, (size_t)count * sizeof *rows);
        }
        free(rows);
    }
    give(&is_decoded, sizeof is_decoded);
    give(&hash, sizeof hash);
    free(packet);
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    int32_t size;
    if (file == NULL) {
        fprintf(stderr, "usage: %s FRAMES TIMES\n", argv[0]);
        return 2;
    }
    pg_flac_prepare();
    while (fread(&size, sizeof size, 1, file) == 1) {
        uint8_t *frame = made((size_t)size), *changed = made((size_t)size);
        if (size < 8 || fread(frame, 1, (size_t)size, file) != (size_t)size)
            return 3;
        decode(frame, size, 1);
        for (int turn = 0; turn < atoi(argv[2]); turn++) {
            const int64_t length = chance(4) ? size : 3 + (int64_t)chance((uint32_t)size - 3);
            memcpy(changed, frame, (size_t)size);
            for (uint32_t i = chance(4); i > 0; i--) /* half of them in the first bytes, where the headers are */
                changed[chance(2) ? chance((uint32_t)length) : chance(length < 40 ? (uint32_t)length : 40)] = (uint8_t)chance(256);
            const uint16_t checksum = pg_flac_checksum(changed, length - 2);
            changed[length - 2] = (uint8_t)(checksum >> 8);
            changed[length - 1] = (uint8_t)checksum;
            decode(changed, length, 0);
        }
        free(frame);
        free(changed);
    }
    return fclose(file);
}
