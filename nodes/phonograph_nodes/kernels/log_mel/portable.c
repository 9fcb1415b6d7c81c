/* Log-mel for what every processor of the architecture has, SSE2 or NEON: 4 windows at a time. */
#define PG_LANES 4
#define PG_VARIANT portable
#include "log_mel.h"
