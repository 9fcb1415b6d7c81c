"""The page on audio in: its examples run."""

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
from phonograph_nodes.audio.mixing import LAYOUTS, bs775_weights

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line at which a block begins, and its text."""
    text = page.read_text("utf-8")
    found = [match for match in _FENCE.finditer(text) if match["language"] == language]
    return [(text.count("\n", 0, match.start("text")), match["text"]) for match in found]


@pytest.fixture
def page(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page, with the bundled clips in `samples` of the working directory."""
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    return checkout / "docs" / "audio.md"


def test_the_python_blocks_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python blocks run one after the other in one program, and what they assert and print holds."""
    found = blocks(page, "python")
    assert len(found) == 9
    names: dict[str, Any] = {}
    for line, text in found:
        exec(compile("\n" * line + text, str(page), "exec"), names)  # so that a traceback names the page's line
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "nothing.wav: open failed: No such file or directory"


def test_the_manifest_runs(page: Path) -> None:
    """It passes the check without a warning, and runs to its end on the bundled clips."""
    ((_, text),) = blocks(page, "yaml")
    Path("manifest.yaml").write_text(text + "\n", "utf-8")
    checked = CliRunner().invoke(check, ["manifest.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output
    report = Executor(load_manifest("manifest.yaml"), run_dir="run").run()
    assert (report.status, report.records.completed) == ("success", 5), report.error


def test_the_table_of_weights_is_the_codes(page: Path) -> None:
    """Each row of the table, divided by its sum, is what 5.1 is mixed with."""
    rows = [line.split("|")[2:-1] for line in page.read_text("utf-8").splitlines() if re.match(r"\| (left|right|one)\b", line)]
    values = {"": 0.0, "1": 1.0, "a": 0.5**0.5, "1/2": 0.5}
    table = [[values[cell.strip()] for cell in row] for row in rows]
    found = [*bs775_weights("5.1", 2), *bs775_weights("5.1", 1)]
    assert len(table) == 3
    for row, weights in zip(table, found, strict=True):
        assert [weight / sum(row) for weight in row] == pytest.approx(list(weights))
    assert LAYOUTS["5.1"] == ("FL", "FR", "FC", "LFE", "BL", "BR")
