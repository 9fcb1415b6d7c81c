"""PCM in every container that is read without FFmpeg, put together byte by byte; and what FFmpeg makes of it."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BYTES = {"u8": 1, "i8": 1, "i16": 2, "i24": 3, "i32": 4, "f32": 4, "f64": 8, "alaw": 1, "mulaw": 1}
_CODEC_GUID = bytes.fromhex("000000001000800000aa00389b71")
_W64_REST = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_WAV_TAGS = {"f32": 3, "f64": 3, "alaw": 6, "mulaw": 7}
_AU_CODES = {"mulaw": 1, "i8": 2, "i16": 3, "i24": 4, "i32": 5, "f32": 6, "f64": 7, "alaw": 27}
_AIFC_TYPES = {"f32": b"fl32", "f64": b"fl64", "alaw": b"alaw", "mulaw": b"ulaw"}


def levels(encoding: str, count: int, *, big_endian: bool = False, seed: int = 0) -> bytes:
    """Stored samples: any bytes of the integer encodings, noise beyond full scale of the others."""
    source = np.random.default_rng(seed)
    if encoding in ("f32", "f64"):
        return (
            source.normal(0, 1, count)
            .astype((">" if big_endian else "<") + encoding.replace("32", "4").replace("64", "8"))
            .tobytes()
        )
    return source.bytes(count * BYTES[encoding])


def riff(
    raw: bytes,
    encoding: str,
    *,
    num_channels: int = 1,
    sample_rate: int = 8000,
    big_endian: bool = False,
    bits: int | None = None,
    stride: int | None = None,
    mask: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    claimed: int | None = None,
    long_size: int | None = None,
    total: int | None = None,
) -> bytes:
    """A WAV file; RIFX when it is big-endian, RF64 with `long_size`, WAVE_FORMAT_EXTENSIBLE with `mask`.

    `claimed` is the size of the samples, and `total` that of the whole, in place of what they are.
    """
    mark = ">" if big_endian else "<"
    bits = 8 * BYTES[encoding] if bits is None else bits
    stride = num_channels * BYTES[encoding] if stride is None else stride
    tag = _WAV_TAGS.get(encoding, 1)
    rest = (num_channels, sample_rate, sample_rate * stride % 2**32, stride, bits)
    form = struct.pack(mark + "HHIIHH", tag if mask is None else 0xFFFE, *rest)
    if mask is not None:
        form += struct.pack(mark + "HHIH", 22, bits, mask, tag) + _CODEC_GUID
    size = (len(raw) if long_size is None else 2**32 - 1) if claimed is None else claimed
    name = b"RIFX" if big_endian else b"RIFF" if long_size is None else b"RF64"
    chunks = b"fmt " + struct.pack(mark + "I", len(form)) + form + before + b"data" + struct.pack(mark + "I", size) + raw
    chunks += b"\0" * (len(raw) % 2) + after
    total = len(chunks) + (4 if long_size is None else 40) if total is None else total
    if long_size is not None:
        chunks = b"ds64" + struct.pack("<IQQQI", 28, total, long_size, 0, 0) + chunks
        total = 2**32 - 1
    return name + struct.pack(mark + "I", total) + b"WAVE" + chunks


def w64(
    raw: bytes,
    encoding: str,
    *,
    num_channels: int = 1,
    sample_rate: int = 8000,
    after: bytes = b"",
    claimed: int | None = None,
    total: int | None = None,
) -> bytes:
    """A Wave64 file."""
    stride = num_channels * BYTES[encoding]
    form = struct.pack(
        "<HHIIHH", _WAV_TAGS.get(encoding, 1), num_channels, sample_rate, sample_rate * stride, stride, 8 * BYTES[encoding]
    )
    size = 24 + (len(raw) if claimed is None else claimed)
    chunks = b"fmt " + _W64_REST + struct.pack("<Q", 40) + form + b"data" + _W64_REST + struct.pack("<Q", size) + raw + after
    return _W64_RIFF + struct.pack("<Q", 40 + len(chunks) if total is None else total) + b"wave" + _W64_REST + chunks


def aiff(
    raw: bytes,
    encoding: str,
    *,
    num_channels: int = 1,
    sample_rate: int = 8000,
    kind: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    declared: int | None = None,
    claimed: int | None = None,
    total: int | None = None,
) -> bytes:
    """An AIFF file; AIFF-C when it is not big-endian integers, or with `kind`, the type of compression."""
    kind = _AIFC_TYPES.get(encoding) if kind is None else kind
    count = len(raw) // (num_channels * BYTES[encoding]) if declared is None else declared
    shift = sample_rate.bit_length() - 1
    rate = struct.pack(">HQ", 16383 + shift, sample_rate << (63 - shift))
    common = struct.pack(">HIH", num_channels, count, 8 * BYTES[encoding]) + rate + (b"" if kind is None else kind + b"\0\0")
    sound = struct.pack(">II", 0, 0) + raw
    size = len(sound) if claimed is None else claimed
    chunks = b"COMM" + struct.pack(">I", len(common)) + common + before + b"SSND" + struct.pack(">I", size) + sound + after
    return (
        b"FORM" + struct.pack(">I", len(chunks) + 4 if total is None else total) + (b"AIFF" if kind is None else b"AIFC") + chunks
    )


def au(
    raw: bytes,
    encoding: str,
    *,
    num_channels: int = 1,
    sample_rate: int = 8000,
    big_endian: bool = True,
    claimed: int | None = None,
) -> bytes:
    """An AU file; of the rare little-endian form on request."""
    size = len(raw) if claimed is None else claimed
    words = struct.pack(">6I" if big_endian else "<6I", 32, size, _AU_CODES[encoding], sample_rate, num_channels, 0)
    return (b".snd" if big_endian else b"dns.") + words + b"\0" * 4 + raw


def sphere(raw: bytes, **fields: str | int) -> bytes:
    """A NIST SPHERE file with these fields."""
    kinds = {name: "-i" if isinstance(value, int) else f"-s{len(value)}" for name, value in fields.items()}
    lines = [f"{name} {kinds[name]} {value}" for name, value in fields.items()]
    return "\n".join(["NIST_1A", "   1024", *lines, "end_head\n"]).encode().ljust(1024) + raw


def ffmpeg_samples(content: bytes) -> NDArray[np.float32]:
    """What FFmpeg decodes, planar; integers of b bits divided by 2^(b-1)."""
    formats: dict[str, tuple[Any, int, float]] = {
        "u8": (np.uint8, 128, 2.0**7),
        "s16": (np.int16, 0, 2.0**15),
        "s32": (np.int32, 0, 2.0**31),
        "flt": (np.float32, 0, 1.0),
        "dbl": (np.float64, 0, 1.0),
    }
    blocks = []
    with av.open(io.BytesIO(content), "r") as container:
        for frame in container.decode(audio=0):
            dtype, silence, full_scale = formats[frame.format.name]
            num_channels = frame.layout.nb_channels
            stored = np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples * num_channels)
            blocks.append((stored.reshape(frame.samples, num_channels).astype(np.float64) - silence) / full_scale)
    return np.ascontiguousarray(np.concatenate(blocks).T.astype(np.float32))


def ffmpeg_format(content: bytes) -> tuple[str, str, int, int, str]:
    """What FFmpeg says of it: container, codec, sample rate, number of channels, layout."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context
        return container.format.name, codec.name, codec.sample_rate, codec.channels, stream.layout.name
