/* The variants of the signal-power kernel, by the name of their instruction set. */
#ifndef PHONOGRAPH_ENERGY_VARIANTS_H
#define PHONOGRAPH_ENERGY_VARIANTS_H

#include <stdint.h>
#include <string.h>

/* Sums of squares, and roots of mean squares, of ceil(num_samples / length) stretches, the last one over what is left; returns
 * whether all samples are finite. */
typedef int (*pg_energy_kernel)(const float *samples, int64_t num_samples, int64_t length, double *energy, float *rms);

extern const pg_energy_kernel pg_stretch_levels_portable;
#if defined(__x86_64__)
extern const pg_energy_kernel pg_stretch_levels_avx2, pg_stretch_levels_avx512;
#endif

/* NULL when there is none of that name. */
static inline pg_energy_kernel pg_energy_variant(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return pg_stretch_levels_avx512;
    if (strcmp(name, "avx2") == 0)
        return pg_stretch_levels_avx2;
#endif
    return strcmp(name, "portable") == 0 ? pg_stretch_levels_portable : NULL;
}

#endif
