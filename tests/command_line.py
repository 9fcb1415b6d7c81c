"""Runs `run-pipeline` inside the process of the test, with what it printed and the status that it would exit with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import click
from click.testing import CliRunner

from phonograph.cli.verbs import cli
from phonograph.shipped import shipped_root

LINE = """version: 1
name: line
params:
  corpus: {type: path, default: clips}
nodes:
  clips: {type: source.files, params: {paths: "${params.corpus}"}}
  audio: {type: audio.decode, input: clips}
  mel: {type: features.log_mel, input: audio}
  out: {type: sink.npy, input: mel, params: {path: out}}
  rejected: {type: sink.jsonl, input: {item: "*.dead_letter"}, params: {path: rejected.jsonl}}
"""
"""A manifest that has nothing wrong with it, in a folder with an empty folder `clips`; one conversion is inserted."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command line ended."""

    status: int
    stdout: str
    stderr: str


def two_clips_in(folder: Path, manifest: str) -> None:
    """Two of the bundled clips in `clips`, and a manifest `small.yaml` beside it."""
    (folder / "clips").mkdir()
    for path in sorted((shipped_root("manifests") / "samples").glob("*.wav"))[:2]:
        shutil.copy(path, folder / "clips")
    (folder / "small.yaml").write_text(manifest)


def run_pipeline(*arguments: str) -> Ended:
    """Run one command line. An error of the command line itself counts as status 2, as the console script has it."""
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if isinstance(result.exception, click.ClickException):
        return Ended(2, result.stdout, result.stderr + result.exception.format_message())
    if result.exception is not None:
        raise result.exception
    return Ended(int(result.return_value or 0), result.stdout, result.stderr)


def project(folder: Path, text: str = LINE, name: str = "line.yaml") -> str:
    """Write a manifest beside an empty folder `clips`; its path."""
    (folder / "clips").mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)
