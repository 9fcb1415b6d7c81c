/* Resampling for what every processor of the architecture has, SSE2 or NEON: 4 blocks at a time. */
#define PG_LANES 4
#define PG_VARIANT portable
#include "resample.h"
