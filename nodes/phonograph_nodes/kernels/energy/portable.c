/* Signal power for what every processor of the architecture has, SSE2 or NEON: 2 float64 at a time. */
#define PG_LANES 4
#define PG_VARIANT portable
#include "energy.h"
