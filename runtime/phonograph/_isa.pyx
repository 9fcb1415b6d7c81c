"""Binding of the questions to the processor in _isa.h."""

cdef extern from "_isa.h" nogil:
    bint pg_has_avx512()
    bint pg_has_avx2()


def has_avx512():
    return pg_has_avx512()


def has_avx2():
    return pg_has_avx2()
