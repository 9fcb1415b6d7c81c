"""What every reader of audio offers, whatever it reads from, and the limits that it keeps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from phonograph.errors import AudioCancelledError, AudioDecodeError, AudioStage, AudioTimeoutError
from phonograph_nodes.audio.about import AudioInfo

if TYPE_CHECKING:
    from phonograph_nodes.resample.blocks import Pcm

Samples = NDArray[np.float32]

MAX_CHANNELS = 32
RATES = range(1000, 400_001)
"""Hz; what lies outside comes from damaged headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond which a file is refused. What a header claims is never believed; these hold for what really comes out.

    Args:
        max_duration_s: of audio.
        max_bytes: of decoded samples, as float32, before and after resampling; of each block, where it is read in blocks. Also of
            what has to be held in memory of a file object that is no file on a disk.
        max_seconds: of reading, decoding and resampling, on the wall, of a call or of all blocks; None: as long as it takes.
        is_cancelled: asked between blocks, stretches of packets, and runs of samples that are resampled; when it answers yes,
            reading ends with AudioCancelledError.
    """

    max_duration_s: float = 4 * 3600.0
    max_bytes: int = 8 * 2**30
    # Not compared: audio that did come out is the same, whatever the time that it might have taken.
    max_seconds: float | None = field(default=None, compare=False)
    is_cancelled: Callable[[], bool] | None = field(default=None, compare=False)


@dataclass(slots=True)
class Faults:
    """What was wrong with a file that gave audio all the same; grows while it is read.

    Args:
        corrupt_packets: packets that did not decode, and places where some are missing; each once, however often it is read.
            They are silence in files of FLAC, MP3, WavPack and TTA, and in ALAC in MP4, which have exact times; else left out.
        non_finite: samples that were NaN or infinite, and became 0; again each time that they are read.
        declared_s: the length that the header declares, when the file ends clearly before it; else None.
    """

    corrupt_packets: int = 0
    non_finite: int = 0
    declared_s: float | None = None
    words: list[str] = field(default_factory=list)
    """What was wrong with the first few corrupt packets, by FFmpeg's word where it has one."""


class Reader(Protocol):
    """One audio stream, at its own rate, as planar float32.

    Positions are samples of a channel of the full decode, in which delay and padding of the codec do not appear. `read` gives the
    same bits as the slice of the full decode, wherever it begins, and so do the blocks, one after the other.
    """

    @property
    def info(self) -> AudioInfo:
        """What is known of the stream; may become more exact when it has been decoded to its end."""

    @property
    def faults(self) -> Faults:
        """What was wrong so far."""

    def read(self, first: int = 0, count: int | None = None, *, mono: bool = False) -> Samples:
        """Samples `first` to `first + count`, fewer where the stream ends, all to its end when count is None.

        Args:
            mono: the mean of all channels, mixed while copying.

        Returns:
            Shape (num_channels, num_samples), or (1, num_samples) with mono; float32 in [-1, 1], C-contiguous.
        """

    def blocks(self, num_samples: int, first: int = 0, count: int | None = None, *, mono: bool = False) -> Iterator[Samples]:
        """The same in blocks of num_samples (the last may be shorter), with memory for a few blocks only."""

    def pcm(self, first: int = 0, count: int | None = None) -> Pcm | None:
        """The same samples as they are stored, for the resampler while this is open; None where it does not read them so."""

    def close(self) -> None:
        """Give back the file. Arrays that were returned stay."""


class Watch:
    """Keeps the limits on time and cancellation of one call.

    Args:
        name: of the file, for the errors.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._end = None if limits.max_seconds is None else time.monotonic() + limits.max_seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The time within does not count."""
        began = time.monotonic()
        try:
            yield
        finally:
            if self._end is not None:
                self._end += time.monotonic() - began

    def check(self) -> None:
        """To be called between blocks or stretches of packets.

        Raises:
            AudioCancelledError, AudioTimeoutError: it is to end now.
        """
        if self._limits.is_cancelled is not None and self._limits.is_cancelled():
            raise AudioCancelledError(self._name, "decode", "it was cancelled")
        if self._end is not None and time.monotonic() > self._end:
            limit = f"at most {self._limits.max_seconds:g} s"
            raise AudioTimeoutError(
                self._name, "decode", "it takes too long", limit, "split the file, or raise the limit on time"
            )


def check_format(name: str, stage: AudioStage, sample_rate: int, num_channels: int) -> None:
    """Refuse what only a damaged header can claim.

    Raises:
        AudioDecodeError: a sample rate outside `RATES`, no channel, more than `MAX_CHANNELS`.
    """
    if sample_rate not in RATES:
        limits = f"{RATES.start} to {RATES.stop - 1} Hz"
        raise AudioDecodeError(name, stage, f"its sample rate is {sample_rate} Hz", limits)
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise AudioDecodeError(name, stage, f"it has {num_channels} channels", f"1 to {MAX_CHANNELS}")
