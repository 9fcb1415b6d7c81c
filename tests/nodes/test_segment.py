"""Tests of cutting audio into segments."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.audio import AudioChunk, Segment
from phonograph.errors import BadInputError
from phonograph.item import Item
from phonograph_nodes.segment import Cut, CutParams
from phonograph_nodes.vad import energy_vad

RATE = 16_000


def ramp(length: int, channels: int = 1) -> AudioChunk:
    samples = np.arange(channels * length, dtype=np.float32).reshape(channels, length)
    return AudioChunk(samples, RATE)


def cut(chunk: AudioChunk, *segments: Segment, padding_ms: float = 0.0) -> list[Item]:
    payload = {"audio": chunk, "segments": segments}
    item = Item(key="clips/a.wav", ordinal=4, payload=payload, attributes=MappingProxyType({"speaker": "s1"}))
    return Cut(CutParams(padding_ms=padding_ms), "cut").whole(item)


def test_each_segment_becomes_a_part() -> None:
    """Parts hold the samples of their segment, a key of their own, and where they come from."""
    chunk = ramp(1600, channels=2)
    first, second = cut(chunk, Segment(10.0, 20.0, -20.0, 0.9), Segment(50.0, 100.0, -10.0, 0.95))
    assert (first.key, second.key) == ("clips/a.wav#0000", "clips/a.wav#0001")
    assert second.parents == ("clips/a.wav",)
    assert second.ordinal == 4
    assert second.start_sample == 800
    assert np.array_equal(first.audio.samples, chunk.samples[:, 160:320])
    assert np.array_equal(second.audio.samples, chunk.samples[:, 800:])
    assert second.attributes == {
        "speaker": "s1",
        "start_ms": 50.0,
        "end_ms": 100.0,
        "energy_db": -10.0,
        "confidence": 0.95,
        "duration": 0.05,
    }


def test_parts_are_copies() -> None:
    """A part does not keep the whole clip in memory, and is contiguous."""
    chunk = ramp(1600, channels=2)
    (part,) = cut(chunk, Segment(10.0, 20.0, -20.0, 0.9))
    assert part.audio.samples.flags.c_contiguous
    assert part.audio.samples.base is None


def test_padding_stops_at_the_ends_of_the_audio() -> None:
    """Padding adds what there is, and the attributes tell what was cut."""
    parts = cut(ramp(1600), Segment(5.0, 20.0, -20.0, 0.9), Segment(60.0, 95.0, -20.0, 0.9), padding_ms=10.0)
    assert [(part.attributes["start_ms"], part.attributes["end_ms"]) for part in parts] == [(0.0, 30.0), (50.0, 100.0)]
    assert [part.audio.num_samples for part in parts] == [480, 800]


def test_audio_without_segments_gives_no_part() -> None:
    """A clip of silence ends here."""
    assert cut(ramp(1600)) == []


@pytest.mark.parametrize("times", [(100.0, 200.0), (150.0, 160.0), (20.0, 20.01)])
def test_a_segment_without_audio_is_refused(times: tuple[float, float]) -> None:
    """Segments of another clip do not pass as empty parts."""
    with pytest.raises(BadInputError, match=r"segment 0 is .* the audio has 100 ms"):
        cut(ramp(1600), Segment(*times, -20.0, 0.9))


@given(levels=st.lists(st.booleans(), min_size=1, max_size=20), tail=st.integers(0, 479))
def test_the_parts_of_a_detection_are_the_loud_samples(levels: list[bool], tail: int) -> None:
    """Cutting at the segments of the VAD gives exactly the samples that it called speech."""
    samples = np.concatenate([np.repeat(np.array(levels, np.float32) * 0.5, 480), np.full(tail, 0.25, np.float32)])
    parts = cut(AudioChunk(samples[np.newaxis], RATE), *energy_vad(samples).segments)
    joined = np.concatenate([np.empty(0, np.float32), *(part.audio.samples[0] for part in parts)])
    assert np.array_equal(joined, samples[samples > 0])
