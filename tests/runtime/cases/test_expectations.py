"""Expectations: each kind holds for what it describes, and for nothing else."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.audio import AudioChunk, Segment
from phonograph.cases.arrays import ARRAY_FACTS, AUDIO_FACTS
from phonograph.cases.comparison import ABSENT, Difference
from phonograph.cases.expectations import BYTES_KEYS, SCALAR_KEYS, VALUES_KEYS, ExpectationReader
from phonograph.cases.payloads import SEGMENT_KEYS
from phonograph.errors import Complaint
from phonograph.language.yaml12 import load


def float32(values: Any) -> NDArray[np.float32]:
    return np.array(values, np.float32)


TONE = AudioChunk(np.tile(float32([0.5, -0.5]), (1, 4000)), 8000)  # 1 s; a square wave, so its level is that of its peaks
STEREO = AudioChunk(float32([[0, 0.25], [1, -1]]), 16000)
MEL = float32([[0.1, 0.2, 0.3], [1, 2, 3]])
SPEECH = (Segment(0.0, 500.0, -20.0, 1.0), Segment(600.0, 900.5, -30.0, 0.5))
ROW = {"text": "two words", "n": 3, "ok": True, "none": None, "list": [1, 2.5, "x"], "deep": {"a": {"b": 1}}}

# (family, what came, an expectation that it meets, one that it does not)
PAIRS: tuple[tuple[str, Any, str, str], ...] = (
    ("record", ROW, "{n: 3.0}", "{n: 3.5}"),
    ("record", ROW, "{n: 3}", "{n: '3'}"),
    ("record", ROW, "{ok: true}", "{ok: 1}"),
    ("record", ROW, "{none: null}", "{none: 0}"),
    ("record", ROW, "{}", "[]"),
    ("record", ROW, "{text: two words}", "{text: two}"),
    ("record", ROW, "{n: {near: 3.1, within: 0.1}}", "{n: {near: 3.1, within: 0.09}}"),
    ("record", ROW, "{n: {min: 3}}", "{n: {min: 3.1}}"),
    ("record", ROW, "{n: {max: 3}}", "{n: {max: 2.9}}"),
    ("record", ROW, "{n: {min: 1, max: 5}}", "{n: {min: 1, max: 2}}"),
    ("record", ROW, "{text: {matches: 'w.rd'}}", "{text: {matches: '^w.rd'}}"),
    ("record", ROW, "{text: {contains: two}}", "{text: {contains: three}}"),
    ("record", ROW, "{list: {contains: 2.5}}", "{list: {contains: 2}}"),
    ("record", ROW, "{list: [1, {min: 2}, x]}", "{list: [1, {min: 3}, x]}"),
    ("record", ROW, "{list: {equals: [1, 2.5, x]}}", "{list: {equals: [1, 2.5]}}"),
    ("record", ROW, "{list: [1, 2.5, x]}", "{list: [1, 2.5]}"),
    ("record", ROW, "{deep: {a: {b: 1}}}", "{deep: {a: {b: 2}}}"),
    ("record", ROW, "{deep: {equals: {a: {b: 1}}}}", "{deep: {equals: {a: {}}}}"),
    ("record", ROW, "{n: 3}", "{m: 3}"),
    ("record", {"x": {"min": 1}}, "{x: {equals: {min: 1}}}", "{x: {equals: {min: 2}}}"),
    ("record", ROW, "{n: {present: true}}", "{m: {present: true}}"),
    ("record", ROW, "{m: {present: false}}", "{n: {present: false}}"),
    ("text", "hello world", "hello world", "hello"),
    ("text", "hello world", "{contains: 'o w'}", "{contains: ow}"),
    ("text", "hello world", "{matches: '^hello'}", "{matches: '^world'}"),
    ("text", "hello world", "{equals: hello world}", "{equals: world}"),
    ("bytes", b"RI\0", '"RI\\0"', "RI"),
    ("bytes", b"RI\0", "{hex: '52 49 00'}", "{hex: '52 49'}"),
    ("bytes", b"RI\0", "{size: 3}", "{size: {min: 4}}"),
    ("bytes", b"RI\0", "{contains: I}", "{contains: IR}"),
    ("bytes", b"RI\0", "{file: ri.bin}", "{file: other.bin}"),
    ("segments", SPEECH, "{count: 2}", "{count: 3}"),
    ("segments", SPEECH, "[{start_ms: 0}, {end_ms: 900.5}]", "[{start_ms: 0}]"),
    ("segments", SPEECH, "[{start_ms: 0}, {start_ms: 600}]", "[{start_ms: 0}, {start_ms: 601}]"),
    ("segments", SPEECH, "[{}, {end_ms: {near: 900, within: 1}}]", "[{}, {end_ms: {near: 900, within: 0.1}}]"),
    ("segments", SPEECH, "[{energy_db: -20}, {confidence: 0.5}]", "[{energy_db: -20}, {confidence: 1}]"),
    ("segments", SPEECH, "[{energy_db: {max: -19}}, {}]", "[{energy_db: -19}, {}]"),
    ("features", MEL, "[[0.1, 0.2, 0.3], [1, 2, 3]]", "[[0.1, 0.2, 0.3], [1, 2, 4]]"),
    ("features", MEL, "{values: [[0.1, 0.2, 0.3], [1, 2, 3]]}", "{values: [0.1, 0.2, 0.3, 1, 2, 3]}"),
    ("features", MEL, "{near: [[0, 0, 0], [1, 2, 3]], within: 0.5}", "{near: [[0, 0, 0], [1, 2, 3]], within: 0.25}"),
    ("features", MEL, "{values: [[0, 0, 0], [1, 2, 3]], within: 0.3001}", "{values: [[0, 0, 0], [1, 2, 3]], within: 0.1}"),
    ("features", MEL, "{file: mel.npy}", "{file: other.npy}"),
    ("features", MEL, "{file: other.npy, within: 1}", "{file: other.npy, within: 0.5}"),
    ("features", MEL, "{shape: [null, 3]}", "{shape: [null, 2]}"),
    ("features", MEL, "{shape: [2, 3]}", "{shape: [6]}"),
    ("features", MEL, "{min: 0.1}", "{min: 0.2}"),
    ("features", MEL, "{max: {near: 3, within: 0.1}}", "{max: {max: 2}}"),
    ("features", MEL, "{mean: {near: 1.1, within: 1e-6}}", "{mean: 1}"),
    ("features", MEL, "{finite: true}", "{finite: false}"),
    ("features", float32([np.nan, 1]), "{finite: false}", "{finite: true}"),
    ("features", float32([np.nan, 1]), "{values: [.nan, 1]}", "{near: [0, 1], within: 100}"),
    ("features", float32([np.inf, 1]), "{near: [.inf, 1], within: 0}", "{near: [-.inf, 1], within: 100}"),
    ("features", np.zeros((0, 80), np.float32), "{shape: [0, 80], finite: true}", "{min: {max: 0}}"),
    ("audio", TONE, "{rate: 8000}", "{rate: 16000}"),
    ("audio", TONE, "{channels: 1}", "{channels: 2}"),
    ("audio", TONE, "{num_samples: 8000}", "{num_samples: {max: 7999}}"),
    ("audio", TONE, "{duration: 1s}", "{duration: 1001ms}"),
    ("audio", TONE, "{duration: {near: 1.01s, within: 10ms}}", "{duration: {near: 1.02s, within: 10ms}}"),
    ("audio", TONE, "{level: {near: -6dBFS, within: 0.1dB}}", "{level: {near: -3dBFS, within: 0.1dB}}"),
    ("audio", AudioChunk(np.zeros((1, 8), np.float32), 8000), "{level: {max: -200}}", "{level: {min: -200}}"),
    ("audio", AudioChunk(np.zeros((1, 0), np.float32), 8000), "{level: {max: -200}}", "{max: 0}"),
    ("audio", STEREO, "{min: -1, max: 1, finite: true}", "{min: 0}"),
    ("audio", STEREO, "{mean: 0.0625, shape: [2, 2]}", "{shape: [2, 3]}"),
    ("audio", STEREO, "{mean: 0.0625}", "{mean: {near: 0, within: 0.06}}"),
    ("audio", STEREO, "{finite: true}", "{finite: false}"),
    ("audio", STEREO, "{values: [[0, 0.25], [1, -1]]}", "{values: [[0, 0.25], [1, 1]]}"),
    ("audio", AudioChunk(float32([[0.5, 0.25]]), 8000), "{values: [0.5, 0.25]}", "{values: [0.5, 0.5]}"),
    ("audio", AudioChunk(float32([[0.5, 0.25]]), 8000), "{file: half.wav}", "{file: other.wav}"),
    ("any", MEL, "{features: {shape: [2, 3]}}", "{text: x}"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that expectations name."""
    (tmp_path / "ri.bin").write_bytes(b"RI\0")
    (tmp_path / "other.bin").write_bytes(b"RI")
    np.save(tmp_path / "mel.npy", MEL)
    np.save(tmp_path / "other.npy", MEL + 0.75)
    for name, samples in (("half", [0.5, 0.25]), ("other", [0.5, -0.25])):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((np.array(samples) * 2**15).astype("<i2").tobytes())
    return tmp_path


