"""Binding of the energy VAD: power in energy/energy.h, in the variant that is in use; decisions in energy/judge.h."""

from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport M_LN10, log
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memmove

cimport numpy as cnp

import numpy as np

from phonograph.audio import Segment
from phonograph.isa import ISA

cnp.import_array()

cdef extern from "energy/variants.h" nogil:
    ctypedef int (*pg_energy_kernel)(const float *samples, int64_t num_samples, int64_t length, double *energy,
                                    float *rms) noexcept nogil
    pg_energy_kernel pg_energy_variant(const char *name)

cdef extern from "energy/judge.h" nogil:
    ctypedef struct pg_vad_settings:
        int64_t frame_length
        float threshold
        float margin
        int64_t floor_frames
        int64_t min_silence
        int64_t min_speech
        int64_t hangover
        int64_t pad_before
        int64_t pad_after

    ctypedef struct pg_vad_frames:
        int64_t first
        const double *energy
        const float *rms
        float *threshold
        uint8_t *speech

    ctypedef struct pg_vad_segment:
        int64_t start
        int64_t end
        double energy
        double threshold_energy
        int64_t num_samples

    ctypedef struct pg_vad_floor:
        float *rms
        float *before

    ctypedef struct pg_vad_state:
        int64_t num_frames
        int64_t num_decided
        int64_t num_samples
        int64_t num_speech
        pg_vad_floor floor

    void pg_vad_begin(const pg_vad_settings *settings, pg_vad_state *state)
    int64_t pg_vad_judge(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames, int64_t count,
                         int64_t num_samples, pg_vad_segment *out)
    int64_t pg_vad_finish(const pg_vad_settings *settings, pg_vad_state *state, const pg_vad_frames *frames, pg_vad_segment *out)

cdef pg_energy_kernel kernel = pg_energy_variant(ISA.encode())
if kernel == NULL:
    raise ImportError(f"the signal-power kernel has no variant {ISA!r}")

cdef enum: LOWEST_DB = -120
cdef double LOWEST_POWER = 1e-12

cdef object segment_type = Segment


def stretch_levels(const float[::1] samples, int64_t length, double[::1] energy, float[::1] rms):
    cdef bint finite = True
    if length < 1 or energy.shape[0] * length < samples.shape[0] or rms.shape[0] < energy.shape[0]:
        raise ValueError("length is below 1, or energy or rms is too short")
    if samples.shape[0]:
        with nogil:
            finite = kernel(&samples[0], samples.shape[0], length, &energy[0], &rms[0])
    return finite


