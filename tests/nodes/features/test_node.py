"""Tests of the node features.log_mel."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest

from front_end_cases import CASES
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.executor import Executor
from phonograph.item import NO_ATTRIBUTES, Item
from phonograph.language.manifest import load_manifest
from phonograph_nodes import LogMel, convert, log_mel
from phonograph_nodes.features import FRONT_ENDS, FrontEnd, LogMelNode, LogMelParams
from reference.features.signals import Samples, noise

ROWS = """
version: 1
name: rows
steps:
  - {type: source.files, params: {paths: .}}
  - {type: audio.decode}
  - {type: audio.resample, params: {sample_rate: 16000, channels: 1}}
  - {type: features.log_mel, params: {frontend: kaldi}}
  - {type: flow.filter, params: {keep: attributes.num_rows > 0}}
  - {type: sink.npy, params: {path: out}}
"""


def processed(samples: Samples, rate: int, /, *, attributes: Mapping[str, Any] = NO_ATTRIBUTES, **params: Any) -> Item:
    node = LogMelNode(msgspec.convert(params, LogMelParams), "mel")
    node.open()
    item = Item(
        key="a/b",
        ordinal=0,
        payload={"audio": AudioChunk(samples[np.newaxis], rate)},
        attributes=MappingProxyType({"text": "x", **attributes}),
    )
    return node.whole(item)


@pytest.mark.parametrize("name", CASES)
def test_node_gives_the_features_of_its_audio(name: str) -> None:
    """The node gives what the function gives and keeps the item's attributes."""
    arguments = CASES[name].arguments
    result = processed(noise(4000), FRONT_ENDS[arguments["frontend"]].sample_rate, **arguments)
    assert np.array_equal(result.payload["features"], log_mel(noise(4000), **arguments))
    assert result.attributes == {"text": "x", "num_rows": len(result.payload["features"])}


def test_node_counts_rows() -> None:
    """An attribute says how many rows there are in either layout, 0 for a clip that is too short."""
    assert processed(noise(4000), 16_000, frontend="kaldi", bins_first=True).attributes["num_rows"] == 23
    assert processed(noise(399), 16_000, frontend="kaldi").attributes["num_rows"] == 0


def test_clips_without_a_row_can_be_filtered_out(tmp_path: Path) -> None:
    """Of a long and a short one, one is stored and one ends as filtered."""
    for name, length in (("long", 4000), ("short", 399)):
        pcm = convert(noise(length) * np.float32(0.1), dtype="i16")
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(pcm.tobytes())
    (tmp_path / "rows.yaml").write_text(ROWS, "utf-8")
    report = Executor(load_manifest(tmp_path / "rows.yaml"), run_dir=tmp_path / "run").run()
    assert (report.status, report.records.completed, report.records.filtered) == ("success", 1, 1)


def test_error_names_the_file_of_an_item_that_has_one() -> None:
    """As those of audio.decode do; the path is an attribute that it set."""
    with pytest.raises(AudioFormatError, match=r"^/clips/a\.wav: sample_rate is 8000 Hz"):
        processed(noise(4000), 8000, attributes={"path": "/clips/a.wav"})


def test_node_counts_the_samples_that_it_takes_for_zero() -> None:
    """With non_finite: zero, an attribute says how many samples were not finite; otherwise they are refused."""
    dirty = noise(4000)
    dirty[[7, 8]] = np.nan, np.inf
    assert processed(dirty, 16_000, frontend="kaldi", non_finite="zero").attributes["num_non_finite"] == 2
    assert processed(noise(4000), 16_000, frontend="kaldi", non_finite="zero").attributes["num_non_finite"] == 0
    with pytest.raises(AudioFormatError, match="sample 7 is nan"):
        processed(dirty, 16_000, frontend="kaldi")


def ports(**params: Any) -> tuple[list[str], list[str]]:
    ports_of = LogMelNode.spec.ports_of
    assert ports_of is not None
    inputs, outputs = ports_of(msgspec.convert(params, LogMelParams), ())
    return [str(port.type) for port in inputs], [str(port.type) for port in outputs]


@pytest.mark.parametrize(
    ("params", "audio", "features"),
    [
        ({}, "audio[rate=16000, channels=1]", "features[bins=80]"),
        ({"frontend": "whisper", "n_mels": 128}, "audio[rate=16000, channels=1]", "features[bins=128]"),
        ({"frontend": "librosa"}, "audio[rate=22050, channels=1]", "features[bins=128]"),
        ({"frontend": "librosa", "sample_rate": 8000}, "audio[rate=8000, channels=1]", "features[bins=128]"),
        ({"frontend": "speaker-mfcc"}, "audio[rate=44100, channels=1]", "features[bins=60]"),
        ({"frontend": "w2v-bert"}, "audio[rate=16000, channels=1]", "features[bins=160]"),
        ({"frontend": "nemo", "bins_first": True}, "audio[rate=16000, channels=1]", "features"),
    ],
)
def test_ports_follow_the_front_end(params: dict[str, Any], audio: str, features: str) -> None:
    """Audio of the wrong rate or channel count can be refused, or converted, before a run."""
    assert ports(**params) == ([audio], [features])


