"""Where results may go: what is found out before anything runs, for every option that names a file for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from command_line import project, run_pipeline
from phonograph.cli.result_file import require_storable


def plain(text: str) -> str:
    return text


def test_what_can_be_stored_passes_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A free name, a file, a symlink to either, a name below folders that are not there yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "loose").symlink_to("free")
    before = sorted(tmp_path.iterdir())
    for name in ("free", "there", "link", "loose", "a/b/free", str(tmp_path / "free")):
        require_storable("--save", Path(name), plain)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there").read_text() == "old"


def kinds(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_ino, path.lstat().st_mode) for path in folder.rglob("*")}


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_fifo, "a FIFO"), (make_link_to_fifo, "a FIFO"), (Path.mkdir, "a folder")],
    ids=["fifo", "link", "folder"],
)
@pytest.mark.parametrize("option", ["--save", "--metrics"])
def test_what_is_no_file_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, make: Callable[[Path], None], kind: str
) -> None:
    """Status 2, path and kind; it stands there as before, and no run has left anything."""
    monkeypatch.chdir(tmp_path)
    manifest = project(tmp_path)
    make(tmp_path / "figures")
    before = kinds(tmp_path)
    verb = ["bench", manifest] if option == "--save" else [manifest]
    ended = run_pipeline(*verb, option, "figures")
    assert (ended.status, ended.stdout) == (2, "")
    assert f"{option} figures: is {kind}; expected a regular file, which is replaced, or a name that is free" in ended.stderr
    assert kinds(tmp_path) == before


@pytest.mark.parametrize("option", ["--save", "--metrics"])
def test_a_folder_that_is_a_file_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Status 2, with the system's reason and what to do."""
    monkeypatch.chdir(tmp_path)
    manifest = project(tmp_path)
    (tmp_path / "file").touch()
    ended = run_pipeline(*(["bench", manifest] if option == "--save" else [manifest]), option, "file/figures.json")
    assert (ended.status, ended.stdout) == (2, "")
    assert f"{option} file/figures.json: cannot be written: Not a directory; expected a folder in which" in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("bench", "--save"), ("bench", "--baseline"), ("--metrics",)])
def test_an_empty_name_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """As a variable that is unset gives it: the option is named, and what may have happened."""
    *verb, option = arguments
    ended = run_pipeline(*verb, project(tmp_path), option, "")
    assert ended.status == 2
    assert f"{option} '': the name is empty; expected the name of a file; leave {option} out" in ended.stderr


def test_secrets_are_not_told(tmp_path: Path) -> None:
    """A path may hold one."""
    (tmp_path / "hunter2").mkdir()
    with pytest.raises(click.UsageError) as caught:
        require_storable("--save", tmp_path / "hunter2", lambda text: text.replace("hunter2", "***"))
    assert caught.value.message.startswith(f"--save {tmp_path}/***: is a folder")
