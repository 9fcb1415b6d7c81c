"""Where functions and fields of FFmpeg lie in the PyAV that is installed: tried, not believed.

PyAV's classes hold pointers to FFmpeg's structures, whose fields move between versions. Here objects with unmistakable values are
made, and the values looked for in their memory. What reads packets without PyAV (`kernels/ffmpeg.h`) is used only if all of them
are found where they can be, in a version of PyAV whose ways were compared; else PyAV does everything.
"""

from __future__ import annotations

import ctypes
import functools
import io
import itertools
import os
import struct
import sys
import wave
from dataclasses import dataclass

import av
import av.container.input
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.container import InputContainer
from av.packet import Packet

SWITCH = "PHONOGRAPH_FFMPEG_LOOP"
"""Environment variable: "off" leaves everything to PyAV."""

VERSIONS = range(18, 19)
"""Of PyAV, that were compared."""

FUNCTIONS = (
    "av_read_frame",
    "av_packet_unref",
    "avcodec_send_packet",
    "avcodec_receive_frame",
    "av_frame_move_ref",
    "av_channel_layout_describe",
)
FORMATS = ("u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp", "s64", "s64p")
"""Sample formats by FFmpeg's numbers."""

_PACKET = struct.Struct("@PqqPiiiPiqq")  # AVPacket from its beginning to its position
_FRAME = struct.Struct("@8P8iP4i")  # AVFrame from its beginning to its format
_FRAME_BYTES = 480  # more than an AVFrame has
_CHANNELS = {"7.1": (1, 8, 0x63F), "quad": (1, 4, 0x33)}  # AVChannelLayout: order (1: a mask tells which), their number, the mask


@dataclass(frozen=True, slots=True)
class Abi:
    """What is known of the installed PyAV and its FFmpeg.

    Args:
        functions: addresses, in the order of `FUNCTIONS`.
        container, decoder, packet, frame: where PyAV's objects have their pointer, in bytes from their beginning.
        sample_rate, layout: where an AVFrame has its fields of those names, in bytes.
        formats: `FORMATS`.
    """

    functions: tuple[int, ...]
    container: int
    decoder: int
    packet: int
    frame: int
    sample_rate: int
    layout: int
    formats: tuple[str, ...] = FORMATS


def abi() -> Abi | None:
    """None where something is not as expected, or the switch is off; where there is no descriptor left, until there is one."""
    try:
        return _installed()
    except OSError:
        return None


@functools.cache
def _installed() -> Abi | None:
    if os.environ.get(SWITCH) == "off" or sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return None
    if int(av.__version__.split(".")[0]) not in VERSIONS:
        return None
    try:
        return _found()
    except (_UnexpectedError, AttributeError, TypeError, ValueError, struct.error, av.error.FFmpegError):
        return None


class _UnexpectedError(Exception):
    """PyAV or FFmpeg has another layout."""


def _found() -> Abi:
    packet = _packet_pointer()
    frame, sample_rate, layout = _frame_places()
    with av.open(_silence(), mode="r") as container:
        decoder = container.streams.audio[0].codec_context
        if type(container) is not InputContainer or type(decoder) is not AudioCodecContext:
            raise _UnexpectedError
        return Abi(
            functions=_addresses(),
            container=_class_pointer(container, b"AVFormatContext"),
            decoder=_class_pointer(decoder, b"AVCodecContext"),
            packet=packet,
            frame=frame,
            sample_rate=sample_rate,
            layout=layout,
        )


def _addresses() -> tuple[int, ...]:
    """The handle of a loaded module finds what that was linked with, hence the very functions that PyAV calls."""
    try:
        library = ctypes.CDLL(av.container.input.__file__, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError as error:
        raise _UnexpectedError from error
    return tuple(ctypes.cast(library[name], ctypes.c_void_p).value or 0 for name in FUNCTIONS)


def _packet_pointer() -> int:
    """Where a Packet has its AVPacket, whose fields are those that are expected."""
    content = bytes(range(77))
    made = Packet(content)
    made.pts, made.dts, made.duration, made.is_keyframe = 0x1122334455667788, -0x2122334455667788, 0x31223344, True
    expected = (made.pts, made.dts, made.buffer_ptr, len(content), 0, 1, made.duration)
    for place in _places(made):
        _, pts, dts, data, size, stream, flags, _, _, duration, _ = _PACKET.unpack(_memory(_pointer(made, place), _PACKET.size))
        if (pts, dts, data, size, stream, flags, duration) == expected:
            return place
    raise _UnexpectedError


def _frame_places() -> tuple[int, int, int]:
    """Where an AudioFrame has its AVFrame, and that its rate and channel layout: the same for every format and layout."""
    found: tuple[int, int, int] | None = None
    for number, (layout, channels) in itertools.product(range(len(FORMATS)), _CHANNELS.items()):
        made = AudioFrame(FORMATS[number], layout, samples=4321)
        made.sample_rate = 48_017 + number
        pointer = next((place for place in _places(made) if _is_frame(_pointer(made, place), made, number)), None)
        if pointer is None:
            raise _UnexpectedError
        address, values = _pointer(made, pointer), (struct.pack("@i", made.sample_rate), struct.pack("@iiQ", *channels))
        if found is None:
            found = pointer, _where(address, values[0]), _where(address, values[1])
        elif found[0] != pointer or any(
            _memory(address + at, len(value)) != value for at, value in zip(found[1:], values, strict=True)
        ):
            raise _UnexpectedError
    assert found is not None
    return found


def _where(address: int, value: bytes) -> int:
    """The first place of a value behind an AVFrame's beginning. Nothing behind it is read: the structure may end there."""
    for place in range(_FRAME.size, _FRAME_BYTES, min(len(value), 8)):
        if _memory(address + place, len(value)) == value:
            return place
    raise _UnexpectedError


def _is_frame(address: int, made: AudioFrame, number: int) -> bool:
    fields, plane = _FRAME.unpack(_memory(address, _FRAME.size)), AudioPlane(made, 0)
    data, line_bytes, planes = fields[0], fields[8], fields[16]
    return (data, line_bytes, planes, *fields[17:]) == (plane.buffer_ptr, plane.buffer_size, address, 0, 0, made.samples, number)


def _class_pointer(thing: object, name: bytes) -> int:
    """Where an object has the pointer to a structure whose AVClass has this name."""
    for place in _places(thing):
        name_at = _address_at(_address_at(_pointer(thing, place)))
        if _memory(name_at, len(name) + 1) == name + b"\0":
            return place
    raise _UnexpectedError


def _places(thing: object) -> range:
    """Where a pointer can be: the first field or the second, behind Python's own and Cython's table of methods."""
    first = object.__basicsize__ + 8
    return range(first, min(first + 16, type(thing).__basicsize__), 8)


def _pointer(thing: object, place: int) -> int:
    return ctypes.c_void_p.from_address(id(thing) + place).value or 0


def _address_at(address: int) -> int:
    value: int = struct.unpack("@P", _memory(address, 8))[0]
    return value


def _memory(address: int, count: int) -> bytes:
    """Zeros where nothing can be read. Through a pipe the system tells that, which otherwise ends the process.

    Raises:
        OSError: there is no pipe to be had.
    """
    reading, writing = os.pipe()
    try:
        os.write(writing, (ctypes.c_char * count).from_address(address))
        return os.read(reading, count)
    except OSError:
        return bytes(count)
    finally:
        os.close(reading)
        os.close(writing)


def _silence() -> io.BytesIO:
    """A WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(64))
    buffer.seek(0)
    return buffer
