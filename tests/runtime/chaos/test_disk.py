"""A disk that runs full, stops a run, and knows what had been synced."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path

import pytest

from phonograph import points
from phonograph.chaos.disk import Disk, RunStoppedError
from phonograph.chaos.faults import Full, Loss, Stop
from phonograph.errors import BadInputError


def disk(root: Path, stop: Stop | None = None, full: Full | None = None) -> Disk:
    return Disk(root, stop, full, lambda name, place: None)


@pytest.mark.parametrize(
    ("loss", "left"),
    [
        ("nothing", {"kept": b"before", "renamed": b"synced", "new": b"not synced", "gone": None}),
        ("content", {"kept": b"before", "renamed": b"synced", "new": b"", "gone": None}),
        ("half", {"kept": b"before", "renamed": b"synced", "new": b"not s", "gone": None}),
        ("names", {"kept": b"before", "temporary": b"synced", "gone": b"was there"}),
    ],
)
def test_a_stop_leaves_what_was_on_the_disk(tmp_path: Path, loss: Loss, left: dict[str, bytes | None]) -> None:
    """Killed, everything that was written is there; without power, of what was not synced nothing, a half, or not even names."""
    (tmp_path / "kept").write_bytes(b"before")
    (tmp_path / "gone").write_bytes(b"was there")
    tried = disk(tmp_path, Stop("run.ended", 1, loss))
    with pytest.raises(RunStoppedError), tried.watching():
        with open(tmp_path / "temporary", "wb", buffering=0) as file:
            file.write(b"synced")
            os.fsync(file.fileno())
        folder = os.open(tmp_path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        os.replace(tmp_path / "temporary", tmp_path / "renamed")
        with open(tmp_path / "new", "wb", buffering=0) as file:
            file.write(b"not synced")
        os.unlink(tmp_path / "gone")
        points.reached("run.ended")
    assert tried.left is not None
    found = {os.path.basename(path): file and file[0] for path, file in tried.left.items()}
    assert found == {name: content for name, content in left.items() if content is not None}


def test_nothing_changes_the_folder_behind_a_stop(tmp_path: Path) -> None:
    """What a run still does while it is taken apart is done to nobody."""
    tried = disk(tmp_path, Stop("", 2, "nothing"))
    with tried.watching():
        with pytest.raises(RunStoppedError), open(tmp_path / "a", "wb", buffering=0) as file:
            file.write(b"torn")
        os.mkdir(tmp_path / "b")
        os.unlink(tmp_path / "a")
        with pytest.raises(OSError, match="stopped"):
            (tmp_path / "c").write_text("late")
    assert tried.left is not None
    assert [file and file[0] for file in tried.left.values()] == [b"to"]
    assert (tmp_path / "a").read_bytes() == b"to"
    assert not (tmp_path / "b").exists()


def test_a_full_disk_takes_a_part_and_then_says_so(tmp_path: Path) -> None:
    """As a real one: the first write is short, and the next one fails; later there is room again."""
    tried = disk(tmp_path, full=Full(2, 2))
    with tried.watching(), open(tmp_path / "a", "wb", buffering=0) as file:
        assert file.write(b"four") == 2
        with pytest.raises(OSError, match="space") as raised:
            file.write(b"ur")
        assert raised.value.errno == errno.ENOSPC
        assert file.write(b"ur") == 2
    assert (tmp_path / "a").read_bytes() == b"four"


@pytest.mark.parametrize("mode", ["w", "a", "x", "wb", "r+"])
def test_files_behave_as_files_do(tmp_path: Path, mode: str) -> None:
    """Text, bytes, appended, changed in place: the content is what it would be."""
    path = tmp_path / "a"
    if mode != "x":
        path.write_text("before")
    with disk(tmp_path).watching(), open(path, mode) as file:
        file.write(b"n\xc3\xa4\n" if "b" in mode else "n\u00e4\n")
    assert path.read_text("utf-8") == {"a": "beforen\u00e4\n", "r+": "n\u00e4\nre"}.get(mode, "n\u00e4\n")


def test_nothing_outside_the_folder_is_changed(tmp_path: Path) -> None:
    """A write, a rename from there, a removal there are refused and remembered; reading is nobody's business."""
    (tmp_path / "inside").mkdir()
    theirs = tmp_path / "theirs"
    theirs.write_text("as it was")
    tried, rename = disk(tmp_path / "inside"), os.rename  # as of `from os import rename`
    with tried.watching():
        assert theirs.read_text() == "as it was"
        for change in (
            lambda: theirs.write_text("changed"),
            theirs.unlink,
            lambda: theirs.rename(tmp_path / "inside" / "taken"),
            lambda: os.truncate(theirs, 0),
            lambda: os.utime(theirs),
            lambda: os.chmod(theirs, 0o600),
            lambda: os.replace(src=theirs, dst=tmp_path / "inside" / "taken"),
            lambda: os.link(tmp_path / "inside", tmp_path / "linked"),
            lambda: rename(theirs, tmp_path / "moved"),
            lambda: io.FileIO(theirs, "w"),
            lambda: os.open(theirs, os.O_WRONLY),
        ):
            with pytest.raises(BadInputError, match="not to be changed"):
                change()
    assert tried.outside == str(theirs)
    assert theirs.read_text() == "as it was"


def test_what_lies_in_the_folder_is_changed_by_any_way_to_it(tmp_path: Path) -> None:
    """By names relative to an open folder, by keyword, by functions that were there before; when it is over, so is the watch."""
    inside, rename = tmp_path / "inside", os.rename
    inside.mkdir()
    with disk(inside).watching():
        (inside / "a").write_text("a")
        rename(inside / "a", inside / "b")
        os.replace(src=inside / "b", dst=inside / "c")
        folder = os.open(inside, os.O_RDONLY)
        os.rename("c", "d", src_dir_fd=folder, dst_dir_fd=folder)
        os.mkdir("e", dir_fd=folder)
        os.utime(inside / "d")
        with open(os.devnull, "w") as nowhere:
            nowhere.write("x")
        os.close(folder)
        shutil.rmtree(inside / "e")
    assert sorted(os.listdir(inside)) == ["d"]
    (tmp_path / "outside").write_text("x")
