"""Tests of the energy VAD against plain-Python truth."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import reference.energy_vad
from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes.vad import EnergyVadNode, EnergyVadParams, energy_vad

RATE = 16_000
FRAME = 480  # samples in 30 ms


def noise(length: int, seed: int = 3) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(length) * 0.03).astype(np.float32)


def loud_frames(pattern: str, length: int = FRAME) -> NDArray[np.float32]:
    """A frame at 0.5 for each `#`, silence for each `.`."""
    return np.repeat(np.array([0.5 if sign == "#" else 0.0 for sign in pattern], np.float32), length)


def spoken(samples: NDArray[np.float32], **durations: float) -> str:
    return "".join("#" if flag else "." for flag in energy_vad(samples, sample_rate=RATE, **durations).frames.speech)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 161, 399, 400, 401, 479, 480, 481, 560, 720, 960, 961])
def test_levels_at_every_length_agree_with_the_truth(length: int) -> None:
    """All samples are judged; a short last frame counts with its own length."""
    samples = noise(length)
    truth = reference.energy_vad.frame_rms(samples, FRAME)
    frames = energy_vad(samples).frames
    assert frames.rms.dtype == np.float32
    assert frames.rms.shape == frames.speech.shape == (len(truth),)
    assert np.allclose(frames.rms, truth, rtol=1e-6, atol=0)


@given(
    levels=st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.3, 1.0]), max_size=30),
    tail=st.integers(0, 15),
    min_silence=st.integers(0, 4),
    min_speech=st.integers(0, 4),
    hangover=st.integers(0, 4),
)
@settings(max_examples=200, deadline=None)
def test_any_pattern_is_decided_as_the_truth_decides(
    levels: list[float], tail: int, min_silence: int, min_speech: int, hangover: int
) -> None:
    """Threshold, short silences, short speech, hangover: the decisions and the ratio are the truth's."""
    samples = np.concatenate([np.repeat(np.array(levels, np.float32), 16), np.full(tail, 0.3, np.float32)])
    found = energy_vad(samples, frame_ms=1, min_silence_ms=min_silence, min_speech_ms=min_speech, hangover_ms=hangover)
    truth = reference.energy_vad.decide(
        reference.energy_vad.frame_rms(samples, 16), 0.02, min_silence=min_silence, min_speech=min_speech, hangover=hangover
    )
    assert found.frames.speech.tolist() == truth
    in_speech = sum(min(16, len(samples) - 16 * i) for i, flag in enumerate(truth) if flag)
    assert found.speech_ratio == (in_speech / len(samples) if len(samples) else 0.0)
    assert sum(segment.end_ms - segment.start_ms for segment in found.segments) == pytest.approx(in_speech / 16)
    assert all(a.end_ms < b.start_ms for a, b in zip(found.segments, found.segments[1:], strict=False))


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ({}, "##.#....#.##"),
        ({"min_silence_ms": 60.0}, "####....####"),
        ({"min_speech_ms": 60.0}, "##........##"),
        ({"hangover_ms": 31.0}, "######..####"),
        ({"min_silence_ms": 60.0, "min_speech_ms": 150.0}, "............"),
        ({"min_silence_ms": 1000.0}, "############"),
    ],
)
def test_each_duration_does_what_it_says(durations: dict[str, float], expected: str) -> None:
    """Short silences are filled, short speech is dropped, speech is prolonged; durations round up to whole frames."""
    assert spoken(loud_frames("##.#....#.##"), **durations) == expected


@pytest.mark.parametrize(
    ("sample_rate", "frame_ms", "hangover_ms", "expected"),
    [
        (10_000, 1.4, 4.2, 3),  # 4.2 / 1.4 in floating point is a little more than 3
        (10_000, 1.9, 13.3, 7),
        (16_000, 30.0, 90.0, 3),
        (16_000, 30.0, 90.01, 4),
        (22_050, 10.0, 90.0, 10),  # a frame is 220 samples, 9.98 ms: nine of them are not 90 ms
    ],
)
def test_durations_are_as_many_frames_as_last_so_long(
    sample_rate: int, frame_ms: float, hangover_ms: float, expected: int
) -> None:
    """Durations become whole frames of the length that frames really have, exactly."""
    length = round(sample_rate * frame_ms / 1000)
    samples = np.zeros(length * 20, np.float32)
    samples[:length] = 0.5
    found = energy_vad(samples, sample_rate=sample_rate, frame_ms=frame_ms, hangover_ms=hangover_ms)
    assert int(found.frames.speech.sum()) == 1 + expected


def test_leading_and_trailing_silence_is_never_filled() -> None:
    """Only silence between speech can become speech."""
    assert spoken(loud_frames("..#.#.."), min_silence_ms=1000) == "..###.."


def test_a_segment_tells_time_energy_and_confidence() -> None:
    """Times are those of the frames; energy is the mean power, confidence its share beside the threshold's."""
    (segment,) = energy_vad(loud_frames("..##.")).segments
    power = 0.25
    assert (segment.start_ms, segment.end_ms) == (60.0, 120.0)
    assert segment.energy_db == pytest.approx(-6.0206, abs=1e-4)
    assert segment.confidence == pytest.approx(power / (power + 0.02**2))


