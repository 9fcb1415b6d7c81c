"""Reads one audio stream through FFmpeg's libraries, from any sample to any other."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast

from phonograph.errors import AudioError, AudioTooLongError
from phonograph_nodes.audio.about import AudioInfo
from phonograph_nodes.audio.ffmpeg import seeking
from phonograph_nodes.audio.ffmpeg.cursor import TO_THE_END, Cursor, Source
from phonograph_nodes.audio.ffmpeg.declared import declared_duration
from phonograph_nodes.audio.ffmpeg.opened import flac_length, translated
from phonograph_nodes.audio.ffmpeg.signatures import frames_format
from phonograph_nodes.audio.given import Given
from phonograph_nodes.audio.reader import Faults, Limits, Samples, Watch, check_format
from phonograph_nodes.kernels._frames import SampleBuffer

_SLACK = 2**14  # samples of padding that may come out beyond a declared length; a buffer that grows costs more


def open_ffmpeg(given: Given, limits: Limits, *, stream: int | str = 0, strict: bool = False) -> FfmpegReader:
    """Open an audio stream that FFmpeg's libraries read.

    Args:
        given: stays open as long as the reader, which closes it.
        stream: which of the file's audio streams, from 0, or the first with this tag of language, such as "eng".
        strict: a packet that is damaged or missing is an error, instead of being counted.

    Raises:
        AudioDecodeError: no audio can be had from it; the message names the file, the stage and FFmpeg's own word.
    """
    return FfmpegReader(given, limits, stream, strict)


class FfmpegReader:
    """A `Reader`. Reading on from where the last read ended goes on decoding; going back, or far ahead, begins anew.

    The first samples that decode fix rate and channel count. A stream that changes them later is refused: any mixture of the two
    would be a guess. A packet that is damaged is counted: real corpora hold damaged files, most of which are worth
    keeping. For one thread at a time.
    """

    def __init__(self, given: Given, limits: Limits, stream: int | str, strict: bool) -> None:
        self._given, self._limits, self._stream, self._strict = given, limits, stream, strict
        self._faults = Faults()
        self._seen = 0  # up to here, what does not decode was counted
        head = given.head()
        self._sources, self._form = _sources(given, head), frames_format(given, head)
        self._cursor: Cursor | None = self._begin(self._watch())
        first = self._cursor.first_frame
        try:
            check_format(given.name, "decode", first.sample_rate, first.layout.nb_channels)
        except BaseException:
            self.close()
            raise
        about = self._cursor.opened.info(first.sample_rate, first.layout.nb_channels, first.layout.name)
        # What a link of a chain says holds for that link.
        self._info = about if len(self._sources) == 1 else replace(about, num_samples=None, duration_s=None)

    @property
    def info(self) -> AudioInfo:
        return self._info

    @property
    def faults(self) -> Faults:
        return self._faults

    def read(self, first: int = 0, count: int | None = None, *, mono: bool = False) -> Samples:
        return self._read(first, count, mono, self._limit(self._limits.max_bytes, mono), self._watch())

    def blocks(self, num_samples: int, first: int = 0, count: int | None = None, *, mono: bool = False) -> Iterator[Samples]:
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}; expected 1 or more")
        start, last = first, TO_THE_END if count is None else first + count
        whole, limit, watch = self._limit(math.inf, mono), self._limit(self._limits.max_bytes, mono), self._watch()
        while start < last:
            block = self._read(start, min(num_samples, last - start), mono, min(limit, whole - (start - first)), watch)
            if block.shape[1]:
                with watch.paused() if watch is not None else contextlib.nullcontext():
                    yield block
            start += block.shape[1]
            if block.shape[1] < num_samples:
                return

    def pcm(self, first: int = 0, count: int | None = None) -> None:
        return None

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
        self._sources = []
        self._given.close()

    def _read(self, first: int, count: int | None, mono: bool, limit: int, watch: Watch | None) -> Samples:
        if first < 0 or (count is not None and count < 0):
            raise ValueError(f"first is {first}, count is {count}; expected 0 or more")
        about, last = self._info, TO_THE_END if count is None else first + count
        with translated(self._given.name, "decode", remedy="the file is damaged; get it again, or read it in blocks"):
            probable = max(round((about.duration_s or 0) * about.sample_rate) - first + _SLACK, 0)
            out = SampleBuffer(about.num_channels, about.sample_rate, mono, min(probable, limit, last - first))
            try:
                cursor = self._at(first, watch)
                is_longer = cursor.gather(out, first, last, limit)
            except AudioError:
                raise
            except BaseException:  # for want of memory, or by Ctrl-C: a block may be lost, and with it where the next one belongs
                if self._cursor is not None:
                    self._cursor.position = TO_THE_END
                raise
            self._seen = max(self._seen, cursor.decoded)
            if is_longer:
                raise self._too_long(limit, out.num_rows)
            length = cursor.length
            if length is not None:
                self._learn(cursor, length)
            self._faults.non_finite += out.non_finite
            return out.finish()

    def _at(self, first: int, watch: Watch | None) -> Cursor:
        """A cursor that stands at a sample or before it: this one, if that is near ahead."""
        cursor = self._cursor
        if cursor is None:
            raise ValueError(f"{self._given.name}: the reader is closed")
        cursor.watch(watch)
        far = seeking.WORTH_S * self._info.sample_rate
        if 0 <= first - max(cursor.position, 0) <= far:
            return cursor
        if first > far:
            cursor = self._again(watch)
            if cursor.seek(first):
                return cursor
        elif first >= cursor.position:
            return cursor
        return self._again(watch)

    def _again(self, watch: Watch | None) -> Cursor:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor.position = TO_THE_END  # should no other come in its place
        self._cursor = self._begin(watch)
        return self._cursor

    def _begin(self, watch: Watch | None) -> Cursor:
        with translated(self._given.name, "decode", remedy="the file is damaged; get it again"):
            return Cursor(
                self._sources,
                self._given.name,
                self._stream,
                self._faults,
                strict=self._strict,
                watch=watch,
                seen=self._seen,
                form=self._form,
            )

    def _learn(self, cursor: Cursor, length: int) -> None:
        """What the end of the stream tells: its exact length, and whether the header declares more."""
        if self._info.num_samples == length and self._faults.declared_s is not None:
            return
        duration_s = length / self._info.sample_rate
        self._info = replace(self._info, num_samples=length, duration_s=duration_s)
        if len(self._sources) > 1:
            return
        end_s = 0.0
        base, end = cursor.opened.stream.time_base, cursor.packets.end
        if base is not None and end is not None:
            end_s = float((end - min(cursor.opened.stream.start_time or 0, 0)) * base)
        declared = flac_length(cursor.opened)
        if declared is not None:
            self._faults.declared_s = declared / self._info.sample_rate if declared > length else None
            return
        self._faults.declared_s = declared_duration(
            cursor.opened, self._given, decoded_s=duration_s, end_s=max(end_s, duration_s)
        )

    def _limit(self, max_bytes: float, mono: bool) -> int:
        num_rows = 1 if mono else self._info.num_channels
        return int(min(self._limits.max_duration_s * self._info.sample_rate, max_bytes / (4 * num_rows)))

    def _too_long(self, limit: int, num_rows: int) -> AudioTooLongError:
        limits = self._limits
        return AudioTooLongError(
            self._given.name,
            "decode",
            f"more than {max(limit, 0) / self._info.sample_rate:g} s of audio in {num_rows} channels",
            f"at most {limits.max_duration_s:g} s and {limits.max_bytes / 2**30:g} GiB",
            "split the file, or raise max_duration_s",
        )

    def _watch(self) -> Watch | None:
        limits = self._limits
        return None if limits.max_seconds is None and limits.is_cancelled is None else Watch(self._given.name, limits)


def _sources(given: Given, head: bytes) -> Sequence[Source]:
    """What FFmpeg is to open, one after the other: links of a chained Ogg file each by itself."""
    if head[:4] == b"OggS":
        from phonograph_nodes.audio.ffmpeg import ogg  # here, because most files are something else

        def file_of(pieces: list[memoryview]) -> BinaryIO:
            return cast(BinaryIO, ogg.Pieces(pieces))

        content = given.buffer()
        pieces = [(ogg.with_opus_tags(content[start:end]), content[start:end]) for start, end in ogg.links(content)]
        if len(pieces) > 1 or pieces[0][0] is not None:
            return [partial(file_of, mended or [link]) for mended, link in pieces]
    path = given.path
    return [given.open if path is None else lambda: path]
