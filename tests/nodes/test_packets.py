"""Tests of `FrameQueue`: packets that are decoded without the interpreter give what PyAV gives, in all that can be seen.

More than 400 lines, because whole readers, queues and faked functions are compared by the same few helpers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import itertools
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from hostile.mutations import mutant, originals
from phonograph.errors import AudioError
from phonograph_nodes.audio.ffmpeg import open_ffmpeg, packets
from phonograph_nodes.audio.ffmpeg.abi import FUNCTIONS, Abi, abi
from phonograph_nodes.audio.given import AudioSource, Given
from phonograph_nodes.audio.reader import Limits
from phonograph_nodes.kernels._ffmpeg import Native
from phonograph_nodes.kernels._frames import SampleBuffer
from phonograph_nodes.kernels._packets import FrameQueue
from reference.audio_files import RATE, encoded, noise, wav

pytestmark = pytest.mark.skipif(abi() is None, reason="needs a PyAV that `abi` knows, and the switch not off")

NUM_SAMPLES = 20 * 4096
SMOOTH = (9000 * np.sin(np.arange(NUM_SAMPLES) / 5 + np.arange(8)[:, np.newaxis])).astype(np.int16)
INVALID = -int.from_bytes(b"INDA", "little")


def made(codec: str, container: str, sample_format: str, layout: str = "mono", **options: str) -> bytes:
    """Tones in as many channels as the layout has; 16 bits of them, whatever the format."""
    num_channels = av.AudioLayout(layout).nb_channels
    kinds = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}
    dtype = np.dtype(kinds[sample_format.removesuffix("p")])
    rows = SMOOTH[:num_channels].astype(np.float64) / 2**15
    if dtype.kind != "f":
        rows = rows * 2 ** (8 * dtype.itemsize - 1) + (128 if dtype.kind == "u" else 0)
    stored = rows.astype(dtype)
    if not sample_format.endswith("p"):
        stored = np.ascontiguousarray(stored.T).reshape(1, -1)
    if codec == "pcm_s64le":  # which PyAV does not make blocks of
        return wav(stored.tobytes(), bits=64, num_channels=num_channels)
    return encoded(codec, container, stored, sample_format, layout, **options)


KINDS: dict[str, tuple[Any, ...]] = {
    "mp3": ("libmp3lame", "mp3", "s16p"),
    "mp3-stereo": ("libmp3lame", "mp3", "fltp", "stereo"),
    "aac": ("aac", "mov", "fltp", "stereo"),
    "adts": ("aac", "adts", "fltp"),
    "opus": ("libopus", "ogg", "s16"),
    "opus-webm": ("libopus", "webm", "s16"),
    "flac": ("flac", "flac", "s16", "stereo"),
    "flac-5.1": ("flac", "flac", "s16", "5.1"),
    "flac-ogg": ("flac", "ogg", "s16"),
    "flac-matroska": ("flac", "matroska", "s16"),
    "alac": ("alac", "mov", "s16p", "stereo"),
    "wavpack": ("wavpack", "wv", "s16p", "stereo"),
    "tta": ("tta", "tta", "s16"),
    "adpcm": ("adpcm_ima_wav", "wav", "s16p"),
    "u8": ("pcm_u8", "matroska", "u8"),
    "s32": ("pcm_s32le", "matroska", "s32", "stereo"),
    "s64": ("pcm_s64le", "wav", "s64", "stereo"),
    "dbl": ("pcm_f64le", "nut", "dbl", "7.1"),
    "flt": ("pcm_f32le", "nut", "flt", "3.0"),
}


@pytest.fixture(scope="module", params=KINDS)
def content(request: pytest.FixtureRequest) -> bytes:
    return made(*KINDS[request.param])


@dataclass
class Seen:
    """All that a caller can see of reading."""

    samples: list[NDArray[np.float32]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


Part = tuple[int, int | None]


def seen(source: AudioSource, *parts: Part, mono: bool = False, strict: bool = False, limits: Limits = Limits()) -> Seen:  # noqa: B008
    result = Seen()
    try:
        reader = open_ffmpeg(Given(source), limits, strict=strict)
    except AudioError as error:
        result.told.append(repr(error))
        return result
    for part in parts or ((0, None),):
        try:
            result.samples.append(reader.read(*part, mono=mono))
        except AudioError as error:
            result.told.append(repr(error))
        result.told += [repr(reader.faults), repr(reader.info)]
    reader.close()
    return result


@pytest.fixture
def same(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Seen]:
    """Reads in both ways, and compares."""

    def read(*args: Any, **named: Any) -> Seen:
        fast = seen(*args, **named)
        with monkeypatch.context() as patch:
            patch.setattr(packets, "abi", lambda: None)
            slow = seen(*args, **named)
        assert fast.told == slow.told
        assert [one.shape for one in fast.samples] == [one.shape for one in slow.samples]
        for one, other in zip(fast.samples, slow.samples, strict=True):
            np.testing.assert_array_equal(one, other)
        return fast

    return read


@contextlib.contextmanager
def queue_of(source: AudioSource | io.BytesIO, known: Abi | None) -> Iterator[FrameQueue]:
    """A queue on a file's first audio stream, before its first block; natively where something is known."""
    source = io.BytesIO(source) if isinstance(source, bytes) else source
    with av.open(source, mode="r") as container:
        queue, demuxed = _queue(container, known)
        yield queue
        queue.native = None
        demuxed.close()


