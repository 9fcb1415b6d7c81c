"""The native kernels: arithmetic in C headers, bound by thin Cython modules that drop the GIL."""
