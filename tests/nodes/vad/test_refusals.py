"""What the energy VAD refuses, and the node vad.energy."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.audio import AudioChunk
from phonograph.errors import AudioFormatError
from phonograph.item import Item
from phonograph_nodes.vad import EnergyVadNode, EnergyVadParams, EnergyVadStream, energy_vad

FRAME = 480


def noise(length: int) -> NDArray[np.float32]:
    return (np.random.default_rng(3).standard_normal(length) * 0.03).astype(np.float32)


@pytest.mark.parametrize("place", [0, 7, 8, 479, 480, 999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_refused_with_its_place(place: int, value: float) -> None:
    """NaN and infinity never pass as silence."""
    samples = noise(1000)
    samples[place] = value
    with pytest.raises(AudioFormatError, match=f"sample {place} is"):
        energy_vad(samples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.02, "threshold_db": -34.0}, "expected one of them"),
        ({"threshold": 0.0}, "1e-06 to 1"),
        ({"threshold": 1e-300}, "1e-06 to 1"),
        ({"threshold": -34.0}, "threshold_db"),
        ({"threshold_db": 3.0}, "-120 to 0"),
        ({"frame_ms": 0.0}, "frame_ms is 0.0"),
        ({"hangover_ms": -1.0}, "hangover_ms is -1.0"),
        ({"min_silence_ms": float("nan")}, "min_silence_ms is nan"),
        ({"margin_db": 0.0}, "margin_db is 0.0"),
        ({"margin_db": 61.0}, "margin_db is 61.0"),
        ({"floor_window_ms": 99.0}, "floor_window_ms is 99.0"),
        ({"pad_before_ms": -0.1}, "pad_before_ms is -0.1"),
        ({"pad_after_ms": float("inf")}, "pad_after_ms is inf"),
    ],
)
def test_parameters_outside_their_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Function, stream and node refuse the same parameters."""
    with pytest.raises(ValueError, match=message):
        energy_vad(noise(100), **arguments)
    with pytest.raises(ValueError, match=message):
        EnergyVadStream(**arguments)
    if not np.isnan(list(arguments.values())).any():  # of which msgspec's bounds know nothing
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
    with pytest.raises(AudioFormatError, match=r"44100\.5 Hz"):
        energy_vad(noise(100), sample_rate=44100.5)  # type: ignore[arg-type]


def test_node_hands_on_its_audio_with_segments_and_levels() -> None:
    """The chunk is the same object; ports and attributes say what was found."""
    chunk = AudioChunk(np.repeat(np.array([[0.0, 0.5, 0.5, 0.0]], np.float32), FRAME, axis=1), 16_000)
    node = EnergyVadNode(EnergyVadParams(), "vad")
    result = node.whole(Item(key="a", ordinal=0, payload={"audio": chunk}))
    assert result.payload["audio"] is chunk
    assert result.payload["segments"] == energy_vad(chunk.samples).segments
    assert result.payload["frames"].tolist() == [[0.0], [0.5], [0.5], [0.0]]
    assert result.attributes == {"speech_ratio": 0.5, "num_segments": 1}
    assert list(result.payload) == [port.name for port in EnergyVadNode.spec.outputs]
