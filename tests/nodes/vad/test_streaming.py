"""The energy VAD on audio that comes in pieces: the same bits as on the whole signal, as soon as it promises."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonograph.audio import Segment
from phonograph.errors import AudioFormatError
from phonograph_nodes.vad import EnergyVadStream, VadUpdate, energy_vad

Samples = NDArray[np.float32]

DURATIONS = st.integers(0, 5).map(float)
PARAMETERS = st.fixed_dictionaries(
    {
        "frame_ms": st.sampled_from([1.0, 1.7, 3.0]),
        "threshold": st.sampled_from([0.001, 0.02]),
        "margin_db": st.sampled_from([None, 3.0, 10.0]),
        "floor_window_ms": st.sampled_from([100.0, 5000.0]),
        "min_silence_ms": DURATIONS,
        "min_speech_ms": DURATIONS,
        "hangover_ms": DURATIONS,
        "pad_before_ms": DURATIONS,
        "pad_after_ms": DURATIONS,
    }
)


def bursts(length: int, seed: int) -> Samples:
    """Noise whose level jumps every few samples, silence among it."""
    random = np.random.default_rng(seed)
    levels = random.choice([0.0, 0.003, 0.015, 0.03, 0.5], length // 7 + 1)
    return (np.repeat(levels, 7)[:length] * random.standard_normal(length)).astype(np.float32)


def pieces(samples: Samples, cuts: list[int]) -> list[Samples]:
    return np.split(samples, sorted(cut % (len(samples) + 1) for cut in cuts))


def streamed(stream: EnergyVadStream, chunks: list[Samples]) -> list[VadUpdate]:
    return [*(stream.push(chunk) for chunk in chunks), stream.flush()]


def assert_as_whole(updates: list[VadUpdate], samples: Samples, parameters: dict[str, Any]) -> None:
    whole = energy_vad(samples, **parameters)
    for name in ("rms", "threshold", "speech", "start_ms", "end_ms"):
        parts = [getattr(update.frames, name) for update in updates]
        assert np.concatenate(parts).tobytes() == getattr(whole.frames, name).tobytes(), name
    assert tuple(segment for update in updates for segment in update.segments) == whole.segments
    assert [update.frames.start for update in updates[1:]] == [update.frames.end for update in updates[:-1]]


@given(
    length=st.integers(0, 2000),
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    parameters=PARAMETERS,
)
@settings(max_examples=300, deadline=None)
def test_any_chunking_gives_the_bits_of_the_whole(length: int, seed: int, cuts: list[int], parameters: dict[str, Any]) -> None:
    """Frames and segments of pieces are those of one call, whatever the parameters; and again after flush."""
    samples = bursts(length, seed)
    stream = EnergyVadStream(**parameters)
    for _ in range(2):
        assert_as_whole(streamed(stream, pieces(samples, cuts)), samples, parameters)


@pytest.mark.parametrize("piece", [1, 2, 479, 480, 481, 960, 4000])
def test_pieces_of_one_length_give_the_bits_of_the_whole(piece: int) -> None:
    """At sizes around that of a frame, with every step at work."""
    samples = bursts(9999, 4)
    parameters: dict[str, Any] = {
        "margin_db": 3.0,
        "min_silence_ms": 60.0,
        "min_speech_ms": 60.0,
        "hangover_ms": 30.0,
        "pad_after_ms": 7.0,
    }
    chunks = [samples[first : first + piece] for first in range(0, len(samples), piece)]
    assert_as_whole(streamed(EnergyVadStream(**parameters), chunks), samples, parameters)


def test_every_length_ends_with_its_last_sample() -> None:
    """No tail is lost for lengths of 0 to 2000 samples, pushed in two."""
    samples = bursts(2000, 5)
    stream = EnergyVadStream(frame_ms=5.0)
    for length in range(2001):
        updates = streamed(stream, [samples[: length // 3], samples[length // 3 : length]])
        assert updates[-1].frames.end == length
        assert_as_whole(updates, samples[:length], {"frame_ms": 5.0})


@given(parameters=PARAMETERS, seed=st.integers(0, 2**16))
@settings(max_examples=100, deadline=None)
def test_a_frame_is_decided_when_its_latency_has_passed(parameters: dict[str, Any], seed: int) -> None:
    """Once `latency_samples` have come from a frame's first sample on, the frame has been handed out."""
    stream = EnergyVadStream(**parameters)
    samples = bursts(1500, seed)
    for place in range(0, len(samples), 5):
        decided = stream.push(samples[place : place + 5]).frames.end
        come = min(place + 5, len(samples))
        assert decided + stream.latency_samples > come or decided >= come - come % stream.frame_length


