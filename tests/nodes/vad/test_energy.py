"""The energy VAD on whole signals, against plain-Python truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import reference.energy_vad
from phonograph_nodes.vad import energy_vad
from reference.energy_vad import Rules

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


LEVELS = st.lists(st.sampled_from([0.0, 1e-30, 0.004, 0.01, 0.02, 0.03, 0.3, 1.0]), max_size=40)
DURATIONS = st.integers(0, 5)


@given(
    levels=LEVELS,
    tail=st.integers(0, 15),
    threshold=st.sampled_from([1e-6, 0.001, 0.02, 0.3]),
    margin=st.sampled_from([None, 3.0, 6.0, 20.0]),
    floor_frames=st.integers(100, 104),
    durations=st.tuples(DURATIONS, DURATIONS, DURATIONS, DURATIONS, DURATIONS),
)
@settings(max_examples=300, deadline=None)
def test_any_pattern_is_decided_as_the_truth_decides(
    levels: list[float],
    tail: int,
    threshold: float,
    margin: float | None,
    floor_frames: int,
    durations: tuple[int, int, int, int, int],
) -> None:
    """Thresholds, decisions, segments and the ratio are the truth's, whatever the parameters."""
    samples = np.concatenate([np.repeat(np.array(levels, np.float32), 16), np.full(tail, 0.3, np.float32)])
    assert_truth(samples, 16, threshold, margin, floor_frames, durations)


@given(levels=st.lists(st.sampled_from([0.004, 0.01, 0.02, 0.03, 0.3]), min_size=100, max_size=260), window=st.integers(100, 140))
@settings(max_examples=40, deadline=None)
def test_the_noise_floor_is_the_lowest_level_of_its_window(levels: list[float], window: int) -> None:
    """In signals longer than the window too, where the floor rises again."""
    assert_truth(np.repeat(np.array(levels, np.float32), 16), 16, 0.001, 6.0, window, (2, 2, 0, 0, 0))


def assert_truth(
    samples: NDArray[np.float32],
    length: int,
    threshold: float,
    margin: float | None,
    floor_frames: int,
    durations: tuple[int, int, int, int, int],
) -> None:
    """Durations and padding are frames of 1 ms: 16 samples."""
    silence, speech, hangover, before, after = durations
    found = energy_vad(
        samples,
        frame_ms=1,
        threshold=threshold,
        margin_db=margin,
        floor_window_ms=floor_frames,
        min_silence_ms=silence,
        min_speech_ms=speech,
        hangover_ms=hangover,
        pad_before_ms=before,
        pad_after_ms=after,
    )
    factor = 10 ** (margin / 20) if margin else 0.0
    rules = Rules(threshold, factor, floor_frames, silence, speech, hangover, before * length, after * length)
    rms = reference.energy_vad.frame_rms(samples, length)
    decided = reference.energy_vad.decide(rms, rules)
    assert found.frames.threshold.tolist() == reference.energy_vad.thresholds(rms, rules)
    assert found.frames.speech.tolist() == decided
    spoken = sum(min(length, len(samples) - length * i) for i, flag in enumerate(decided) if flag)
    assert found.speech_ratio == (spoken / len(samples) if len(samples) else 0.0)
    expected = reference.energy_vad.segments(samples, length, rules)
    assert [(one.start_ms * 16, one.end_ms * 16) for one in found.segments] == [(one.start, one.end) for one in expected]
    for one, truth in zip(found.segments, expected, strict=True):
        assert one.energy_db == pytest.approx(10 * np.log10(max(truth.power, 1e-12)), abs=1e-9)
        assert one.confidence == pytest.approx(truth.power / (truth.power + truth.threshold_power), rel=1e-9)
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
        ({"min_silence_ms": 60.0, "hangover_ms": 150.0}, "############"),
        ({"pad_before_ms": 60.0, "pad_after_ms": 60.0}, "##.#....#.##"),
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


