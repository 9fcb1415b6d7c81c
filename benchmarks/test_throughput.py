"""How long the kernels take for a minute of speech, and the engine for a record through five nodes that do nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.front_ends import caller, names
from benchmarks.signals import speech
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.testing import Discard, NumberSource, PassOn
from phonograph_nodes import LogMelStream, convert, energy_vad, resample
from phonograph_nodes.features.named import FRONT_ENDS

MINUTE_S = 60
PUSH = 320  # samples, 20 ms
RECORDS = 2_000


@pytest.fixture(scope="module")
def minute() -> NDArray[np.float32]:
    """60 s of the bundled speech at 16 kHz."""
    return speech(MINUTE_S)


@pytest.mark.parametrize("seconds", [1, MINUTE_S])
@pytest.mark.parametrize("name", names())
def test_log_mel(benchmark: Any, name: str, seconds: int) -> None:
    features = benchmark(caller(name, seconds))
    assert np.isfinite(features).all() and features.std() > 0.1


@pytest.mark.parametrize("name", [name for name, front_end in FRONT_ENDS.items() if front_end.streaming == "causal"])
def test_log_mel_stream(benchmark: Any, minute: NDArray[np.float32], name: str) -> None:
    """A minute in pieces of 20 ms, in real time as it were."""
    stream = LogMelStream(name)
    out = np.empty((16, stream.num_columns), np.float32)
    pieces = [minute[first : first + PUSH] for first in range(0, len(minute), PUSH)]
    rows = benchmark(lambda: sum(len(stream.pop(out=out)) for piece in pieces if stream.push(piece)))
    assert rows == pytest.approx(len(minute) / FRONT_ENDS[name].hop_length, abs=5)


def test_energy_vad(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert 0.1 < benchmark(energy_vad, minute).speech_ratio < 1.0


def test_convert_to_i16(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert np.array_equal(benchmark(convert, minute, dtype="i16"), np.rint(minute * 32768).clip(-32768, 32767))


def test_resample_48_to_16_khz(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert benchmark(resample, minute, in_rate=48_000, out_rate=16_000).size == len(minute) // 3


def test_five_nodes_that_do_nothing(benchmark: Any, tmp_path: Path) -> None:
    registry = Registry()
    for target in (NumberSource, PassOn, Discard):
        registry.register(target)
    steps = [f"{{type: testing.numbers, params: {{count: {RECORDS}}}}}"]
    steps += [f"{{id: pass{number}, type: testing.pass}}" for number in range(5)]
    steps += ["{type: testing.discard}"]
    path = tmp_path / "chain.yaml"
    path.write_text("version: 1\nname: chain\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))
    executor = Executor(load_manifest(path), registry=registry, run_dir=tmp_path / "run")
    assert benchmark(executor.run).records.completed == RECORDS
