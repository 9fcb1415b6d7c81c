"""Claims that the tests which keep the house true can fail: each is run on a copy of the tree, whole and then broken."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import CHECKOUT, run, temporary_folder

LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", "phonograph-out")


def _passes(tree: Path, test: str) -> tuple[bool, str]:
    """Whether one test passes in a copy of the tree, against the packages of that copy; with its last line."""
    ended = run(
        [sys.executable, "-m", "pytest", "-q", "-x", *test.split()],
        cwd=tree,
        deadline_s=300,
        environment={"PYTHONPATH": os.pathsep.join(map(str, (tree / "runtime", tree / "nodes")))},
        accept=(0, 1),
    )
    return ended.returncode == 0 and " passed" in ended.stdout, ended.stdout.strip().splitlines()[-1]


def _kept_true(test: str, spoil: Callable[[Path], None]) -> Figure:
    with temporary_folder() as folder:
        tree = folder / "tree"
        shutil.copytree(CHECKOUT, tree, ignore=LEFT_OUT)
        whole, whole_line = _passes(tree, test)
        spoil(tree)
        broken, broken_line = _passes(tree, test)
    cause = "" if whole else "fails on the whole tree already"
    return Figure(f"whole: {whole_line}; broken: {broken_line}", whole and not broken, cause)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


BAR = "passes on the tree, fails on the broken one"


@claim(issue="spine", bar=BAR, fast=True)
def import_directions_are_kept() -> Figure:
    """A node module that imports the executor fails a test."""
    return _kept_true(
        "tests/test_house.py -k nodes_import_only",
        lambda tree: _append(tree / "nodes/phonograph_nodes/convert.py", "\nfrom phonograph import executor\n"),
    )


@claim(issue="spine", bar=BAR, fast=True)
def runtime_imports_go_one_way() -> Figure:
    """A low module of the runtime that imports a high one fails a test."""
    return _kept_true(
        "tests/test_house.py -k go_one_way",
        lambda tree: _append(tree / "runtime/phonograph/retry.py", "\ndef late():\n    from phonograph import executor\n"),
    )


@claim(issue="spine", bar=BAR, fast=True)
def exported_names_are_kept() -> Figure:
    """A name in `__all__` that does not exist fails a test."""
    return _kept_true(
        "tests/test_house.py -k all_lists",
        lambda tree: _append(tree / "runtime/phonograph/__init__.py", '\n__all__ = sorted([*__all__, "Imagined"])\n'),
    )


@claim(issue="spine", bar=BAR, fast=True)
def readme_examples_are_kept() -> Figure:
    """A README example that does not run fails a test."""
    return _kept_true(
        "tests/test_readme.py -k python",
        lambda tree: _append(tree / "README.md", "\n```python\nfrom phonograph import Imagined\n```\n"),
    )


@claim(issue="spine", bar=BAR, fast=True)
def shipped_manifests_are_kept() -> Figure:
    """A shipped manifest that no longer runs fails a test."""

    def spoil(tree: Path) -> None:
        path = tree / "manifests" / "features.yaml"
        path.write_text(path.read_text("utf-8").replace("features.log_mel", "features.imagined"), encoding="utf-8")

    return _kept_true("tests/test_manifests.py", spoil)


@claim(issue="spine", bar=BAR, fast=True)
def contracts_are_kept() -> Figure:
    """A contract file that differs from the code fails a test."""

    def spoil(tree: Path) -> None:
        path = tree / "contracts" / "error-codes.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=7), encoding="utf-8")

    return _kept_true("tests/test_contracts.py", spoil)
