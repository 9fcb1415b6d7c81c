"""Binding of the array-memory accounts in _memory.h."""

from libc.stdint cimport int64_t

cimport numpy as cnp

cnp.import_array()

cdef extern from "_memory.h":
    object account_new()
    int64_t account_held(object capsule)
    int64_t account_peak(object capsule)

cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(object handler)


cdef class ArrayAccount:
    """Counts the NumPy memory that is allocated while it is the thread's current account."""

    cdef object capsule

    # Not __init__, which could be called again and would take the account away under a thread that reads it.
    def __cinit__(self):
        self.capsule = account_new()

    def enter(self):
        """Make this the current account of the calling thread's context; returns what `leave` needs to undo it."""
        return PyDataMem_SetHandler(self.capsule)

    @property
    def held_bytes(self):
        """Bytes allocated under this account and not yet freed."""
        return account_held(self.capsule)

    @property
    def peak_bytes(self):
        """The most that `held_bytes` ever was."""
        return account_peak(self.capsule)


def leave(previous):
    """Restore what was current before `ArrayAccount.enter`."""
    PyDataMem_SetHandler(previous)