def _queue(container: Any, known: Abi | None) -> tuple[FrameQueue, Any]:
    stream = container.streams.audio[0]
    demuxed = container.demux(stream)
    queue = FrameQueue(demuxed, stream.codec_context.decode)
    if known is not None:
        queue.native = Native(known, container, stream)
    return queue, demuxed


def first_of(queue: FrameQueue) -> av.AudioFrame:
    """The first block of a stream, after which packets may be read natively."""
    blocks = queue.take()
    assert blocks
    block: av.AudioFrame = blocks[0]
    return block


def poured(
    source: AudioSource, known: Abi | None, limit: int = 2**40, mono: bool = False
) -> tuple[NDArray[np.float32], list[Any]]:
    """The samples up to the limit, beginning with the second block that comes out; all that happened."""
    told: list[Any] = []
    with queue_of(source, known) as queue:
        block = first_of(queue)
        out = SampleBuffer(block.layout.nb_channels, block.sample_rate, mono, 0)
        for _ in range(1000):
            try:
                blocks = queue.pour(out, limit)
            except av.error.FFmpegError as error:
                told += [type(error), error.errno, queue.is_reading, out.length]
                continue
            told += [out.length, queue.end, queue.longest]
            if blocks is None:
                return out.finish(), told
            for one in blocks:
                places = [plane.buffer_size for plane in one.planes[: one.layout.nb_channels]]
                told += [one.pts, one.samples, one.sample_rate, one.layout.name, one.format.name, one.time_base, places[0]]
                told.append(one.to_ndarray().tobytes() if one.format.name != "s64" else b"")
    raise AssertionError("it does not end")


def test_every_codec_reads_the_same(content: bytes, same: Callable[..., Seen], tmp_path: Path) -> None:
    """Whole and in parts, each channel and their mean, from bytes and from a file."""
    path = tmp_path / "sound"
    path.write_bytes(content)
    assert same(content, (0, None), (5000, 20_000), (70_000, None)).samples[0].shape[1] >= NUM_SAMPLES
    assert same(path, mono=True).samples[0].shape[0] == 1


