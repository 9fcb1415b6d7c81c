"""CallMeter: counts and times calls, at a cost that does not show beside theirs.

It is compiled because it runs twice around every call of every node: in Python it took longer than all the rest that the engine
does for a call.
"""

from libc.stdint cimport int64_t

cdef extern from "time.h" nogil:
    ctypedef long time_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    ctypedef int clockid_t
    clockid_t CLOCK_MONOTONIC
    int clock_gettime(clockid_t clock, timespec *now)

cdef enum:
    SUB_BUCKETS = 4  # bits: a bucket is at most 1/16 wide, so a quantile is at most 6 % high


cdef inline int64_t _now_ns() noexcept nogil:
    """What `time.perf_counter_ns` gives."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef inline int64_t _bucket_of(int64_t nanoseconds) noexcept nogil:
    cdef int shift = -SUB_BUCKETS - 1
    cdef int64_t left = nanoseconds
    while left > 0:
        left >>= 1
        shift += 1
    return nanoseconds if shift <= 0 else (<int64_t>shift << SUB_BUCKETS) + (nanoseconds >> shift)


def bucket_of(int64_t nanoseconds):
    """The log-linear bucket that a duration falls into."""
    return _bucket_of(nanoseconds)


def upper_edge(int64_t bucket):
    """The longest duration, in nanoseconds, that falls into a bucket."""
    cdef int64_t first = 1 << (SUB_BUCKETS + 1)
    if bucket < first:
        return bucket
    cdef int64_t shift = (bucket >> SUB_BUCKETS) - 1
    return ((bucket - (shift << SUB_BUCKETS) + 1) << shift) - 1


cdef class CallMeter:
    """Counts calls and what goes in and comes out, sums their time and sorts it into buckets. For one thread at a time.

    Args:
        enter: called before the clock is read at the beginning of a call; None: nothing.
    """

    cdef public int64_t busy_ns, calls, errors, first_ns, items_in, items_out, last_ns
    cdef readonly dict buckets
    cdef object _enter
    cdef int64_t _began

    def __init__(self, enter=None):
        self._enter = enter
        self.buckets = {}

    def begin(self, bint is_first=True):
        """A call begins; `is_first`: it is the first one with this item."""
        if self._enter is not None:
            self._enter()
        self.items_in += is_first
        self._began = _now_ns()

    def end(self, int64_t num_items=1):
        """The call that began last has returned so many items."""
        self.items_out += num_items
        self._called(self._began, _now_ns())

    def fail(self):
        """The call that began last has raised."""
        self.errors += 1
        self._called(self._began, _now_ns())

    def called(self, int64_t start_ns, int64_t end_ns):
        """Account for one call between two readings of the performance counter."""
        self._called(start_ns, end_ns)

    cdef void _called(self, int64_t start_ns, int64_t end_ns) except *:
        if not self.calls:
            self.first_ns = start_ns
        self.calls += 1
        self.last_ns = end_ns
        self.busy_ns += end_ns - start_ns
        bucket = _bucket_of(end_ns - start_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