def test_node_is_as_streaming_as_its_most_demanding_front_end() -> None:
    """Squeezeformer needs the whole signal, so the type is declared so."""
    assert FRONT_ENDS["squeezeformer"].streaming == LogMelNode.spec.streaming == "whole"


def test_every_constant_is_a_parameter() -> None:
    """What a front end is made of can be replaced in a manifest, under the same name; bins are called n_mels."""
    constants = {name for name in FrontEnd.__dataclass_fields__ if name != "num_mel_bins"}
    assert constants | {"frontend", "n_mels", "pad_to_s", "bins_first", "non_finite"} == set(LogMelParams.__struct_fields__)


CHANGES: dict[str, Any] = {
    "scale": 2.0,
    "normalize_signal": True,
    "quantise": True,
    "dither": 1e-3,
    "preemphasis": 0.5,
    "min_samples": 10_000,
    "window_length": 320,
    "hop_length": 100,
    "fft_length": 1024,
    "window": "blackman",
    "placement": "inside",
    "edges": "zero",
    "remove_mean": True,
    "power": 1,
    "mel_scale": "slaney",
    "low_hz": 60.0,
    "high_hz": 7000.0,
    "straight_in_mel": True,
    "mel_area": True,
    "log": "log10",
    "floor": 0.1,
    "add_floor": True,
    "range_below_peak": 1.0,
    "shift": 1.0,
    "gain": 2.0,
    "num_cepstra": 13,
    "normalisation": "per_row",
    "stack": 2,
    "pad_rows_to": 16,
}
TOGETHER: dict[str, dict[str, Any]] = {
    "sample_rate": {"sample_rate": 12_000, "hop_length": 120},
    "dither_seed": {"dither": 1e-3, "dither_seed": 5},
    "preemphasis_in": {"preemphasis": 0.5, "preemphasis_in": "window"},
    "deltas": {"num_cepstra": 13, "deltas": True},
    "unbiased": {"normalisation": "per_bin", "unbiased": True},
    "deviation_floor_in": {"normalisation": "per_bin", "deviation_floor": 0.5, "deviation_floor_in": "add"},
    "deviation_floor": {"normalisation": "per_bin", "deviation_floor": 5.0},
    "padding_value": {"stack": 2, "padding_value": 1.0},
}


@pytest.mark.parametrize("name", [*CHANGES, *TOGETHER])
def test_every_parameter_changes_something(name: str) -> None:
    """No parameter is without effect on the features or on what audio is taken."""
    params = TOGETHER.get(name) or {name: CHANGES[name]}
    without = {other: value for other, value in params.items() if other != name}
    samples = noise(4200)
    changed = LogMel("zipformer", **params)
    features, before = changed(samples), LogMel("zipformer", **without)(samples)
    assert features.shape != before.shape or (features != before).any() or changed.front_end.sample_rate != 16_000
    via_node = processed(samples, changed.front_end.sample_rate, frontend="zipformer", **params).payload["features"]
    assert np.array_equal(via_node, features)


def test_the_changes_are_of_every_constant() -> None:
    """A constant that is added to a front end is held against what it changes, too."""
    assert {*CHANGES, *TOGETHER} == set(FrontEnd.__dataclass_fields__) - {"num_mel_bins"}


@pytest.mark.parametrize(
    "params",
    [
        {"frontend": "mfcc"},
        {"frontend": "nemo", "pad_to_s": 30.0},
        {"frontend": "whisper", "pad_to_s": 0.0},
        {"frontend": "w2v-bert", "bins_first": True},
        {"window_length": 401},
        {"window_length": 0},
        {"hop_length": 0},
        {"fft_length": 1.5},
        {"window": "triangle"},
        {"power": 3},
        {"preemphasis": 1.0},
        {"floor": 0.0},
        {"high_hz": 8001.0},
        {"low_hz": 5000.0, "high_hz": 4000.0},
        {"n_mels": 0},
        {"num_cepstra": 81},
        {"frontend": "zipformer", "deltas": True},
        {"normalisation": "per_bin", "range_below_peak": 8.0},
        {"scale": 2.0},
        {"non_finite": "ignore"},
        {"hop": 160},
    ],
    ids=str,
)
def test_parameters_that_the_function_refuses_are_refused_by_the_manifest(params: dict[str, Any]) -> None:
    """A manifest with wrong or contradicting parameters does not start to run."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, LogMelParams)


def test_zero_range_below_the_peak_is_off() -> None:
    """Null is the front end's own value, so 0 takes Whisper's lift away."""
    result = processed(noise(4000), 16_000, frontend="whisper", range_below_peak=0)
    assert np.array_equal(result.payload["features"], log_mel(noise(4000), frontend="whisper", range_below_peak=None))
