/* The tables of a complex Fourier transform; the arithmetic is in fft.h. */
#ifndef PHONOGRAPH_TRANSFORM_H
#define PHONOGRAPH_TRANSFORM_H

#include <stdint.h>

/* A complex transform: its radices in order, and behind one another the tables of each pass (fft.h). */
typedef struct {
    int32_t num_points;
    int32_t num_passes;
    int32_t largest_radix;
    const int32_t *radices;
    const float *turns;
} pg_transform;

#endif
