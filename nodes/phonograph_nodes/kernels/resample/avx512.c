/* Resampling for AVX-512 (F, BW, DQ, VL): 16 blocks at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define PG_LANES 16
#define PG_VARIANT avx512
#include "resample.h"
#endif
