"""Speech detection by a neural network: Silero VAD, run by ONNX Runtime."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phonograph import cancellation
from phonograph.audio import Segment
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph_nodes.vad.found import LOWEST_RMS
from phonograph_nodes.vad.settings import LONGEST_MS
from phonograph_nodes.validation import Samples, mono_samples, refuse_non_finite

FRAME_LENGTHS: Mapping[int, int] = MappingProxyType({8_000: 256, 16_000: 512})
"""Sample rates that the model knows, and the samples of a frame at each: 32 ms."""

HYSTERESIS = 0.15
"""Speech ends where the probability falls so far below the threshold; the model's authors recommend it."""
_LEAST_THRESHOLD = 0.01
"""At or above it speech goes on however low the threshold is; below, it ends."""

_CONTEXT_PART = 8  # the model also sees the last 1/8 of the frame before
_STATE_SHAPE = (2, 1, 128)

_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"  # without it, importing onnxruntime opens a store of events that it sends to its maker

Runs = list[tuple[int, int]]


class SileroVadParams(Params, frozen=True):
    threshold: Annotated[float, msgspec.Meta(gt=0, lt=1, description="probability from which a frame is speech")] = 0.5
    min_speech_ms: Annotated[
        float, msgspec.Meta(ge=0, le=LONGEST_MS, description="shorter speech is dropped", extra={"unit": "ms"})
    ] = 250.0
    min_silence_ms: Annotated[
        float,
        msgspec.Meta(ge=0, le=LONGEST_MS, description="shorter silences within speech count as speech", extra={"unit": "ms"}),
    ] = 100.0
    pad_ms: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=LONGEST_MS, description="audio that segments get before and after their speech", extra={"unit": "ms"}
        ),
    ] = 30.0


@node(
    "vad.silero",
    inputs={"audio": "audio[rate=r, channels=1]"},
    outputs={"audio": "audio[rate=r, channels=1]", "segments": "segments", "frames": "features[bins=1]"},
    attributes={"speech_ratio": "float", "num_segments": "int"},
    example="""
        nodes:
          clips: {type: source.files, params: {paths: samples}}
          audio: {type: audio.decode, input: clips}
          mono: {type: audio.resample, input: audio, params: {sample_rate: 16000, channels: 1}}
          vad: {type: vad.silero, input: mono}
          rows: {type: sink.jsonl, input: vad.segments, params: {path: out/segments.jsonl}}
        """,
)
class SileroVadNode(Node[SileroVadParams]):
    """Find speech with the neural network Silero VAD, which tells voices from other sounds.

    For audio in which noise is about as loud as speech; where it is not, `vad.energy` finds the same in a thousandth of the time.
    Takes mono audio at 16000 or 8000 Hz, and needs the extra `silero`: pip install 'phonograph[silero]'.

    Hands the audio on unchanged, with the attributes `speech_ratio` and `num_segments`; gives the segments, and as `frames` the
    probability of speech in each 32 ms as float32 of shape (num_frames, 1). Speech begins where that reaches `threshold` and
    ends where it falls 0.15 below, or below 0.01. A segment's `energy_db` is the mean power of its speech in dBFS, its
    `confidence` the mean probability of its frames.
    """

    def open(self) -> None:
        self.model = load_model()

    def process(self, item: Item, state: None) -> Item:
        chunk, params = item.audio, self.params
        signal, rate = mono_samples(chunk.samples), chunk.sample_rate
        probabilities = speech_probabilities(self.model, signal, rate)
        min_silence, min_speech, pad = (ms * rate / 1000.0 for ms in (params.min_silence_ms, params.min_speech_ms, params.pad_ms))
        speech = speech_runs(probabilities, FRAME_LENGTHS[rate], params.threshold, min_silence, min_speech, signal.size)
        groups = _padded_together(speech, 2 * pad)
        segments = tuple(_segment(signal, probabilities, runs, rate, params.pad_ms) for runs in groups)
        spoken = sum(end - start for start, end in speech)
        return item.with_payload(
            {"audio": chunk, "segments": segments, "frames": probabilities[:, np.newaxis]},
            {"speech_ratio": spoken / signal.size if signal.size else 0.0, "num_segments": len(segments)},
        )


