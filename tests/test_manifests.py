"""The shipped manifests, each one run on the bundled clips and its outputs looked at."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph.cli.test import command as run_cases
from phonograph.executor import Executor, RunReport
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_manifests, shipped_root

SAMPLE_RATE = 16000
HOP_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Run:
    """One manifest's run: its report and the folder with its outputs."""

    report: RunReport
    out: Path

    def files(self, suffix: str) -> list[Path]:
        return sorted(self.out.rglob(f"*{suffix}"))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all JSONL files."""
        return [json.loads(line) for path in self.files(".jsonl") for line in path.read_text("utf-8").splitlines()]


def durations() -> dict[str, float]:
    """File name of a bundled clip -> its length in seconds."""
    found = {}
    for path in sorted((shipped_root("manifests") / "samples").glob("*.wav")):
        with wave.open(str(path)) as clip:
            found[path.name] = clip.getnframes() / clip.getframerate()
    return found


@pytest.fixture(scope="module")
def clips() -> dict[str, float]:
    """The bundled clips with their durations."""
    found = durations()
    assert len(found) == 5
    return found


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """The run of the shipped manifest that the test names, with its outputs in a temporary folder."""
    manifest = load_manifest(shipped_manifests()[request.param], params={"out": str(tmp_path / "out")})
    return Run(Executor(manifest, run_dir=tmp_path / "run").run(), tmp_path / "out")


every_manifest = pytest.mark.parametrize("run", sorted(shipped_manifests()), indirect=True)


@every_manifest
def test_a_shipped_manifest_completes_every_clip(run: Run, clips: dict[str, float]) -> None:
    """Each shipped manifest runs to success on the bundled clips and stores something for each."""
    assert (run.report.status, run.report.exit_code) == ("success", 0)
    assert run.report.records.read == run.report.records.completed == len(clips)
    stored = [path for path in run.files("") if path.is_file()]
    assert stored
    assert [path for path in stored if path.name.endswith((".tmp", ".partial"))] == []


@every_manifest
def test_metrics_agree_with_the_report(run: Run) -> None:
    """metrics.json in the run directory tells what the report tells."""
    told = json.loads((run.report.run_directory / "metrics.json").read_text("utf-8"))["pipeline_execution"]
    assert told["records"] == msgspec.structs.asdict(run.report.records)
    assert told["status"] == run.report.status
    assert [node["id"] for node in told["nodes"] if node["errors"]] == []


@pytest.mark.parametrize("run", ["features"], indirect=True)
def test_features_has_a_matrix_for_each_clip(run: Run, clips: dict[str, float]) -> None:
    """features stores for each clip one float32 matrix, finite, as long as the clip, and one row with its segments."""
    matrices = run.files(".npy")
    assert len(matrices) == len(clips) == len(run.rows())
    for path in matrices:
        features = np.load(path)
        duration = next(seconds for name, seconds in clips.items() if Path(name).stem in path.name)
        assert (features.dtype, features.shape[1]) == (np.float32, 80)
        assert np.isfinite(features).all()
        assert abs(features.shape[0] - duration * SAMPLE_RATE / HOP_LENGTH) <= 1.5
        assert float(features.std()) > 0.1


@pytest.mark.parametrize("run", ["features", "vad-segments"], indirect=True)
def test_segments_lie_within_their_clip(run: Run, clips: dict[str, float]) -> None:
    """Speech is found in every clip, and no segment reaches over its ends or into the next one."""
    assert run.rows()
    for row in run.rows():
        duration_ms = 1000 * next(seconds for name, seconds in clips.items() if Path(name).stem in row["key"])
        segments = row.get("segments", [row])
        assert segments, row["key"]
        ends = 0.0
        for segment in segments:
            assert ends <= segment["start_ms"] < segment["end_ms"] <= duration_ms + 1e-3
            ends = segment["end_ms"]


@pytest.mark.parametrize("run", ["vad-segments", "convert"], indirect=True)
def test_written_audio_is_16_khz_mono(run: Run, clips: dict[str, float]) -> None:
    """Audio is stored as 16 kHz mono WAV that other programs read, none of it empty, and no longer than what went in."""
    files = run.files(".wav")
    assert len(files) >= len(clips)
    total = 0.0
    for path in files:
        with wave.open(str(path)) as clip:
            assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (SAMPLE_RATE, 1, 2)
            samples = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
        assert np.abs(samples).max() > 100
        total += samples.size / SAMPLE_RATE
    assert total <= sum(clips.values()) + 0.001 * len(files)


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_the_cases_of_a_shipped_manifest_pass(name: str) -> None:
    """Each shipped manifest has test cases of its own, and they pass."""
    result = CliRunner().invoke(run_cases, [name], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert result.output.count("\n") >= 3


@pytest.mark.parametrize("name", sorted(shipped_manifests()))
def test_nothing_is_odd_about_a_shipped_manifest(name: str) -> None:
    """Not even a warning is said about a shipped manifest, and its first line leads an editor to the schema."""
    assert CliRunner().invoke(check, [name, "--strict"], standalone_mode=False).return_value == 0
    first = shipped_manifests()[name].read_text("utf-8").partition("\n")[0]
    relative = first.removeprefix("# yaml-language-server: $schema=")
    assert (shipped_root("manifests") / relative).samefile(shipped_root("contracts") / "manifest.schema.json")
