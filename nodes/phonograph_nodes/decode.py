"""Decoding: any audio that FFmpeg's libraries read becomes planar float32.

The stages of a decode, which its errors name: *open* (the file is there, is a plain file, holds bytes), *probe* (FFmpeg
recognises the container; it has an audio stream with a decoder, a sane rate and channel count), *decode* (packets become
samples). A packet that does not decode is left out and counted: real corpora hold damaged files, most of which are worth keeping.
Nothing that a header claims is believed: memory grows with the samples that really came out, up to a limit. A length that it
declares is only compared with them, which tells truncated files.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import av
import av.error
import msgspec
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioDecodeError, BadInputError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.convert import mix_to_mono
from phonograph_nodes.declared import declared_duration
from phonograph_nodes.paths import likely_meant, shown
from phonograph_nodes.validation import refuse_non_finite

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A path, or the encoded bytes themselves."""

MAX_DURATION_S = 4 * 3600.0
MAX_BYTES = 8 * 2**30  # of decoded samples: a file of a few KB can hold hours of silence in many channels
MAX_CHANNELS = 32
RATES = range(1000, 400_001)  # Hz; what lies outside comes from damaged headers
_FIRST_BYTES = 16 * 2**20  # at most so much is allocated for samples that are claimed and have not come out

# Containers that are lists of other files: decoding one would read files (or hosts) that nobody asked for.
_PLAYLISTS = {"concat", "dash", "hls", "imf"}
_OPTIONS = {"protocol_whitelist": "file"}
# Up to PyAV 18, bytes in tags that are not UTF-8 fail the opening unless told otherwise. From 19 on there is no such argument.
_TAGS: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

