"""What other kernels use of FFmpeg's functions, see ffmpeg.h."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t

from phonograph_nodes.kernels._frames cimport pg_block

cdef extern from "ffmpeg.h" nogil:
    enum:
        PG_AV_AGAIN
        PG_AV_END
        PG_AV_INVALID
    const int64_t PG_AV_NO_TIME
    ctypedef struct pg_av_packet:
        int64_t pts
        uint8_t *data
        int size
        int stream_index
        int64_t duration
    ctypedef struct pg_av_frame:
        int num_samples
        int format
    ctypedef struct pg_ffmpeg:
        int (*read)(void *container, pg_av_packet *packet) noexcept nogil
        void (*unref)(pg_av_packet *packet) noexcept nogil
        int (*send)(void *decoder, const pg_av_packet *packet) noexcept nogil
        int (*receive)(void *decoder, pg_av_frame *frame) noexcept nogil
        void (*move)(pg_av_frame *to, pg_av_frame *source) noexcept nogil
        int (*describe)(const void *layout, char *name, size_t size) noexcept nogil
    void pg_ffmpeg_link(pg_ffmpeg *library, const uintptr_t *addresses)
    int pg_av_int(const void *structure, int64_t place)
    int pg_av_block(const pg_av_frame *frame, int64_t num_channels, pg_block *block)

cdef class Native:
    cdef pg_ffmpeg library
    cdef object abi, container_object, decoder_object, time_base
    cdef object packet_object, block_object  # PyAV's; what they hold is given back with them
    cdef int64_t rate_place, layout_place
    cdef int stream
    cdef int code  # what FFmpeg answered last
    cdef void *container
    cdef void *decoder
    cdef pg_av_packet *packet
    cdef pg_av_frame *block

    cdef bint is_open(self) except -1
    cdef bint read(self) noexcept nogil
    cdef bint holds(self, int64_t rate, pg_block *samples) noexcept nogil
    cdef packet_out(self)
    cdef block_out(self)
