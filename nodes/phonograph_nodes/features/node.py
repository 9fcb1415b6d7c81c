"""The node features.log_mel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import get_args

import numpy as np

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Port, PortType, Streaming, node
from phonograph.streaming import Piece, StreamingNode, Stretch
from phonograph_nodes.features.levels import Features
from phonograph_nodes.features.log_mel import LogMel
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.params import LogMelParams
from phonograph_nodes.features.stream import LogMelStream

# A type has one declaration, so the most demanding of its front ends decides; `_streaming` tells that of a node.
_STREAMING: Streaming = max((front_end.streaming for front_end in FRONT_ENDS.values()), key=get_args(Streaming).index)


def _ports(params: LogMelParams, connected: tuple[str, ...]) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Audio at the front end's rate; features with its number of columns, which is their last axis unless bins come first."""
    front_end = params.options.front_end
    bins = "" if params.bins_first else f"[bins={front_end.num_columns}]"
    audio, features = f"audio[rate={front_end.sample_rate}, channels=1]", f"features{bins}"
    return (Port("audio", PortType.parse(audio)),), (Port("features", PortType.parse(features)),)


def _streaming(params: LogMelParams) -> Streaming:
    """That of the front end; rows that stand side by side cannot be joined to others, so they come at the end."""
    streaming = params.options.front_end.streaming
    return "post-normalised" if params.bins_first and streaming == "causal" else streaming


@node(
    "features.log_mel",
    inputs={"audio": "audio[channels=1]"},
    outputs={"features": "features"},
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    streaming=_STREAMING,
    streaming_of=_streaming,
    latency_samples=None,
    sees_native_memory=True,
    attributes={"num_rows": "int", "num_non_finite": "int"},
    version=2,
    example="""
        steps:
          - {type: source.files, params: {paths: samples}}
          - {type: audio.decode}
          - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
          - {type: features.log_mel, params: {frontend: whisper, n_mels: 128}}
          - {type: sink.npy, params: {path: out}}
        """,
)
class LogMelNode(StreamingNode[LogMelParams]):
    """Compute the log-mel features that a model was trained on.

    Takes mono audio at the front end's rate: 22050 Hz for `librosa`, 44100 Hz for `speaker-mfcc`, 16000 Hz for the others. Gives
    float32 of shape (rows, bins), a row every `hop_length` samples, 10 ms by default. A clip that is too short for a window
    gives no row; `flow.filter` with `attributes.num_rows > 0` leaves it out.

    `frontend` names the whole recipe. Every other constant is its own unless a parameter replaces it: `{frontend: kaldi,
    placement: covering}` is Kaldi's without snipped edges, `{frontend: nemo, placement: centred, edges: reflect}` what older
    NeMo did, `{frontend: librosa, sample_rate: 16000, fft_length: 512, ...}` a recipe of one's own. Levels that are normalised
    `per_bin`, or cut off at a `range_below_peak`, need the whole clip before the first row is known; with
    `normalize_signal` not even a level is.

    Sets the attributes `num_rows`, and with `non_finite: zero` `num_non_finite`, the number of samples that counted as 0.

    In a stream, front ends without such statistics give rows as soon as their samples are there, the others all at the end, and
    `bins_first` too. An item's `start_sample` is the number of its first row in the stretch times the hop.
    """

    def open(self) -> None:
        self.log_mel = _log_mel(self.params)

    def whole(self, item: Item) -> Item:
        try:
            features, described = self.analysed(item.audio)
        except AudioFormatError as error:
            if "path" not in item.attributes:
                raise
            raise AudioFormatError(f"{item.attributes['path']}: {error}") from error
        return item.with_payload({"features": features}, described)

    def stretch(self, item: Item) -> Stretch:
        return _Analysed(self, item)

    def analysed(self, chunk: AudioChunk) -> tuple[Features, dict[str, int]]:
        """The rows of audio in one piece, and their attributes."""
        features, num_non_finite = self.log_mel.counted(chunk.samples, sample_rate=chunk.sample_rate)
        return features, _described(features, num_non_finite, self.params)


class _Analysed(Stretch):
    """The rows of a stretch of audio."""

    def __init__(self, node: LogMelNode, item: Item) -> None:
        self._node, self._params, self._start = node, node.params, item.start_sample
        self._is_empty = True
        params = node.params
        self._stream = LogMelStream(
            params.frontend,
            n_mels=params.n_mels,
            pad_to_s=params.pad_to_s,
            bins_first=params.bins_first,
            non_finite=params.non_finite,
            **params.overrides,
        )
        front_end = self._stream.front_end
        self._samples_per_row = front_end.hop_length * front_end.stack
        self._num_given: int | None = None

    def push(self, item: Item) -> Sequence[Piece]:
        self._is_empty = self._is_empty and not item.audio.num_samples
        num_ready = self._stream.push(item.audio.samples, sample_rate=item.audio.sample_rate)
        return self._given() if num_ready and not self._params.bins_first else ()

    def end(self) -> Sequence[Piece]:
        if self._is_empty:  # which some front ends refuse
            nothing = AudioChunk(np.empty((1, 0), np.float32), self._stream.front_end.sample_rate)
            rows, described = self._node.analysed(nothing)
            return (Piece({"features": rows}, self._start, described),)
        return self._given() if self._stream.flush() or self._num_given is None else ()

    def _given(self) -> Sequence[Piece]:
        rows = self._stream.pop()
        described = _described(rows, self._stream.num_non_finite, self._params)
        number = self._num_given or 0
        self._num_given = number + described["num_rows"]
        return (Piece({"features": rows}, self._start + number * self._samples_per_row, described),)


def _described(features: Features, num_non_finite: int, params: LogMelParams) -> dict[str, int]:
    """The attributes of rows."""
    attributes = {"num_rows": features.shape[1 if params.bins_first else 0]}
    if params.non_finite == "zero":
        attributes["num_non_finite"] = num_non_finite
    return attributes


@functools.lru_cache(maxsize=32)
def _log_mel(params: LogMelParams) -> LogMel:
    """One for all workers."""
    return LogMel(
        params.frontend,
        n_mels=params.n_mels,
        pad_to_s=params.pad_to_s,
        bins_first=params.bins_first,
        non_finite=params.non_finite,
        **params.overrides,
    )
