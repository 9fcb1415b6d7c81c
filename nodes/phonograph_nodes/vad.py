"""Speech detection by signal level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph.audio import Segment
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.kernels import _energy
from phonograph_nodes.validation import mono_samples, non_finite

DEFAULT_THRESHOLD = 0.02
"""Linear RMS, where 1 is full scale: -34 dBFS."""

_LOWEST_DB = -120.0
_LOWEST_POWER = 1e-12  # what -120 dB is as a power

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class VadFrames:
    """Level and decision for each analysis frame; frame i begins at sample `i * frame_length`.

    Args:
        rms: float32, shape (num_frames,), linear, 0 to 1 for samples in [-1, 1].
        speech: bool, shape (num_frames,), after all smoothing.
        frame_length: samples; the last frame may hold fewer.
    """

    rms: NDArray[np.float32]
    speech: Flags
    frame_length: int


@dataclass(frozen=True, slots=True, eq=False)
class EnergyVad:
    """What `energy_vad` found.

    Args:
        frames: level and decision for each frame.
        segments: the runs of speech frames, in order of time.
        speech_ratio: samples in segments over all samples, 0 to 1; 0 for empty audio.
    """

    frames: VadFrames
    segments: tuple[Segment, ...]
    speech_ratio: float


@dataclass(frozen=True, slots=True)
class _Smoothing:
    """Durations in whole frames."""

    min_silence: int
    min_speech: int
    hangover: int


def energy_vad(
    samples: NDArray[Any],
    *,
    sample_rate: int = 16_000,
    frame_ms: float = 30.0,
    threshold: float | None = None,
    threshold_db: float | None = None,
    min_silence_ms: float = 0.0,
    min_speech_ms: float = 0.0,
    hangover_ms: float = 0.0,
) -> EnergyVad:
    """Find the stretches of audio whose level reaches a threshold.

    A frame is speech when its RMS is at least the threshold. Then, in this order: silences between speech that are shorter
    than `min_silence_ms` become speech; speech shorter than `min_speech_ms` becomes silence; each stretch that is left is
    prolonged by `hangover_ms`. These durations are rounded up to whole frames of so many samples as a frame really has, and at 0
    the step does nothing.

    Args:
        samples: float32 in [-1, 1], shape (num_samples,) or (1, num_samples). All of it is judged: the last frame may be short.
        sample_rate: Hz.
        frame_ms: length of a frame, 1 to 1000; longer frames blur the edges of segments, shorter ones follow the pitch.
        threshold: linear RMS above 0, at most 1; 0.02 when neither threshold is given.
        threshold_db: the same in dBFS, -120 to 0, instead of `threshold`.

    Returns:
        Frames, segments and speech ratio. A segment's `energy_db` is its mean power in dBFS, at least -120. Its `confidence` is
        P / (P + threshold^2) for mean power P: 0.5 at the threshold, 0.91 at 10 dB above it, growing with the energy.

    Raises:
        AudioFormatError: wrong dtype or shape, a rate that is not positive, NaN or infinity.
        ValueError: a parameter outside its range, or both thresholds.
    """
    level = _linear_threshold(threshold, threshold_db)
    _check_durations(frame_ms, min_silence_ms, min_speech_ms, hangover_ms)
    if sample_rate <= 0:
        raise AudioFormatError(f"sample_rate is {sample_rate} Hz; expected a positive number")
    signal = mono_samples(samples)
    length = max(1, round(sample_rate * frame_ms / 1000.0))
    num_frames = -(-signal.size // length)
    energy = np.empty(num_frames)
    if not _energy.stretch_energy(signal, length, energy):
        raise non_finite(signal)
    edges = np.minimum(np.arange(num_frames + 1) * length, signal.size)
    rms = np.sqrt(energy / np.diff(edges)).astype(np.float32)
    counts = (_whole_frames(duration, sample_rate, length) for duration in (min_silence_ms, min_speech_ms, hangover_ms))
    runs = _smoothed(_runs(rms >= np.float32(level)), num_frames, _Smoothing(*counts))
    speech = np.zeros(num_frames, np.bool_)
    segments = []
    for first, last in runs:
        speech[first:last] = True
        start, end = int(edges[first]), int(edges[last])
        power = float(energy[first:last].sum()) / (end - start)
        segments.append(_segment(start, end, sample_rate, power, level * level))
    spoken = sum(int(edges[last] - edges[first]) for first, last in runs)
    return EnergyVad(VadFrames(rms, speech, length), tuple(segments), spoken / signal.size if signal.size else 0.0)


class EnergyVadParams(Params, frozen=True):
    frame_ms: Annotated[float, msgspec.Meta(ge=1, le=1000, description="length of a frame", extra={"unit": "ms"})] = 30.0
    threshold: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=1)] | None,
        msgspec.Meta(description="linear RMS from which a frame is speech; 0.02 when absent"),
    ] = None
    threshold_db: Annotated[
        Annotated[float, msgspec.Meta(ge=-120, le=0)] | None,
        msgspec.Meta(description="the same as a level, instead of threshold", extra={"unit": "dBFS"}),
    ] = None
    min_silence_ms: Annotated[
        float, msgspec.Meta(ge=0, description="shorter silences within speech count as speech", extra={"unit": "ms"})
    ] = 0.0
    min_speech_ms: Annotated[float, msgspec.Meta(ge=0, description="shorter speech is dropped", extra={"unit": "ms"})] = 0.0
    hangover_ms: Annotated[
        float, msgspec.Meta(ge=0, description="how long speech goes on after its last loud frame", extra={"unit": "ms"})
    ] = 0.0

    def __post_init__(self) -> None:
        _linear_threshold(self.threshold, self.threshold_db)


@node(
    "vad.energy",
    inputs={"audio": "audio[rate=r, channels=1]"},
    outputs={"audio": "audio[rate=r, channels=1]", "segments": "segments", "frames": "features[bins=1]"},
    sees_native_memory=True,
    attributes={"speech_ratio": "float", "num_segments": "int"},
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          vad: {type: vad.energy, input: mono, params: {threshold_db: -34, min_silence_ms: 200}}
          rows: {type: sink.jsonl, input: vad.segments, params: {path: out/segments.jsonl}}
        """,
)
class EnergyVadNode(Node[EnergyVadParams]):
    """Find the stretches of audio whose level reaches a threshold.

    Hands the audio on unchanged, with the attributes `speech_ratio` and `num_segments`; gives the segments, and as `frames`
    the RMS of each frame as float32 of shape (num_frames, 1). For speech only, see `segment.cut`.
    """

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        found = energy_vad(chunk.samples, sample_rate=chunk.sample_rate, **msgspec.structs.asdict(self.params))
        return item.with_payload(
            {"audio": chunk, "segments": found.segments, "frames": found.frames.rms[:, np.newaxis]},
            {"speech_ratio": found.speech_ratio, "num_segments": len(found.segments)},
        )