def test_padding_widens_segments_and_joins_those_that_touch() -> None:
    """Segments reach as far as there is audio; two whose padding meets are one, with the energy of their speech alone."""
    alone = energy_vad(loud_frames("..#..#....#"), pad_before_ms=15, pad_after_ms=10)
    assert [(one.start_ms, one.end_ms) for one in alone.segments] == [(45.0, 100.0), (135.0, 190.0), (285.0, 330.0)]
    joined = energy_vad(loud_frames("..#..#....#"), pad_before_ms=40, pad_after_ms=20)
    assert [(one.start_ms, one.end_ms) for one in joined.segments] == [(20.0, 200.0), (260.0, 330.0)]
    assert {one.energy_db for one in joined.segments} == {alone.segments[0].energy_db}
    assert joined.speech_ratio == alone.speech_ratio == 3 / 11


def test_a_margin_follows_the_noise() -> None:
    """The same speech is found in noise above the fixed threshold, once the noise has been heard alone."""
    pattern, speech = "....###....##...", [False] * 4 + [True] * 3 + [False] * 4 + [True] * 2 + [False] * 3
    for level in (0.001, 0.01, 0.1):
        samples = np.repeat(np.array([level * 4 if sign == "#" else level for sign in pattern], np.float32), FRAME)
        assert energy_vad(samples, margin_db=6).frames.speech.tolist() == speech
    assert energy_vad(samples).frames.speech.all()


def test_a_louder_noise_is_the_floor_once_the_window_has_passed() -> None:
    """Noise that grows is taken for speech for so long as the floor's window reaches back into the quiet."""
    samples = np.repeat(np.array([0.001] * 10 + [0.05] * 30, np.float32), FRAME)
    speech = energy_vad(samples, margin_db=6, floor_window_ms=300).frames.speech
    assert np.flatnonzero(speech).tolist() == list(range(10, 19))


def test_without_a_threshold_the_margin_decides_down_to_60_db() -> None:
    """0.02 is the threshold that is fixed; under a margin it is 0.001, or what is given."""
    assert energy_vad(noise(FRAME)).frames.threshold.tolist() == [np.float32(0.02)]
    silence = np.zeros(FRAME, np.float32)
    assert energy_vad(silence, margin_db=6).frames.threshold.tolist() == [np.float32(0.001)]
    assert energy_vad(silence, margin_db=6, threshold=0.02).frames.threshold.tolist() == [np.float32(0.02)]


def test_frames_tell_their_times_levels_and_confidence() -> None:
    """Frames lie side by side, the last one as long as it is; confidence is one half at the threshold."""
    samples = np.concatenate([loud_frames("#."), np.full(16, 0.02, np.float32)])
    frames = energy_vad(samples).frames
    assert frames.start_ms.tolist() == [0.0, 30.0, 60.0]
    assert frames.end_ms.tolist() == [30.0, 60.0, 61.0]
    assert frames.energy_db.tolist() == pytest.approx([-6.0206, -120.0, -33.979], abs=1e-3)
    assert frames.confidence.tolist() == pytest.approx([0.25 / (0.25 + 0.0004), 0.0, 0.5], abs=1e-6)


@pytest.mark.parametrize("offset", [0.25, -1.0])
def test_a_constant_offset_counts_as_energy(offset: float) -> None:
    """Nothing is filtered: DC is the level that it is."""
    assert energy_vad(np.full(FRAME, offset, np.float32)).frames.rms.tolist() == [abs(offset)]


def test_the_faintest_float_is_still_a_level() -> None:
    """Squares of denormal samples do not vanish."""
    faintest = np.finfo(np.float32).smallest_subnormal
    assert energy_vad(np.full(960, faintest)).frames.rms.tolist() == [faintest, faintest]


def test_a_threshold_in_db_is_the_same_threshold() -> None:
    """-20 dBFS is 0.1."""
    samples = noise(RATE) * np.linspace(0, 6, RATE, dtype=np.float32)
    linear, level = energy_vad(samples, threshold=0.1), energy_vad(samples, threshold_db=-20.0)
    assert np.array_equal(linear.frames.speech, level.frames.speech)
    assert 0 < linear.speech_ratio < 1


def test_the_largest_float_is_still_a_level() -> None:
    """Squares of finite samples do not overflow."""
    largest = np.finfo(np.float32).max
    assert energy_vad(np.full(960, largest)).frames.rms.tolist() == [largest, largest]
