"""FFmpeg's functions called without PyAV, on what PyAV has opened; see ffmpeg.h."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uintptr_t

from av.audio.frame import AudioFrame
from av.packet import Packet

cdef enum:
    NAME_BYTES = 2048  # of a channel layout; one with 64 channels, each of its own, fits


cdef void *pointer_in(thing, int64_t place):
    """What an object of PyAV's stands for; `place` as `abi` has found it."""
    return (<void **>(<char *><PyObject *>thing + place))[0]


cdef class Native:
    """FFmpeg's own reading and decoding of a stream that PyAV has opened.

    Args:
        abi: where things lie.
        container: reading it runs no Python code that may fail, but for want of memory.
        stream: of the container, whose decoder is open.
    """

    def __init__(self, abi, container, stream):
        cdef uintptr_t addresses[6]
        for i, address in enumerate(abi.functions):
            addresses[i] = address
        pg_ffmpeg_link(&self.library, addresses)
        self.abi, self.container_object, self.decoder_object = abi, container, stream.codec_context
        self.stream, self.time_base = stream.index, stream.time_base
        self.rate_place, self.layout_place = abi.sample_rate, abi.layout
        self.packet_object, self.block_object = Packet(), AudioFrame("fltp", "mono", 0)
        self.packet = <pg_av_packet *>pointer_in(self.packet_object, abi.packet)
        self.block = <pg_av_frame *>pointer_in(self.block_object, abi.frame)

    cdef bint is_open(self) except -1:
        """Whether there is something to read, and to decode."""
        self.container = pointer_in(self.container_object, self.abi.container)
        self.decoder = pointer_in(self.decoder_object, self.abi.decoder)
        return self.container != NULL and self.decoder != NULL

    cdef bint read(self) noexcept nogil:
        """The next packet of any stream."""
        self.library.unref(self.packet)
        self.code = self.library.read(self.container, self.packet)
        return self.code >= 0

    cdef bint holds(self, int64_t rate, pg_block *samples) noexcept nogil:
        """Whether the block has this rate and nothing strange; then where its samples are."""
        if pg_av_int(self.block, self.rate_place) != rate:
            return False
        return pg_av_block(self.block, pg_av_int(self.block, self.layout_place + sizeof(int)), samples)

    cdef packet_out(self):
        """The packet as PyAV's."""
        packet, self.packet_object = self.packet_object, Packet()
        self.packet = <pg_av_packet *>pointer_in(self.packet_object, self.abi.packet)
        packet.time_base = self.time_base
        return packet

    cdef block_out(self):
        """The block as PyAV's."""
        cdef char name[NAME_BYTES]
        self.library.describe(<char *>self.block + self.layout_place, name, NAME_BYTES)
        block = AudioFrame(self.abi.formats[self.block.format], name.decode(), 0)
        self.library.move(<pg_av_frame *>pointer_in(block, self.abi.frame), self.block)
        block.time_base = self.time_base
        return block