def _linear_threshold(threshold: float | None, threshold_db: float | None) -> float:
    if threshold is not None and threshold_db is not None:
        raise ValueError(f"threshold is {threshold} and threshold_db is {threshold_db}; expected one of them, not both")
    if threshold_db is not None:
        if not _LOWEST_DB <= threshold_db <= 0.0:
            raise ValueError(f"threshold_db is {threshold_db}; expected -120 to 0 dBFS")
        return float(10.0 ** (threshold_db / 20.0))
    if threshold is None:
        return DEFAULT_THRESHOLD
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; expected a linear RMS above 0, at most 1 (levels in dB: threshold_db)")
    return threshold


def _check_durations(frame_ms: float, min_silence_ms: float, min_speech_ms: float, hangover_ms: float) -> None:
    if not 1.0 <= frame_ms <= 1000.0:
        raise ValueError(f"frame_ms is {frame_ms}; expected 1 to 1000 ms")
    durations = {"min_silence_ms": min_silence_ms, "min_speech_ms": min_speech_ms, "hangover_ms": hangover_ms}
    for name, value in durations.items():
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; expected 0 ms or more")


def _whole_frames(duration_ms: float, sample_rate: int, frame_length: int) -> int:
    """Frames that last at least so long; exact for the decimal number that was written, so that 0.3 ms is 3 times 0.1 ms."""
    num_samples = Fraction(repr(float(duration_ms))) * int(sample_rate) / 1000
    return math.ceil(num_samples / frame_length)


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Half-open ranges of frames over which `flags` is true."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]


def _smoothed(runs: list[tuple[int, int]], num_frames: int, smoothing: _Smoothing) -> list[tuple[int, int]]:
    runs = _joined(runs, smoothing.min_silence)
    runs = [(first, last) for first, last in runs if last - first >= smoothing.min_speech]
    return _joined([(first, min(last + smoothing.hangover, num_frames)) for first, last in runs], 1)


def _joined(runs: list[tuple[int, int]], min_gap: int) -> list[tuple[int, int]]:
    """The runs, those with fewer than `min_gap` frames between them made one."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] < min_gap:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _segment(start: int, end: int, sample_rate: int, power: float, threshold_power: float) -> Segment:
    return Segment(
        start_ms=start * 1000.0 / sample_rate,
        end_ms=end * 1000.0 / sample_rate,
        energy_db=10.0 * math.log10(max(power, _LOWEST_POWER)),
        confidence=power / (power + threshold_power),
    )