cdef class Vad:
    """The state of one signal, and the frames of it that are not decided yet; for one thread at a time."""

    cdef pg_vad_settings settings
    cdef pg_vad_state state
    cdef readonly int64_t sample_rate
    cdef cnp.ndarray energy, rms, threshold, speech  # of frames that are not decided, and those of a call
    cdef cnp.ndarray segments  # bytes, written by a call
    cdef cnp.ndarray floor_rms, floor_before
    cdef cnp.ndarray partial  # samples of the frame that is not complete
    cdef int64_t filled  # so many of them
    cdef int64_t capacity  # frames

    def __cinit__(self, *, int64_t sample_rate, int64_t frame_length, float threshold, float margin, int64_t floor_frames,
                  int64_t min_silence, int64_t min_speech, int64_t hangover, int64_t pad_before, int64_t pad_after):
        if sample_rate < 1 or frame_length < 1 or floor_frames < 1 or min(min_silence, min_speech, hangover, pad_before, pad_after) < 0:
            raise ValueError("a rate or length is below 1, or a duration is below 0")
        self.sample_rate = sample_rate
        self.settings = pg_vad_settings(frame_length, threshold, margin, floor_frames, min_silence, min_speech, hangover,
                                        pad_before, pad_after)
        if margin > 0:
            self.floor_rms, self.floor_before = array(floor_frames, cnp.NPY_FLOAT32), array(floor_frames + 1, cnp.NPY_FLOAT32)
            self.state.floor.rms = <float *>cnp.PyArray_DATA(self.floor_rms)
            self.state.floor.before = <float *>cnp.PyArray_DATA(self.floor_before)
        self.energy, self.rms, self.threshold = array(0, cnp.NPY_FLOAT64), array(0, cnp.NPY_FLOAT32), array(0, cnp.NPY_FLOAT32)
        self.speech = self.segments = array(0, cnp.NPY_UINT8)
        self.partial = array(0, cnp.NPY_FLOAT32)
        pg_vad_begin(&self.settings, &self.state)

    @property
    def num_samples(self):
        return self.state.num_samples + self.filled

    @property
    def num_speech(self):
        return self.state.num_speech

    @property
    def num_decided(self):
        return self.state.num_decided

    def reset(self):
        pg_vad_begin(&self.settings, &self.state)
        self.filled = 0

    def take(self, const float[::1] samples, bint is_last):
        """(rms, threshold, speech, segments) of the frames that are decided now; None, and nothing taken, if a sample is not finite."""
        cdef int64_t length = self.settings.frame_length, num_new = samples.shape[0]
        cdef int64_t num_complete = (self.filled + num_new) // length
        cdef int64_t num_left = self.filled + num_new - num_complete * length
        cdef int64_t count = num_complete + (is_last and num_left > 0)
        cdef int64_t kept = self.state.num_frames - self.state.num_decided, first = self.state.num_decided
        cdef int64_t num_segments, num_decided
        cdef const float *given = &samples[0] if num_new else NULL
        cdef pg_vad_frames frames
        cdef pg_vad_segment *out
        self.make_room(kept + count, 0 if self.filled == 0 and is_last else min(self.filled + num_new, length))
        frames.first = first
        frames.energy = <double *>cnp.PyArray_DATA(self.energy)
        frames.rms = <float *>cnp.PyArray_DATA(self.rms)
        frames.threshold = <float *>cnp.PyArray_DATA(self.threshold)
        frames.speech = <uint8_t *>cnp.PyArray_DATA(self.speech)
        out = <pg_vad_segment *>cnp.PyArray_DATA(self.segments)
        with nogil:
            if not self.measure(given, num_new, num_complete, num_left, is_last, kept):
                with gil:
                    return None
            num_segments = pg_vad_judge(&self.settings, &self.state, &frames, count,
                                        num_complete * length + (num_left if is_last else 0), out)
            if is_last:
                num_segments += pg_vad_finish(&self.settings, &self.state, &frames, out + num_segments)
        num_decided = self.state.num_decided - first
        result = (
            copied(self.rms, num_decided, cnp.NPY_FLOAT32, sizeof(float)),
            copied(self.threshold, num_decided, cnp.NPY_FLOAT32, sizeof(float)),
            copied(self.speech, num_decided, cnp.NPY_BOOL, 1),
            self.as_segments(out, num_segments) if num_segments else (),
        )
        kept = self.state.num_frames - self.state.num_decided
        if kept and num_decided:
            keep(self.energy, num_decided, kept, sizeof(double))
            keep(self.rms, num_decided, kept, sizeof(float))
            keep(self.threshold, num_decided, kept, sizeof(float))
        return result

    cdef int make_room(self, int64_t num_frames, int64_t num_partial) except -1:
        """Arrays for so many frames that are not decided yet, and for so many samples of a frame that is not complete."""
        cdef int64_t capacity
        cdef cnp.ndarray energy, rms, threshold, speech
        if num_frames > self.capacity:
            capacity = max(num_frames, 2 * self.capacity)
            energy = grown(self.energy, capacity, cnp.NPY_FLOAT64, sizeof(double))
            rms = grown(self.rms, capacity, cnp.NPY_FLOAT32, sizeof(float))
            threshold = grown(self.threshold, capacity, cnp.NPY_FLOAT32, sizeof(float))
            speech = array(capacity, cnp.NPY_UINT8)
            # Only now, all together: without memory for one of them the old ones have to go on fitting each other.
            self.energy, self.rms, self.threshold, self.speech, self.capacity = energy, rms, threshold, speech, capacity
        if (num_frames // 2 + 2) * <int64_t>sizeof(pg_vad_segment) > self.segments.shape[0]:
            self.segments = array((self.capacity // 2 + 2) * <int64_t>sizeof(pg_vad_segment), cnp.NPY_UINT8)
        if num_partial > self.partial.shape[0]:
            num_partial = min(max(num_partial, 2 * self.partial.shape[0]), self.settings.frame_length)
            self.partial = grown(self.partial, num_partial, cnp.NPY_FLOAT32, sizeof(float))
        return 0

    cdef bint measure(self, const float *given, int64_t num_new, int64_t num_complete, int64_t num_left, bint is_last,
                      int64_t kept) noexcept nogil:
        """Energy and RMS of the frames that these samples complete, and of the last one; false, and nothing changed, if not finite."""
        cdef float *partial = <float *>cnp.PyArray_DATA(self.partial)
        cdef double *energy = <double *>cnp.PyArray_DATA(self.energy) + kept
        cdef float *rms = <float *>cnp.PyArray_DATA(self.rms) + kept
        cdef int64_t length = self.settings.frame_length, whole = num_complete, head = 0, tail
        cdef double no_energy
        cdef float no_rms
        if self.filled:
            head = min(length - self.filled, num_new)
            if head:
                memcpy(partial + self.filled, given, head * sizeof(float))
            if num_complete:
                if not kernel(partial, length, length, energy, rms):
                    return False
                whole -= 1
                energy += 1
                rms += 1
            elif not kernel(partial, self.filled + head, length, energy if is_last else &no_energy, rms if is_last else &no_rms):
                return False
        if whole and not kernel(given + head, whole * length, length, energy, rms):
            return False
        tail = head + whole * length
        if tail < num_new and not kernel(given + tail, num_new - tail, length, energy + whole if is_last else &no_energy,
                                         rms + whole if is_last else &no_rms):
            return False
        if is_last:
            num_left = 0
        elif tail < num_new:
            memcpy(partial, given + tail, num_left * sizeof(float))
        self.filled = num_left
        return True

    cdef tuple as_segments(self, const pg_vad_segment *found, int64_t count):
        cdef int64_t i, start, end, length = self.settings.frame_length
        cdef double power, threshold_power, level, ms = 1000.0, sample_rate = self.sample_rate
        cdef tuple segments = PyTuple_New(count)  # filled in place: a minute may hold hundreds
        cdef object segment
        for i in range(count):
            start = max(found[i].start * length - self.settings.pad_before, 0)
            end = min(found[i].end * length + self.settings.pad_after, self.state.num_samples)
            power = found[i].energy / found[i].num_samples
            threshold_power = found[i].threshold_energy / found[i].num_samples
            level = log(power) * (10.0 / M_LN10) if power > LOWEST_POWER else LOWEST_DB
            segment = segment_type(start * ms / sample_rate, end * ms / sample_rate, level, power / (power + threshold_power))
            Py_INCREF(segment)
            PyTuple_SET_ITEM(segments, i, segment)
        return segments


cdef inline cnp.ndarray array(int64_t length, int kind):
    cdef cnp.npy_intp shape = length
    return cnp.PyArray_EMPTY(1, &shape, kind, 0)


cdef cnp.ndarray grown(cnp.ndarray values, int64_t length, int kind, size_t size):
    cdef cnp.ndarray larger = array(length, kind)
    memcpy(cnp.PyArray_DATA(larger), cnp.PyArray_DATA(values), values.shape[0] * size)
    return larger


cdef cnp.ndarray copied(cnp.ndarray values, int64_t count, int kind, size_t size):
    cdef cnp.ndarray copy = array(count, kind)
    memcpy(cnp.PyArray_DATA(copy), cnp.PyArray_DATA(values), count * size)
    return copy


cdef void keep(cnp.ndarray values, int64_t place, int64_t count, size_t size) noexcept:
    """The values from this place on come to the front."""
    memmove(cnp.PyArray_DATA(values), <char *>cnp.PyArray_DATA(values) + place * size, count * size)
