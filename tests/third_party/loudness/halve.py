"""A plug-in file that comes with the package, to be named in a manifest."""

from __future__ import annotations

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.node import node


@node("loudness.halve")
def halve(audio: AudioChunk) -> AudioChunk:
    """Halve the amplitude."""
    return AudioChunk(audio.samples * np.float32(0.5), audio.sample_rate)
