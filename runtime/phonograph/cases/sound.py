"""Reads the audio that a test case describes: tones, noise, silence, samples, files, one after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.cases import files, quantities
from phonograph.errors import Complaint
from phonograph.language import fields
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.yaml12 import Located

Make: TypeAlias = Callable[[], Any]
"""Makes a payload. Called when the case runs, so that checking a manifest makes no audio."""

SOURCES: Mapping[str, tuple[str, ...]] = {
    "tone": ("duration", "level", "rate", "channels"),
    "noise": ("duration", "level", "rate", "channels"),
    "silence": ("rate", "channels"),
    "samples": ("rate",),
    "file": (),
}
"""What a stretch of audio comes from -> the options that may stand beside it."""

_OPTIONS = SOURCES["tone"]
_EXPECTED = f"a mapping with one of {', '.join(SOURCES)}, such as {{tone: 440Hz}}, or a list of these"
_USUAL_RATE = 16000  # Hz
_MAX_RATE = 384_000
_USUAL_LEVEL = -20.0  # dBFS
_PEAK_OVER_MEAN = {"tone": math.sqrt(2), "noise": math.sqrt(3)}  # of a sine, and of uniform noise, over their RMS


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of audio whose form is known before it is made."""

    make: Make
    rate: int
    channels: int
    num_samples: int


def read_audio(located: Located, what: str, *, folder: str, complaints: list[Complaint]) -> Make | None:
    """What makes the AudioChunk; None, and a complaint, when the description cannot be read.

    Args:
        what: names the audio in complaints.
        folder: where relative paths start.
    """
    if not isinstance(located.value, tuple):
        stretch = _StretchReader(located, what, folder, complaints).read()
        return None if stretch is None else stretch.make
    if not located.value:
        complain(complaints, "empty", located.position, f"{what} is an empty list", _EXPECTED)
        return None
    entries = enumerate(located.value)
    read = [_StretchReader(entry, f"{what}[{number}]", folder, complaints).read() for number, entry in entries]
    stretches = [stretch for stretch in read if stretch is not None]
    if len(stretches) < len(read):
        return None
    forms = dict.fromkeys((stretch.rate, stretch.channels) for stretch in stretches)
    if len(forms) > 1:
        found = f"{what} has stretches of " + " and ".join(f"{rate} Hz with channels: {count}" for rate, count in forms)
        complain(complaints, "wrong_value", located.position, found, "one rate and one number of channels")
        return None
    if not _fits(sum(stretch.num_samples * stretch.channels for stretch in stretches), located, what, complaints):
        return None
    return partial(_joined, tuple(stretch.make for stretch in stretches))


def one_of(
    given: Fields, located: Located, what: str, keys: Sequence[str], expected: str, complaints: list[Complaint]
) -> str | None:
    """The one key of these that is there; several, or none, are a complaint."""
    present = [key for key in keys if given.get(key) is not None]
    if len(present) > 1:
        found = f"{what} has {' and '.join(repr(key) for key in present)}"
        complain(complaints, "unknown_key", located.keys[present[1]], found, "one of them")
    elif not present and all(given.lacks(key) for key in keys):
        complain(complaints, "missing_key", located.position, f"{what} says nothing of what it holds", expected)
    return present[0] if len(present) == 1 else None


def _fits(num_samples: int, located: Located, what: str, complaints: list[Complaint]) -> bool:
    """Whether so much may be made at once; else there is a complaint."""
    if num_samples > quantities.MAX_VALUES:
        found = f"{what} has {num_samples} samples"
        complain(complaints, "too_large", located.position, found, f"at most {quantities.MAX_VALUES}")
    return num_samples <= quantities.MAX_VALUES


