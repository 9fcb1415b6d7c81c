"""The commit protocol: whole under the final name, or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits import no_file_over
from phonograph.errors import BadInputError, OutputError
from phonograph.sink import FilePart, Writer, at_work, output_path


def write(file: IO[bytes], content: bytes) -> None:
    file.write(content)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_part_is_invisible_until_it_is_committed(tmp_path: Path) -> None:
    """The final name appears by commit, with the whole content and its digest."""
    target = tmp_path / "deep" / "a.bin"
    part = FilePart(str(target), lambda file: write(file, b"content"))
    assert not target.exists()
    written = part.commit()
    assert target.read_bytes() == b"content"
    assert (written.num_bytes, written.sha256) == (7, hashlib.sha256(b"content").hexdigest())
    assert files_below(tmp_path) == ["a.bin"]


def test_a_discarded_part_leaves_nothing(tmp_path: Path) -> None:
    """discard removes the temporary file."""
    FilePart(str(tmp_path / "a.bin"), lambda file: write(file, b"content")).discard()
    assert files_below(tmp_path) == []


def test_an_output_folder_that_has_vanished_is_not_made_again(tmp_path: Path) -> None:
    """A sink whose folder is removed under it says so, for what lay there is lost; folders below it are made."""
    writer, folder = Writer(), tmp_path / "out"
    folder.mkdir()
    writer.folders = (str(folder),)
    at_work(writer, 0)
    FilePart(str(folder / "a" / "a.bin"), lambda file: write(file, b"content")).commit()
    shutil.rmtree(folder)
    with pytest.raises(OutputError, match="out: has been moved or removed while the run wrote there; expected it to stay"):
        FilePart(str(folder / "a" / "b.bin"), lambda file: write(file, b"content"))
    assert not folder.exists()
    at_work(Writer(), 0)


def test_a_failing_writer_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    """An exception while writing keeps what was there before."""
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(file: object) -> None:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        FilePart(str(target), fail)
    assert target.read_bytes() == b"old"
    assert files_below(tmp_path) == ["a.bin"]


def test_no_room_is_an_output_error_that_leaves_nothing(tmp_path: Path) -> None:
    """When the file cannot grow, the error names it and nothing is left."""
    with no_file_over(4096), pytest.raises(OutputError, match=r"a\.bin: cannot be written"):
        FilePart(str(tmp_path / "a.bin"), lambda file: write(file, bytes(100_000)))
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", ["out/a.bin", "folder", "x/" * 2500 + "a.bin"], ids=["below a file", "a folder", "too long"])
def test_a_name_that_cannot_be_made_is_the_fault_of_its_record(tmp_path: Path, name: str) -> None:
    """Other records have other names, so this does not stop the run, and nothing is left of it."""
    (tmp_path / "out").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInputError, match="no file of this name can be made"):
        FilePart(str(tmp_path / name), lambda file: None).commit()
    assert files_below(tmp_path) == ["out"]


def test_a_symlink_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    """What the link leads to gets the content, also where nothing lies yet; temporary files lie beside that."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.bin").write_bytes(b"old")
    for name in ("a.bin", "new.bin"):
        link = tmp_path / f"link-{name}"
        link.symlink_to(Path("store") / name)
        FilePart(str(link), lambda file: write(file, b"content")).commit()
        assert link.is_symlink() and (tmp_path / "store" / name).read_bytes() == b"content"
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["a.bin", "new.bin"]


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def make_circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_fifo, "a FIFO"),
        (make_link_to_fifo, "a FIFO"),
        (make_socket, "a socket"),
        (make_circle, "a symlink that leads back to itself"),
        (Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_regular_file_is_refused_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], kind: str
) -> None:
    """The error names the path and what is there; nothing has been written beside it."""
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("a"))
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    with pytest.raises(BadInputError, match=rf"it is {kind}; expected a regular file or a name that is free; remove it"):
        FilePart("a", lambda file: write(file, b"content"))
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_a_fifo_that_comes_before_the_commit_stays(tmp_path: Path) -> None:
    """What has taken the name in the meantime is not replaced, and the temporary file goes."""
    target = tmp_path / "a.bin"
    part = FilePart(str(target), lambda file: write(file, b"content"))
    os.mkfifo(target)
    with pytest.raises(BadInputError, match="a FIFO"):
        part.commit()
    assert target.is_fifo() and [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_output_names_keep_the_key(tmp_path: Path) -> None:
    """A plain key is its own file name below the folder."""
    assert output_path("out", "clips/a b.wav", ".npy") == "out/clips/a b.wav.npy"


KEYS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(
    ["..", ".", "a/../b", "/etc/passwd", "a//b", "a/", "%2E", "%00", "x" * 500, "é" * 300]
)


@given(KEYS, KEYS)
def test_output_names_are_unique_and_inside_the_folder(first: str, second: str) -> None:
    """Different keys give different files, and no key leads out of the folder."""
    a, b = (Path(output_path("/out", key, ".npy")) for key in (first, second))
    assert (a == b) == (first == second)
    for path in (a, b):
        assert path.is_relative_to("/out") and ".." not in path.parts
        assert all(len(part.encode()) <= 255 for part in path.parts)
