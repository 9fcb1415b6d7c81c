"""The section `tests` of a manifest: what can be read of it, and what is said about wrong ones."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from case_runs import read, read_text
from phonograph.audio import AudioChunk, Segment
from phonograph.cases.arrays import AUDIO_FACTS
from phonograph.errors import CODES
from places import TESTS

WRONG = sorted((TESTS / "manifests" / "wrong_cases").glob("*.yaml"))

NODES = """\
nodes:
  clips: {type: source.files, params: {paths: nowhere}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio}
  mel: {type: features.log_mel, input: vad}
  both: {type: flow.join, input: {mel: mel, segments: vad.segments, audio: vad}}
  out: {type: sink.npy, input: both.mel, params: {path: out}}
tests:
"""


@pytest.mark.parametrize("path", WRONG, ids=[path.stem for path in WRONG])
def test_wrong_cases_get_these_complaints(path: Path) -> None:
    """Every complaint about the section, word for word, each with a code of the catalogue."""
    _, _, complaints = read(path)
    expected = path.with_suffix(".expected").read_text("utf-8").splitlines()
    found = sorted(complaints, key=lambda complaint: complaint.position)
    assert [str(one).replace(str(path), "FILE").replace(str(path.parent), "FOLDER") for one in found] == expected
    assert {complaint.code for complaint in complaints} <= CODES.keys()


def given(folder: Path, payload: str) -> Any:
    """What a case gives to the join for `PORT: value`."""
    _, (case,) = read_text(folder, f"{NODES}  - {{name: x, node: both, expect: [], input: {{{payload}}}}}\n")
    (make,) = case.given[0].payload.values()
    return make()


def audio(folder: Path, value: str) -> AudioChunk:
    chunk = given(folder, f"audio: {value}")
    assert isinstance(chunk, AudioChunk)
    assert chunk.samples.dtype == np.float32
    assert chunk.samples.flags.c_contiguous
    return chunk


def level(chunk: AudioChunk) -> float:
    return float(AUDIO_FACTS["level"](chunk))


def test_a_tone_has_the_level_and_length_that_it_is_given(tmp_path: Path) -> None:
    """440 Hz for 100 ms at -6 dBFS on two channels: that RMS, and 88 zero crossings in each."""
    chunk = audio(tmp_path, "{tone: 440Hz, level: -6dBFS, duration: 100ms, rate: 48000, channels: 2}")
    assert (chunk.num_channels, chunk.num_samples, chunk.sample_rate) == (2, 4800, 48000)
    assert level(chunk) == pytest.approx(-6.0, abs=1e-3)
    crossings = np.count_nonzero(np.diff(np.signbit(chunk.samples[1])))
    assert crossings == pytest.approx(88, abs=1)


def test_audio_has_a_usual_form(tmp_path: Path) -> None:
    """Without options: 1 s, 16 kHz, one channel, -20 dBFS."""
    for value in ("{tone: 440}", "{tone: 0.44kHz}", "{noise: 7}"):
        chunk = audio(tmp_path, value)
        assert chunk.samples.shape == (1, 16000)
        assert level(chunk) == pytest.approx(-20.0, abs=0.2)


def test_noise_is_the_same_for_the_same_seed_alone(tmp_path: Path) -> None:
    """Seed 1 gives the same samples again, seed 2 others; two channels differ."""
    one, again, other = (audio(tmp_path, f"{{noise: {seed}, channels: 2, level: -5dBFS}}").samples for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])
    assert np.abs(one).max() <= 1


def test_stretches_of_audio_follow_each_other(tmp_path: Path) -> None:
    """Silence, samples and silence become one chunk; the second channel is there in each."""
    chunk = audio(
        tmp_path, "[{silence: 1s, channels: 2, rate: 4}, {samples: [[1], [0.5]], rate: 4}, {silence: 0, rate: 4, channels: 2}]"
    )
    assert chunk.samples.tolist() == [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0.5]]


def test_audio_may_be_empty(tmp_path: Path) -> None:
    """No samples are samples."""
    assert audio(tmp_path, "{samples: []}").samples.shape == (1, 0)
    assert audio(tmp_path, "{silence: 0s}").samples.shape == (1, 0)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_all_widths_are_read(tmp_path: Path, width: int) -> None:
    """Full scale, a half, zero and their negatives come back, channels apart, whatever the bytes of a sample."""
    values = np.array([[-1.0, 0.5], [0.0, -0.5]])
    whole = np.round(values.T.ravel() * 2 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    with wave.open(str(tmp_path / "clip.wav"), "wb") as file:
        file.setparams((2, width, 11025, 0, "NONE", ""))
        file.writeframes(b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in whole))
    chunk = audio(tmp_path, "{file: clip.wav}")
    assert chunk.sample_rate == 11025
    assert chunk.samples.tolist() == values.tolist()


def test_arrays_are_listed_made_or_read(tmp_path: Path) -> None:
    """A list, zeros, noise and a file all become float32."""
    np.save(tmp_path / "x.npy", np.arange(3))
    assert given(tmp_path, "mel: [[1, 2.5]]").tolist() == [[1, 2.5]]
    assert given(tmp_path, "mel: {zeros: [2, 80]}").shape == (2, 80)
    assert given(tmp_path, "mel: {file: x.npy}").tolist() == [0, 1, 2]
    noise = given(tmp_path, "mel: {noise: 1, shape: [100, 80]}")
    assert noise.std() == pytest.approx(1, abs=0.1)
    for payload in ("mel: [1]", "mel: {zeros: [1]}", "mel: {file: x.npy}", "mel: {noise: 1, shape: [1]}"):
        assert given(tmp_path, payload).dtype == np.float32


def test_segments_have_usual_values(tmp_path: Path) -> None:
    """Level and confidence may be left out."""
    segments = given(
        tmp_path, "segments: [{start_ms: 0, end_ms: 10.5}, {start_ms: 20, end_ms: 30, energy_db: -3dBFS, confidence: 0}]"
    )
    assert segments == (Segment(0.0, 10.5, -20.0, 1.0), Segment(20.0, 30.0, -3.0, 0.0))


def test_the_path_of_a_record_starts_at_the_manifest(tmp_path: Path) -> None:
    """`path` becomes absolute; other text stays as it is."""
    text = f"{NODES}  - {{name: x, node: audio, expect: [], input: {{record: {{path: a/b.wav, text: a/b, n: [1]}}}}}}\n"
    _, (case,) = read_text(tmp_path, text)
    assert case.given[0].payload["record"]() == {"path": str(tmp_path / "a" / "b.wav"), "text": "a/b", "n": [1]}


def test_ports_without_a_family_name_it(tmp_path: Path) -> None:
    """Where nothing says what an input takes, `{FAMILY: payload}` does."""
    text = """
