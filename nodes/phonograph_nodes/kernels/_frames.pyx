"""Packets decoded, and the blocks that come out (PyAV's audio frames) gathered into planar float32.

The conversions are in frames.h. The loop is here because a packet holds a fiftieth of a second: what it costs besides decoding is
a tenth of the whole in Python, and next to nothing in C.

The file has more than 400 lines because the queue calls the buffer for each packet, which between two modules needs a third file
of declarations to be kept in step with both.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memmove

cimport numpy as cnp

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.packet import Packet

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

pg_flac_prepare()

cdef dict FORMATS = {
    "u8": PG_FRAME_U8, "s16": PG_FRAME_S16, "s32": PG_FRAME_S32, "s64": PG_FRAME_S64, "flt": PG_FRAME_FLT, "dbl": PG_FRAME_DBL,
}

cdef enum:
    MAX_CHANNELS = 64  # planes of a block; readers refuse fewer
    FIRST_BYTES = 16 << 20
    LONG_BLOCK = 1 << 14  # samples; below, handing the interpreter to others costs more than converting
    LONGEST_SILENCE = 1 << 21  # samples: what damaged times claim is bounded


class DamagedPacket(Exception):
    """A packet that is not what was written: its checksum is wrong, or packets before it are missing."""


def flac_frames(const uint8_t[::1] packet, int bits):
    """Where the whole frames of FLAC in a packet begin and end; None when it is one frame, or a whole one that is not known here.

    Args:
        bits: of a sample, where a frame does not say it.
    """
    cdef pg_flac_frame frame
    cdef int64_t place = 0, taken, size = packet.shape[0]
    if size == 0 or pg_flac_checksum(&packet[0], size) == 0:
        return None
    found, rows = [], np.empty(0, np.int32)
    while place + 6 <= size:
        taken = 0
        if packet[place] == 0xFF and packet[place + 1] >> 1 == 0x7C:
            if pg_flac_probe(&packet[place], size - place, bits, &frame):
                if rows.size < frame.num_channels * frame.num_samples:
                    rows = np.empty(frame.num_channels * frame.num_samples, np.int32)
                taken = pg_flac_decode(&packet[place], size - place, bits, <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>rows))
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
    cdef int64_t scratch_length

    def __init__(self, int64_t num_channels, int64_t sample_rate, bint mono, int64_t claimed):
        if not 1 <= num_channels <= MAX_CHANNELS:
            raise ValueError(f"{num_channels} channels; expected 1 to {MAX_CHANNELS}")
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

    cpdef int64_t take_flac(self, const uint8_t[::1] packet, int bits, int64_t longest, int64_t limit) except -1:
        """Decode a FLAC frame of `bits` bits and append it; returns 0, and nothing is appended, for one that is unusual, damaged,
        longer than `longest` samples, of another rate or number of channels, or beyond `limit` samples."""
        cdef pg_flac_frame frame
        cdef int64_t i, size = packet.shape[0]
        cdef const uint8_t *starts[MAX_CHANNELS]
        cdef int32_t *rows
        cdef bint is_whole
        if size == 0 or not pg_flac_probe(&packet[0], size, bits, &frame) or frame.bits != bits or frame.num_samples > longest:
            return 0
        if frame.num_channels != self.num_channels or frame.rate not in (0, self.sample_rate):
            return 0
        if self.length + frame.num_samples > limit:
            return 0
        if self.scratch_length < frame.num_channels * frame.num_samples:
            self.scratch_length = frame.num_channels * frame.num_samples
            self.scratch = np.empty(self.scratch_length, np.int32)
        if self.length + frame.num_samples > self.capacity:
            self.grow(self.length + frame.num_samples)
        rows = <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>self.scratch)
        self.know("fltp")
        for i in range(frame.num_channels):
            starts[i] = <const uint8_t *>(rows + i * frame.num_samples)
        with nogil:
            is_whole = pg_flac_decode(&packet[0], size, bits, rows) == size
            if is_whole:
                pg_flac_to_float(rows, frame.num_channels * frame.num_samples, bits)
                self.convert(starts, 1, frame.num_samples)
        if not is_whole:
            return 0
        self.length += frame.num_samples
        return frame.num_samples

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
        cdef Py_buffer views[MAX_CHANNELS]
        cdef const uint8_t *starts[MAX_CHANNELS]
        cdef int64_t num_planes, step, size, opened = 0, i
        if count == 0:
            return
        self.know(frame.format.name)
        num_planes = self.num_channels if self.planar else 1
        step = 1 if self.planar else self.num_channels
        size = pg_frame_bytes[self.format]
        if self.length + count > self.capacity:
            self.grow(self.length + count)
        try:
            for i in range(num_planes):
                # Not `frame.planes`, which counts pointers up to one that is NULL: with 8 or more there need be none.
                PyObject_GetBuffer(AudioPlane(frame, i), &views[i], PyBUF_SIMPLE)
                opened += 1
                if views[i].len < (first + count) * step * size:
                    raise ValueError(f"plane {i} has {views[i].len} bytes; expected {(first + count) * step * size}")
                starts[i] = <const uint8_t *>views[i].buf + first * step * size
            if not self.planar:
                for i in range(1, self.num_channels):
                    starts[i] = starts[0] + i * size
            if count < LONG_BLOCK:
                self.convert(starts, step, count)
            else:
                with nogil:
                    self.convert(starts, step, count)
        finally:
            for i in range(opened):
                PyBuffer_Release(&views[i])
        self.length += count

    cdef know(self, str name):
        if name != self.format_name:
            plain = name.removesuffix("p")
            if plain not in FORMATS:
                raise ValueError(f"samples of format {name!r}; expected one of {', '.join(FORMATS)}, planar or packed")
            self.format, self.planar, self.format_name = FORMATS[plain], plain != name, name

    cdef void convert(self, const uint8_t **starts, int64_t step, int64_t count) noexcept nogil:
        cdef float *out = self.rows + self.length
        cdef int64_t row
        if self.num_rows != self.num_channels:
            self.non_finite += pg_frame_mean(self.format, starts, step, self.num_channels, count, out)
            return
        for row in range(self.num_rows):
            self.non_finite += pg_frame_load(self.format, starts[row], step, count, out + row * self.capacity)

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


cdef class FrameQueue:
    """The blocks that come out of packets, in order.

    An error of FFmpeg passes through, and the next call goes on after what failed. Where packets have exact times, what is missing
    between two that decode becomes silence, so that every sample stays at its time.

    Args:
        packets: iterator of PyAV's packets, of which the last, empty one flushes the decoder.
        decode: makes a packet a list of blocks; None flushes.

    Attributes:
        first, last: the packets of those names so far; None before.
        is_reading: whether packets are being read, not decoded: what an error was about.
        is_ended: the stream has ended; what was held back comes out. May be set.
        hold: keep the blocks of so many packets back until the stream has ended.
        longest: samples of the longest block so far.
        sample_ticks: of the packets' times for a sample; 0 where times are not exact.
        flac_bits: of a sample, where packets are frames of FLAC, whose checksums are looked at; else 0.
        flac_longest: of the frames of a FLAC file, which `pour` decodes itself; 0 for other packets.
        check: called before each packet; None calls nothing.

    Raises:
        DamagedPacket: from `take` and `pour`, which also go on after it.
    """

    cdef object packets, decode
    cdef list held
    cdef bint is_read  # there are no more packets
    cdef list again  # packets that were read before what is missing before them was told
    cdef bint is_told  # that something is missing here
    cdef int64_t end  # of the packet before, in ticks; below 0 when it is not known
    cdef int64_t lasts  # the packet that was looked at last, in ticks
    cdef int64_t flac_step  # samples of the first frame: those that count frames, and not samples, are all as long but the last
    cdef int64_t missing  # ticks since the last packet that gave something
    cdef bint is_begun  # something came out
    cdef readonly object first
    cdef readonly object last
    cdef readonly bint is_reading
    cdef public bint is_ended
    cdef public object check
    cdef public Py_ssize_t hold
    cdef readonly int64_t longest
    cdef public int64_t sample_ticks
    cdef public int flac_bits
    cdef public int64_t flac_longest

    def __init__(self, packets, decode):
        self.packets, self.decode, self.held, self.again, self.end = packets, decode, [], [], -1

    @property
    def num_held(self):
        """How many samples are held back."""
        return sum(frame.samples for frames in self.held for frame in frames)

    cpdef list take(self):
        """The blocks of the next packet that gives any; None at the end."""
        cdef list frames
        while not self.is_ended:
            frames = self.decoded(self.read())
            if not frames:
                continue
            if not self.hold and not self.held:
                return frames
            self.held.append(frames)
            if len(self.held) > self.hold:
                return self.held.pop(0)
        return self.held.pop(0) if self.held else None

    cdef read(self):
        """The next packet; None at the end."""
        if self.again:
            return self.again.pop(0)
        if self.check is not None:
            self.check()
        packet = None
        if not self.is_read:
            self.is_reading = self.is_read = True  # after an error, no other packet can be found
            packet = next(self.packets, None)
            self.is_reading = self.is_read = False
            if packet is not None and packet.size:
                self.last = packet
                if self.first is None:
                    self.first = packet
        if packet is None:
            self.is_read = self.is_ended = True
        return packet

    cdef list decoded(self, packet):
        """The blocks of a packet that hold something, after silence for what is missing before them."""
        cdef list frames
        if packet is None or not packet.size:
            return self.nonempty(self.decode(packet))
        if self.flac_bits:
            packet = self.whole(packet)
        if self.sample_ticks:
            self.follow(packet)
        try:
            frames = self.nonempty(self.decode(packet))
            given = sum(frame.samples for frame in frames)
        except Exception:
            if self.sample_ticks:
                self.missing += self.lasts
            raise
        if not self.is_begun:
            if frames:
                self.begin()
            return frames
        if frames and self.missing:
            frames = self.silence(frames[0]) + frames
            self.missing = 0
        if self.sample_ticks:  # a damaged block may give less than it lasts
            self.missing += max(self.lasts - given * self.sample_ticks, 0)
        return frames

    cdef begin(self):
        """What is missing before the first block is no gap."""
        self.missing, self.is_begun, self.flac_step = 0, True, self.lasts

    cdef whole(self, packet):
        """The packet without what is damaged of it; of several frames the first, while the others wait."""
        places = flac_frames(packet, self.flac_bits)
        if places is None:
            return packet
        is_first_damaged = not places or places[0][0] > 0
        if self.flac_longest:
            content, parts = bytes(packet), []
            for first, last in places:
                part = Packet(content[first:last])
                part.pts, part.time_base = self.start_of(part), packet.time_base
                parts.append(part)
            if not is_first_damaged:
                packet = parts.pop(0)
            self.again = parts + self.again
        if is_first_damaged:
            self.is_told = True
            raise DamagedPacket("the checksum of a frame is wrong")
        return packet

    cdef int64_t start_of(self, packet) except -2:
        """The time of a packet in ticks, of a frame of FLAC by its own number, which `lasts` so many; -1 where nothing tells."""
        cdef pg_flac_frame frame
        cdef const uint8_t[::1] content
        if self.flac_longest:
            content = packet
            if pg_flac_probe(&content[0], content.shape[0], self.flac_bits, &frame):
                self.lasts = frame.num_samples
                return frame.number if frame.counts_samples else frame.number * (self.flac_step or frame.num_samples)
        self.lasts = packet.duration or 0
        return -1 if packet.pts is None or not self.lasts else packet.pts

    cdef follow(self, packet):
        """See whether a packet begins where the one before ends, and tell once when it does not."""
        cdef int64_t start = self.start_of(packet)
        if self.is_begun and 0 <= self.end < start:
            self.missing += start - self.end
            self.end = start
            if not self.is_told:
                self.is_told = True
                self.again.insert(0, packet)
                raise DamagedPacket(f"{self.missing // self.sample_ticks} samples are missing")
        self.end = start + self.lasts if start >= 0 else -1
        self.is_told = False

    cdef list silence(self, block):
        """What is missing before a block of samples; nothing where that is more than times tell that are not damaged."""
        cdef int64_t count = self.missing // self.sample_ticks
        if not 0 < count <= LONGEST_SILENCE:
            return []
        silent = AudioFrame.from_ndarray(np.zeros((block.layout.nb_channels, count), np.float32), "fltp", block.layout.name)
        silent.sample_rate = block.sample_rate
        silent.pts = None if block.pts is None else block.pts - self.missing
        return [silent]

    cdef list nonempty(self, list frames):
        cdef int64_t count
        for frame in frames:
            count = frame.samples
            if count == 0:
                return [frame for frame in frames if frame.samples]
            if count > self.longest:
                self.longest = count
        return frames

    def pour(self, SampleBuffer out, int64_t limit):
        """Append blocks to `out` as long as they fit it and lead to no more than `limit` samples; the ones that did not, or None."""
        cdef list frames
        cdef int64_t taken, start
        while not (self.is_ended and self.held):  # where what was held back ends, the caller decides
            if self.flac_longest and not self.is_ended and not self.hold and not self.held:
                packet = self.read()
                if packet is not None and packet.size and not self.missing:
                    start = self.start_of(packet)
                    if start == self.end or not self.is_begun:
                        taken = out.take_flac(packet, self.flac_bits, self.flac_longest, limit)
                        if taken:
                            if not self.is_begun:
                                self.begin()
                            self.end, self.is_told = start + taken, False
                            continue
                frames = self.decoded(packet)
            else:
                frames = self.take()
                if frames is None:
                    return None
            taken = out.take(frames, limit)
            if taken < len(frames):
                return frames[taken:]
        return None
