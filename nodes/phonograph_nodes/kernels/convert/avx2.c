/* Conversions for AVX2: 8 samples at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx2")
#define PG_LANES 8
#define PG_VARIANT avx2
#include "convert.h"
#endif
