"""Binding of the resampling arithmetic in resample/, in the variant for the instruction set that is in use."""

import os

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from phonograph.isa import ISA

cdef extern from "convert/formats.h" nogil:
    enum:
        PG_U8
        PG_I16
        PG_I24
        PG_I32
        PG_F32
        PG_ALAW
        PG_MULAW

    const int64_t pg_sample_bytes[8]

cdef extern from "resample/plan.h" nogil:
    ctypedef struct pg_transform:
        int32_t num_points
        int32_t num_passes
        const int32_t *radices
        const float *turns

    enum:
        PG_CUT_SHORT

    ctypedef struct pg_source:
        const void *samples
        int32_t format
        int32_t big_endian
        int32_t num_channels
        int64_t origin
        int64_t length
        int32_t descriptor
        int32_t fault
        int64_t first_byte

    ctypedef struct pg_blocks:
        int32_t block_in
        int32_t step_in
        int32_t step_out
        int32_t lead
        pg_transform forward
        pg_transform inverse
        const int32_t *bins
        const float *gains
        const float *turns
        const int32_t *places

    ctypedef struct pg_bank:
        int32_t up
        int32_t down
        int32_t lead
        int32_t num_taps
        const float *taps

    ctypedef struct pg_resamplers:
        int32_t lanes
        int64_t (*workspace)(const pg_blocks *plan) noexcept nogil
        int32_t (*blocks)(const pg_blocks *plan, pg_source *source, int64_t first_block, int64_t end, float *workspace,
                          float *out) noexcept nogil
        int32_t (*bank)(const pg_bank *plan, pg_source *source, int64_t first, int64_t end, float *workspace,
                        float *out) noexcept nogil
        int32_t (*finite)(const float *samples, int64_t num_samples) noexcept nogil

    const pg_resamplers *pg_resample_variant(const char *name)

CODES = {"u8": PG_U8, "i16": PG_I16, "i24": PG_I24, "i32": PG_I32, "f32": PG_F32, "alaw": PG_ALAW, "mulaw": PG_MULAW}
RADICES = (2, 3, 4, 5, 6, 7, 8, 9)

cdef const pg_resamplers *kernels = pg_resample_variant(ISA.encode())
if kernels == NULL:
    raise ImportError(f"the resampling kernel has no variant {ISA!r}")
LANES = kernels.lanes


cdef class Blocks:
    cdef pg_blocks plan
    cdef tuple tables  # keeps alive what the plan points to
    cdef readonly int64_t scratch_length

    def __cinit__(self, *, int step_in, int step_out, int lead, const int32_t[::1] radices_in, const float[::1] turns_in,
                  const int32_t[::1] radices_out, const float[::1] turns_out, const int32_t[::1] bins, const float[:, ::1] gains,
                  const float[:, ::1] turns, const int32_t[::1] places):
        set_transform(&self.plan.forward, radices_in, turns_in)
        set_transform(&self.plan.inverse, radices_out, turns_out)
        cdef int points_in = self.plan.forward.num_points, points_out = self.plan.inverse.num_points
        check_places(bins, points_in)
        check_places(places, points_out)
        if gains.shape[0] != min(points_in, points_out) or gains.shape[1] != 4:
            raise ValueError(f"gains are {gains.shape[0]} x {gains.shape[1]}; expected {min(points_in, points_out)} x 4")
        if turns.shape[0] != points_out // 2 + 1 or turns.shape[1] != 2:
            raise ValueError(f"turns are {turns.shape[0]} x {turns.shape[1]}; expected {points_out // 2 + 1} x 2")
        if not (1 <= step_in <= 2 * points_in and 0 <= lead < 2 * points_in and 16 <= step_out <= 2 * points_out and step_out % 2 == 0):
            raise ValueError(f"step_in {step_in}, step_out {step_out}, lead {lead} do not fit {points_in} and {points_out} points")
        self.tables = (radices_in, turns_in, radices_out, turns_out, bins, gains, turns, places)
        self.plan.block_in = 2 * points_in
        self.plan.step_in = step_in
        self.plan.step_out = step_out
        self.plan.lead = lead
        self.plan.bins = &bins[0]
        self.plan.gains = &gains[0, 0]
        self.plan.turns = &turns[0, 0]
        self.plan.places = &places[0]
        self.scratch_length = kernels.workspace(&self.plan)

    def resample(self, const float[::1] samples, int64_t origin, int64_t first_block, int64_t end, float[::1] scratch, float[::1] out):
        cdef pg_source source = mono_source(samples, origin)
        return self._resample(&source, first_block, end, scratch, out) != 0

    def resample_pcm(self, const uint8_t[::1] samples, int source_format, bint big_endian, int num_channels, int64_t first_block,
                     int64_t end, float[::1] scratch, float[::1] out):
        cdef pg_source source = stored_source(source_format, big_endian, num_channels)
        source.samples = &samples[0] if samples.shape[0] else NULL
        source.length = samples.shape[0] // (pg_sample_bytes[source_format] * num_channels)
        return self._resample(&source, first_block, end, scratch, out) != 0

    def resample_file(self, int descriptor, int64_t first_byte, int64_t num_samples, int source_format, bint big_endian,
                      int num_channels, int64_t first_block, int64_t end, float[::1] scratch, float[::1] out):
        cdef pg_source source = stored_source(source_format, big_endian, num_channels)
        if first_byte < 0 or num_samples < 0:
            raise ValueError(f"first_byte is {first_byte}, num_samples is {num_samples}; expected 0 or more")
        source.descriptor = descriptor
        source.first_byte = first_byte
        source.length = num_samples
        return self._resample(&source, first_block, end, scratch, out) != 0

    cdef int _resample(self, pg_source *source, int64_t first_block, int64_t end, float[::1] scratch, float[::1] out) except -1:
        cdef int64_t num_outputs = end - first_block * self.plan.step_out
        cdef int32_t finite
        if scratch.shape[0] < self.scratch_length:
            raise ValueError(f"scratch has {scratch.shape[0]} values; expected {self.scratch_length}")
        check_range(source, first_block, num_outputs, out.shape[0])
        if num_outputs == 0:
            return 1
        with nogil:
            finite = kernels.blocks(&self.plan, source, first_block, end, &scratch[0], &out[0])
        if source.fault == PG_CUT_SHORT:
            raise EOFError("the file ends before its samples")
        if source.fault:
            raise OSError(source.fault, os.strerror(source.fault))
        return finite


