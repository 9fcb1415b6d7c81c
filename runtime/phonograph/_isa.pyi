def has_avx512() -> bool: ...  # with BW, DQ and VL
def has_avx2() -> bool: ...  # with FMA
