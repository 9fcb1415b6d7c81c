"""Decoding: any audio that FFmpeg's libraries read becomes planar float32.

The stages of a decode, which its errors name: *open* (the file is there, is a plain file, holds bytes), *probe* (FFmpeg
recognises the container; it has an audio stream with a decoder, a sane rate and channel count), *decode* (packets become
samples). A packet that does not decode is left out and counted: real corpora hold damaged files, most of which are worth keeping.
Nothing that a header claims is believed: memory grows with the samples that really came out, up to a limit.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
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
from phonograph.errors import AudioDecodeError, AudioFormatError, BadInputError, nearest
from phonograph.item import Item
from phonograph.node import Node, Params, node

AudioSource = str | os.PathLike[str] | bytes
"""A path, or the encoded bytes themselves."""

MAX_DURATION_S = 4 * 3600.0
MAX_BYTES = 8 * 2**30  # of decoded samples: a file of a few KB can hold hours of silence in many channels
MAX_CHANNELS = 32
RATES = range(1000, 400_001)  # Hz; what lies outside comes from damaged headers
_FIRST_CAPACITY_S = 600.0  # how much of the claimed duration is allocated at once
_CANDIDATES = 10_000  # directory entries looked at for a likely spelling

# Containers that are lists of other files: decoding one would read files (or hosts) that nobody asked for.
_PLAYLISTS = {"concat", "dash", "hls", "imf"}
_OPTIONS = {"protocol_whitelist": "file"}

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
    """What came out of a file: the audio at its own rate, FFmpeg's name of the codec, the packets that were left out."""

    chunk: AudioChunk
    codec: str
    corrupt_packets: int


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
        AudioDecodeError, AudioFormatError: see `decode`. ValueError: a negative offset or duration, another dtype.
    """
    if offset < 0 or (duration is not None and duration < 0):
        raise ValueError(f"offset={offset!r}, duration={duration!r}; expected seconds, not negative")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r}; expected 'float32' or 'float64'")
    chunk = decode(source).chunk
    first = int(offset * chunk.sample_rate)
    last = None if duration is None else first + int(duration * chunk.sample_rate)
    samples = chunk.samples[:, first:last]
    if mono and len(samples) > 1:
        samples = samples.mean(axis=0, keepdims=True)
    samples = np.ascontiguousarray(samples)
    if sr is not None:
        from phonograph_nodes.resample import resample  # here, because nodes that only decode need no resampler

        samples = resample(samples, in_rate=chunk.sample_rate, out_rate=sr)
    return (samples[0] if len(samples) == 1 else samples).astype(dtype, copy=False), sr or chunk.sample_rate


def decode(source: AudioSource, *, max_duration_s: float = MAX_DURATION_S) -> Decoded:
    """Decode the first audio stream at its own rate, all channels.

    The first frame that decodes fixes rate and channel count. A stream that changes them later is refused: any mixture of the
    two would be a guess.

    Args:
        source: a path, or the encoded bytes.
        max_duration_s: audio longer than this is refused as soon as that much has come out.

    Raises:
        AudioDecodeError: no audio can be had from it; the message names the file, the stage and FFmpeg's own word.
        AudioFormatError: some samples are NaN or infinite.
    """
    name = _name_of(source)
    file = _openable(source, name)
    with _stage(name, "probe", "check that it is a complete audio file"):
        container = av.open(file, mode="r", metadata_errors="replace", container_options=_OPTIONS)
    with container:
        stream = _audio_stream(container, name)
        with _stage(name, "decode", "the file is damaged; get it again"), np.errstate(over="ignore", invalid="ignore"):
            return _decode_stream(container, stream, name, max_duration_s)


class DecodeParams(Params, frozen=True):
    max_duration_s: Annotated[
        float, msgspec.Meta(gt=0, description="refuse audio that is longer; bounds memory", extra={"unit": "s"})
    ] = MAX_DURATION_S


@node("audio.decode", inputs="record", outputs="audio", sees_native_memory=False)
class Decode(Node[DecodeParams]):
    """Decode an audio file: any container or codec that FFmpeg's libraries read.

    Sets the attributes duration (s), sample_rate (Hz), channels, codec, path, and corrupt_packets when some were left out.
    """

    def process(self, item: Item, state: None) -> Item:
        record = item.payload["record"]
        source = record["path"] if "path" in record else record.get("bytes")
        if source is None:  # a row that its source could not read
            raise BadInputError(record.get("error", f"the record holds {sorted(record)}; expected 'path' or 'bytes'"))
        decoded = decode(source, max_duration_s=self.params.max_duration_s)
        chunk = decoded.chunk
        attributes = {
            "duration": chunk.duration_s,
            "sample_rate": chunk.sample_rate,
            "channels": chunk.num_channels,
            "codec": decoded.codec,
        }
        if isinstance(source, str):
            attributes["path"] = _name_of(source)
        if decoded.corrupt_packets:
            attributes["corrupt_packets"] = decoded.corrupt_packets
        return item.with_payload({"audio": chunk}, attributes)


def _name_of(source: AudioSource) -> str:
    """How messages and attributes call a source; bytes of a path that are not UTF-8 are spelled out."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return os.fsencode(source).decode(errors="backslashreplace")


