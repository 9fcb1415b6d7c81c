/* Signal power for AVX2 with FMA: 4 float64 at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define PG_LANES 8
#define PG_VARIANT avx2
#include "energy.h"
#endif
