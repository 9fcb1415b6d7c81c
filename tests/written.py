"""What tests of sinks share: items to write, the files that come of them, what other readers make of these."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph_nodes.writing.audio_sink import AudioSink


def item(payload: Mapping[str, Any], key: str = "clips/a.wav", **attributes: Any) -> Item:
    return Item(key=key, ordinal=0, payload=payload, attributes=MappingProxyType(attributes))


def written(sink: type[AudioSink[Any]], folder: Path, samples: NDArray[Any], rate: int = 16000, **params: Any) -> Path:
    """The file that a sink of audio makes of samples."""
    node = sink(sink.spec.params(path=str(folder), **params), "out")
    node.open()
    part = node.stage(item({"audio": AudioChunk.of(samples, rate)}))
    return Path(part.commit().path)


def ffmpeg_decoded(content: bytes, container: str) -> tuple[NDArray[Any], int]:
    """What FFmpeg makes of a file, shape (num_channels, num_samples), in its own sample format; and the rate.

    The container is named because FFmpeg takes some files of a few frames for video.
    """
    with av.open(io.BytesIO(content), "r", format=container) as opened:
        stream = opened.streams.audio[0]
        frames = [
            frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(frame.samples, -1).T
            for frame in opened.decode(stream)
        ]
        return np.concatenate(frames, axis=1) if frames else np.empty((stream.channels, 0)), stream.rate


def voice(num_samples: int, rate: int, num_channels: int = 1) -> NDArray[np.float32]:
    """Something like a voice: harmonics of a pitch that glides, swelling in syllables; each channel has a pitch of its own."""
    time = np.arange(num_samples) / rate
    channels = []
    for channel in range(num_channels):
        phase = 2 * np.pi * np.cumsum(120 + 37 * channel + 30 * np.sin(2 * np.pi * 1.3 * time)) / rate
        harmonics = [np.sin(n * phase) / n for n in range(1, 20) if n * 300 < rate / 2]
        channels.append(np.sum(harmonics, axis=0) * (0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * time)))
    return (0.4 * np.stack(channels)).astype(np.float32)


def edit_list(content: bytes) -> tuple[int, int, int]:
    """Of an MP4 file with one edit: its duration, where it begins in the media, the samples of the media; all in samples."""
    at = content.index(b"elst") + 4
    duration, begins = (int.from_bytes(content[at + 8 + 4 * n : at + 12 + 4 * n], "big") for n in range(2))
    at = content.index(b"stts") + 8
    runs = np.frombuffer(content, ">u4", 2 * int.from_bytes(content[at : at + 4], "big"), at + 4).reshape(-1, 2)
    return duration, begins, int((runs[:, 0] * runs[:, 1]).sum())
