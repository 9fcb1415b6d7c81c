"""Signals that front ends are tried with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

LENGTH = 2500


def noise(length: int, seed: int = 7) -> Samples:
    """White noise, 20 dB below full scale."""
    return np.asarray(np.random.default_rng(seed).standard_normal(length) * 0.1, np.float32)


def sine(cycles_per_sample: float, length: int = LENGTH, amplitude: float = 1.0) -> Samples:
    """A sine that starts at 0."""
    return np.asarray(amplitude * np.sin(2 * np.pi * cycles_per_sample * np.arange(length)), np.float32)


def impulse(length: int = LENGTH, place: int | None = None) -> Samples:
    """One sample of 1 in silence, in the middle unless a place is given."""
    samples = np.zeros(length, np.float32)
    samples[length // 2 if place is None else place] = 1.0
    return samples


def voice(length: int = 24_000, sample_rate: int = 16_000) -> Samples:
    """Sung vowel in bursts: a gliding harmonic series under a falling spectrum, with pauses, faint noise and a little DC."""
    time = np.arange(length) / sample_rate
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / sample_rate
    series = sum(np.cos(k * pitch + k * k) / k**1.5 for k in range(1, 40))
    loudness = np.clip(np.sin(2 * np.pi * 2.3 * time), 0.0, None) ** 2
    hiss = np.random.default_rng(11).standard_normal(length) * 1e-4
    return np.asarray(0.1 * loudness * series + hiss + 1e-3, np.float32)


SIGNALS: Mapping[str, Samples] = MappingProxyType(
    {
        "noise": noise(LENGTH),
        "voice": voice(8000),
        "silence": np.zeros(LENGTH, np.float32),
        "constant": np.full(LENGTH, 0.3, np.float32),
        "impulse": impulse(),
        "impulse at the beginning": impulse(place=0),
        "impulse at the end": impulse(place=LENGTH - 1),
        "full scale": np.sign(noise(LENGTH)),
        "alternating full scale": np.where(np.arange(LENGTH) % 2, -1, 1).astype(np.float32),
        "full scale tone": sine(1 / 16),
        "tone between bins": sine(0.1234567),
        "low tone": sine(0.0005),
        "constant and a faint tone": np.float32(0.5) + sine(0.0275, amplitude=1e-3),
        "step": np.where(np.arange(LENGTH) < LENGTH // 2, 0, 0.8).astype(np.float32),
        "quiet": noise(LENGTH) * np.float32(1e-6),
        "fainter than the least peak": noise(LENGTH) * np.float32(1e-8),
        "denormal": noise(LENGTH) * np.float32(1e-38),
        "beyond full scale": noise(LENGTH) * np.float32(1e6),
        "loud, then silent": np.where(np.arange(LENGTH) < LENGTH // 2, noise(LENGTH), 0).astype(np.float32),
    }
)
