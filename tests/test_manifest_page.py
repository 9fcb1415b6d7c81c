"""The reference page of the manifest language: what it shows is checked, what it calls wrong is wrong.

Blocks are marked by a comment before them: `<!-- part -->` for what is no whole manifest, `<!-- file: NAME -->` for a file that
lies beside the manifests, `<!-- wrong -->` for a manifest that is refused, with the complaints in the text block that follows.
Each other YAML block is a manifest that passes `run-pipeline check` without a word but notes.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from phonograph.cli.check import command as check
from phonograph.cli.test import command as run_cases
from phonograph.executor import Executor
from phonograph.language.manifest import load_manifest
from phonograph.shipped import shipped_root
from places import NEEDS_SOURCE_TREE, source_tree

_FENCE = re.compile(r"(?:<!-- (?P<mark>\w+)(?:: (?P<name>\S+))? -->\n)?```(?P<language>\w*)\n(?P<text>.*?)\n```", re.DOTALL)
_HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(#([\w-]+)\)")

pytestmark = pytest.mark.skipif(source_tree() is None, reason=NEEDS_SOURCE_TREE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: what the comment before it says, its language, its text, the line at which it begins."""

    mark: str
    name: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"line_{self.line}"


def page() -> str:
    root = source_tree()
    return "" if root is None else (root / "docs" / "manifest.md").read_text("utf-8")


def blocks() -> list[Block]:
    text = page()
    return [
        Block(
            match["mark"] or "", match["name"] or "", match["language"], match["text"], text.count("\n", 0, match.start("text"))
        )
        for match in _FENCE.finditer(text)
    ]


def saved(block: Block) -> str:
    """The manifest of a block as a file in the working directory, under its own name."""
    named = re.search(r"^name: (.+)$", block.text, re.MULTILINE)
    assert named is not None
    path = Path(f"{named[1]}.yaml")
    path.write_text(block.text + "\n", "utf-8")
    return str(path)


def manifests(mark: str = "") -> list[Block]:
    return [block for block in blocks() if block.language == "yaml" and block.mark == mark]


def complaints_after(wrong: Block) -> str:
    """The text block that follows a wrong manifest."""
    following = next(block for block in blocks() if block.line > wrong.line)
    assert following.language == "text", f"docs/manifest.md:{wrong.line}: expected its complaints in a text block"
    return following.text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the bundled clips in `samples`, and the files that the page shows."""
    shutil.copytree(shipped_root("manifests") / "samples", tmp_path / "samples")
    for block in blocks():
        if block.mark == "file":
            (tmp_path / block.name).parent.mkdir(exist_ok=True)
            (tmp_path / block.name).write_text(block.text + "\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOKEN", raising=False)
    return tmp_path


def checked(block: Block) -> tuple[int, str]:
    """Exit status of `check` and what it says, its verdict aside."""
    result = CliRunner().invoke(check, [saved(block), "--strict"], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, "\n".join(result.output.splitlines()[:-1])


@pytest.mark.parametrize("block", manifests(), ids=str)
def test_a_manifest_on_the_page_passes_the_check(block: Block, folder: Path) -> None:
    """Every manifest that the page shows is right, and nothing about it is odd."""
    status, said = checked(block)
    assert status == 0, said


@pytest.mark.parametrize("block", [block for block in manifests() if "inputs:\n" not in block.text], ids=str)
def test_a_manifest_on_the_page_runs(block: Block, folder: Path) -> None:
    """Every manifest that reads something runs to its end on the bundled clips."""
    report = Executor(load_manifest(saved(block)), run_dir=folder / "run").run()
    assert report.status in ("success", "completed_with_errors"), report.error
    assert report.records.read == 5


@pytest.mark.parametrize("block", [block for block in manifests() if "\ntests:\n" in block.text], ids=str)
def test_the_cases_on_the_page_pass(block: Block, folder: Path) -> None:
    """The test cases that the page shows pass."""
    result = CliRunner().invoke(run_cases, [saved(block)], standalone_mode=False)
    assert result.return_value == 0, result.output


@pytest.mark.parametrize("block", manifests("wrong"), ids=str)
def test_what_the_page_calls_wrong(block: Block, folder: Path) -> None:
    """A wrong manifest gets exactly the complaints that the page prints."""
    assert checked(block) == (2, complaints_after(block))


@pytest.mark.parametrize("block", manifests("part"), ids=str)
def test_a_part_is_yaml(block: Block) -> None:
    """What is only a part of a manifest can be read at least."""
    yaml.safe_load(block.text)


def test_every_key_is_on_the_page() -> None:
    """The page names each key that a manifest may have at its top, and explains it in a section that is there."""
    from phonograph.language.keys import MANIFEST

    table = page().partition("## All top-level keys")[2]
    assert {key for key in MANIFEST if f"`{key}`" not in table} == set()


def test_links_on_the_page_lead_somewhere() -> None:
    """Each link to a section has one."""
    anchors = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in _HEADING.findall(page())}
    assert set(_LINK.findall(page())) - anchors == set()
