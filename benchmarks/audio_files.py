"""The audio files that reading is timed with: speech, written by our own sinks where there is one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.signals import SAMPLE_RATE, speech
from phonograph_nodes import resample
from phonograph_nodes.audio import save

Audio = NDArray[np.float32]
"""Shape (num_channels, num_samples)."""

COMPRESSED = ("mp3", "flac", "opus", "vorbis", "m4a")
PCM = ("wav", "wav24", "aiff")
SUFFIXES = {"wav24": "wav", "vorbis": "ogg"}


def make(folder: Path, name: str, samples: Audio, rate: int, stem: str = "clip") -> Path:
    """Write float32 (num_channels, num_samples) in one of the formats; returns its path."""
    path = folder / f"{stem}-{name}.{SUFFIXES.get(name, name)}"
    if name == "vorbis":
        _vorbis(path, samples, rate)
    elif name == "aiff":
        _aiff(path, samples, rate)
    else:
        save(path, samples, rate, sample_format="pcm24" if name == "wav24" else None)
    return path


def stereo(seconds: float, rate: int) -> Audio:
    """Speech, the right channel softer and a little later."""
    left = resample(speech(seconds), in_rate=SAMPLE_RATE, out_rate=rate) * np.float32(0.9)
    return np.ascontiguousarray(np.stack([left, 0.7 * np.roll(left, rate // 1000)]), np.float32)


def rate_of(name: str) -> int:
    """Hz, of the file of 30 s; Opus is always 48 kHz."""
    return 48_000 if name == "opus" else 44_100


def _vorbis(path: Path, samples: Audio, rate: int) -> None:
    """By libvorbis, which soundfile brings; FFmpeg's own encoder makes simpler packets than are found in real files."""
    soundfile = importlib.import_module("soundfile")
    with soundfile.SoundFile(path, "w", rate, len(samples), format="OGG", subtype="VORBIS") as file:
        for start in range(0, samples.shape[1], 65_536):
            file.write(samples[:, start : start + 65_536].T)


def _aiff(path: Path, samples: Audio, rate: int) -> None:
    with av.open(str(path), "w", format="aiff") as output:
        stream: Any = output.add_stream("pcm_s16be", rate=rate, layout="stereo" if len(samples) == 2 else "mono")
        packed = np.rint(samples.T * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "s16", stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def mixed(folder: Path, num_files: int) -> Iterator[Path]:
    """Files of 2 to 12 s, in every format, at usual rates, mono and stereo."""
    chance = np.random.default_rng(6)
    source = {rate: stereo(24.0, rate) for rate in (16_000, 44_100, 48_000)}
    names = ("wav", "mp3", "flac", "vorbis", "m4a", "opus")
    for number in range(num_files):
        name = names[number % len(names)]
        rate = int(chance.choice((16_000, 48_000) if name == "opus" else (16_000, 44_100, 48_000)))
        first, length = int(chance.integers(0, 12 * rate)), int(chance.integers(2 * rate, 12 * rate))
        channels = source[rate][: 1 + number // len(names) % 2, first : first + length]
        yield make(folder, name, np.ascontiguousarray(channels), rate, f"mixed-{number:03d}")
