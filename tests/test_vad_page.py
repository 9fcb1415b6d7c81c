"""The page on voice activity: its examples run, its tables are the stored results', its pictures are up to date."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from extras import skip_without
from phonograph.cli.check import command as check
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root
from places import NEEDS_SOURCE_TREE, source_tree

MOST_BYTES = 60_000  # of a picture

_FENCE = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)

pytestmark = pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)


def docs() -> Path:
    root = source_tree()
    assert root is not None
    return root / "docs"


def page() -> str:
    return (docs() / "vad.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return [match["text"] for match in _FENCE.finditer(page()) if match["language"] == language]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that writes the tables and draws the pictures."""
    spec = importlib.util.spec_from_file_location("vad_page", docs() / "vad_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the bundled clips in `samples`."""
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_python_blocks_run() -> None:
    """They run one after the other in one program, as the page says, and what they assert holds."""
    names: dict[str, Any] = {}
    for text in blocks("python"):
        exec(compile(text, str(docs() / "vad.md"), "exec"), names)
    assert names["segments"]


def test_the_manifest_on_the_page_runs(folder: Path) -> None:
    """It passes the check without a word but notes; with the extra that it needs, it runs on the bundled clips."""
    (text,) = blocks("yaml")
    (folder / "manifest.yaml").write_text(text + "\n", "utf-8")
    checked = CliRunner().invoke(check, ["manifest.yaml", "--strict"], standalone_mode=False)
    assert checked.return_value == 0, checked.output
    skip_without("silero")
    report = Executor(load_manifest("manifest.yaml"), run_dir=folder / "run").run()
    assert (report.status, report.records.completed) == ("success", 5), report.error


def test_the_tables_are_the_stored_results(script: ModuleType) -> None:
    """If they are not, docs/vad_page.py writes them again."""
    assert script.with_table(page()) == page()


def test_a_page_that_lost_its_table_is_refused(script: ModuleType) -> None:
    """Without the marks around the tables there is nothing to replace, and the script says so."""
    with pytest.raises(ValueError, match="lacks its table"):
        script.with_table("# Voice activity\n")


def test_the_pictures_are_drawn_with_the_scripts_parameters(script: ModuleType) -> None:
    """Each picture stands on the page, is small, and carries the definition that the script has now; there are no others."""
    drawn = {path.stem: path for path in (docs() / "pictures" / "vad").iterdir()}
    assert drawn.keys() == script.PARAMETERS.keys()
    for name, path in drawn.items():
        assert f"](pictures/vad/{name}.png)" in page()
        assert path.stat().st_size <= MOST_BYTES
        told = script.CARRIES.encode() + b"\0" + script.definition(name).encode("latin-1")
        assert told in path.read_bytes(), "docs/vad_page.py draws it again"
