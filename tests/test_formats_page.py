"""The page on sample formats: its examples run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line at which a block begins, and its text."""
    text = page.read_text("utf-8")
    found = [match for match in _FENCE.finditer(text) if match["language"] == language]
    return [(text.count("\n", 0, match.start("text")), match["text"]) for match in found]


@pytest.fixture
def page(checkout: Path) -> Path:
    return checkout / "docs" / "formats.md"


def test_the_python_blocks_run(page: Path) -> None:
    """The Python blocks run one after the other in one program, and what they assert holds."""
    found = blocks(page, "python")
    assert len(found) == 4
    names: dict[str, Any] = {}
    for line, text in found:
        exec(compile("\n" * line + text, str(page), "exec"), names)  # so that a traceback names the page's line


def test_the_manifest_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes the check without a warning, and runs to its end on the bundled clips."""
    ((_, text),) = blocks(page, "yaml")
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.yaml").write_text(text + "\n", "utf-8")
    checked = CliRunner().invoke(check, ["manifest.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output
    report = Executor(load_manifest("manifest.yaml"), run_dir=tmp_path / "run").run()
    assert (report.status, report.records.completed) == ("success", 5), report.error
