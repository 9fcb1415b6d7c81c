"""`run-pipeline MANIFEST --resume`: how it is spelled, what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from command_line import two_clips_in
from phonograph.cli.run import command

MANIFEST = """version: 1
name: small
params: {format: {type: str, default: pcm16}}
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  wav: {type: sink.wav, input: audio, params: {path: out, sample_format: "${params.format}"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    two_clips_in(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--run-dir", "run"], standalone_mode=False)


@pytest.mark.parametrize("words", [("small.yaml", "--resume"), ("--resume", "small.yaml"), ("small.yaml", "--resume=verify")])
def test_resume_stands_alone_or_with_a_value(folder: Path, words: tuple[str, ...]) -> None:
    """Without a value it takes none of the other words for one; the summary says what was taken over."""
    first = run(*words)
    assert (first.return_value, "taken over" in first.output) == (0, False)
    second = run(*words)
    assert second.return_value == 0
    assert "records: 2 read = 2 completed\n  2 of them had ended in earlier runs, and were taken over" in second.output


def test_a_value_that_stands_apart_is_refused(folder: Path) -> None:
    """A value as a word of its own is not taken for a second manifest; the message says how it is written."""
    refused = run("small.yaml", "--resume", "verify")
    assert "found '--resume verify'; expected '--resume=verify', as one word" in str(refused.exception)


def test_another_manifest_is_refused(folder: Path) -> None:
    """The exit status is 1, and the message has the difference and both ways on."""
    run("small.yaml")
    refused = run("small.yaml", "--resume", "--param", "format=float32")
    assert refused.return_value == 1
    assert 'nodes.wav.params.sample_format was "pcm16", is "float32"' in refused.output
    assert run("small.yaml", "--resume=reuse", "--param", "format=float32").return_value == 0