def compared(folder: Path, family: str, got: Any, text: str) -> list[Difference]:
    """The differences between what came and an expectation, which has to be one that can be read."""
    complaints: list[Complaint] = []
    root = load(f"expect: {text}".encode(), "test.yaml").value
    assert isinstance(root, Mapping)
    expected = ExpectationReader(str(folder), complaints).read(root["expect"], family, "expect")
    assert complaints == []
    assert expected is not None
    return list(expected.compare(got, "at"))


@pytest.mark.parametrize(("family", "got", "right", "wrong"), PAIRS, ids=[f"{pair[0]} {pair[3]}" for pair in PAIRS])
def test_each_kind_of_expectation_can_fail(folder: Path, family: str, got: Any, right: str, wrong: str) -> None:
    """The right expectation finds no difference; the wrong one finds some, each with a place and words."""
    assert compared(folder, family, got, right) == []
    differences = compared(folder, family, got, wrong)
    assert differences
    assert all(one.place.startswith("at") and one.expected and one.got for one in differences)


@pytest.mark.parametrize(
    ("families", "keys"),
    [
        ({"record"}, SCALAR_KEYS),
        ({"audio"}, (*AUDIO_FACTS, *ARRAY_FACTS, "values", "file")),
        ({"features"}, (*ARRAY_FACTS, *VALUES_KEYS, "within")),
        ({"bytes"}, BYTES_KEYS),
        ({"segments"}, (*SEGMENT_KEYS, "count")),
    ],
    ids=["scalar", "audio", "features", "bytes", "segments"],
)
def test_every_key_has_a_wrong_expectation_above(families: set[str], keys: tuple[str, ...]) -> None:
    """No key of an expectation is without a pair that shows that it can fail."""
    tried = " ".join(wrong for family, _, _, wrong in PAIRS if family in families)
    assert [key for key in keys if f"{key}:" not in tried] == []


