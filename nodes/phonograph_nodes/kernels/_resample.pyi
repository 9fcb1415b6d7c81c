import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
Ints = NDArray[np.int32]

CODES: dict[str, int]  # of the formats that `resample_pcm` and `resample_file` read
LANES: int  # blocks that are computed side by side
RADICES: tuple[int, ...]  # of the transforms' passes

class Blocks:
    """Overlap-save of one ratio and filter; read only after construction, so threads may share it."""

    scratch_length: int  # float32 values of workspace that the calls need

    def __init__(
        self,
        *,
        step_in: int,
        step_out: int,  # even, at least 16
        lead: int,  # input samples that a block reads before its own
        radices_in: Ints,  # at least two; at least 8 points behind the first
        turns_in: Float32s,
        radices_out: Ints,
        turns_out: Float32s,
        bins: Ints,
        gains: Float32s,  # (points of the shorter transform, 4)
        turns: Float32s,  # (points_out // 2 + 1, 2)
        places: Ints,
    ) -> None: ...
    def resample(
        self,
        samples: Float32s,  # (k,), the signal from absolute sample `origin` on; zeros stand around it
        origin: int,
        first_block: int,
        end: int,
        scratch: Float32s,
        out: Float32s,  # outputs first_block * step_out to end
    ) -> bool: ...  # whether what was computed is finite
    def resample_pcm(
        self,
        samples: NDArray[np.uint8],  # the bytes of k samples, or of k pairs
        source_format: int,  # of CODES
        big_endian: bool,
        num_channels: int,  # 1 or 2, mixed to mono
        first_block: int,
        end: int,
        scratch: Float32s,
        out: Float32s,  # outputs first_block * step_out to end
    ) -> bool: ...
    def resample_file(
        self,
        descriptor: int,  # of a file that can be read at any place
        first_byte: int,
        num_samples: int,  # of a channel
        source_format: int,  # as for `resample_pcm`
        big_endian: bool,
        num_channels: int,
        first_block: int,
        end: int,
        scratch: Float32s,
        out: Float32s,  # outputs first_block * step_out to end
    ) -> bool: ...  # raises EOFError where the file ends before its samples, OSError where the system does not read it

class Bank:
    """Polyphase filters of one ratio; read only after construction."""

    scratch_length: int

    def __init__(self, *, up: int, down: int, lead: int, taps: Float32s) -> None: ...  # taps: (up, num_taps), filled up to 16s
    def resample(
        self,
        samples: Float32s,  # (k,), the signal from absolute sample `origin` on; zeros stand around it
        origin: int,
        first: int,
        end: int,
        scratch: Float32s,
        out: Float32s,  # outputs first to end
    ) -> bool: ...  # whether they are finite

def all_finite(samples: Float32s) -> bool: ...
