"""Running dead letters again: what is done, what stands, what heals, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import RunDirectoryError
from phonograph.executor import RunReport
from phonograph.flow.zip import Zip
from phonograph.journal.directory import JOURNAL
from phonograph.journal.records import EARLIER
from phonograph_nodes.writing.rows import Jsonl
from resumed import CALLS, GRAPH, Files, Shout, Texts, executor, outputs, run, texts_in
from small_runs import dead_letters, executor_for, journalled

ORDERED = GRAPH.replace("input: loud, params: {path: out/rows.jsonl}", "input: loud, order: true, params: {path: out/rows.jsonl}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of five texts, of which b and d have failed, c gave two words, and b one before it failed."""
    texts_in(tmp_path, a="one", b="two bad", c="three four", d="bad", e="five")
    return tmp_path


def redrive(folder: Path, graph: str = GRAPH, letters: Any = True, **options: Any) -> RunReport:
    return executor(folder, options.pop("resume", None), graph, redrive=letters, **options).run()


def undisturbed(folder: Path, graph: str = GRAPH) -> Path:
    """The folder of a run of the inputs as they are now, elsewhere."""
    path = folder / "other"
    path.mkdir()
    (path / "texts").symlink_to(folder / "texts")
    run(path, None, graph)
    return path


def test_a_letter_says_which_record_to_run_again(folder: Path) -> None:
    """A letter has the source, the record's key, and the size and time of its input."""
    letters = dead_letters(run(folder))
    status = (folder / "texts" / "b").stat()
    assert [(one["source"], one["record"], one["key"]) for one in letters] == [
        ("texts", "texts/b", "texts/b"),
        ("texts", "texts/d", "texts/d"),
    ]
    assert (letters[0]["size"], letters[0]["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    assert len({one["fingerprint"] for one in letters}) == 1
    assert letters[0]["fingerprint"]


def test_only_what_failed_is_done_again(folder: Path) -> None:
    """Nothing else is called or read; counts, journal and outputs are those of a run that nothing disturbed."""
    run(folder)
    texts_in(folder, b="two", d="six seven")
    report = redrive(folder)
    assert dict(CALLS) == {"b": 1, "d": 1}
    assert (report.records.completed, report.records.dead_lettered, report.resumed) == (5, 0, 3)
    assert report.redrive is not None
    assert (report.redrive.records, report.redrive.healed, report.redrive.failed_again) == (2, 2, 0)
    assert dead_letters(report) == []
    assert sorted(row["key"] for row in journalled(report)) == [f"texts/{name}" for name in "abcde"]
    assert outputs(folder) == outputs(undisturbed(folder))
    assert not (folder / "run" / JOURNAL / EARLIER).exists()


def test_rows_of_an_ordered_sink_come_in_their_places(folder: Path) -> None:
    """With `order: true` the file of rows is equal to that of an undisturbed run, byte for byte."""
    run(folder, None, ORDERED)
    texts_in(folder, b="two", d="six seven")
    redrive(folder, ORDERED)
    other = undisturbed(folder, ORDERED)
    assert (folder / "out" / "rows.jsonl").read_bytes() == (other / "out" / "rows.jsonl").read_bytes()


def test_what_fails_again_stays_with_its_attempts_added(folder: Path) -> None:
    """One letter a failure, however often it is run again."""
    run(folder)
    texts_in(folder, d="six")
    for attempts in (2, 3):
        report = redrive(folder)
        assert [(one["key"], one["attempts"]) for one in dead_letters(report)] == [("texts/b", attempts)]
    assert (report.records.completed, report.records.dead_lettered) == (4, 1)
    texts_in(folder, b="two")
    assert redrive(folder).records.dead_lettered == 0
    assert outputs(folder) == outputs(undisturbed(folder))


def test_a_file_says_which_of_them(folder: Path) -> None:
    """Of letters in a file of one's own only those are run; the others stay as they are."""
    report = run(folder)
    chosen = folder / "chosen.jsonl"
    (line,) = [one for one in report.dead_letters_path.read_text().splitlines(keepends=True) if "texts/d" in one]
    chosen.write_text(line)
    texts_in(folder, b="two", d="six")
    report = redrive(folder, letters=chosen)
    assert dict(CALLS) == {"d": 1}
    assert [one["key"] for one in dead_letters(report)] == ["texts/b"]
    assert (report.records.completed, report.records.dead_lettered) == (4, 1)
    assert redrive(folder).records.dead_lettered == 0
    assert outputs(folder) == outputs(undisturbed(folder))


def test_letters_that_nodes_read_are_run_again_too(folder: Path) -> None:
    """What a sink of dead letters stored of a failure goes when that heals, and stays when it is not run again."""
    graph = GRAPH + '  failed: {type: sink.jsonl, input: "*.dead_letter", params: {path: out/failed.jsonl}}\n'
    run(folder, None, graph)
    failed = folder / "out" / "failed.jsonl"
    chosen = folder / "chosen.jsonl"
    chosen.write_text(failed.read_text().splitlines(keepends=True)[0])
    name = json.loads(chosen.read_text())["record"].rpartition("/")[2]
    texts_in(folder, **{name: "two"})
    redrive(folder, graph, chosen)
    assert [json.loads(line)["record"] for line in failed.read_text().splitlines()] == [f"texts/{'d' if name == 'b' else 'b'}"]
    texts_in(folder, b="two", d="two")
    assert redrive(folder, graph).records.completed == 5
    assert failed.read_text() == ""


def test_an_input_that_changed_or_went_is_told(folder: Path) -> None:
    """What comes of a changed input is told, and a record without one stays a dead letter."""
    run(folder)
    texts_in(folder, d="six!")
    (folder / "texts" / "b").unlink()
    report = redrive(folder)
    assert [one["key"] for one in dead_letters(report)] == ["texts/b"]
    assert report.redrive is not None
    assert (report.redrive.gone, report.redrive.healed, report.records.completed) == (1, 1, 4)
    gone, changed = sorted(report.notes)
    assert gone.startswith("texts/b: its source does not give it any more")
    assert changed.startswith("texts/d: its input has changed since")


def test_what_a_killed_run_had_not_read_is_left_to_resume(folder: Path) -> None:
    """A redrive of a run that had read only a part heals what failed of it, and what has ended is not done a third time."""
    first = run(folder, sample=3)
    assert first.records.dead_lettered == 1
    texts_in(folder, b="two", d="six")
    assert redrive(folder).records.completed == 3
    report = run(folder, "same")
    assert (report.resumed, report.records.completed, dict(CALLS)) == (3, 5, {"d": 1, "e": 1})
    assert outputs(folder) == outputs(undisturbed(folder))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{garbled", r"chosen.jsonl:3: is no dead letter as phonograph writes them"),
        ('{"key": "a"}', r"chosen.jsonl:3: is no dead letter"),
        ("", r"chosen.jsonl: is empty"),
    ],
)
def test_a_file_with_something_else_is_refused(folder: Path, line: str, words: str) -> None:
    """The refusal names file and line, and leaves everything as it was."""
    report = run(folder)
    before = report.dead_letters_path.read_text()
    chosen = folder / "chosen.jsonl"
    chosen.write_text(before + line if line else "")
    with pytest.raises(RunDirectoryError, match=words):
        redrive(folder, letters=chosen)
    assert report.dead_letters_path.read_text() == before
    texts_in(folder, b="two", d="six")
    assert redrive(folder).records.completed == 5


def test_letters_of_another_manifest_are_refused(folder: Path) -> None:
    """A letter belongs to the runs that it is of."""
    report = run(folder)
    chosen = folder / "chosen.jsonl"
    first = dead_letters(report)[0]
    chosen.write_text(report.dead_letters_path.read_text().replace(first["fingerprint"], "0" * 12))
    with pytest.raises(RunDirectoryError, match=rf"chosen.jsonl:1: the dead letter of {first['key']} is of another manifest"):
        redrive(folder, letters=chosen)


def test_garbled_lines_of_the_run_directory_stay_and_are_told(folder: Path) -> None:
    """What failed is known without its letters, and a line that cannot be read is not thrown away."""
    report = run(folder)
    report.dead_letters_path.write_text("garbled\n" + report.dead_letters_path.read_text().splitlines(keepends=True)[1])
    texts_in(folder, b="two", d="six")
    report = redrive(folder)
    assert report.records.completed == 5
    assert report.dead_letters_path.read_text() == "garbled\n"
    assert any("dead_letters.jsonl:1: is no dead letter" in note for note in report.notes)


def test_a_manifest_that_changed_is_refused_with_the_difference(folder: Path) -> None:
    """What heals would be of another kind than the rest; `reuse` does it all the same, and the runs stay what they were of."""
    run(folder)
    texts_in(folder, b="two", d="six")
    other = GRAPH.replace("path: out}", "path: elsewhere}")
    with pytest.raises(RunDirectoryError, match=r"nodes.files.params.path was .*--reuse"):
        redrive(folder, other)
    assert redrive(folder, other, resume="reuse").records.completed == 5
    assert run(folder, "same").resumed == 5


def test_a_file_of_rows_that_went_is_refused(folder: Path) -> None:
    """Rows of others cannot be made by a redrive, so that it does not begin a file without them; `--resume` makes them."""
    run(folder)
    made = outputs(folder)
    (folder / "out" / "rows.jsonl").unlink()
    report = redrive(folder)
    assert report.error is not None
    assert "are not in their file any more" in str(report.error)
    assert run(folder, "same").records.completed == 3
    assert outputs(folder) == made


def test_nothing_to_go_on_with_is_refused(folder: Path) -> None:
    """A redrive begins no run."""
    with pytest.raises(RunDirectoryError, match="no run has been here"):
        redrive(folder)


def test_records_that_depend_on_each_other_are_refused(folder: Path) -> None:
    """What is made of several records cannot be made of one."""
    graph = GRAPH.replace("{type: test.files, input: loud,", "{type: test.files, input: both.one,")
    graph += "  both: {type: flow.zip, input: {one: loud, other: texts}}\n"
    with pytest.raises(RunDirectoryError, match="makes items of several records"):
        executor_for(folder, graph, Texts, Shout, Files, Jsonl, Zip, redrive=True).run()
