"""Binding of the sample-format conversions in convert.h."""

from libc.stdint cimport int64_t, uint8_t

cdef extern from "convert.h" nogil:
    enum:
        PG_U8
        PG_I16
        PG_I24
        PG_I32
        PG_F32
        PG_F64
        PG_FORMATS

    ctypedef int64_t (*pg_converter)(const uint8_t *source, int64_t count, uint8_t *out) noexcept nogil
    const pg_converter pg_converters[6][6]
    const int64_t pg_bytes_per_sample[6]

CODES = {"u8": PG_U8, "i16": PG_I16, "i24": PG_I24, "i32": PG_I32, "f32": PG_F32, "f64": PG_F64}


def convert(const uint8_t[::1] samples, int source, uint8_t[::1] out, int target):
    cdef int64_t count, nans
    cdef pg_converter converter
    if not (0 <= source < PG_FORMATS and 0 <= target < PG_FORMATS):
        raise ValueError("unknown format code")
    count = samples.shape[0] // pg_bytes_per_sample[source]
    if samples.shape[0] != count * pg_bytes_per_sample[source] or out.shape[0] != count * pg_bytes_per_sample[target]:
        raise ValueError("samples or out do not hold a whole and equal number of samples")
    if count == 0:
        return 0
    converter = pg_converters[source][target]
    with nogil:
        nans = converter(&samples[0], count, &out[0])
    return nans