def _openable(source: AudioSource, name: str) -> str | io.BytesIO:
    """What FFmpeg may open: never a folder, a pipe or a device, which could block for ever.

    Raises:
        AudioDecodeError: missing, not a plain file, without bytes.
    """
    if isinstance(source, bytes):
        if not source:
            raise AudioDecodeError(f"{name}: open failed: it is empty; expected encoded audio")
        return io.BytesIO(source)
    path = os.path.abspath(source)  # a leading slash also keeps FFmpeg from reading `name:` as a protocol
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        word = error.strerror if isinstance(error, OSError) else str(error)
        raise AudioDecodeError(f"{name}: open failed: {word}{_likely_meant(path)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioDecodeError(f"{name}: open failed: it is a folder; expected an audio file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioDecodeError(f"{name}: open failed: it is a pipe or a device; expected an audio file")
    if not status.st_size:
        raise AudioDecodeError(f"{name}: open failed: it is empty (0 bytes); expected encoded audio; get it again")
    return path


def _likely_meant(path: str) -> str:
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        candidates = nearest(name, (entry.name for entry in itertools.islice(entries, _CANDIDATES)))
        if candidates:
            return "; did you mean " + " or ".join(repr(_name_of(candidate)) for candidate in candidates) + "?"
    return ""


@contextlib.contextmanager
def _stage(name: str, stage: str, remedy: str) -> Iterator[None]:
    """Turn FFmpeg's errors into AudioDecodeError; ENOMEM too, since what FFmpeg cannot allocate is what a bad header asks for."""
    try:
        yield
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


def _decode_stream(container: InputContainer, stream: AudioStream, name: str, max_duration_s: float) -> Decoded:
    faults: list[av.error.FFmpegError] = []
    frames = (frame for frame in _frames(container, stream, faults) if frame.samples)
    first = next(frames, None)
    if first is None:
        word = f"{len(faults)} corrupt packets ({faults[-1].strerror})" if faults else "its audio stream is empty"
        raise AudioDecodeError(f"{name}: decode failed: no sample came out, {word}; get the file again")
    sample_rate, num_channels = first.sample_rate, first.layout.nb_channels
    _check_format(name, "decode", sample_rate, num_channels)
    limit = int(min(max_duration_s * sample_rate, MAX_BYTES / (4 * num_channels)))
    samples = _Samples(num_channels, min(_claimed_samples(container, sample_rate), limit) or first.samples)
    for frame in itertools.chain([first], frames):
        if (frame.sample_rate, frame.layout.nb_channels) != (sample_rate, num_channels):
            raise AudioDecodeError(
                f"{name}: decode failed: after {samples.length / sample_rate:.3f} s the stream changes from {sample_rate} Hz, "
                f"{num_channels} channels to {frame.sample_rate} Hz, {frame.layout.nb_channels} channels; "
                "expected one format; split the file there"
            )
        if samples.length + frame.samples > limit:
            raise AudioDecodeError(
                f"{name}: decode failed: more than {limit / sample_rate:.0f} s of audio in {num_channels} channels; "
                f"expected at most {max_duration_s:g} s and {MAX_BYTES >> 30} GiB; split the file, or raise max_duration_s"
            )
        samples.append(frame)
    array = samples.finish()
    if samples.floating:
        _check_finite(name, array)
    return Decoded(AudioChunk(array, sample_rate), stream.codec_context.name, len(faults))


def _frames(container: InputContainer, stream: AudioStream, faults: list[av.error.FFmpegError]) -> Iterator[AudioFrame]:
    """All frames that decode; the errors of the packets that do not are added to `faults`."""
    packets = container.demux(stream)
    reading = True
    while reading:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            # The demuxer cannot find the next packet: the rest is lost, what the decoder still holds is not.
            faults.append(error)
            packet = None
        reading = packet is not None
        try:
            yield from stream.codec_context.decode(packet)
        except av.error.EOFError:  # it was flushed before; not a fault of the file
            return
        except av.error.FFmpegError as error:
            faults.append(error)


def _claimed_samples(container: InputContainer, sample_rate: int) -> int:
    """A first guess at the length, from the header; 0 when it says nothing."""
    claimed_s = (container.duration or 0) / av.time_base
    return int(min(max(claimed_s, 0.0), _FIRST_CAPACITY_S) * sample_rate)


def _check_finite(name: str, samples: NDArray[np.float32]) -> None:
    # One sum is far cheaper than a flag per sample, and no sum of finite float32 overflows float64.
    with np.errstate(invalid="ignore"):
        if np.isfinite(samples.sum(dtype=np.float64)):
            return
    count = samples.size - int(np.count_nonzero(np.isfinite(samples)))
    raise AudioFormatError(f"{name}: {count} of {samples.size} samples are NaN or infinite; expected numbers")


class _Samples:
    """Planar float32 samples that grow by frames of FFmpeg's formats; each frame is converted straight to its place."""

    def __init__(self, num_channels: int, capacity: int) -> None:
        self._buffer = np.empty((num_channels, capacity), np.float32)
        self.length = 0
        self.floating = False

    def append(self, frame: AudioFrame) -> None:
        num_channels, end = len(self._buffer), self.length + frame.samples
        if end > self._buffer.shape[1]:
            larger = np.empty((num_channels, max(end, 2 * self.length)), np.float32)
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