@pytest.mark.parametrize("family", ["audio", "features", "text", "bytes", "segments"])
def test_a_payload_of_another_family_is_never_as_expected(folder: Path, family: str) -> None:
    """What is not of the family differs at the port, whatever was expected of it."""
    right = next(pair[2] for pair in PAIRS if pair[0] == family)
    others: tuple[Any, ...] = (TONE, MEL, "text", b"bytes", 3, None, {}, ABSENT)
    for other in others:
        if not any(pair[0] == family and type(pair[1]) is type(other) for pair in PAIRS):
            assert [one.place for one in compared(folder, family, other, right)] == ["at"]


def test_the_difference_names_the_place_and_both_values(folder: Path) -> None:
    """The way leads through lists and mappings to the value that differs."""
    (difference,) = compared(folder, "segments", SPEECH, "[{}, {end_ms: {near: 1000, within: 30}}]")
    assert difference == Difference("at[1].end_ms", "1000 within 30", "900.5")
    (difference,) = compared(folder, "record", ROW, "{deep: {a: {c: 1}}}")
    assert difference == Difference("at.deep.a.c", "1", "nothing; there is b")


def test_the_worst_value_of_an_array_is_named(folder: Path) -> None:
    """Of many values that differ one is shown, the one that is off most, with how many there are."""
    (difference,) = compared(folder, "features", MEL, "{near: [[0.1, 0.2, 0.5], [1, 2, 9]], within: 0.1}")
    assert difference == Difference("at[1][2]", "9 within 0.1", "3 (the worst of 2 of 6 values that differ)")


def test_literals_are_compared_in_the_precision_of_what_came(folder: Path) -> None:
    """0.1 in a manifest equals a float32 of 0.1, which is another number than Python's."""
    assert compared(folder, "record", {"x": np.float32(0.1)}, "{x: 0.1}") == []
    assert compared(folder, "record", {"x": np.float32(0.1)}, "{x: 0.1000001}") != []


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3), st.floats(1e-3, 1e3))
def test_near_holds_up_to_within_and_no_further(near: float, within: float, beyond: float) -> None:
    """What is off by less than `within` is as expected, what is off by more is not."""
    text = f"{{x: {{near: {near!r}, within: {within!r}}}}}"
    assert compared(Path(), "record", {"x": near + within / 2}, text) == []
    assert compared(Path(), "record", {"x": near - within - beyond}, text) != []
