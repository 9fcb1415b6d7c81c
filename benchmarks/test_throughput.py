"""How long the kernels take for a minute of speech, and the engine for a record through five nodes that do nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_manifests
from phonograph.testing import Discard, NumberSource, PassOn
from phonograph_nodes import convert, energy_vad, load, log_mel, resample

MINUTE = 60 * 16_000
RECORDS = 2_000


@pytest.fixture(scope="module")
def minute() -> NDArray[np.float32]:
    """60 s of the bundled speech at 16 kHz."""
    folder = shipped_manifests()["features"].parent / "samples"
    clips = [load(path, sr=None)[0] for path in sorted(folder.glob("*.wav"))]
    return np.resize(np.concatenate(clips), MINUTE).astype(np.float32)


@pytest.mark.parametrize("frontend", ["squeezeformer", "zipformer", "whisper"])
def test_log_mel(benchmark: Any, minute: NDArray[np.float32], frontend: str) -> None:
    features = benchmark(log_mel, minute, frontend=frontend)
    assert features.shape[1] == 80 and np.isfinite(features).all()


def test_energy_vad(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert 0.1 < benchmark(energy_vad, minute).speech_ratio < 1.0


def test_convert_to_i16(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert np.array_equal(benchmark(convert, minute, dtype="i16"), np.rint(minute * 32768).clip(-32768, 32767))


def test_resample_48_to_16_khz(benchmark: Any, minute: NDArray[np.float32]) -> None:
    assert benchmark(resample, minute, in_rate=48_000, out_rate=16_000).size == MINUTE // 3


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