cdef class Bank:
    cdef pg_bank plan
    cdef tuple tables
    cdef readonly int64_t scratch_length

    def __cinit__(self, *, int up, int down, int lead, const float[:, ::1] taps):
        if up < 1 or down < 1 or lead < 0 or taps.shape[0] != up or taps.shape[1] < 16 or taps.shape[1] % 16:
            raise ValueError(f"taps are {taps.shape[0]} x {taps.shape[1]}, up {up}, down {down}, lead {lead}; "
                             "expected a row for each phase, filled up to a multiple of 16")
        self.tables = (taps,)
        self.plan.up = up
        self.plan.down = down
        self.plan.lead = lead
        self.plan.num_taps = taps.shape[1]
        self.plan.taps = &taps[0, 0]
        self.scratch_length = 4 * taps.shape[1]

    def resample(self, const float[::1] samples, int64_t origin, int64_t first, int64_t end, float[::1] scratch, float[::1] out):
        cdef pg_source source = mono_source(samples, origin)
        cdef int32_t finite
        if scratch.shape[0] < self.scratch_length:
            raise ValueError(f"scratch has {scratch.shape[0]} values; expected {self.scratch_length}")
        check_range(&source, first, end - first, out.shape[0])
        if end == first:
            return True
        with nogil:
            finite = kernels.bank(&self.plan, &source, first, end, &scratch[0], &out[0])
        return finite != 0


def all_finite(const float[::1] samples):
    cdef int32_t finite = 1
    if samples.shape[0]:
        with nogil:
            finite = kernels.finite(&samples[0], samples.shape[0])
    return finite != 0


cdef pg_source mono_source(const float[::1] samples, int64_t origin):
    cdef pg_source source
    memset(&source, 0, sizeof(source))
    source.samples = &samples[0] if samples.shape[0] else NULL
    source.format = PG_F32
    source.num_channels = 1
    source.origin = origin
    source.length = samples.shape[0]
    return source


cdef pg_source stored_source(int source_format, bint big_endian, int num_channels) except *:
    cdef pg_source source
    if source_format not in CODES.values() or not 1 <= num_channels <= 2:
        raise ValueError(f"format {source_format}, {num_channels} channels; expected one of {CODES}, 1 or 2 channels")
    memset(&source, 0, sizeof(source))
    source.format = source_format
    source.num_channels = num_channels
    source.big_endian = big_endian
    return source


cdef int set_transform(pg_transform *transform, const int32_t[::1] radices, const float[::1] turns) except -1:
    cdef Py_ssize_t i
    cdef int64_t num_points = 1, expected = 0, block
    for i in range(radices.shape[0]):
        if radices[i] not in RADICES:
            raise ValueError(f"radix {radices[i]} has no butterfly; expected one of {RADICES}")
        num_points *= radices[i]
    block = num_points
    for i in range(radices.shape[0]):
        block //= radices[i]
        expected += 2 * block * (radices[i] - 1)
    # A vector of the first pass holds points of every sub-block.
    if radices.shape[0] < 2 or num_points // radices[0] < 8 or turns.shape[0] != expected:
        raise ValueError(f"radices {list(radices)} with {turns.shape[0]} turns; expected 8 points or more behind the first, {expected} turns")
    transform.num_points = num_points
    transform.num_passes = radices.shape[0]
    transform.radices = &radices[0]
    transform.turns = &turns[0]
    return 0


cdef int check_places(const int32_t[::1] places, int num_points) except -1:
    cdef Py_ssize_t i
    if places.shape[0] != num_points:
        raise ValueError(f"there are {places.shape[0]} places; expected {num_points}")
    for i in range(num_points):
        if not 0 <= places[i] < num_points:
            raise ValueError(f"place {i} is {places[i]}; expected 0 to {num_points - 1}")
    return 0


cdef int check_range(const pg_source *source, int64_t first, int64_t num_outputs, int64_t room) except -1:
    if first < 0 or source.origin < 0 or not 0 <= num_outputs <= room:
        raise ValueError(f"first {first}, origin {source.origin}, {num_outputs} outputs do not fit a result of {room}")
    return 0
