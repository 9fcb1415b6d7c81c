"""What is fed to the front ends: the bundled speech, repeated, with a little noise."""

from __future__ import annotations

import wave

import numpy as np
from numpy.typing import NDArray

from benchmarks import CHECKOUT

Samples = NDArray[np.float32]
Features = NDArray[np.float32]

SAMPLE_RATE = 16_000
NOISE = 1e-4  # about -80 dBFS: no two repetitions are equal, and no window is digital silence
SEED = 20


def speech(seconds: float) -> Samples:
    """The bundled clips, one after the other and over again, at 16 kHz.

    Returns:
        float32, shape (seconds * 16 000,), in [-1, 1]; the same for every call.

    Raises:
        ValueError: a bundled clip is not 16-bit mono at 16 kHz.
    """
    clips = []
    for path in sorted((CHECKOUT / "manifests" / "samples").glob("*.wav")):
        with wave.open(str(path)) as clip:
            layout = clip.getframerate(), clip.getnchannels(), clip.getsampwidth()
            if layout != (SAMPLE_RATE, 1, 2):
                raise ValueError(f"{path}: {layout}; expected {SAMPLE_RATE} Hz, 1 channel, 2 bytes a sample")
            clips.append(np.frombuffer(clip.readframes(clip.getnframes()), np.int16))
    num_samples = round(seconds * SAMPLE_RATE)
    repeated = np.resize(np.concatenate(clips), num_samples).astype(np.float32) / 32768
    noise = np.random.default_rng(SEED).standard_normal(num_samples, np.float32) * np.float32(NOISE)
    return np.clip(repeated + noise, -1, 1).astype(np.float32)
