"""The packets of a stream, decoded one after the other; those that do not decode are counted.

Silence is in their place where the container has the exact times of packets, see `seeking`; elsewhere they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar, cast

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from phonograph.errors import AudioCorruptError
from phonograph_nodes.audio.ffmpeg.abi import abi
from phonograph_nodes.audio.ffmpeg.opened import Opened, flac_frames
from phonograph_nodes.audio.ffmpeg.seeking import sample_ticks
from phonograph_nodes.audio.reader import Faults, Watch
from phonograph_nodes.kernels._ffmpeg import Native
from phonograph_nodes.kernels._frames import SampleBuffer
from phonograph_nodes.kernels._packets import DamagedPacket, FrameQueue

_MAX_WORDS = 5
_Result = TypeVar("_Result")


class Packets:
    """Decodes a stream from where its container stands.

    Args:
        faults: where packets that do not decode are counted.
        strict: raise at the first of them.

    Attributes:
        counts_faults: whether a packet that does not decode is one. After a seek, the first ones may lack what came before.
    """

    def __init__(self, opened: Opened, faults: Faults, *, strict: bool) -> None:
        self._opened, self._faults, self._strict = opened, faults, strict
        self._demuxed = cast("Generator[Packet[AudioStream]]", opened.container.demux(opened.stream))
        self._queue = FrameQueue(self._demuxed, opened.decoder.decode)
        self._queue.flac_bits, self._queue.flac_longest = flac_frames(opened)
        self._queue.sample_ticks = sample_ticks(opened)
        found = abi()
        if found is not None and opened.is_plain and opened.stream.time_base is not None:
            self._queue.native = Native(found, opened.container, opened.stream)
        self.counts_faults = True

    def close(self) -> None:
        """Read no more. Give back the packet that is read into: PyAV does not, when its generator is dropped before its end."""
        self._queue.native = None
        self._demuxed.close()

    @property
    def first(self) -> Packet[AudioStream] | None:
        """The first packet; None before it was read."""
        first: Packet[AudioStream] | None = self._queue.first
        return first

    @property
    def end(self) -> int | None:
        """Where the last packet so far ends, in ticks of the stream; None when packets have no times."""
        return self._queue.end

    @property
    def is_ended(self) -> bool:
        """Whether the last packet was decoded; what was decoded ahead may still come."""
        return self._queue.is_ended

    @property
    def num_held(self) -> int:
        """How many samples were decoded ahead."""
        return self._queue.num_held

    @property
    def longest(self) -> int:
        """Samples of the longest block so far."""
        return self._queue.longest

    def look_ahead(self, num_packets: int) -> None:
        """Decode so many packets that give something before they are taken, fewer where the stream ends."""
        self._counting(partial(self._queue.look_ahead, num_packets))

    def watch(self, watch: Watch | None) -> None:
        """Ask this between stretches of packets from now on."""
        self._queue.check = None if watch is None else watch.check

    def take(self) -> list[AudioFrame] | None:
        """What comes out of the next packet that gives anything; None at the end."""
        return self._counting(self._queue.take)

    def pour(self, out: SampleBuffer, limit: int) -> list[AudioFrame] | None:
        """Append what comes out to `out`, up to `limit` samples; what did not fit, None at the end."""
        return self._counting(partial(self._queue.pour, out, limit))

    def _counting(self, step: Callable[[], _Result]) -> _Result:
        while True:
            try:
                return step()
            except (av.error.FFmpegError, DamagedPacket) as error:
                self._fault(error)

    def _fault(self, error: av.error.FFmpegError | DamagedPacket) -> None:
        if isinstance(error, av.error.EOFError) and not self._queue.is_reading:  # flushed before; not a fault of the file
            self._queue.is_ended = True
            return
        if not self.counts_faults:
            return
        faults, word = self._faults, error.strerror or str(error) if isinstance(error, av.error.FFmpegError) else ""
        found = f"a packet did not decode: {word}" if word else f"a packet is damaged: {error}"
        if self._strict:
            remedy = "get the file again, or read it without strict"
            raise AudioCorruptError(self._opened.name, "decode", found, remedy=remedy, word=word) from error
        faults.corrupt_packets += 1
        if len(faults.words) < _MAX_WORDS:
            faults.words.append(word or str(error))
