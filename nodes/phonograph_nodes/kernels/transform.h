/* The tables of complex Fourier transforms; the arithmetic is in fft.h and chirp.h. */
#ifndef PHONOGRAPH_TRANSFORM_H
#define PHONOGRAPH_TRANSFORM_H

#include <stdint.h>

/* A complex transform: its radices in order, and behind one another the tables of each pass (fft.h). */
typedef struct {
    int32_t num_points;
    int32_t num_passes;
    int32_t largest_summed; /* the largest radix without a butterfly, 0 where each has one */
    const int32_t *radices;
    const float *turns;
} pg_transform;

/* A transform of any length by way of a longer one of convenient radices (chirp.h). */
typedef struct {
    int32_t num_points;    /* 0: there is none, the passes are the transform itself */
    const float *turns;    /* [j < num_points][cos, sin](pi j^2 / num_points) */
    const float *response; /* [k][re, -im] of the chirp's spectrum, over the number of points of the longer transform */
} pg_chirp;

#endif