inputs: {thing: {type: any}}
outputs: {thing: keep}
nodes:
  keep: {type: flow.filter, input: inputs.thing, params: {keep: "has attributes.x"}}
tests:
  - {name: text, node: keep, input: {item: {text: hello}}, expect: [{out: {text: hello}}]}
  - {name: bytes, node: keep, input: {item: {bytes: {hex: "00 ff"}}}, expect: []}
  - {name: file, node: keep, input: {item: {bytes: {file: manifest.yaml}}}, expect: []}
"""
    _, cases = read_text(tmp_path, text)
    made = [case.given[0].payload["item"]() for case in cases]
    assert made == ["hello", b"\x00\xff", (tmp_path / "manifest.yaml").read_bytes()]


def test_items_are_named_after_their_number(tmp_path: Path) -> None:
    """Keys that are not given count from 1; a timeout is a minute."""
    items = "[{audio: {silence: 1s}}, {audio: {silence: 1s}, key: a#0001}]"
    _, (case,) = read_text(tmp_path, f"{NODES}  - {{name: x, node: vad, expect: [], input: {items}}}\n")
    assert [(item.key, item.record) for item in case.given] == [("item-1", "item-1"), ("a#0001", "a")]
    assert case.timeout_s == 60


def test_a_manifest_without_tests_has_no_cases(tmp_path: Path) -> None:
    """No section is no complaint."""
    _, cases = read_text(tmp_path, NODES.removesuffix("tests:\n"))
    assert cases == ()
