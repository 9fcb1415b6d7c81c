"""What other kernels use of `SampleBuffer`, without the interpreter."""

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "frames.h" nogil:
    enum:
        PG_FRAME_CHANNELS
    ctypedef struct pg_block:
        int format
        int64_t num_channels
        int64_t count
        int64_t step
        const uint8_t *starts[PG_FRAME_CHANNELS]

cdef extern from "flac.h" nogil:
    ctypedef struct pg_flac_frame:
        int num_channels
        int num_samples
        int bits
        int rate
        int64_t number
        int counts_samples
    void pg_flac_prepare()
    int pg_flac_probe(const uint8_t *packet, int64_t size, int stream_bits, pg_flac_frame *frame)
    int64_t pg_flac_decode(const uint8_t *packet, int64_t size, int stream_bits, int32_t *rows)
    int pg_flac_checksum(const uint8_t *bytes, int64_t size)
    void pg_flac_to_float(int32_t *samples, int64_t count, int bits)

cdef class SampleBuffer:
    cdef readonly int64_t num_channels
    cdef readonly int64_t sample_rate
    cdef readonly int64_t num_rows
    cdef readonly int64_t length
    cdef readonly int64_t non_finite
    cdef int64_t claimed
    cdef int64_t capacity  # samples of a row
    cdef object array  # flat; row r begins at r * capacity
    cdef float *rows
    cdef str format_name  # of the block before, and what it means
    cdef int format
    cdef bint planar
    cdef object scratch  # integers of a FLAC frame
    cdef int32_t *integers  # where they begin
    cdef int64_t scratch_length

    cpdef bint fits(self, frame) except -1
    cpdef int64_t take(self, list frames, int64_t limit) except -1
    cdef int64_t put_flac(self, const uint8_t *packet, int64_t size, int bits, int64_t longest, int64_t limit) except -1 nogil
    cdef bint put(self, const pg_block *block, int64_t limit) except -1 nogil
    cdef gather(self, frame, int64_t first, int64_t count)
    cdef know(self, str name)
    cdef void convert(self, const pg_block *block) noexcept nogil
    cdef grow(self, int64_t needed)
    cdef reserve(self, int64_t capacity)
