"""Packets decoded, and the blocks that come out brought to a `SampleBuffer`.

Two ways lead there, to the same samples and errors. One asks PyAV for each packet, and takes any. The other (`stretch`) reads
and decodes many packets by FFmpeg's functions without the interpreter, see ffmpeg.h, as long as each is usual; one that is not
goes the first way.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint8_t

import numpy as np
from av.audio.frame import AudioFrame
from av.error import err_check
from av.packet import Packet

from phonograph_nodes.kernels._frames import flac_frames

from phonograph_nodes.kernels._ffmpeg cimport PG_AV_AGAIN, PG_AV_END, PG_AV_INVALID, PG_AV_NO_TIME, Native, pg_av_packet
from phonograph_nodes.kernels._frames cimport (
    SampleBuffer,
    pg_block,
    pg_flac_checksum,
    pg_flac_frame,
    pg_flac_prepare,
    pg_flac_probe,
)

pg_flac_prepare()  # each module has its own tables

cdef enum:
    LONGEST_SILENCE = 1 << 21  # samples: what damaged times claim is bounded
    # A stretch ends after so many packets, or samples, so that time limits and cancellation are looked at hundreds of times a
    # second.
    STRETCH_PACKETS = 32
    STRETCH_SAMPLES = 1 << 17

cdef enum:  # how a stretch ends
    GOES_ON
    UNUSUAL  # the packet is yet to be decoded
    UNREAD
    UNDECODED


class DamagedPacket(Exception):
    """A packet that is not what was written: its checksum is wrong, or packets before it are missing."""


cdef class FrameQueue:
    """The blocks that come out of packets, in order.

    An error of FFmpeg passes through, and the next call goes on after what failed. Where packets have exact times, what is missing
    between two that decode becomes silence, so that every sample stays at its time.

    Args:
        packets: iterator of PyAV's packets, of which the last, empty one flushes the decoder.
        decode: makes a packet a list of blocks; None flushes.

    Attributes:
        first: the first packet; None before.
        end: where the last packet so far ends, in ticks; None where it has no time.
        is_reading: whether packets are being read, not decoded: what an error was about.
        is_ended: the stream has ended; what was decoded ahead may still be taken. May be set.
        longest: samples of the longest block so far.
        sample_ticks: of the packets' times for a sample; 0 where times are not exact.
        flac_bits: of a sample, where packets are frames of FLAC, whose checksums are looked at; else 0.
        flac_longest: of the frames of a FLAC file, which `pour` decodes itself; 0 for other packets.
        check: called before each packet or stretch of packets; None calls nothing. Signals are looked at there too.
        native: reads and decodes what is usual of the same stream; None leaves all to `packets` and `decode`. To be None before
            the container is closed.

    Raises:
        DamagedPacket: from `take` and `pour`, which also go on after it.
    """

    cdef object packets, decode
    cdef list held  # blocks of packets that were looked at ahead
    cdef bint is_read  # there are no more packets
    cdef list again  # packets that were read before what is missing before them was told
    cdef bint is_told  # that something is missing here
    cdef int64_t next_start  # where the packet before ends, in ticks; below 0 when it is not known
    cdef int64_t lasts  # the packet that was looked at last, in ticks
    cdef int64_t flac_step  # samples of the first frame: those that count frames, and not samples, are all as long but the last
    cdef int64_t missing  # ticks since the last packet that gave something
    cdef bint is_begun  # something came out
    cdef readonly object first
    cdef int64_t last_pts, last_duration  # of the last packet
    cdef readonly bint is_reading
    cdef public bint is_ended
    cdef public object check
    cdef readonly int64_t longest
    cdef public int64_t sample_ticks
    cdef public int flac_bits
    cdef public int64_t flac_longest
    cdef public Native native

    def __init__(self, packets, decode):
        self.packets, self.decode, self.held, self.again = packets, decode, [], []
        self.next_start, self.last_pts = -1, PG_AV_NO_TIME

    @property
    def end(self):
        return None if self.last_pts == PG_AV_NO_TIME else <object>self.last_pts + self.last_duration

    @property
    def num_held(self):
        """How many samples were decoded ahead."""
        return sum(frame.samples for frames in self.held for frame in frames)

    cpdef list take(self):
        """The blocks of the next packet that gives any; None at the end."""
        self.look_ahead(1)
        return self.held.pop(0) if self.held else None

    cpdef look_ahead(self, Py_ssize_t num_packets):
        """Decode so many packets that give something before they are taken, fewer where the stream ends."""
        cdef list frames
        while not self.is_ended and len(self.held) < num_packets:
            frames = self.decoded(self.read())
            if frames:
                self.held.append(frames)

    cdef ask(self):
        """Let limits and signals end the reading."""
        if self.check is not None:
            self.check()
        PyErr_CheckSignals()  # nothing else does, as no line of Python is run

    cdef read(self):
        """The next packet; None at the end."""
        if self.again:
            return self.again.pop(0)
        self.ask()
        packet = None
        if not self.is_read:
            self.is_reading = self.is_read = True  # after an error, no other packet can be found
            packet = next(self.packets, None)
            self.is_reading = self.is_read = False
            if packet is not None and packet.size:
                self.last_pts = PG_AV_NO_TIME if packet.pts is None else packet.pts
                self.last_duration = packet.duration or 0
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
                return self.flac_start(&frame)
        self.lasts = packet.duration or 0
        return -1 if packet.pts is None or not self.lasts else packet.pts

    cdef int64_t flac_start(self, const pg_flac_frame *frame) noexcept nogil:
        return frame.number if frame.counts_samples else frame.number * (self.flac_step or frame.num_samples)

    cdef follow(self, packet):
        """See whether a packet begins where the one before ends, and tell once when it does not."""
        cdef int64_t start = self.start_of(packet)
        if self.is_begun and 0 <= self.next_start < start:
            self.missing += start - self.next_start
            self.next_start = start
            if not self.is_told:
                self.is_told = True
                self.again.insert(0, packet)
                raise DamagedPacket(f"{self.missing // self.sample_ticks} samples are missing")
        self.passes(start)

    cdef void passes(self, int64_t start) noexcept nogil:
        """A packet that begins at `start`, and lasts so long, is where it belongs."""
        self.next_start = start + self.lasts if start >= 0 else -1
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
        cdef list found = []
        for frame in frames:
            count = frame.samples
            if count:
                self.longest = max(self.longest, count)
                found.append(frame)
        return found

    def pour(self, SampleBuffer out, int64_t limit):
        """Append blocks to `out` as long as they fit it and lead to no more than `limit` samples; the ones that did not, or None."""
        cdef const uint8_t[::1] content
        cdef list frames
        cdef int64_t taken
        while True:
            if self.may_stretch():
                frames = self.stretch(out, limit)
                if frames:
                    return frames
                continue
            if self.flac_longest and not self.is_ended and not self.held:
                packet = self.read()
                if packet is not None and packet.size and not self.missing:
                    content = packet
                    if self.pour_flac(&content[0], content.shape[0], out, limit):
                        if not self.is_begun:
                            self.begin()
                        continue
                frames = self.decoded(packet)
            else:
                frames = self.take()
                if frames is None:
                    return None
            taken = out.take(frames, limit)
            if taken < len(frames):
                return frames[taken:]

    cdef bint may_stretch(self) except -1:
        """Whether nothing is to be told, taken or put in before the next packet."""
        if self.native is None or not self.is_begun or self.is_read or self.missing or self.held or self.again:
            return False
        return self.native.is_open()

    cdef list stretch(self, SampleBuffer out, int64_t limit):
        """Append what comes out of many packets; blocks that did not fit, after which there may be more."""
        cdef Native native = self.native
        cdef list frames = []
        cdef int outcome
        self.ask()
        if not self.may_stretch():  # any code may have run, and closed what was open
            return frames
        with nogil:
            outcome = self.run(native, out, limit, frames)
        if outcome == UNUSUAL:
            self.again.append(native.packet_out())
        elif outcome == UNDECODED:
            err_check(native.code)
        elif outcome == UNREAD:
            self.is_reading = self.is_read = True  # as in `read`
            err_check(0 if native.code == PG_AV_END else native.code)  # which also knows what a file object raised
            self.is_reading = self.is_read = False
            self.native, self.packets = None, iter([Packet()])  # the empty one
        return frames

    cdef int run(self, Native native, SampleBuffer out, int64_t limit, list frames) except -1 nogil:
        """The stretch itself; `frames` gets the blocks that do not fit."""
        cdef const pg_av_packet *packet = native.packet
        cdef int64_t last = out.length + STRETCH_SAMPLES
        cdef bint is_full = False
        for _ in range(STRETCH_PACKETS):
            if not native.read():
                return UNREAD
            if packet.stream_index != native.stream:
                continue
            if packet.size <= 0:
                return UNUSUAL
            self.last_pts, self.last_duration = packet.pts, 0 if packet.duration == PG_AV_NO_TIME else packet.duration
            if self.flac_longest:
                if not self.pour_flac(packet.data, packet.size, out, limit):
                    return UNUSUAL
            elif not self.is_usual(packet):
                return UNUSUAL
            elif not self.pour_packet(native, out, limit, frames, &is_full):
                return UNDECODED
            if is_full or self.missing or out.length >= last:
                break
        return GOES_ON

    cdef bint is_usual(self, const pg_av_packet *packet) noexcept nogil:
        """Whether a packet is whole as far as can be seen, and begins where the one before ends; as `whole` and `follow`."""
        cdef int64_t start
        if self.flac_bits and pg_flac_checksum(packet.data, packet.size) != 0:
            return False
        if self.sample_ticks:
            start = packet.pts if self.last_duration and packet.pts != PG_AV_NO_TIME else -1
            if 0 <= self.next_start < start:
                return False
            self.lasts = self.last_duration
            self.passes(start)
        return True

    cdef bint pour_flac(self, const uint8_t *packet, int64_t size, SampleBuffer out, int64_t limit) except -1 nogil:
        """Decode the frame of FLAC that is next; whether it was, and is nothing unusual."""
        cdef pg_flac_frame frame
        cdef int64_t start
        if not pg_flac_probe(packet, size, self.flac_bits, &frame):
            return False
        start = self.flac_start(&frame)
        if self.is_begun and start != self.next_start:
            return False
        if not out.put_flac(packet, size, self.flac_bits, self.flac_longest, limit):
            return False
        self.lasts = frame.num_samples
        self.passes(start)
        return True

    cdef bint pour_packet(self, Native native, SampleBuffer out, int64_t limit, list frames, bint *is_full) except -1 nogil:
        """Decode a packet; whether that went well. Blocks from the first that does not fit on go to `frames`.

        As PyAV does it, what came out before an error is lost, but for invalid data.
        """
        cdef pg_block samples
        cdef int64_t length = out.length, non_finite = out.non_finite, longest = self.longest, given = 0
        cdef int num_blocks = 0
        native.code = native.library.send(native.decoder, native.packet)
        if native.code >= 0:
            while True:
                native.code = native.library.receive(native.decoder, native.block)
                if native.code < 0:
                    break
                num_blocks += 1
                if native.block.num_samples <= 0:
                    continue
                given += native.block.num_samples
                self.longest = max(self.longest, native.block.num_samples)
                if is_full[0] or not native.holds(out.sample_rate, &samples) or not out.put(&samples, limit):
                    is_full[0] = True
                    with gil:
                        frames.append(native.block_out())
            if native.code in (PG_AV_AGAIN, PG_AV_END) or (native.code == PG_AV_INVALID and num_blocks):
                if self.sample_ticks:
                    self.missing += max(self.lasts - given * self.sample_ticks, 0)
                return True
        out.length, out.non_finite, self.longest = length, non_finite, longest
        if is_full[0]:
            with gil:
                frames.clear()
        if self.sample_ticks:
            self.missing += self.lasts
        return False