# FFmpeg's sample format without the planar suffix -> dtype, the value of silence, full scale.
_FORMATS: dict[str, tuple[np.dtype[Any], int, float]] = {
    "u8": (np.dtype(np.uint8), 128, 2.0**7),
    "s16": (np.dtype(np.int16), 0, 2.0**15),
    "s32": (np.dtype(np.int32), 0, 2.0**31),
    "s64": (np.dtype(np.int64), 0, 2.0**63),
    "flt": (np.dtype(np.float32), 0, 1.0),
    "dbl": (np.dtype(np.float64), 0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came out of a file.

    Args:
        chunk: the audio at its own rate.
        codec: FFmpeg's name of it.
        corrupt_packets: how many were left out.
        declared_duration_s: what the header declares, when the file is truncated; else None.
    """

    chunk: AudioChunk
    codec: str
    corrupt_packets: int
    declared_duration_s: float | None


def load(
    source: AudioSource,
    *,
    sr: int | None = 22050,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
    dtype: Literal["float32", "float64"] = "float32",
) -> tuple[NDArray[np.float32] | NDArray[np.float64], int]:
    """Read audio into an array, with librosa's shapes and defaults.

    Args:
        source: a path, or the encoded bytes.
        sr: sample rate of the result in Hz; None keeps the file's own.
        mono: mean of all channels.
        offset, duration: seconds; cut at the file's own rate, before resampling. The whole file is decoded in any case.
        dtype: of the result.

    Returns:
        Samples, shape (num_samples,) for one channel, else (num_channels, num_samples), and their rate in Hz.
        Integer formats give [-1, 1); lossy codecs may overshoot a little, which is not clipped.

    Raises:
        AudioDecodeError, AudioFormatError: see `decode`.
        ValueError: an offset or duration that is negative or not finite, another dtype.
    """
    if not all(0 <= seconds < math.inf for seconds in (offset, duration or 0.0)):
        raise ValueError(f"offset={offset!r}, duration={duration!r}; expected seconds, finite and not negative")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r}; expected 'float32' or 'float64'")
    chunk = decode(source).chunk
    first = int(offset * chunk.sample_rate)
    last = None if duration is None else first + int(duration * chunk.sample_rate)
    samples = chunk.samples[:, first:last]
    samples = np.ascontiguousarray(mix_to_mono(samples) if mono else samples)
    if sr is not None:
        from phonograph_nodes.resample import resample  # here, because nodes that only decode need no resampler

        samples = resample(samples, in_rate=chunk.sample_rate, out_rate=sr)
    return (samples[0] if len(samples) == 1 else samples).astype(dtype, copy=False), sr or chunk.sample_rate


def decode(source: AudioSource, *, max_duration_s: float = MAX_DURATION_S, keep_truncated: bool = False) -> Decoded:
    """Decode the first audio stream at its own rate, all channels.

    The first frame that decodes fixes rate and channel count. A stream that changes them later is refused: any mixture of the
    two would be a guess.

    Args:
        source: a path, or the encoded bytes.
        max_duration_s: audio longer than this is refused as soon as that much has come out.
        keep_truncated: take what is there of a file that ends before its header says; otherwise it is refused.

    Raises:
        AudioDecodeError: no audio can be had from it; the message names the file, the stage and FFmpeg's own word.
        AudioFormatError: some samples are NaN or infinite.
    """
    name = _name_of(source)
    file = _openable(source, name)
    with _stage(name, "probe", "check that it is a complete audio file"):
        container = av.open(file, mode="r", container_options=_OPTIONS, **_TAGS)
    with container:
        stream = _audio_stream(container, name)
        with _stage(name, "decode", "the file is damaged; get it again"), np.errstate(over="ignore", invalid="ignore"):
            decoded, end_s = _decode_stream(container, stream, name, max_duration_s)
        declared_s = declared_duration(container, stream, file, decoded_s=decoded.chunk.duration_s, end_s=end_s)
    if declared_s is None:
        return decoded
    if not keep_truncated:
        raise AudioDecodeError(
            f"{name}: decode failed: it is truncated: its header declares {declared_s:.3f} s, "
            f"{decoded.chunk.duration_s:.3f} s came out; get the file again, or set keep_truncated"
        )
    return replace(decoded, declared_duration_s=declared_s)


class DecodeParams(Params, frozen=True):
    max_duration_s: Annotated[
        float, msgspec.Meta(gt=0, description="refuse audio that is longer; bounds memory", extra={"unit": "s"})
    ] = MAX_DURATION_S
    keep_truncated: Annotated[
        bool, msgspec.Meta(description="take what is there of a file that ends before its header says, instead of refusing it")
    ] = False


@node(
    "audio.decode",
    inputs="record",
    outputs={"audio": "audio[rate=dynamic, channels=dynamic]"},
    attributes={
        "duration": "float",
        "sample_rate": "int",
        "channels": "int",
        "codec": "str",
        "path": "str",
        "corrupt_packets": "int",
        "declared_duration": "float",
    },
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode, params: {max_duration_s: 60}}
          - {type: sink.wav, params: {path: out}}
        """,
)
class Decode(Node[DecodeParams]):
    """Decode an audio file: any container or codec that FFmpeg's libraries read.

    Gives all channels at the file's own rate. Sets the attributes `duration` (s), `sample_rate` (Hz) and `channels` of what came
    out, `codec` (FFmpeg's name), `path` (of the file); `corrupt_packets` only when some were left out, and `declared_duration`
    (s) only when a truncated file was kept.
    """

    def process(self, item: Item, state: None) -> Item:
        record = item.payload["record"]
        source = record["path"] if "path" in record else record.get("bytes")
        if source is None:  # a row that its source could not read
            raise BadInputError(record.get("error", f"the record holds {sorted(record)}; expected 'path' or 'bytes'"))
        decoded = decode(source, max_duration_s=self.params.max_duration_s, keep_truncated=self.params.keep_truncated)
        chunk = decoded.chunk
        attributes = {
            "duration": chunk.duration_s,
            "sample_rate": chunk.sample_rate,
            "channels": chunk.num_channels,
            "codec": decoded.codec,
        }
        if isinstance(source, str):
            attributes["path"] = shown(source)
        if decoded.corrupt_packets:
            attributes["corrupt_packets"] = decoded.corrupt_packets
        if decoded.declared_duration_s is not None:
            attributes["declared_duration"] = decoded.declared_duration_s
        return item.with_payload({"audio": chunk}, attributes)


def _name_of(source: AudioSource) -> str:
    """How messages call a source."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{memoryview(source).nbytes} bytes>"
    return shown(source)


def _openable(source: AudioSource, name: str) -> str | io.BytesIO:
    """What FFmpeg may open: never a folder, a pipe or a device, which could block for ever.

    Raises:
        AudioDecodeError: missing, not a plain file, without bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        if not memoryview(source).nbytes:
            raise AudioDecodeError(f"{name}: open failed: it is empty; expected encoded audio")
        return io.BytesIO(source)
    path = os.path.abspath(source)  # a leading slash also keeps FFmpeg from reading `name:` as a protocol
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        word = error.strerror if isinstance(error, OSError) else str(error)
        raise AudioDecodeError(f"{name}: open failed: {word}{likely_meant(path)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioDecodeError(f"{name}: open failed: it is a folder; expected an audio file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioDecodeError(f"{name}: open failed: it is a pipe or a device; expected an audio file")
    if not status.st_size:
        raise AudioDecodeError(f"{name}: open failed: it is empty (0 bytes); expected encoded audio; get it again")
    return path


@contextlib.contextmanager
def _stage(name: str, stage: str, remedy: str) -> Iterator[None]:
    """Turn FFmpeg's errors into AudioDecodeError; a lack of memory too, since a bad header is what asks for that much."""
    try:
        yield
    except MemoryError as error:
        raise AudioDecodeError(f"{name}: {stage} failed: not enough memory for it; {remedy}") from error
    except av.error.FFmpegError as error:
        raise AudioDecodeError(f"{name}: {stage} failed: {error.strerror}; {remedy}") from error


def _audio_stream(container: InputContainer, name: str) -> AudioStream:
    if container.format.name in _PLAYLISTS:
        raise AudioDecodeError(f"{name}: probe failed: it is a playlist ({container.format.name}); expected audio itself")
    if not container.streams.audio:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise AudioDecodeError(f"{name}: probe failed: no audio stream in it ({container.format.name} with {kinds})")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise AudioDecodeError(f"{name}: probe failed: FFmpeg has no decoder for its audio; convert it to another format")
    # Zeros mean that only the first frame will tell.
    _check_format(name, "probe", stream.codec_context.sample_rate or RATES.start, stream.codec_context.channels or 1)
    return stream


def _check_format(name: str, stage: str, sample_rate: int, num_channels: int) -> None:
    if sample_rate not in RATES:
        limits = f"{RATES.start} to {RATES.stop - 1} Hz"
        raise AudioDecodeError(f"{name}: {stage} failed: its sample rate is {sample_rate} Hz; expected {limits}")
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise AudioDecodeError(f"{name}: {stage} failed: it has {num_channels} channels; expected 1 to {MAX_CHANNELS}")


def _decode_stream(container: InputContainer, stream: AudioStream, name: str, max_duration_s: float) -> tuple[Decoded, float]:
    """The audio, and how many seconds into the stream its packets reach, whether they decode or not."""
    stream.codec_context.open(strict=False)  # here, because a decoder that could not be opened must not be flushed
    packets = _Packets(container, stream)
    frames, faults = (frame for frame in packets.frames() if frame.samples), packets.faults
    first = next(frames, None)
    if first is None:
        word = f"{len(faults)} corrupt packets ({faults[-1].strerror})" if faults else "its audio stream is empty"
        raise AudioDecodeError(f"{name}: decode failed: no sample came out, {word}; get the file again")
    sample_rate, num_channels = first.sample_rate, first.layout.nb_channels
    _check_format(name, "decode", sample_rate, num_channels)
    limit = int(min(max_duration_s * sample_rate, MAX_BYTES / (4 * num_channels)))
    samples = _Samples(num_channels, min(int((container.duration or 0) / av.time_base * sample_rate), limit))
    for frame in itertools.chain([first], frames):
        if (frame.sample_rate, frame.layout.nb_channels) != (sample_rate, num_channels):
            raise AudioDecodeError(
                f"{name}: decode failed: after {samples.length / sample_rate:.3f} s the stream changes from {sample_rate} Hz, "
                f"{num_channels} channels to {frame.sample_rate} Hz, {frame.layout.nb_channels} channels; "
                "expected one format; split the file there"
            )
        if samples.length + frame.samples > limit:
            raise AudioDecodeError(
                f"{name}: decode failed: more than {limit / sample_rate:g} s of audio in {num_channels} channels; "
                f"expected at most {max_duration_s:g} s and {MAX_BYTES >> 30} GiB; split the file, or raise max_duration_s"
            )
        samples.append(frame)
    array = samples.finish()
    if samples.floating:
        refuse_non_finite(array, name)
    chunk = AudioChunk(array, sample_rate)
    return Decoded(chunk, stream.codec_context.name, len(faults), None), max(packets.end_s, chunk.duration_s)


class _Packets:
    """The packets of a stream, made frames.

    Attributes:
        faults: the errors of packets that did not decode.
        end_s: where the last packet so far ends, in seconds from the start of the stream; 0.0 when packets have no times.
    """

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._packets = container.demux(stream)
        self._stream = stream
        self.faults: list[av.error.FFmpegError] = []
        self.end_s = 0.0

    def frames(self) -> Iterator[AudioFrame]:
        """All frames that decode."""
        decoder = self._stream.codec_context
        reading = True
        while reading:
            try:
                packet = next(self._packets, None)
            except av.error.FFmpegError as error:
                # The demuxer cannot find the next packet: the rest is lost, what the decoder still holds is not.
                self.faults.append(error)
                packet = None
            reading = packet is not None
            if packet is not None and packet.pts is not None and packet.time_base is not None:
                end = packet.pts + (packet.duration or 0) - min(self._stream.start_time or 0, 0)
                self.end_s = max(self.end_s, float(end * packet.time_base))
            try:
                yield from decoder.decode(packet)
            except av.error.EOFError:  # it was flushed before; not a fault of the file
                return
            except av.error.FFmpegError as error:
                self.faults.append(error)


class _Samples:
    """Planar float32 samples that grow by frames of FFmpeg's formats; each frame is converted straight to its place.

    Args:
        claimed: the probable length. It only saves copies: what is allocated is never more than twice what came out, or 16 MiB.
    """

    def __init__(self, num_channels: int, claimed: int) -> None:
        self._claimed = max(claimed, 0)
        self._buffer = np.empty((num_channels, min(self._claimed, _FIRST_BYTES // (4 * num_channels))), np.float32)
        self.length = 0
        self.floating = False

    def append(self, frame: AudioFrame) -> None:
        num_channels, end = len(self._buffer), self.length + frame.samples
        if end > self._buffer.shape[1]:
            doubled = max(end, 2 * self.length)
            larger = np.empty((num_channels, self._claimed if end <= self._claimed <= doubled else doubled), np.float32)
            larger[:, : self.length] = self._buffer[:, : self.length]
            self._buffer = larger
        dtype, silence, full_scale = _FORMATS[frame.format.name.removesuffix("p")]
        self.floating |= dtype.kind == "f"
        target = self._buffer[:, self.length : end]
        if frame.format.is_planar:
            for row, plane in zip(target, frame.planes, strict=True):
                _convert(np.frombuffer(memoryview(plane), dtype, frame.samples), silence, full_scale, row)
        else:
            packed = np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples * num_channels)
            _convert(packed.reshape(frame.samples, num_channels).T, silence, full_scale, target)
        self.length = end

    def finish(self) -> NDArray[np.float32]:
        """The samples, contiguous, without spare capacity."""
        if self._buffer.shape[1] == self.length:
            return self._buffer
        return self._buffer[:, : self.length].copy()


def _convert(raw: NDArray[Any], silence: int, full_scale: float, out: NDArray[np.float32]) -> None:
    if silence:
        np.subtract(raw, np.float32(silence), out=out)
        out *= np.float32(1 / full_scale)
    else:  # full scale is a power of two, so this is exact up to the rounding to float32
        np.multiply(raw, np.float32(1 / full_scale), out=out, casting="same_kind")
