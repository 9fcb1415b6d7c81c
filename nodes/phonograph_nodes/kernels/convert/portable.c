/* Conversions for what every processor of the architecture has, SSE2 or NEON: 4 samples at a time. */
#define PG_LANES 4
#define PG_VARIANT portable
#include "convert.h"
