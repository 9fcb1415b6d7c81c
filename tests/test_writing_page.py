"""The page on writing audio: its examples run, and its table says what the sinks take."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph.errors import AudioFormatError
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root
from phonograph_nodes.audio.saving import save

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
_ROW = re.compile(r"^\| `sink[^|]*\| `(?P<format>\w+)` \|[^|]*\| (?P<rates>[^|]*) \|", re.MULTILINE)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line at which a block begins, and its text."""
    text = page.read_text("utf-8")
    found = [match for match in _FENCE.finditer(text) if match["language"] == language]
    return [(text.count("\n", 0, match.start("text")), match["text"]) for match in found]


@pytest.fixture
def page(checkout: Path) -> Path:
    return checkout / "docs" / "writing.md"


def test_the_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python blocks run one after the other in one program, and what they assert holds."""
    monkeypatch.chdir(tmp_path)
    found = blocks(page, "python")
    assert len(found) == 2
    names: dict[str, Any] = {}
    for line, text in found:
        exec(compile("\n" * line + text, str(page), "exec"), names)  # so that a traceback names the page's line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tone.flac", "tone.mp3"]


@pytest.mark.parametrize(("number", "suffix"), [(0, ".wav"), (1, ".tar"), (2, ".opus")])
def test_the_manifests_run(number: int, suffix: str, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They pass the check without a warning, and run to their end on the bundled clips."""
    _, text = blocks(page, "yaml")[number]
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.yaml").write_text(text + "\n", "utf-8")
    checked = CliRunner().invoke(check, ["manifest.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output
    report = Executor(load_manifest("manifest.yaml"), run_dir=tmp_path / "run").run()
    assert (report.status, report.records.completed) == ("success", 5), report.error
    assert len(list((tmp_path / "out").rglob(f"*{suffix}"))) == (8 if suffix == ".tar" else 5)


def test_the_rates_of_the_table_are_those_that_are_written(page: Path, tmp_path: Path) -> None:
    """Each rate in the table is taken, and the next whole number is not, but in a range."""
    rows = {match["format"]: match["rates"] for match in _ROW.finditer(page.read_text("utf-8"))}
    assert sorted(rows) == ["aac", "alac", "flac", "mp3", "opus", "wav"]
    tone = np.zeros(100, np.float32)
    for audio_format, said in rows.items():
        rates = [int(number) for number in re.findall(r"\d+", said)]
        for rate in rates:
            save(tmp_path / "a", tone, rate, format=audio_format)  # type: ignore[arg-type]
        for rate in rates if " to " not in said else rates[-1:]:
            with pytest.raises(AudioFormatError, match=r"Hz; .* has"):
                save(tmp_path / "a", tone, rate + 1, format=audio_format)  # type: ignore[arg-type]
