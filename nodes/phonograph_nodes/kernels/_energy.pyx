"""Binding of the signal-power arithmetic in energy.h."""

from libc.stdint cimport int64_t

cdef extern from "energy.h" nogil:
    bint pg_stretch_energy(const float *samples, int64_t num_samples, int64_t length, double *out)


def stretch_energy(const float[::1] samples, int64_t length, double[::1] out):
    cdef bint finite = True
    if length < 1 or out.shape[0] * length < samples.shape[0]:
        raise ValueError("length is below 1, or out is too short")
    if samples.shape[0]:
        with nogil:
            finite = pg_stretch_energy(&samples[0], samples.shape[0], length, &out[0])
    return finite
