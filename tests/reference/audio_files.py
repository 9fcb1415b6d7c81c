"""Encoded audio to decode: WAV put together byte by byte, anything else by FFmpeg's encoders."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

RATE = 8000


def noise(num_samples: int, num_channels: int = 1) -> NDArray[np.int16]:
    return np.random.default_rng(num_samples).integers(-32768, 32767, (num_samples, num_channels), np.int16, endpoint=True)


def wav(
    raw: bytes, *, bits: int = 16, code: int = 1, num_channels: int = 1, sample_rate: int = RATE, claimed: int | None = None
) -> bytes:
    frame = num_channels * bits // 8
    header = struct.pack("<HHIIHH", code, num_channels, sample_rate, (sample_rate * frame) % 2**32, frame % 2**16, bits)
    size = len(raw) if claimed is None else claimed
    return (
        b"RIFF"
        + struct.pack("<I", 2**32 - 1)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + header
        + b"data"
        + struct.pack("<I", size)
        + raw
    )


def encoded(codec: str, container: str, samples: NDArray[Any], sample_format: str, layout: str, **options: str) -> bytes:
    """Encode planar or packed samples, as `sample_format` has them, with FFmpeg's libraries."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, layout=layout, format=sample_format, options=options)
        assert isinstance(stream, AudioStream)
        stream.codec_context.open()
        block_length = stream.codec_context.frame_size or 4096
        step = block_length * (1 if sample_format.endswith("p") else stream.layout.nb_channels)
        for start in range(0, samples.shape[1], step):
            block = np.ascontiguousarray(samples[:, start : start + step])
            frame = av.AudioFrame.from_ndarray(block, format=sample_format, layout=layout)
            frame.sample_rate = RATE
            frame.pts, frame.time_base = start * block_length // step, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()
