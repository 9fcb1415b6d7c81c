"""A file that FFmpeg has opened: its container, one audio stream with a decoder, and what is known of both."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, BinaryIO

import av
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer

from phonograph.errors import AudioDecodeError, AudioStage
from phonograph_nodes.audio.about import AudioInfo
from phonograph_nodes.audio.reader import RATES, check_format
from phonograph_nodes.kernels._reading import Interrupted, Reading

# Containers that are lists of other files: decoding one would read files (or hosts) that nobody asked for.
_PLAYLISTS = {"concat", "dash", "hls", "imf"}
_OPTIONS = {"protocol_whitelist": "file"}
# Up to PyAV 18, bytes in tags that are not UTF-8 fail the opening unless told otherwise. From 19 on there is no such argument.
_TAGS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

# Containers whose duration is exactly the stream's length.
_EXACT = {"mov", "tta", "wv", "ape"}
_LOSSLESS = {"flac", "alac", "wavpack", "tta", "ape", "mlp", "truehd", "shorten", "tak", "als", "wmalossless", "ralf", "osq"}
# Decoders that look at the checksum of a block only when told to. (FLAC's drops the block then, without a word.)
_CHECKED = {"wavpack", "tta"}


class Opened:
    """One audio stream of an open container. Close it.

    Args:
        source: a path, or a file object that can seek.
        name: how messages call it.
        which: the audio stream, by its index among them, or the first of a language.
        form: FFmpeg's name of the format, where it is certain; None lets FFmpeg find out.

    Attributes:
        is_plain: reading runs no Python code that may fail.

    Raises:
        AudioDecodeError: FFmpeg does not know the container, it is a playlist, holds no such stream or no decoder for it, or its
            rate or channel count is out of all bounds.
    """

    def __init__(self, source: str | BinaryIO, name: str, which: int | str, form: str | None = None) -> None:
        self.name = name
        self._source, self.is_plain = source, type(source) in (str, io.BytesIO)
        try:
            with translated(name, "probe", "a complete audio file", "check that it is one"):
                self.container = _container(source if isinstance(source, (str, io.BytesIO)) else Reading(source), form)
        except BaseException:
            self._close_source()
            raise
        try:
            self.format = self.container.format.name.split(",")[0]
            self.stream, self.index = self._choose(which)
            self.decoder: AudioCodecContext = self.stream.codec_context
            # Zeros mean that only the first samples will tell.
            check_format(name, "probe", self.decoder.sample_rate or RATES.start, self.decoder.channels or 1)
            self.decoder.thread_count = 1  # callers decode many files at once
            if self.decoder.name in _CHECKED:
                self.decoder.options = {"err_detect": "crccheck+explode"}
            with translated(name, "probe", "audio that its decoder takes", "check that it is a complete audio file"):
                self.decoder.open(strict=False)  # here, because a decoder that could not be opened must not be flushed
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.container.close()
        self._close_source()

    def samples(self, ticks: int | None, sample_rate: int) -> int | None:
        """A time in ticks of the stream as samples of `sample_rate`, where every sample has a tick of its own; else None."""
        base = self.stream.time_base
        if ticks is None or base is None or base.numerator * sample_rate > base.denominator:
            return None
        return round(ticks * base.numerator * sample_rate / base.denominator)

    def info(self, sample_rate: int, num_channels: int, layout: str) -> AudioInfo:
        """What is known of the stream; rate, channels and layout as its first samples have them."""
        decoder, stream, container = self.decoder, self.stream, self.container
        base = stream.time_base
        duration_s = None
        if stream.duration is not None and base is not None:
            duration_s = float(stream.duration * base)
        elif container.duration:
            duration_s = container.duration / av.time_base
        num_samples = self.samples(stream.duration, sample_rate) if self.format in _EXACT else flac_length(self)
        lossless = decoder.name in _LOSSLESS or decoder.name.startswith("pcm_")
        tags = {key.lower(): value for key, value in (container.metadata | stream.metadata).items()}
        return AudioInfo(
            name=self.name,
            container=self.format,
            codec=decoder.name,
            sample_rate=sample_rate,
            num_channels=num_channels,
            channel_layout="mono" if num_channels == 1 else layout,
            bits=_bits(decoder) if lossless else 0,
            num_samples=num_samples,
            duration_s=num_samples / sample_rate if num_samples is not None else duration_s,
            bit_rate=stream.bit_rate or (container.bit_rate if len(container.streams) == 1 else None) or None,
            stream=self.index,
            num_streams=len(container.streams.audio),
            language=language_of(stream),
            tags=MappingProxyType(tags),
        )

    def _choose(self, which: int | str) -> tuple[AudioStream, int]:
        container, name = self.container, self.name
        if container.format.name in _PLAYLISTS:
            raise AudioDecodeError(name, "probe", f"it is a playlist ({container.format.name})", expected="audio itself")
        streams = container.streams.audio
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise AudioDecodeError(name, "probe", f"no audio stream in it ({container.format.name} with {kinds})")
        found = [index for index, stream in enumerate(streams) if which in (index, language_of(stream) or None)]
        if not found:
            held = ", ".join(f"{index} ({language_of(stream) or 'no language'})" for index, stream in enumerate(streams))
            raise AudioDecodeError(name, "probe", f"it has no audio stream {which!r}", expected=f"one of {held}")
        stream = streams[found[0]]
        if stream.codec_context is None:
            raise AudioDecodeError(name, "probe", "FFmpeg has no decoder for its audio", remedy="convert it to another format")
        discards = getattr(av.stream, "Discard", None)  # of later PyAVs: packets of the other streams are not even read
        for other in container.streams:
            if other is not stream and discards is not None:
                other.discard = discards.all
        return stream, found[0]

    def _close_source(self) -> None:
        if not isinstance(self._source, str):
            self._source.close()


def _container(source: str | BinaryIO | Reading, form: str | None) -> InputContainer:
    container: InputContainer
    if form is not None:
        try:
            container = av.open(source, mode="r", format=form, container_options=_OPTIONS, **_TAGS)
            return container
        except av.error.FFmpegError:  # then FFmpeg may know better, and its own word is the one to tell
            if not isinstance(source, str):
                source.seek(0)
    container = av.open(source, mode="r", container_options=_OPTIONS, **_TAGS)
    return container


def language_of(stream: AudioStream) -> str:
    language = str(stream.metadata.get("language", ""))
    return "" if language == "und" else language


@contextlib.contextmanager
def translated(name: str, stage: AudioStage, expected: str = "", remedy: str = "") -> Iterator[None]:
    """Turn FFmpeg's errors into AudioDecodeError; a lack of memory too, since a bad header is what asks for that much.

    What interrupted a file object is raised as it was.
    """
    try:
        yield
    except Interrupted as error:
        raise error.args[0] from None
    except MemoryError as error:
        raise AudioDecodeError(name, stage, "not enough memory for it", expected=expected, remedy=remedy) from error
    except av.error.FFmpegError as error:
        word = error.strerror or str(error)
        raise AudioDecodeError(name, stage, word, expected=expected, remedy=remedy, word=word) from error


def flac_frames(opened: Opened) -> tuple[int, int]:
    """Bits of a sample, where packets are frames of FLAC; samples of the longest, in FLAC's own files. By STREAMINFO, else 0."""
    header = opened.decoder.extradata or b""
    if opened.decoder.name != "flac" or len(header) != 34:
        return 0, 0
    # Elsewhere a container may say that some samples are no audio, which FFmpeg leaves out.
    return _flac_bits(header), int.from_bytes(header[2:4], "big") if opened.format == "flac" else 0


def flac_length(opened: Opened) -> int | None:
    """Samples of a FLAC file by its STREAMINFO, None where it does not know; FFmpeg would guess that by the bit rate."""
    header = opened.decoder.extradata or b""
    if opened.format != "flac" or len(header) != 34:
        return None
    return int.from_bytes(header[13:18], "big") & (2**36 - 1) or None


def _flac_bits(header: bytes) -> int:
    return ((header[12] & 1) << 4 | header[13] >> 4) + 1  # five bits across two bytes, less one


def _bits(decoder: AudioCodecContext) -> int:
    """Bits of a stored sample, by the codec's own header where it has one: FFmpeg's samples have 32 for stored 24."""
    header, name = decoder.extradata or b"", decoder.name
    if name == "flac" and len(header) == 34:
        return _flac_bits(header)
    if name == "alac" and len(header) == 36:  # the magic cookie in its atom
        return header[17]
    digits = "".join(itertools.takewhile(str.isdigit, name.removeprefix("pcm_").lstrip("su")))
    if name.startswith("pcm_") and digits:
        return int(digits)
    is_floating = decoder.format is None or decoder.format.name in {"flt", "fltp", "dbl", "dblp"}
    return 0 if is_floating else decoder.format.bits