def test_damage_reads_the_same(content: bytes, same: Callable[..., Seen]) -> None:
    """Bytes that are overwritten, cut out or put in anywhere: the same samples, faults and errors, also when it is strict."""
    junk = noise(200).tobytes()
    for place in range(1500, len(content), len(content) // 3):
        same(content[:place] + junk + content[place + len(junk) :], (0, None), (30_000, 3000))
        same(content[:place] + content[place + 777 :], strict=True)
        same(content[:place] + junk + content[place:])
        same(content[:place])


def test_mutants_read_the_same(shared: Path, same: Callable[..., Seen]) -> None:
    """A hundred mutants of any format of the collection."""
    files = originals([shared / "data" / "codecs", shared / "data" / "malformed"])
    limits = Limits(max_duration_s=60.0, max_bytes=2**26)
    for number in range(120):
        same(mutant(files, 7, number)[1], (0, None), (0, 3000), mono=number % 3 == 0, strict=number % 5 == 0, limits=limits)


def test_the_collection_reads_the_same(shared: Path, same: Callable[..., Seen]) -> None:
    """Every file of known and of broken formats."""
    paths = [
        path for folder in ("codecs", "malformed") for path in sorted((shared / "data" / folder).rglob("*")) if path.is_file()
    ]
    assert paths
    for path in paths:
        same(path)


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac-matroska", "u8", "dbl", "flt"])
@pytest.mark.parametrize("limit", [0, 1, 5000, 40_000])
def test_blocks_beyond_the_limit_are_handed_out(kind: str, limit: int) -> None:
    """From the first that leads beyond it on, with the times, formats, layouts and samples that PyAV gives them."""
    source = made(*KINDS[kind])
    for mono in (False, True):
        (fast, told), (slow, expected) = (poured(source, known, limit, mono) for known in (abi(), None))
        assert told == expected
        np.testing.assert_array_equal(fast, slow)


def test_a_stream_that_changes_is_refused_at_the_same_place(same: Callable[..., Seen]) -> None:
    """Other channels behind those that came before."""
    assert "the stream changes" in same(made(*KINDS["mp3"]) + made(*KINDS["mp3-stereo"])).told[0]


def test_another_rate_is_handed_out() -> None:
    """Blocks of another rate are not mixed with those before."""
    buffer = io.BytesIO()
    for rate in (16_000, 32_000):
        with av.open(part := io.BytesIO(), "w", format="mp3") as output:
            stream = output.add_stream("libmp3lame", rate=rate, layout="mono")
            assert isinstance(stream, AudioStream)
            frame = av.AudioFrame.from_ndarray(SMOOTH[:1], format="s16p", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            output.mux([*stream.encode(frame), *stream.encode(None)])
        buffer.write(part.getvalue())
    (fast, told), (slow, expected) = (poured(buffer.getvalue(), known) for known in (abi(), None))
    assert told == expected
    assert 32_000 in told
    np.testing.assert_array_equal(fast, slow)


def test_packets_of_other_streams_are_passed() -> None:
    """Of two streams whose packets take turns, one is decoded."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        for start, (level, stream) in itertools.product(range(0, 200_000, 1000), enumerate(streams)):
            assert isinstance(stream, AudioStream)
            frame = av.AudioFrame.from_ndarray(np.full((1, 1000), level + 1, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            output.mux(stream.encode(frame))
    samples, told = poured(buffer.getvalue(), abi())
    assert (samples == 2.0**-15).all()
    assert told == poured(buffer.getvalue(), None)[1]


def test_usual_packets_do_not_come_to_python() -> None:
    """Of hundreds of packets a few are PyAV's: those before the first block, and the empty one at the end."""
    with av.open(io.BytesIO(made(*KINDS["adts"])), mode="r") as container:
        stream, given = container.streams.audio[0], []
        demuxed: Any = container.demux(stream)

        def decode(packet: Any) -> list[Any]:
            given.append(packet)
            return stream.codec_context.decode(packet)

        queue, known = FrameQueue(demuxed, decode), abi()
        assert known is not None
        queue.native = Native(known, container, stream)
        queue.take()
        out = SampleBuffer(1, RATE, False, 0)
        with contextlib.suppress(av.error.EOFError):  # at the end PyAV flushes twice, of which FFmpeg takes one
            queue.pour(out, 2**40)
        assert out.length > 60 * 1024
        assert len(given) < 6
        demuxed.close()


@pytest.mark.parametrize(("kind", "most"), [("adts", 4), ("s32", 1)])
def test_check_is_called_often(kind: str, most: int) -> None:
    """At least once in 32 packets, and in 2^17 samples; what it raises comes through, and reading can go on."""
    with queue_of(made(*KINDS[kind]), abi()) as queue:
        block = first_of(queue)
        out, calls = SampleBuffer(block.layout.nb_channels, RATE, False, 0), itertools.count()

        def check() -> None:
            if next(calls) == 1:
                raise InterruptedError

        queue.check = check
        with pytest.raises(InterruptedError):
            queue.pour(out, 2**40)
        assert 0 < out.length <= max(32 * block.samples, 2**17)


def test_a_check_that_closes_the_container_ends_the_stream() -> None:
    """What it closes is not read any more, at whichever stretch it does so."""
    whole = poured(made(*KINDS["adts"]), abi())[0].shape[1]
    for closes in range(3):
        container, calls = av.open(io.BytesIO(made(*KINDS["adts"])), mode="r"), itertools.count()
        queue, demuxed = _queue(container, abi())
        first_of(queue)

        def check(
            closes: int = closes, calls: Iterator[int] = calls, given: tuple[Any, ...] = (queue, demuxed, container)
        ) -> None:
            if next(calls) == closes:
                given[0].native = None
                given[1].close()
                given[2].close()

        out, queue.check = SampleBuffer(1, RATE, False, 0), check
        assert queue.pour(out, 2**40) is None
        assert out.length < whole


def test_signals_are_looked_at_between_stretches() -> None:
    """A handler runs before the next stretch, although no line of Python does."""

    def interrupt(*_: object) -> None:
        raise InterruptedError

    ask: Any = partial(ctypes.CDLL(None)["raise"], signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with queue_of(made(*KINDS["adts"]), abi()) as queue:
            first_of(queue)
            out, queue.check = SampleBuffer(1, RATE, False, 0), ask
            with pytest.raises(InterruptedError):
                queue.pour(out, 2**40)
            assert out.length == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("kind", ["aac", "alac", "adpcm"])
def test_blocks_of_what_may_be_padded_hardly_come_to_python(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each block PyAV decodes four packets, which may be the last; what lies between is read natively."""
    asked = 0

    def counted(demuxed: Any, decode: Callable[[Any], list[Any]]) -> FrameQueue:
        def ask(packet: Any) -> list[Any]:
            nonlocal asked
            asked += 1
            return decode(packet)

        return FrameQueue(demuxed, ask)

    monkeypatch.setattr(packets, "FrameQueue", counted)
    reader = open_ffmpeg(Given(content := made(*KINDS[kind])), Limits())
    num_samples = sum(block.shape[1] for block in reader.blocks(NUM_SAMPLES // 3))
    reader.close()
    with av.open(io.BytesIO(content), mode="r") as container:
        num_packets = sum(packet.size > 0 for packet in container.demux(audio=0))
    assert num_samples >= NUM_SAMPLES
    assert asked < min(28, num_packets)


Receive = Callable[[int, int], int]


def faked(name: str, answer: Callable[[Receive], Receive]) -> tuple[Abi, Any]:
    """What is known, with one of FFmpeg's functions replaced; keep the second."""
    known = abi()
    assert known is not None
    place, kind = FUNCTIONS.index(name), ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    fake = kind(answer(kind(known.functions[place])))
    address = ctypes.cast(fake, ctypes.c_void_p).value
    assert address is not None
    return replace(known, functions=(*known.functions[:place], address, *known.functions[place + 1 :])), fake


def failing(calls: set[int], code: int) -> Callable[[Receive], Receive]:
    """The function itself, which fails at some calls."""
    numbers = itertools.count()

    def wrap(real: Receive) -> Receive:
        return lambda first, second: code if next(numbers) in calls else real(first, second)

    return wrap


@pytest.mark.parametrize(("code", "lost"), [(INVALID, False), (-errno.ENOMEM, True), (-errno.EIO, True)])
@pytest.mark.parametrize("limit", [2**40, 30_000])
def test_a_block_before_an_error_of_its_packet(code: int, lost: bool, limit: int) -> None:
    """It is kept before invalid data, and else taken back, whether it fitted or not."""
    known, fake = faked("avcodec_receive_frame", failing({21, 41, 61}, code))  # two calls a packet: a block, and no more
    source = made(*KINDS["adts"])
    samples, told = poured(source, known, limit)
    whole, expected = poured(source, abi(), limit)
    errors = [one for one in told if isinstance(one, type) and one is not av.error.EOFError]  # which ends a stream
    assert errors == ([type(_error(code))] * 3 if lost else [])
    if lost and limit == 2**40:
        assert samples.shape[1] == whole.shape[1] - 3 * 1024
        np.testing.assert_array_equal(samples[:, : 9 * 1024], whole[:, : 9 * 1024])
    elif not lost:
        np.testing.assert_array_equal(samples, whole)
        assert told == expected
    del fake


def _error(code: int) -> av.error.FFmpegError:
    with pytest.raises(av.error.FFmpegError) as caught:
        av.error.err_check(code)
    return caught.value


def test_a_packet_that_is_not_taken_is_an_error_of_its_own() -> None:
    """The decoder refuses a packet: FFmpeg's error, and the next packets go on."""
    known, fake = faked("avcodec_send_packet", failing({5}, INVALID))
    samples, told = poured(made(*KINDS["adts"]), known)
    assert told[:3] == [av.error.InvalidDataError, -INVALID, False]
    assert samples.shape[1] == poured(made(*KINDS["adts"]), None)[0].shape[1] - 1024
    del fake


def test_a_file_that_cannot_be_read_on_ends_there() -> None:
    """An error of reading is told as one, and no packet is asked for after it."""
    asked = itertools.count()

    def wrap(real: Receive) -> Receive:
        return lambda first, second: -errno.EIO if next(asked) >= 40 else real(first, second)

    known, fake = faked("av_read_frame", wrap)
    samples, told = poured(made(*KINDS["adts"]), known)
    assert told[:3] == [type(_error(-errno.EIO)), errno.EIO, True]
    assert samples.shape[1] == 39 * 1024 or samples.shape[1] == 40 * 1024
    assert next(asked) == 41
    del fake


def test_a_closed_container_is_left_alone() -> None:
    """After closing, nothing is read: PyAV has no container any more, and says so by its pointer."""
    source, known = io.BytesIO(made(*KINDS["adts"])), abi()
    assert known is not None
    container = av.open(source, mode="r")
    stream = container.streams.audio[0]
    demuxed: Any = container.demux(stream)
    queue = FrameQueue(demuxed, stream.codec_context.decode)
    queue.native = Native(known, container, stream)
    queue.take()
    demuxed.close()
    container.close()
    out = SampleBuffer(1, RATE, False, 0)
    assert queue.pour(out, 2**40) is None
    assert out.length <= 1024  # what the decoder held back