def test_a_segment_at_the_end_stops_with_the_audio() -> None:
    """A short last frame is not counted as a whole one."""
    found = energy_vad(np.full(FRAME + 16, 0.5, np.float32))
    assert [(s.start_ms, s.end_ms) for s in found.segments] == [(0.0, 31.0)]
    assert found.speech_ratio == 1.0


def test_a_level_at_the_threshold_is_speech_with_even_odds() -> None:
    """The threshold itself counts as speech, with confidence one half."""
    found = energy_vad(np.full(FRAME, 0.02, np.float32))
    assert found.frames.speech.all()
    assert found.segments[0].confidence == pytest.approx(0.5, abs=1e-6)


@given(first=st.floats(0.03, 1.0), factor=st.floats(1.01, 4.0))
def test_confidence_grows_with_energy(first: float, factor: float) -> None:
    """The louder of two segments is the more confident one, and confidence stays within 0 and 1."""
    quiet, loud = (energy_vad(np.full(FRAME, level, np.float32)).segments[0] for level in (first, first * factor))
    assert 0.0 < quiet.confidence < loud.confidence < 1.0
    assert quiet.energy_db < loud.energy_db


def test_silence_carried_by_the_hangover_has_the_floor_as_energy() -> None:
    """Levels are at least -120 dBFS, also where hangover made speech of very little."""
    found = energy_vad(np.full(FRAME, 1.1e-6, np.float32), threshold_db=-120.0)
    assert found.segments[0].energy_db == pytest.approx(-119.17, abs=0.01)
    mixed = energy_vad(
        np.concatenate([np.full(16, 1e-6, np.float32), np.zeros(160, np.float32)]),
        frame_ms=1,
        threshold_db=-120.0,
        hangover_ms=10,
    )
    assert mixed.segments[0].energy_db == -120.0


def test_silence_has_no_speech() -> None:
    """Digital silence is not speech at any threshold that can be set."""
    found = energy_vad(np.zeros(RATE, np.float32), threshold_db=-120.0)
    assert found.segments == ()
    assert found.speech_ratio == 0.0


def test_a_threshold_in_db_is_the_same_threshold() -> None:
    """-20 dBFS is 0.1."""
    samples = noise(RATE) * np.linspace(0, 6, RATE, dtype=np.float32)
    linear, level = energy_vad(samples, threshold=0.1), energy_vad(samples, threshold_db=-20.0)
    assert np.array_equal(linear.frames.speech, level.frames.speech)
    assert 0 < linear.speech_ratio < 1


@pytest.mark.parametrize("place", [0, 7, 8, 479, 480, 999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_refused_with_its_place(place: int, value: float) -> None:
    """NaN and infinity never pass as silence."""
    samples = noise(1000)
    samples[place] = value
    with pytest.raises(AudioFormatError, match=f"sample {place} is"):
        energy_vad(samples)


def test_the_largest_float_is_still_a_level() -> None:
    """Squares of finite samples do not overflow."""
    largest = np.finfo(np.float32).max
    assert energy_vad(np.full(960, largest)).frames.rms.tolist() == [largest, largest]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.02, "threshold_db": -34.0}, "expected one of them"),
        ({"threshold": 0.0}, "above 0"),
        ({"threshold": -34.0}, "threshold_db"),
        ({"threshold_db": 3.0}, "-120 to 0"),
        ({"frame_ms": 0.0}, "frame_ms is 0.0"),
        ({"hangover_ms": -1.0}, "hangover_ms is -1.0"),
    ],
)
def test_parameters_outside_their_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Function and node refuse the same parameters."""
    with pytest.raises(ValueError, match=message):
        energy_vad(noise(100), **arguments)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(arguments, EnergyVadParams)


def test_wrong_audio_is_refused() -> None:
    """Shape, dtype and rate are checked."""
    with pytest.raises(AudioFormatError, match="2 channels"):
        energy_vad(np.zeros((2, 100), np.float32))
    with pytest.raises(AudioFormatError, match="int16"):
        energy_vad(np.zeros(100, np.int16))
    with pytest.raises(AudioFormatError, match="0 Hz"):
        energy_vad(noise(100), sample_rate=0)


def test_node_hands_on_its_audio_with_segments_and_levels() -> None:
    """The chunk is the same object; ports and attributes say what was found."""
    chunk = AudioChunk(loud_frames(".##.")[np.newaxis], RATE)
    node = EnergyVadNode(EnergyVadParams(), "vad")
    result = node.process(Item(key="a", ordinal=0, payload={"audio": chunk}), None)
    assert result.payload["audio"] is chunk
    assert result.payload["segments"] == energy_vad(chunk.samples).segments
    assert result.payload["frames"].tolist() == [[0.0], [0.5], [0.5], [0.0]]
    assert result.attributes == {"speech_ratio": 0.5, "num_segments": 1}
    assert list(result.payload) == [port.name for port in EnergyVadNode.spec.outputs]
