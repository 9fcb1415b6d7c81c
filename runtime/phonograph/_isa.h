/* What the processor can run, as the kernels' variants need it.
 *
 * The compiler's run-time library asks the processor (CPUID) and, for sets with registers of their own, also whether the
 * operating system saves those registers (XGETBV); a set that either lacks is not there. A set of kernels counts as one of
 * several features, because the compiler may use all that it was told of. Other architectures have the portable kernels alone:
 * their vectors are part of the base instruction set, so the compiler uses them anyway.
 */
#ifndef PHONOGRAPH_ISA_H
#define PHONOGRAPH_ISA_H

#if defined(__x86_64__)

static int pg_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static int pg_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#else

static int pg_has_avx512(void)
{
    return 0;
}

static int pg_has_avx2(void)
{
    return 0;
}

#endif

#endif