@pytest.mark.parametrize(
    ("parameters", "pattern", "frames"),
    [
        ({}, "#", 1),
        ({"min_silence_ms": 3}, "#..#", 3),  # the first frame of the gap waits until the gap is closed, or long enough
        ({"min_silence_ms": 3, "hangover_ms": 1}, "#..#", 2),
        ({"min_silence_ms": 3, "hangover_ms": 9}, "#..#", 1),
        ({"min_speech_ms": 3}, "##.", 3),  # the first loud frame waits until enough have come, or a gap
        ({"min_speech_ms": 3, "min_silence_ms": 2}, "##..", 4),
    ],
)
def test_the_latency_is_no_longer_than_needed(parameters: dict[str, Any], pattern: str, frames: int) -> None:
    """There is a signal in which some frame is decided with the last of so many frames, and not before."""
    stream = EnergyVadStream(frame_ms=1, **parameters)
    assert stream.latency_samples == 16 * frames
    waits, decided = [], 0
    for come, sign in enumerate(pattern, start=1):
        now = stream.push(np.full(16, 0.5 if sign == "#" else 0.0, np.float32)).frames.end // 16
        waits += [come - frame for frame in range(decided, now)]
        decided = now
    assert max(waits) == frames


def test_a_segment_comes_when_nothing_can_join_it_any_more() -> None:
    """Without smoothing that is with the first silent frame; with padding, when the silence outlasts both paddings."""

    def seen(**parameters: Any) -> list[list[Segment]]:
        stream = EnergyVadStream(frame_ms=1, **parameters)
        frames = (np.full(16, level, np.float32) for level in (0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5))
        return [list(stream.push(frame).segments) for frame in frames]

    assert [len(one) for one in seen()] == [0, 0, 1, 0, 0, 0, 0]
    assert [len(one) for one in seen(pad_before_ms=1, pad_after_ms=1)] == [0, 0, 0, 0, 1, 0, 0]
    assert [len(one) for one in seen(min_silence_ms=3)] == [0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("place", [0, 3, 479, 480, 700])
def test_a_piece_that_is_not_finite_is_refused_and_the_signal_goes_on(place: int) -> None:
    """Nothing of the piece is taken: the same piece made whole continues the signal, and the error says where it began."""
    samples = bursts(3000, 6)
    stream = EnergyVadStream(min_silence_ms=60)
    first = stream.push(samples[:700])
    bad = samples[700:2000].copy()
    bad[place] = np.nan
    with pytest.raises(AudioFormatError, match=f"chunk from sample 700 on: sample {place} is nan"):
        stream.push(bad)
    updates = [first, stream.push(samples[700:2000]), stream.push(samples[2000:]), stream.flush()]
    assert_as_whole(updates, samples, {"min_silence_ms": 60})


def test_reset_forgets_the_signal() -> None:
    """What is pushed afterwards is a signal of its own, its noise floor included."""
    parameters: dict[str, Any] = {"margin_db": 6.0, "min_speech_ms": 60.0}
    stream = EnergyVadStream(**parameters)
    stream.push(np.full(3000, 1e-4, np.float32))
    stream.reset()
    samples = bursts(3000, 7)
    assert_as_whole(streamed(stream, [samples]), samples, parameters)


def test_a_wrong_piece_is_refused() -> None:
    """Rate, dtype and shape are those of the stream's signal."""
    stream = EnergyVadStream(sample_rate=8000)
    with pytest.raises(AudioFormatError, match="16000 Hz; expected the stream's 8000 Hz"):
        stream.push(np.zeros(100, np.float32), sample_rate=16_000)
    with pytest.raises(AudioFormatError, match="int16"):
        stream.push(np.zeros(100, np.int16))
    with pytest.raises(AudioFormatError, match="2 channels"):
        stream.push(np.zeros((2, 100), np.float32))
    assert stream.flush().frames.end == 0


def test_memory_does_not_grow_with_the_signal() -> None:
    """A long signal, in which nothing is decided for as long as the parameters allow, leaves nothing behind."""
    stream = EnergyVadStream(frame_ms=1, margin_db=6, min_silence_ms=50, min_speech_ms=100, pad_after_ms=20)
    samples = bursts(16_000, 8)

    def push(times: int) -> None:
        for _ in range(times):
            for first in range(0, len(samples), 1601):
                stream.push(samples[first : first + 1601])

    push(3)
    tracemalloc.start()
    try:
        push(1)
        before = tracemalloc.get_traced_memory()[0]
        push(5)
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its address space by way of /proc")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="address sanitizers end a process that gets no memory")
def test_a_stream_goes_on_after_a_lack_of_memory() -> None:
    """Whichever of its arrays could not grow, the next pieces are judged as ever."""
    program = textwrap.dedent(
        """
        import resource
        from pathlib import Path
        import numpy as np
        from phonograph_nodes import EnergyVadStream

        few, many = np.full(10, 0.1, np.float32), np.full(4_000_000, 0.1, np.float32)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        num_refused = 0
        for extra in range(8, 88, 8):
            stream = EnergyVadStream(sample_rate=1000, frame_ms=1)
            stream.push(few)
            resource.setrlimit(resource.RLIMIT_AS, (used + (extra << 20), resource.RLIM_INFINITY))
            try:
                stream.push(many)
            except MemoryError:
                num_refused += 1
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            assert stream.push(many).frames.speech.all()
        assert num_refused >= 4, num_refused
        """
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
