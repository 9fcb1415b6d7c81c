"""The README's examples, each one run as a reader would run it.

An example runs in a folder of its own that holds what a reader's would: `clips/` with the bundled audio. Python blocks run as
they stand. YAML blocks are manifests and are run over `clips/`. Of the shell blocks those run that follow
the comment `<!-- run -->`; the others install things or start servers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from phonograph.shipped import shipped_root
from places import NEEDS_SOURCE_TREE, source_tree

_FENCE = re.compile(r"(?P<before>[^\n]*)\n+```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
RUNS = "<!-- run -->"


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block: its language, its text, the line of the README at which it begins, whether it is marked to be run."""

    language: str
    text: str
    line: int
    marked: bool

    def __str__(self) -> str:
        return f"line_{self.line}"


def examples(*languages: str) -> list[Example]:
    """The README's blocks in these languages; none without the source tree, where the tests below are skipped."""
    root = source_tree()
    if root is None or not (root / "README.md").is_file():
        return []
    readme = (root / "README.md").read_text("utf-8")
    found = []
    for match in _FENCE.finditer("\n" + readme):
        if match["language"] in languages:
            line = readme.count("\n", 0, match.start("text") - 1) + 1
            found.append(Example(match["language"], match["text"], line, match["before"].strip() == RUNS))
    return found


@pytest.fixture
def readers_folder(tmp_path: Path) -> Path:
    """A folder like a reader's, with some clips."""
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "clips")
    return tmp_path


def run_example(command: list[str], folder: Path, example: Example) -> None:
    environment = {**os.environ, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, f"README.md:{example.line}: exit status {ended.returncode}\n{ended.stdout}{ended.stderr}"


def test_the_readme_has_examples(checkout: Path) -> None:
    """The README shows a Python program, a manifest and a command that runs, so the tests below have something to hold."""
    assert (checkout / "README.md").is_file()
    assert examples("python")
    assert examples("yaml")
    assert [example for example in examples("bash") if example.marked]


@pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)
@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_a_python_example_runs(example: Example, readers_folder: Path) -> None:
    """Each Python block of the README runs to its end, warnings being errors."""
    run_example([sys.executable, "-W", "error", "-c", example.text], readers_folder, example)


@pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)
@pytest.mark.parametrize("example", [example for example in examples("bash", "sh") if example.marked], ids=str)
def test_a_marked_shell_example_runs(example: Example, readers_folder: Path) -> None:
    """Each shell block of the README that is marked as running does."""
    run_example(["bash", "-euo", "pipefail", "-c", example.text], readers_folder, example)


@pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)
@pytest.mark.parametrize("example", examples("yaml"), ids=str)
def test_a_yaml_example_runs(example: Example, readers_folder: Path) -> None:
    """Each YAML block of the README is a manifest that runs as pasted, and leaves outputs where a clone ignores them."""
    path = readers_folder / "README.yaml"
    path.write_text(example.text + "\n", encoding="utf-8")
    run_example(["run-pipeline", "README.yaml", "--param", "corpus=clips"], readers_folder, example)
    assert {found.name for found in readers_folder.iterdir()} == {"clips", "README.yaml", "phonograph-out", ".phonograph"}
    assert [found for found in (readers_folder / "phonograph-out").rglob("*") if found.is_file()]
