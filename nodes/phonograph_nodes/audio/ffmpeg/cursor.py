"""A place in the decoded stream of a file, which moves forward: link after link, packet after packet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

from av.audio.frame import AudioFrame

from phonograph.errors import AudioDecodeError
from phonograph_nodes.audio.ffmpeg import seeking, trimming
from phonograph_nodes.audio.ffmpeg.opened import Opened
from phonograph_nodes.audio.ffmpeg.packets import Packets
from phonograph_nodes.audio.reader import Faults, Watch
from phonograph_nodes.kernels._frames import SampleBuffer

TO_THE_END = 2**62
Source = Callable[[], str | BinaryIO]


class Cursor:
    """Decodes the links of a file, which has one unless it is a chain of Ogg files.

    Args:
        sources: opens each link.
        seen: up to which position packets that do not decode were counted before.
        form: FFmpeg's name of the format, where it is certain.

    Attributes:
        position: of the first sample that was decoded and not passed yet, from 0; below 0 in the codec's delay.
        first_frame: the first block, which has the rate and the channels of all.
        opened: the link that is decoded.
        packets: its packets.
        end: where audio of this link ends and padding begins, once that is known.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        name: str,
        which: int | str,
        faults: Faults,
        *,
        strict: bool,
        watch: Watch | None,
        seen: int = 0,
        form: str | None = None,
    ) -> None:
        self._sources, self._name, self._which, self._faults, self._strict = sources, name, which, faults, strict
        self._watch, self._seen, self._form = watch, seen, form
        self._link, self._start = 0, 0  # and its first position
        self._decoded: list[AudioFrame] = []  # and not passed
        self.position, self.end = 0, TO_THE_END
        self._is_placed = False  # the position before the first frame is known once that is there
        self._open()
        try:
            self.first_frame = self._first_frame()
            self.position = -trimming.lead(self.opened, self.packets, self.first_frame.sample_rate)
            self._origin = self.opened.samples(self.first_frame.pts, self.first_frame.sample_rate)
            self._is_placed = True
            self._look_for_end()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back the file."""
        self._decoded = []
        self.packets.close()
        self.opened.close()

    def watch(self, watch: Watch | None) -> None:
        """Keep other limits from now on."""
        self._watch = watch
        self.packets.watch(watch)

    @property
    def decoded(self) -> int:
        """Position after the last sample that was decoded."""
        return self.position + sum(frame.samples for frame in self._decoded) + self.packets.num_held

    @property
    def length(self) -> int | None:
        """How many samples the stream has, once its end was passed; else None."""
        is_over = not self._decoded and self.packets.is_ended and not self.packets.num_held
        return min(self.position, self.end) if is_over and self._link == len(self._sources) - 1 else None

    def seek(self, first: int) -> bool:
        """Move to sample `first`, decoding from somewhat before it.

        Returns:
            Whether that is exact for this file. If not, the cursor is of no more use.
        """
        if self._origin is None or len(self._sources) > 1 or self._faults.corrupt_packets:
            return False  # what is missing at the beginning, or too much to be silence, is not in the positions, but in the times
        opened, sample_rate = self.opened, self.first_frame.sample_rate
        if not seeking.can_seek(opened, sample_rate):
            return False
        self.position = TO_THE_END  # until a block tells; what ends the search early leaves nothing to go on from
        if not seeking.seek(opened, first, origin=self._origin, sample_rate=sample_rate):
            return False
        self.packets.close()
        self._start_packets()
        self.packets.counts_faults = False
        self._decoded = self.packets.take() or []
        start = self._time_of(self._decoded[0]) if self._decoded else None
        if start is None or not 0 <= start <= first:
            return False
        self.position = start
        return self._arrive(first)

    def gather(self, out: SampleBuffer, first: int, last: int, limit: int) -> bool:
        """Append samples `first` to `last`, or to the end; `first` is not before `position`.

        Returns:
            Whether there are more than `limit` samples, of which `out` then holds the first.

        Raises:
            AudioDecodeError: rate or channels change on the way.
        """
        while not self._gather(out, first, last, limit):
            if out.length:
                self._look_ahead()
                out.drop(max(out.length - max(self.end - first, 0), 0))
            if min(self.decoded, self.end) >= last or not self._next_link():
                return False
        return True

    def _gather(self, out: SampleBuffer, first: int, last: int, limit: int) -> bool:
        """As `gather`, of this link, and with padding that is not known yet."""
        while self.position < last:
            if not self._decoded and self.position >= max(first, self._seen) and self.end == TO_THE_END:
                self._pour(out, min(limit, out.length + last - self.position))
            if not self._decoded and not self._decode():
                break
            frame = self._decoded[0]
            if not out.fits(frame):
                raise self._changed(frame, out)
            start, stop = max(first, self.position), min(last, self.end, self.position + frame.samples)
            if out.length + stop - start > limit:
                self._look_ahead()
                stop = min(stop, self.end)
                if out.length + stop - start > limit:
                    return True
            if stop > start:
                out.append(frame, start - self.position, stop - self.position)
            if self.position + frame.samples > last:
                break
            self._pass(frame)
        return False

    def _pour(self, out: SampleBuffer, limit: int) -> None:
        """The short way for whole blocks, up to the first that needs a look."""
        length = out.length
        self.packets.counts_faults = True
        try:
            self._decoded = self.packets.pour(out, limit) or []
        finally:
            self.position += out.length - length

    def _decode(self) -> bool:
        """Decode until something comes out of this link."""
        self.packets.counts_faults = self.position >= self._seen
        self._decoded = self.packets.take() or []
        if self._is_placed:
            self._look_for_end()
        return bool(self._decoded)

    def _next_link(self) -> bool:
        if self._link == len(self._sources) - 1:
            return False
        self.position = self._start = min(self.decoded, self.end)
        self.end = TO_THE_END
        self.close()
        self._link += 1
        self._open()
        return True

    def _look_ahead(self) -> None:
        """What was gathered last may be padding, which is known at the end only: see whether that is near."""
        if self.end == TO_THE_END and trimming.may_be_padded(self.opened):
            self.packets.counts_faults = self.decoded >= self._seen
            self.packets.look_ahead(trimming.PADDED_PACKETS)
            self._look_for_end()

    def _look_for_end(self) -> None:
        """Where padding begins, once all packets were read."""
        if self.packets.is_ended and self.end == TO_THE_END and trimming.may_be_padded(self.opened):
            decoded = self.decoded - self._start
            self.end = self._start + trimming.length(self.opened, self.packets, self.first_frame.sample_rate, decoded=decoded)

    def _pass(self, frame: AudioFrame) -> None:
        self.position += frame.samples
        del self._decoded[0]

    def _first_frame(self) -> AudioFrame:
        while not self._decode():
            if not self._next_link():
                raise self._nothing()
        return self._decoded[0]

    def _nothing(self) -> AudioDecodeError:
        faults = self._faults
        word = faults.words[-1] if faults.words else ""
        found = f"{faults.corrupt_packets} corrupt packets ({word})" if faults.corrupt_packets else "its audio stream is empty"
        return AudioDecodeError(self._name, "decode", f"no sample came out, {found}", remedy="get the file again", word=word)

    def _open(self) -> None:
        self.opened = Opened(self._sources[self._link](), self._name, self._which, self._form)
        self._start_packets()

    def _start_packets(self) -> None:
        self.packets = Packets(self.opened, self._faults, strict=self._strict)
        self.packets.watch(self._watch)

    def _arrive(self, first: int) -> bool:
        """Pass what is before `first` after a seek, and see that times go with positions all the way."""
        while self._decoded or self._decode():
            frame = self._decoded[0]
            if self._time_of(frame) != self.position:
                return False
            if self.position + frame.samples > first:
                return True
            self.packets.counts_faults = False
            self._pass(frame)
        return False

    def _time_of(self, frame: AudioFrame) -> int | None:
        ticks = self.opened.samples(frame.pts, self.first_frame.sample_rate)
        return None if ticks is None or self._origin is None else ticks - self._origin

    def _changed(self, frame: AudioFrame, out: SampleBuffer) -> AudioDecodeError:
        return AudioDecodeError(
            self._name,
            "decode",
            f"after {self.position / out.sample_rate:.3f} s the stream changes from {out.sample_rate} Hz, "
            f"{out.num_channels} channels to {frame.sample_rate} Hz, {frame.layout.nb_channels} channels",
            expected="one format",
            remedy="split the file there",
        )
