/* Resampling for AVX2 with FMA: 8 blocks at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define PG_LANES 8
#define PG_VARIANT avx2
#include "resample.h"
#endif
