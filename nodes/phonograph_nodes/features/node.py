"""The node features.log_mel."""

from __future__ import annotations

import functools
from typing import get_args

from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph.node import Node, Port, PortType, Streaming, node
from phonograph_nodes.features.log_mel import LogMel
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.params import LogMelParams

# A type has one declaration, so the most demanding of its front ends decides.
_STREAMING: Streaming = max((front_end.streaming for front_end in FRONT_ENDS.values()), key=get_args(Streaming).index)


def _ports(params: LogMelParams, connected: tuple[str, ...]) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Audio at the front end's rate; features with its number of columns, which is their last axis unless bins come first."""
    front_end = params.options.front_end
    bins = "" if params.bins_first else f"[bins={front_end.num_columns}]"
    audio, features = f"audio[rate={front_end.sample_rate}, channels=1]", f"features{bins}"
    return (Port("audio", PortType.parse(audio)),), (Port("features", PortType.parse(features)),)


@node(
    "features.log_mel",
    inputs={"audio": "audio[channels=1]"},
    outputs={"features": "features"},
    ports_of=_ports,  # type: ignore[arg-type]  # is called with this type's own parameters
    streaming=_STREAMING,
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
class LogMelNode(Node[LogMelParams]):
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
    """

    def open(self) -> None:
        self.log_mel = _log_mel(self.params)

    def process(self, item: Item, state: None) -> Item:
        chunk = item.audio
        try:
            features, num_non_finite = self.log_mel.counted(chunk.samples, sample_rate=chunk.sample_rate)
        except AudioFormatError as error:
            if "path" not in item.attributes:
                raise
            raise AudioFormatError(f"{item.attributes['path']}: {error}") from error
        attributes = {"num_rows": features.shape[1 if self.params.bins_first else 0]}
        if self.params.non_finite == "zero":
            attributes["num_non_finite"] = num_non_finite
        return item.with_payload({"features": features}, attributes)


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
