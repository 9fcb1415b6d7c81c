"""Tests of `source.files`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonograph.errors import BadInputError
from phonograph.item import Record
from phonograph_nodes.roots import _matches, _may_lead_to_match
from phonograph_nodes.sources import Files, FilesParams


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * len(name))
    return root


def listed(root: Path, rows: Iterable[Any], name: str = "list.jsonl") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n", "utf-8")
    return root / name


def records(paths: Any, extensions: list[str] | None = None) -> list[Record]:
    given_paths = [str(path) for path in paths] if isinstance(paths, list) else str(paths)
    return list(Files(FilesParams(paths=given_paths, extensions=extensions), "clips").read())


def keys(paths: Any, extensions: list[str] | None = None) -> list[str]:
    return [record.key for record in records(paths, extensions)]


def test_a_folder_is_searched_in_the_order_of_names(tmp_path: Path) -> None:
    """Every known audio file below a folder becomes a record, by name in each folder; hidden and other files do not."""
    made(tmp_path, "b.wav", "a/z.FLAC", "a/y.mp3", "c.opus", ".hidden.wav", ".cache/d.wav", "notes.txt")
    assert keys(tmp_path) == ["clips/a/y.mp3", "clips/a/z.FLAC", "clips/b.wav", "clips/c.opus"]


def test_a_record_knows_its_file(tmp_path: Path) -> None:
    """A record has the absolute path, the size and the time of change of its file."""
    made(tmp_path, "a.wav")
    (record,) = records(tmp_path)
    status = (tmp_path / "a.wav").stat()
    assert record.payload == {"record": {"path": str(tmp_path / "a.wav")}}
    assert (record.size, record.mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_extensions_replace_the_known_ones(tmp_path: Path) -> None:
    """`extensions` keeps exactly these kinds, with or without dot, in any case, in folders and globs."""
    made(tmp_path, "a.wav", "b.RAW", "c.txt")
    assert keys(tmp_path, ["raw", ".TXT"]) == ["clips/b.RAW", "clips/c.txt"]
    assert keys(tmp_path / "*", ["wav"]) == ["clips/a.wav"]


def test_a_file_given_by_name_is_taken_as_it_is(tmp_path: Path) -> None:
    """A single file needs no known extension; its key is its name."""
    made(tmp_path, "take.1")
    assert keys(tmp_path / "take.1") == ["clips/take.1"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["clips/a.wav"]),
        ("x/*.wav", ["clips/b.wav", "clips/c.wav"]),
        ("x/[c-z].wav", ["clips/c.wav"]),
        ("*/*.wav", ["clips/x/b.wav", "clips/x/c.wav"]),
        ("**/*.wav", ["clips/a.wav", "clips/x/b.wav", "clips/x/c.wav", "clips/x/y/d.wav"]),
        ("x/**", ["clips/b.wav", "clips/c.wav", "clips/n.txt", "clips/y/d.wav"]),
        ("**/y/?.wav", ["clips/x/y/d.wav"]),
        ("**/**/d.wav", ["clips/x/y/d.wav"]),
    ],
)
def test_a_glob_finds_what_it_says(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    """A glob matches whole paths, `**` any number of folders; keys are relative to its fixed part."""
    made(tmp_path, "a.wav", "x/b.wav", "x/c.wav", "x/n.txt", "x/y/d.wav")
    assert keys(tmp_path / pattern) == expected


names = st.text("ab", min_size=1, max_size=2)


@given(st.lists(names, min_size=1, max_size=4), st.lists(st.sampled_from(["**", "*", "a*", "?", "ab"]), min_size=1, max_size=4))
def test_the_walk_enters_every_folder_of_a_match(path: list[str], pattern: list[str]) -> None:
    """No folder on the way to a matching file is left out of the walk."""
    if _matches(path, pattern):
        assert all(_may_lead_to_match(path[:depth], pattern) for depth in range(1, len(path)))


def test_several_folders_have_keys_from_what_they_share(tmp_path: Path) -> None:
    """Files of the same name in two folders have different keys."""
    made(tmp_path, "dev/a.wav", "train/a.wav")
    assert keys([tmp_path / "train", tmp_path / "dev"]) == ["clips/train/a.wav", "clips/dev/a.wav"]


def test_a_list_gives_a_record_a_row(tmp_path: Path) -> None:
    """Rows name files relative to their list; ids are keys; plain fields become attributes; NeMo's spelling is read."""
    made(tmp_path, "wavs/a.wav")
    rows = [
        {"id": "one", "path": "wavs/a.wav", "text": "yes", "speaker": 7, "tags": ["x"], "lang": None},
        {"audio_filepath": "wavs/b.wav", "duration": 1.5},
    ]
    first, second = records(listed(tmp_path, rows))
    assert (first.key, dict(first.attributes)) == ("clips/one", {"text": "yes", "speaker": 7})
    assert first.payload["record"] == {**rows[0], "path": str(tmp_path / "wavs/a.wav")}
    assert (second.key, dict(second.attributes)) == ("clips/wavs/b.wav", {"duration": 1.5})
    assert (first.size, second.size) == (10, None)  # the second file is missing, which is for the decoder to report


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{not json", "malformed"),
        ('["a.wav"]', "expected a JSON object"),
        ('{"text": "x"}', "names no file"),
        ('{"path": 3}', "path is 3"),
        ('{"path": "a\\u0000b"}', "expected the path"),
        ('{"path": "https://example.org/a.wav"}', "on this machine"),
        ('{"path": "a.wav", "offset": 2.5}', "whole files"),
        ('{"path": "a.wav", "id": [1]}', "id is [1]"),
        ('{"path": "a.wav", "id": true}', "id is True"),
        ('{"path": "a.wav", "tags": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_a_bad_row_becomes_a_record_that_says_so(tmp_path: Path, row: str, reason: str) -> None:
    """A row that cannot be read does not end the list; its record names file, line and reason."""
    bad, good = records(listed(tmp_path, [row, "", {"path": "a.wav"}]))
    message = bad.payload["record"]["error"]
    assert bad.key == "clips/list.jsonl:1"
    assert message.startswith(f"{tmp_path / 'list.jsonl'}:1: ")
    assert reason in message
    assert good.key == "clips/a.wav"


def test_a_list_that_is_not_utf_8_loses_only_that_row(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 spoil their own row; a byte order mark at the start spoils none."""
    (tmp_path / "list.jsonl").write_bytes(b'\xef\xbb\xbf{"path": "a.wav"}\n{"path": "\xff.wav"}\n{"path": "c.wav"}')
    found = records(tmp_path / "list.jsonl")
    assert [record.key for record in found] == ["clips/a.wav", "clips/list.jsonl:2", "clips/c.wav"]
    assert "error" in found[1].payload["record"]


def test_a_missing_path_names_its_neighbours(tmp_path: Path) -> None:
    """A path that is not there ends the source with the nearest spelling, before anything was read."""
    made(tmp_path, "corpus/a.wav")
    with pytest.raises(BadInputError, match=r"corpsu: no such file or folder; nearest in .*'corpus'"):
        next(Files(FilesParams(paths=[str(tmp_path / "corpus"), str(tmp_path / "corpsu")]), "clips").read())


@pytest.mark.parametrize("path", ["empty", "empty/*.wav", "list.jsonl"])
def test_nothing_found_is_an_error(tmp_path: Path, path: str) -> None:
    """A folder, glob or list without a single record ends the source and is named."""
    made(tmp_path, "empty/notes.txt")
    (tmp_path / "list.jsonl").write_text("\n")
    with pytest.raises(BadInputError, match=path.replace("*", r"\*")):
        records(tmp_path / path)


def test_no_paths_is_an_error() -> None:
    """An empty list of paths ends the source."""
    with pytest.raises(BadInputError, match="paths is empty"):
        records([])


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    """Links to folders are followed, but not into a folder that the walk is already in."""
    made(tmp_path, "in/a.wav")
    (tmp_path / "in" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert keys(tmp_path) == ["clips/in/a.wav"]


def test_a_name_that_is_not_utf_8_has_a_storable_key(tmp_path: Path) -> None:
    """The key spells out bytes that are not UTF-8; the path still opens the file."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(b"x")
    (record,) = records(tmp_path)
    assert record.key.encode() == rb"clips/\xff.wav"
    assert Path(record.payload["record"]["path"]).read_bytes() == b"x"


def test_reading_is_lazy(tmp_path: Path) -> None:
    """A folder is listed only when the walk comes to it."""
    made(tmp_path, "a/1.wav", "b/1.wav")
    reading = Files(FilesParams(paths=str(tmp_path)), "clips").read()
    assert next(reading).key == "clips/a/1.wav"
    made(tmp_path, "b/0.wav")
    assert [record.key for record in reading] == ["clips/b/0.wav", "clips/b/1.wav"]


def test_a_key_that_comes_again_is_told(tmp_path: Path) -> None:
    """Of two rows with one id, as text or number, the second becomes a record with a key of its own that names its line."""
    found = records(listed(tmp_path, [{"id": "1", "path": "a.wav"}, {"id": 1, "path": "b.wav"}, {"id": "2", "path": "c.wav"}]))
    assert [record.key for record in found] == ["clips/1", "clips/1~2", "clips/2"]
    error = found[1].payload["record"]["error"]
    assert error.startswith(f"{tmp_path / 'list.jsonl'}:2: the key 'clips/1' stands already in this list or another path")


def test_a_key_for_a_repetition_is_never_one_that_is_taken(tmp_path: Path) -> None:
    """Rows whose ids look like the keys of repetitions do not meet them."""
    found = keys(listed(tmp_path, [{"id": name, "path": "a.wav"} for name in ("a~2", "a", "a", "a", "a~4")]))
    assert found == ["clips/a~2", "clips/a", "clips/a~3", "clips/a~4", "clips/a~4~5"]


def test_paths_that_overlap_give_each_file_once(tmp_path: Path) -> None:
    """What a second path or list finds again becomes a record that says so; what only it has is read."""
    made(tmp_path, "in/a.wav", "in/b.wav")
    found = records([tmp_path / "in", listed(tmp_path, [{"path": "in/c.wav"}, {"id": "b.wav", "path": "in/b.wav"}])])
    assert [record.key for record in found] == ["clips/a.wav", "clips/b.wav", "clips/in/c.wav", "clips/b.wav~2"]
    assert ["error" in record.payload["record"] for record in found] == [False, False, False, True]
    assert keys([tmp_path / "in", tmp_path / "in" / "a.wav"]) == ["clips/a.wav", "clips/b.wav", "clips/a.wav~2"]


def test_two_lists_with_equal_rows_lose_nothing(tmp_path: Path) -> None:
    """Equal relative paths and bad rows at equal lines of lists of one name have keys and reasons of their own."""
    lists = [listed(tmp_path / folder, [{"path": "a.wav"}, "{bad"]) for folder in ("x", "y")]
    found = records(lists)
    assert [record.key for record in found] == ["clips/a.wav", "clips/list.jsonl:2", "clips/a.wav~2", "clips/list.jsonl:2~3"]
    assert found[2].payload["record"]["error"].startswith(f"{lists[1]}:1: the key 'clips/a.wav' stands already")
    assert found[3].payload["record"]["error"].startswith(f"{lists[1]}:2: JSON is malformed")


def test_a_link_to_itself_spoils_nothing_beside_it(tmp_path: Path) -> None:
    """A folder with a link that leads nowhere is read; such a link that is named like audio is left for the decoder to report."""
    made(tmp_path, "a.wav", "in/b.wav")
    for name in ("loop", "loop.wav"):
        (tmp_path / name).symlink_to(name)
    assert keys(tmp_path) == ["clips/a.wav", "clips/in/b.wav", "clips/loop.wav"]


def test_a_list_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    """A list that is no plain file ends the source without being opened, which could block for ever."""
    os.mkfifo(tmp_path / "list.jsonl")
    with pytest.raises(BadInputError, match=r"list\.jsonl: is a pipe or a device; expected a plain file"):
        records(tmp_path / "list.jsonl")


def test_a_list_that_a_glob_meets_is_not_read(tmp_path: Path) -> None:
    """Only a list that is given by name is read; one that a glob meets becomes a record that says so."""
    made(tmp_path, "a.wav")
    listed(tmp_path, [{"path": "b.wav"}])
    first, second = records(tmp_path / "*")
    assert (first.key, second.key) == ("clips/a.wav", "clips/list.jsonl")
    assert "is a list; expected audio; give the list itself" in second.payload["record"]["error"]


def test_many_wildcards_over_a_deep_path_are_decided() -> None:
    """Twenty `**` over forty folders take as many steps as there are pairs of them, where trying each way would never end."""
    assert not _matches(["a"] * 40, [*["**", "a"] * 20, "b"])
    assert _matches(["a"] * 40, ["**", "a"] * 20)


@pytest.mark.parametrize("paths", [["."], ["*/*.wav", "b"], ["a/x.wav", "b"], ["list.jsonl"], ["list.jsonl", "a"], ["**/y.*"]])
def test_only_what_is_asked_for_is_read(tmp_path: Path, paths: list[str]) -> None:
    """Whatever keys are asked for, what comes is what reading everything gives of them, in its order."""
    made(tmp_path, "a/x.wav", "a/y.wav", "b/y.mp3", "b/c/z.wav", "b/notes.txt")
    listed(tmp_path, [{"path": "a/x.wav", "id": "one"}, {"path": "b/y.mp3"}, "garbled", {"path": "a/y.wav", "id": "one"}])
    source = Files(FilesParams(paths=[str(tmp_path / path) for path in paths]), "clips")
    whole = list(source.read())
    for chosen in (whole, whole[1:], whole[::2], whole[:1]):
        assert list(source.read_only([record.key for record in chosen])) == chosen
    assert list(source.read_only(["clips/nowhere.wav", "clips/b/notes.txt", "clips/.."])) == []


def test_single_files_are_found_without_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder only the files that are asked for are looked at, and one that is gone is left out."""
    made(tmp_path, "a/x.wav", "y.wav")
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"{path} was listed"))
    source = Files(FilesParams(paths=str(tmp_path)), "clips")
    assert [record.key for record in source.read_only(["clips/a/x.wav", "clips/gone.wav"])] == ["clips/a/x.wav"]
