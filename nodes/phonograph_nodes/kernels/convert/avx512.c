/* Conversions for AVX-512 (F, BW, DQ, VL): 16 samples at a time. Loops that the compiler turns into vectors itself, which move
 * samples between channels, are half as wide: of 64 bytes that lie anywhere, each vector touches two cache lines. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=256")
#define PG_LANES 16
#define PG_VARIANT avx512
#include "convert.h"
#endif
