"""Decoded blocks of samples (PyAV's audio frames, FFmpeg's own, frames of FLAC) gathered into planar float32.

The conversions are in frames.h, the decoder of FLAC in flac.h.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memmove

cimport numpy as cnp

import numpy as np
from av.audio.plane import AudioPlane

cnp.import_array()

cdef extern from "frames.h" nogil:
    enum:
        PG_FRAME_U8
        PG_FRAME_S16
        PG_FRAME_S32
        PG_FRAME_S64
        PG_FRAME_FLT
        PG_FRAME_DBL
    const int64_t pg_frame_bytes[6]
    int64_t pg_frame_load(int format, const void *plane, int64_t step, int64_t count, float *out)
    int64_t pg_frame_mean(int format, const uint8_t *const *planes, int64_t step, int64_t num_channels, int64_t count, float *out)

pg_flac_prepare()

cdef dict FORMATS = {
    "u8": PG_FRAME_U8, "s16": PG_FRAME_S16, "s32": PG_FRAME_S32, "s64": PG_FRAME_S64, "flt": PG_FRAME_FLT, "dbl": PG_FRAME_DBL,
}

cdef enum:
    FIRST_BYTES = 16 << 20
    LONG_BLOCK = 1 << 14  # samples; below, handing the interpreter to others costs more than converting


def flac_frames(const uint8_t[::1] packet, int bits):
    """Where the whole frames of FLAC in a packet begin and end; None when it is one frame, or a whole one that is not known here.

    Args:
        bits: of a sample, where a frame does not say it.
    """
    cdef pg_flac_frame frame
    cdef int32_t[::1] rows = np.empty(1, np.int32)
    cdef int64_t place = 0, taken, size = packet.shape[0]
    if size == 0 or pg_flac_checksum(&packet[0], size) == 0:
        return None
    found = []
    while place + 6 <= size:
        taken = 0
        if packet[place] == 0xFF and packet[place + 1] >> 1 == 0x7C:
            if pg_flac_probe(&packet[place], size - place, bits, &frame):
                if rows.shape[0] < frame.num_channels * frame.num_samples:
                    rows = np.empty(frame.num_channels * frame.num_samples, np.int32)
                taken = pg_flac_decode(&packet[place], size - place, bits, &rows[0])
        if taken:
            found.append((place, place + taken))
        place += max(taken, 1)
    return found


cdef class SampleBuffer:
    """Planar float32 that grows by decoded blocks, each converted straight to its place.

    Args:
        num_channels: of every block; more than 64 are refused.
        sample_rate: of every block, Hz.
        mono: gather the mean of all channels instead of each.
        claimed: the probable length. It only saves copies: what is allocated is never more than twice what came out, or 16 MiB.
    """

    def __init__(self, int64_t num_channels, int64_t sample_rate, bint mono, int64_t claimed):
        if not 1 <= num_channels <= PG_FRAME_CHANNELS:
            raise ValueError(f"{num_channels} channels; expected 1 to {PG_FRAME_CHANNELS}")
        self.num_channels, self.sample_rate = num_channels, sample_rate
        self.num_rows = 1 if mono else num_channels
        self.claimed = max(claimed, 0)
        self.array = None
        self.reserve(min(self.claimed, FIRST_BYTES // (4 * self.num_rows)))

    cpdef bint fits(self, frame) except -1:
        """Whether a block has the rate and the channels of all."""
        return frame.sample_rate == self.sample_rate and frame.layout.nb_channels == self.num_channels

    cpdef int64_t take(self, list frames, int64_t limit) except -1:
        """Append whole blocks; returns how many: fewer than given if one does not fit, or leads beyond `limit` samples."""
        cdef int64_t taken = 0, count
        for frame in frames:
            count = frame.samples
            if self.length + count > limit or not self.fits(frame):
                break
            self.gather(frame, 0, count)
            taken += 1
        return taken

    cdef int64_t put_flac(self, const uint8_t *packet, int64_t size, int bits, int64_t longest, int64_t limit) except -1 nogil:
        """Decode a FLAC frame of `bits` bits and append it; the interpreter is needed only to find room.

        Returns:
            Its samples; 0, and nothing is appended, for one that is unusual, damaged, longer than `longest` samples, of another
            rate or number of channels, or beyond `limit` samples.
        """
        cdef pg_flac_frame frame
        cdef pg_block block
        cdef int64_t i, count
        if not pg_flac_probe(packet, size, bits, &frame) or frame.bits != bits or frame.num_samples > longest:
            return 0
        if frame.num_channels != self.num_channels or (frame.rate != 0 and frame.rate != self.sample_rate):
            return 0
        if self.length + frame.num_samples > limit:
            return 0
        count = frame.num_channels * frame.num_samples
        if self.scratch_length < count or self.length + frame.num_samples > self.capacity:
            with gil:
                if self.scratch_length < count:
                    self.scratch, self.scratch_length = np.empty(count, np.int32), count
                    self.integers = <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>self.scratch)
                if self.length + frame.num_samples > self.capacity:
                    self.grow(self.length + frame.num_samples)
        if pg_flac_decode(packet, size, bits, self.integers) != size:
            return 0
        pg_flac_to_float(self.integers, count, bits)
        block.format, block.num_channels, block.count, block.step = PG_FRAME_FLT, frame.num_channels, frame.num_samples, 1
        for i in range(frame.num_channels):
            block.starts[i] = <const uint8_t *>(self.integers + i * frame.num_samples)
        self.convert(&block)
        return frame.num_samples

    cdef bint put(self, const pg_block *block, int64_t limit) except -1 nogil:
        """Append a block of the right rate, unless it has other channels or leads beyond `limit`; whether it was."""
        if block.num_channels != self.num_channels or self.length + block.count > limit:
            return False
        if self.length + block.count > self.capacity:
            with gil:
                self.grow(self.length + block.count)
        self.convert(block)
        return True

    def append(self, frame, int64_t first, int64_t last):
        """Append samples `first` to `last` of a block that fits."""
        if not 0 <= first <= last <= frame.samples or not self.fits(frame):
            raise ValueError(f"samples {first} to {last} of {frame.samples}, {frame.layout.nb_channels} channels")
        self.gather(frame, first, last - first)

    def drop(self, int64_t count):
        """Take the last samples off again."""
        if not 0 <= count <= self.length:
            raise ValueError(f"{count} of {self.length} samples")
        self.length -= count

    def finish(self):
        """The samples, shape (num_rows, length), C-contiguous; the buffer is empty afterwards."""
        cdef int64_t row
        cdef float *rows = self.rows
        for row in range(1, self.num_rows):
            memmove(rows + row * self.length, rows + row * self.capacity, self.length * sizeof(float))
        result = self.array[: self.num_rows * self.length].reshape(self.num_rows, self.length)
        if 8 * (self.capacity - self.length) > self.capacity:  # much would be held for nothing
            result = result.copy()
        self.array, self.length, self.capacity, self.rows = None, 0, 0, NULL
        return result

    cdef gather(self, frame, int64_t first, int64_t count):
        cdef Py_buffer views[PG_FRAME_CHANNELS]
        cdef pg_block block
        cdef int64_t num_planes, size, opened = 0, i
        if count == 0:
            return
        self.know(frame.format.name)
        num_planes = self.num_channels if self.planar else 1
        block.format, block.num_channels, block.count = self.format, self.num_channels, count
        block.step = 1 if self.planar else self.num_channels
        size = pg_frame_bytes[self.format]
        if self.length + count > self.capacity:
            self.grow(self.length + count)
        try:
            for i in range(num_planes):
                # Not `frame.planes`, which counts pointers up to one that is NULL: with 8 or more there need be none.
                PyObject_GetBuffer(AudioPlane(frame, i), &views[i], PyBUF_SIMPLE)
                opened += 1
                if views[i].len < (first + count) * block.step * size:
                    raise ValueError(f"plane {i} has {views[i].len} bytes; expected {(first + count) * block.step * size}")
                block.starts[i] = <const uint8_t *>views[i].buf + first * block.step * size
            if not self.planar:
                for i in range(1, self.num_channels):
                    block.starts[i] = block.starts[0] + i * size
            if count < LONG_BLOCK:
                self.convert(&block)
            else:
                with nogil:
                    self.convert(&block)
        finally:
            for i in range(opened):
                PyBuffer_Release(&views[i])

    cdef know(self, str name):
        if name != self.format_name:
            plain = name.removesuffix("p")
            if plain not in FORMATS:
                raise ValueError(f"samples of format {name!r}; expected one of {', '.join(FORMATS)}, planar or packed")
            self.format, self.planar, self.format_name = FORMATS[plain], plain != name, name

    cdef void convert(self, const pg_block *block) noexcept nogil:
        cdef float *out = self.rows + self.length
        cdef int64_t row
        if self.num_rows != self.num_channels:
            self.non_finite += pg_frame_mean(block.format, block.starts, block.step, block.num_channels, block.count, out)
        else:
            for row in range(self.num_rows):
                self.non_finite += pg_frame_load(
                    block.format, block.starts[row], block.step, block.count, out + row * self.capacity
                )
        self.length += block.count

    cdef grow(self, int64_t needed):
        cdef int64_t doubled = max(needed, 2 * self.length)
        self.reserve(self.claimed if needed <= self.claimed <= doubled else doubled)

    cdef reserve(self, int64_t capacity):
        larger = np.empty(self.num_rows * capacity, np.float32)
        if self.length:
            larger.reshape(self.num_rows, capacity)[:, : self.length] = (
                self.array.reshape(self.num_rows, self.capacity)[:, : self.length]
            )
        self.array, self.capacity = larger, capacity
        self.rows = <float *>cnp.PyArray_DATA(<cnp.ndarray>larger)