@functools.cache
def load_model() -> Any:
    """The model of the package silero-vad in an ONNX Runtime session of one thread; the same for all who ask.

    The package itself is not imported: it would import PyTorch, which the model does not need.

    Raises:
        ModuleNotFoundError: onnxruntime or silero-vad is not installed.
    """
    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("onnxruntime") is None:
        missing = "onnxruntime" if found else "silero-vad"
        raise ModuleNotFoundError(
            f"vad.silero needs {missing}, which is not installed: pip install 'phonograph[silero]'", name=missing
        )
    os.environ.setdefault(_NO_TELEMETRY, "1")
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; what it says of the model's own tables helps nobody
    path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def speech_probabilities(model: Any, signal: Samples, sample_rate: int) -> NDArray[np.float32]:
    """The probability of speech in each frame of FRAME_LENGTHS[sample_rate] samples, the last one filled up with silence.

    Raises:
        AudioFormatError: a rate that the model does not know; NaN or infinity.
    """
    if sample_rate not in FRAME_LENGTHS:
        raise AudioFormatError(
            f"audio is at {sample_rate} Hz; expected 16000 or 8000 Hz for vad.silero (audio.resample, sample_rate: 16000)"
        )
    refuse_non_finite(signal)
    length = FRAME_LENGTHS[sample_rate]
    context = length // _CONTEXT_PART
    num_frames = -(-signal.size // length)
    padded = np.zeros(context + num_frames * length, np.float32)
    padded[context : context + signal.size] = signal
    probabilities = np.empty(num_frames, np.float32)
    state, rate = np.zeros(_STATE_SHAPE, np.float32), np.array(sample_rate, np.int64)
    token = cancellation.current()
    for frame in range(num_frames):
        token.raise_if_cancelled()
        seen = padded[frame * length : (frame + 1) * length + context]
        found, state = model.run(None, {"input": seen[np.newaxis], "state": state, "sr": rate})
        probabilities[frame] = found[0, 0]
    return probabilities


def speech_runs(
    probabilities: NDArray[np.float32],
    frame_length: int,
    threshold: float,
    min_silence: float,
    min_speech: float,
    num_samples: int,
) -> Runs:
    """Half-open ranges of samples that are speech: hysteresis, then short silences filled, then short speech dropped."""
    runs: Runs = []
    speaking = False
    for frame, probability in enumerate(probabilities.tolist()):
        speaking = probability >= (max(threshold - HYSTERESIS, _LEAST_THRESHOLD) if speaking else threshold)
        if not speaking:
            continue
        start, end = frame * frame_length, min((frame + 1) * frame_length, num_samples)
        if runs and (start == runs[-1][1] or start - runs[-1][1] < min_silence):
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return [(start, end) for start, end in runs if end - start >= min_speech]


def _padded_together(speech: Runs, reach: float) -> list[Runs]:
    """The runs in groups that padding joins: no more than `reach` samples lie between two of a group."""
    groups: list[Runs] = []
    for run in speech:
        if groups and run[0] - groups[-1][-1][1] <= reach:
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


def _segment(signal: Samples, probabilities: NDArray[np.float32], runs: Runs, sample_rate: int, pad_ms: float) -> Segment:
    length, num_samples = FRAME_LENGTHS[sample_rate], sum(end - start for start, end in runs)
    power = sum(float(np.square(signal[start:end], dtype=np.float64).sum()) for start, end in runs) / num_samples
    frames = np.concatenate([probabilities[start // length : -(-end // length)] for start, end in runs])
    return Segment(
        start_ms=max(runs[0][0] * 1000.0 / sample_rate - pad_ms, 0.0),
        end_ms=min(runs[-1][1] * 1000.0 / sample_rate + pad_ms, signal.size * 1000.0 / sample_rate),
        energy_db=10.0 * math.log10(max(power, LOWEST_RMS**2)),
        confidence=float(frames.mean(dtype=np.float64)),
    )
