"""The closing summary of a run: what it tells of paths, secrets and dead letters."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from command_line import run_pipeline

LEAKY = """version: 1
name: leaky
params: {token: {type: secret}}
nodes:
  clips: {type: source.files, params: {paths: "clips-${params.token}"}}
  audio: {type: audio.decode, input: clips}
  wav: {type: sink.wav, input: audio, params: {path: "out/${params.token}"}}
"""
FAILING = """version: 1
name: failing
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  wav: {type: sink.wav, input: audio, params: {path: out}}
"""
READ = '  failed: {type: sink.jsonl, input: "*.dead_letter", params: {path: failed.jsonl}}\n'
TOKEN = "s3cr3t-hunter"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sound clip and seven broken ones, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    with wave.open(str(tmp_path / "clips" / "good.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    for number in range(7):
        (tmp_path / "clips" / f"broken-{number}.wav").write_bytes(b"not audio")
    return tmp_path


def test_paths_with_a_secret_are_shown_without_it(project: Path) -> None:
    """Neither the summary nor what the run leaves tells a token that is part of the paths that it reads and writes."""
    (project / "clips" / "good.wav").rename(project / "clips" / f"{TOKEN}.wav")
    (project / "clips" / "broken-0.wav").rename(project / "clips" / f"broken-{TOKEN}.wav")
    (project / "clips").rename(project / f"clips-{TOKEN}")
    (project / "leaky.yaml").write_text(LEAKY)
    result = run_pipeline("leaky.yaml", "--param", f"token={TOKEN}", "--run-dir", f"run-{TOKEN}", "--metrics", f"out/{TOKEN}")
    assert "records: 8 read = 1 completed + 7 dead lettered" in result.stdout
    assert TOKEN not in result.stdout + result.stderr
    assert f"output         {project}/out/***" in result.stdout
    assert f"run directory  {project}/run-***" in result.stdout
    assert "error: " in result.stderr
    kept = {file.name: file.read_text() for file in (project / f"run-{TOKEN}").rglob("*") if file.is_file()}
    assert "clips/***.wav" in kept["records.log"]
    assert "clips/broken-***.wav" in kept["dead_letters.jsonl"]
    assert not [name for name, text in kept.items() if TOKEN in text]


def test_failures_by_their_reasons_and_where_the_letters_lie(project: Path) -> None:
    """What failed alike is one line with the first example, the most frequent first, and the file of letters is named."""
    (project / "failing.yaml").write_text(FAILING)
    (project / "clips" / "empty.wav").write_bytes(b"")
    lines = run_pipeline("failing.yaml", "--run-dir", "run").stdout.splitlines()
    number = next(number for number, line in enumerate(lines) if "broken-" in line)
    assert lines[number].startswith("  7 at audio, such as clips/broken-")
    assert lines[number + 1].startswith("  clips/empty.wav at audio: ")
    assert lines[number + 2] == f"  all dead letters: {project}/run/dead_letters.jsonl"


def test_dead_letters_that_a_sink_read(project: Path) -> None:
    """The summary names the sink and what it wrote, and no file that is empty."""
    (project / "failing.yaml").write_text(FAILING + READ)
    result = run_pipeline("failing.yaml", "--run-dir", "run")
    assert "7 dead lettered" in result.stdout
    assert f"  dead letters went to failed: {project}/failed.jsonl" in result.stdout.splitlines()
    assert "..." not in result.stdout
    assert "dead_letters.jsonl" not in result.stdout
