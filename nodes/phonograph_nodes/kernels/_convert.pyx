"""Binding of the conversions in convert/, in the variant for the instruction set that is in use."""

from libc.stdint cimport int64_t, uint8_t

from phonograph.isa import ISA

cdef extern from "convert/formats.h" nogil:
    enum:
        PG_U8
        PG_I16
        PG_I24
        PG_I32
        PG_F32
        PG_F64
        PG_ALAW
        PG_MULAW
        PG_FORMATS

    ctypedef struct pg_conversions:
        int64_t (*convert)(int source, int target, const uint8_t *samples, int64_t count, uint8_t *out) noexcept nogil
        int64_t (*interleave)(int source, int target, const uint8_t *samples, int64_t num_channels, int64_t num_samples,
                              uint8_t *out) noexcept nogil
        int64_t (*deinterleave)(int source, int target, const uint8_t *samples, int64_t num_channels, int64_t num_samples,
                                uint8_t *out, int64_t row) noexcept nogil
        void (*mix)(int source, int interleaved, const uint8_t *samples, int64_t num_channels, int64_t num_samples,
                    const double *weights, double divisor, uint8_t *out) noexcept nogil

    const int64_t pg_sample_bytes[8]
    const pg_conversions *pg_convert_variant(const char *name)

CODES = {
    "u8": PG_U8, "i16": PG_I16, "i24": PG_I24, "i32": PG_I32, "f32": PG_F32, "f64": PG_F64, "alaw": PG_ALAW, "mulaw": PG_MULAW,
}

cdef const pg_conversions *conversions = pg_convert_variant(ISA.encode())
if conversions == NULL:
    raise ImportError(f"the conversions have no variant {ISA!r}")


cdef int64_t checked_count(const uint8_t[::1] samples, int source, int64_t num_channels, const uint8_t[::1] out, int target,
                           int64_t outputs) except -1:
    """How many samples each channel has; `outputs` is how many channels come out."""
    cdef int64_t count, in_bytes, out_bytes
    if not (0 <= source < PG_FORMATS and 0 <= target < PG_FORMATS) or num_channels < 1:
        raise ValueError(f"formats {source} and {target}, {num_channels} channels; expected known codes, at least 1 channel")
    in_bytes, out_bytes = num_channels * pg_sample_bytes[source], outputs * pg_sample_bytes[target]
    count = samples.shape[0] // in_bytes
    if samples.shape[0] != count * in_bytes or out.shape[0] != count * out_bytes:
        raise ValueError(f"samples have {samples.shape[0]} bytes, out {out.shape[0]}; "
                         f"expected {in_bytes} and {out_bytes} for each sample of a channel")
    return count


def convert(const uint8_t[::1] samples, int source, uint8_t[::1] out, int target):
    cdef int64_t count = checked_count(samples, source, 1, out, target, 1)
    cdef int64_t num_nan = 0
    if count:
        with nogil:
            num_nan = conversions.convert(source, target, &samples[0], count, &out[0])
    return num_nan


def interleave(const uint8_t[::1] samples, int source, int64_t num_channels, uint8_t[::1] out, int target):
    cdef int64_t count = checked_count(samples, source, num_channels, out, target, num_channels)
    cdef int64_t num_nan = 0
    if count:
        with nogil:
            num_nan = conversions.interleave(source, target, &samples[0], num_channels, count, &out[0])
    return num_nan


def deinterleave(const uint8_t[::1] samples, int source, int64_t num_channels, uint8_t[::1] out, int target):
    cdef int64_t count = checked_count(samples, source, num_channels, out, target, num_channels)
    cdef int64_t num_nan = 0
    if count:
        with nogil:
            num_nan = conversions.deinterleave(source, target, &samples[0], num_channels, count, &out[0], count)
    return num_nan


def deinterleave_rows(const uint8_t[::1] samples, int source, float[:, :] out):
    """To float32; rows of `out`, one for each channel, may lie apart, in what is a part of a longer array."""
    cdef int64_t num_channels = out.shape[0], count = out.shape[1]
    if not 0 <= source < PG_FORMATS or samples.shape[0] != num_channels * count * pg_sample_bytes[source]:
        raise ValueError(f"format {source}, {samples.shape[0]} bytes for {num_channels} channels of {count} samples")
    if out.strides[0] % sizeof(float) or out.strides[0] < 0 or (count > 1 and out.strides[1] != sizeof(float)):
        raise ValueError(f"out has strides {out.strides[0]} and {out.strides[1]}; expected samples that lie together")
    if num_channels and count:
        with nogil:
            conversions.deinterleave(source, PG_F32, &samples[0], num_channels, count, <uint8_t *>&out[0, 0],
                                     out.strides[0] // <int64_t>sizeof(float))


def mix(const uint8_t[::1] samples, int source, bint interleaved, const double[::1] weights, double divisor, uint8_t[::1] out):
    cdef int64_t count = checked_count(samples, source, weights.shape[0], out, PG_F32, 1)
    if count:
        with nogil:
            conversions.mix(source, interleaved, &samples[0], weights.shape[0], count, &weights[0], divisor, &out[0])