class _StretchReader:
    def __init__(self, located: Located, what: str, folder: str, complaints: list[Complaint]) -> None:
        self._located = located
        self._what = what
        self._folder = folder
        self._complaints = complaints

    def read(self) -> _Stretch | None:
        if not isinstance(self._located.value, Mapping):
            found = f"{self._what} is {describe(self._located.value)}"
            complain(self._complaints, "wrong_type", self._located.position, found, _EXPECTED)
            return None
        known = len(self._complaints)
        allowed = (*SOURCES, *_OPTIONS)
        given = Fields(self._located, what=self._what, allowed=allowed, complaints=self._complaints)
        kind = one_of(given, self._located, self._what, tuple(SOURCES), _EXPECTED, self._complaints)
        if kind is None:
            return None
        self._refuse_options(given, kind)
        rate = given.read("rate", _rate) or _USUAL_RATE
        channels = given.read("channels", fields.integer(1)) or 1
        source = given.get(kind)
        if source is None or len(self._complaints) > known:
            return None
        if kind == "file":
            return self._file(source)
        if kind == "samples":
            return self._samples(source, rate)
        return self._made(given, kind, source, rate, channels)

    def _complain(self, code: str, located: Located, found: str, expected: str) -> None:
        complain(self._complaints, code, located.position, found, expected)

    def _refuse_options(self, given: Fields, kind: str) -> None:
        for option in _OPTIONS:
            if given.get(option) is not None and option not in SOURCES[kind]:
                found = f"{option!r} beside {kind!r} in {self._what}"
                expected = f"{' and '.join(SOURCES[kind]) or 'nothing'} beside it at most"
                complain(self._complaints, "unknown_key", self._located.keys[option], found, expected)

    def _file(self, source: Located) -> _Stretch | None:
        path = files.existing(source, self._folder, f"'file' in {self._what}", self._complaints)
        form = None if path is None else files.wav_form(path, source, self._complaints)
        return None if path is None or form is None else _Stretch(partial(files.read_wav, path), *form)

    def _samples(self, source: Located, rate: int) -> _Stretch | None:
        array = quantities.numbers(source, f"'samples' in {self._what}", self._complaints)
        if array is None:
            return None
        if array.ndim > 2:
            found = f"'samples' in {self._what} has {array.ndim} dimensions"
            self._complain("wrong_value", source, found, "one list, or one for each channel")
            return None
        samples = np.ascontiguousarray(np.atleast_2d(array), np.float32)
        return _Stretch(partial(_given, samples, rate), rate, *samples.shape)

    def _made(self, given: Fields, kind: str, source: Located, rate: int, channels: int) -> _Stretch | None:
        """Audio that is computed: a tone, noise, silence."""
        known = len(self._complaints)
        reader: fields.Reader[Any] = {"tone": quantities.frequency, "noise": fields.integer(0), "silence": fields.duration}[kind]
        value = fields.read(source, reader, what=repr(kind), complaints=self._complaints)
        seconds, decibels = given.read("duration", fields.duration), given.read("level", quantities.level)
        if len(self._complaints) > known or value is None:
            return None
        duration_s = value if kind == "silence" else 1.0 if seconds is None else seconds
        num_samples = round(duration_s * rate)
        if not _fits(num_samples * channels, self._located, self._what, self._complaints):
            return None
        if kind == "silence":
            return _Stretch(partial(_silence, num_samples, rate, channels), rate, channels, num_samples)
        mean = self._mean(kind, _USUAL_LEVEL if decibels is None else decibels, given.get("level") or self._located)
        if mean is None:
            return None
        if kind == "noise":
            return _Stretch(partial(_noise, value, mean, num_samples, rate, channels), rate, channels, num_samples)
        if not 0 < value < rate / 2:
            found = f"a tone of {value:g} Hz at a rate of {rate} Hz"
            self._complain("wrong_value", source, found, "more than 0, and less than half the rate")
            return None
        return _Stretch(partial(_tone, value, mean, num_samples, rate, channels), rate, channels, num_samples)

    def _mean(self, kind: str, decibels: float, located: Located) -> float | None:
        """The RMS of that level; None, and a complaint, when peaks would not fit into [-1, 1]."""
        loudest = -20 * math.log10(_PEAK_OVER_MEAN[kind])
        if decibels > loudest:
            found = f"a mean level of {decibels:g} dBFS, with which a {kind} does not fit into [-1, 1]"
            self._complain("wrong_value", located, found, f"at most {math.floor(loudest * 100) / 100:g}dBFS")
            return None
        return float(10 ** (decibels / 20))


def _rate(value: object) -> int:
    expected = f"a rate in Hz, from 1 to {_MAX_RATE}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise fields.MismatchError(expected)
    if not 1 <= value <= _MAX_RATE:
        raise fields.MismatchError(expected, code="wrong_value")
    return value


def _tone(frequency: float, mean: float, num_samples: int, rate: int, channels: int) -> AudioChunk:
    phase = np.arange(num_samples) * (2 * math.pi * frequency / rate)
    wave = (mean * math.sqrt(2) * np.sin(phase)).astype(np.float32)
    return AudioChunk(np.tile(wave, (channels, 1)), rate)


def _noise(seed: int, mean: float, num_samples: int, rate: int, channels: int) -> AudioChunk:
    uniform = np.random.default_rng(seed).random((channels, num_samples), np.float32)
    return AudioChunk((uniform * 2 - 1) * np.float32(mean * math.sqrt(3)), rate)


def _silence(num_samples: int, rate: int, channels: int) -> AudioChunk:
    return AudioChunk(np.zeros((channels, num_samples), np.float32), rate)


def _given(samples: NDArray[np.float32], rate: int) -> AudioChunk:
    return AudioChunk(samples.copy(), rate)


def _joined(makes: tuple[Make, ...]) -> AudioChunk:
    chunks: list[AudioChunk] = [make() for make in makes]
    return AudioChunk(np.ascontiguousarray(np.concatenate([chunk.samples for chunk in chunks], axis=1)), chunks[0].sample_rate)
