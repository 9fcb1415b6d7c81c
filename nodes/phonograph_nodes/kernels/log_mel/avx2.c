/* Log-mel for AVX2 with FMA: 8 windows at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define PG_LANES 8
#define PG_VARIANT avx2
#include "log_mel.h"
#endif
