"""Going on with a run: what is taken over, what is done again, what is refused."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from phonograph.errors import RunDirectoryError
from phonograph.item import Outcome
from phonograph.journal.directory import JOURNAL
from phonograph.journal.earlier import earlier_runs
from phonograph.journal.records import EARLIER, RECORDS
from phonograph.journal.sealed import SealedFile, groups, line_of
from phonograph.redaction import NO_SECRETS
from resumed import CALLS, GRAPH, outputs, run, texts_in
from small_runs import dead_letters, journalled, rows_in
from stopped import IN_ORDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts_in(tmp_path, a="one two", b="three", c="four five six")
    return tmp_path


def undisturbed(folder: Path, path: Path) -> dict[str, str]:
    """What a run makes of the inputs as they are now, elsewhere."""
    path.mkdir()
    (path / "texts").symlink_to(folder / "texts")
    run(path)
    return outputs(path)


def test_a_finished_run_has_nothing_left_to_do(folder: Path) -> None:
    """Every record is taken over, no node is called, and counts and journal are those of the whole."""
    first = run(folder)
    made = outputs(folder)
    report = run(folder, "same")
    assert (report.resumed, report.records) == (3, first.records)
    assert not CALLS
    assert outputs(folder) == made
    assert [row["key"] for row in journalled(report)] == [row["key"] for row in journalled(first)]
    assert report.metrics is not None
    assert report.metrics.pipeline_execution.resumed == 3
    assert not (folder / "run" / JOURNAL / EARLIER).exists()


def test_new_records_are_done_and_nothing_else(folder: Path) -> None:
    """A file that came in between is done, wherever it stands in the order of the source."""
    run(folder)
    texts_in(folder, aa="seven", d="eight")
    report = run(folder, "same")
    assert (report.resumed, report.records.completed, dict(CALLS)) == (3, 5, {"aa": 1, "d": 1})
    assert outputs(folder) == undisturbed(folder, folder / "other")
    assert run(folder, "same").resumed == 5


def test_a_changed_input_is_done_again_and_leaves_nothing_of_before(folder: Path) -> None:
    """What was made of an input before it changed is replaced, and what it does not become any more is gone."""
    run(folder)
    texts_in(folder, c="nine")
    report = run(folder, "same")
    assert (report.resumed, dict(CALLS)) == (2, {"c": 1})
    assert outputs(folder) == undisturbed(folder, folder / "other")


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("edited")])
def test_an_output_that_is_no_longer_as_it_was_is_made_again(folder: Path, harm: object) -> None:
    """A file that was deleted or edited is made again, and nothing else is."""
    run(folder)
    made = outputs(folder)
    harm(folder / "out" / "texts" / "b#0000.txt")  # type: ignore[operator]
    report = run(folder, "same")
    assert (report.resumed, dict(CALLS)) == (2, {"b": 1})
    assert outputs(folder) == made


def test_verify_reads_what_was_written(folder: Path) -> None:
    """Another content with the size and time of what was written is found by `verify` alone."""
    run(folder)
    made = outputs(folder)
    path = folder / "out" / "texts" / "b#0000.txt"
    status = path.stat()
    path.write_text("THRIE")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(folder, "same").resumed == 3
    assert run(folder, "verify").resumed == 2
    assert outputs(folder) == made


def test_dead_letters_are_tried_again(folder: Path) -> None:
    """A record that failed is done again; its letter goes when it is well, and stays when it is not."""
    texts_in(folder, b="bad", d="bad")
    first = run(folder)
    assert (first.records.dead_lettered, len(dead_letters(first))) == (2, 2)
    texts_in(folder, b="good")
    report = run(folder, "same")
    assert (report.resumed, report.records.completed, report.records.dead_lettered) == (2, 3, 1)
    assert [letter["key"] for letter in dead_letters(report)] == ["texts/d"]
    assert outputs(folder) == undisturbed(folder, folder / "other")


def test_letters_of_earlier_runs_go_when_all_has_been_done_again(folder: Path) -> None:
    """A run that has seen everything leaves its own dead letters, also when it fails because there are too many."""
    texts_in(folder, a="bad", b="bad", c="bad")
    for resume in (None, "same", "same"):
        report = run(folder, resume)
        assert (report.status, len(dead_letters(report))) == ("failed", 3)
    texts_in(folder, a="good")
    report = run(folder, "same", sample=1)
    assert len(dead_letters(report)) == 3


def test_another_manifest_is_refused_with_the_difference(folder: Path) -> None:
    """The refusal names what was and what is; `reuse` takes what is there, `new` begins anew."""
    run(folder)
    other = GRAPH.replace("path: out}", "path: elsewhere}")
    with pytest.raises(RunDirectoryError, match=r'nodes.files.params.path was ".*/out", is ".*/elsewhere"; .*--resume=reuse'):
        run(folder, "same", other)
    assert run(folder, "reuse", other).resumed == 3
    assert run(folder, "new", other).resumed == 3  # for the latest run was of that manifest
    assert run(folder, "new").resumed == 0


def test_workers_and_retries_do_not_matter(folder: Path) -> None:
    """What changes no result does not keep a run from being gone on with."""
    run(folder)
    patient = GRAPH.replace("input: texts}", "input: texts, workers: 2, retry: {max_retries: 9}}")
    assert run(folder, "same", patient, workers=3).resumed == 3


def test_nothing_to_go_on_with_is_no_error(folder: Path) -> None:
    """The same command line can begin a run and go on with it."""
    assert run(folder, "same").resumed == 0
    assert run(folder, "same").resumed == 3


def test_a_sample_is_gone_on_with_by_the_whole(folder: Path) -> None:
    """A run of some records is taken over by one of all, and one of all by one of some, which loses nothing of it."""
    run(folder, sample=2)
    assert run(folder, "same").resumed == 2
    assert run(folder, "same", sample=1).records.read == 1
    assert run(folder, "same").resumed == 3


def test_without_resume_everything_is_done_again(folder: Path) -> None:
    """A run that does not ask for it takes nothing over."""
    run(folder)
    assert (run(folder).resumed, sum(CALLS.values())) == (0, 3)


def test_a_garbled_group_is_done_again(folder: Path) -> None:
    """Rows that cannot be trusted cost work and nothing else: their records are done again."""
    run(folder)
    made = outputs(folder)
    path = folder / "run" / JOURNAL / RECORDS
    path.write_bytes(path.read_bytes().replace(b'"texts/b"', b'"texts/X"'))
    report = run(folder, "same")
    assert (report.resumed, report.records.completed) == (0, 3)
    assert outputs(folder) == made


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_a_torn_journal_is_cut_off(folder: Path, kept: int) -> None:
    """However little of the file is left, the run is gone on with or begun anew."""
    run(folder)
    made = outputs(folder)
    path = folder / "run" / JOURNAL / RECORDS
    path.write_bytes(path.read_bytes()[:kept])
    assert run(folder, "same").records.completed == 3
    assert outputs(folder) == made


def test_a_journal_of_another_version_is_refused(folder: Path) -> None:
    """The refusal names the file, its version and the one that is expected."""
    run(folder)
    path = folder / "run" / JOURNAL / RECORDS
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 7', 1))
    with pytest.raises(RunDirectoryError, match=r"records.log:1: it is of version 7 .* expected a journal of version 1"):
        run(folder, "same")
    assert rows_in(folder / "run"), "a refusal leaves everything as it was"


def test_a_journal_that_does_not_say_what_it_is_is_refused(folder: Path) -> None:
    """A file whose first row is garbled is not taken for an empty one."""
    run(folder)
    path = folder / "run" / JOURNAL / RECORDS
    path.write_bytes(path.read_bytes().replace(b'"began"', b'"bogus"', 1))
    with pytest.raises(RunDirectoryError, match="its first row is garbled"):
        run(folder, "same")


def test_rows_that_come_while_others_are_written_are_kept(folder: Path) -> None:
    """Every record has its row, however often the journal is written."""
    texts_in(folder, **{f"t{number}": "word" for number in range(40)})
    assert len(journalled(run(folder, sync_every=0))) == 43


@pytest.mark.parametrize("gone", ["out/rows.jsonl", "run/journal/rows-0.rows.log"])
def test_what_a_list_lost_is_known_after_a_kill_too(folder: Path, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is to make a list again, and is stopped before it has, leaves that to the next one."""
    run(folder)
    made = outputs(folder)
    (folder / gone).unlink()

    def stop(step: str) -> None:
        if step == "records.written":
            raise OSError(5, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("phonograph.points.hook", stop)
        assert run(folder, "same", sync_every=0).error is not None
    assert run(folder, "same").records.completed == 3
    assert outputs(folder) == made


def test_files_of_collected_records_are_not_left_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run had made of several records at once is made again, and stays."""
    graph = """
nodes:
  texts: {type: test.texts, params: {path: texts}}
  loud: {type: test.shout, input: texts}
  some: {type: flow.collect, input: loud, params: {by: count, size: 2}}
  files: {type: test.names, input: some, params: {path: out}}
"""
    run(folder, graph=graph)
    made = outputs(folder)

    def stop(step: str) -> None:
        if step == "records.written":
            raise OSError(5, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("phonograph.points.hook", stop)
        assert run(folder, graph=graph).error is not None
    assert run(folder, "same", graph).error is None
    assert outputs(folder) == made


def test_outputs_stay_when_a_power_cut_took_the_names_under_which_they_were_begun(folder: Path) -> None:
    """A run that was killed had begun a file which the next one made; of that one only the record's row reached the disk."""
    run(folder)
    made = outputs(folder)
    path = folder / "out" / "texts" / "b#0000.txt"
    log = SealedFile(folder / "run" / JOURNAL / "files-0.log")
    log.append(line_of({"begun": {"run": 7, "ordinal": 1, "path": str(path), "temporary": str(path.with_name(".b.tmp"))}}))
    log.close()
    assert run(folder, "same").resumed == 3
    assert outputs(folder) == made


def test_earlier_rows_are_read_until_the_run_directory_is_left(folder: Path) -> None:
    """Where a run ends before its sources do, the file of earlier records is let go of all the same."""
    run(folder)
    journal = folder / "run" / JOURNAL
    earlier = earlier_runs(journal, {}, "reuse", NO_SECRETS, [])
    assert earlier is not None
    rows = earlier.rows()
    assert next(rows)[0].outcome is Outcome.COMPLETED
    earlier.close()
    assert next(rows, None) is None


@pytest.mark.parametrize("gone", ["rows", "more"])
def test_a_list_that_stays_beside_one_that_is_gone(folder: Path, gone: str) -> None:
    """Records are done again for the list that is gone, and their rows are in the other one once."""
    graph = GRAPH + "  more: {type: sink.jsonl, input: loud, params: {path: out/more.jsonl}}\n"
    run(folder, graph=graph)
    made = outputs(folder)
    (folder / "out" / f"{gone}.jsonl").unlink()
    assert run(folder, "same", graph).error is None
    assert outputs(folder) == made


def test_a_source_that_lost_what_a_run_had_not_ended(folder: Path) -> None:
    """A record that takes the place of one that had not ended, and is gone now, is known by its key."""
    run(folder, sync_every=0)
    path = folder / "run" / JOURNAL / RECORDS
    lines = [line for group in groups(path) for line in group.body.splitlines(keepends=True) if b'"texts/a"' not in line]
    killed = SealedFile(path)
    for line in lines:
        killed.append(line)
    killed.close()
    (folder / "texts" / "a").unlink()
    report = run(folder, "same")
    assert (report.resumed, report.records.read) == (2, 2)


def test_a_source_that_grew_in_front_before_a_run_that_stopped(folder: Path) -> None:
    """Records whose places others took are known by their keys, in all runs behind that."""
    run(folder)
    texts_in(folder, A="seven")
    run(folder, "same", sample=3)
    report = run(folder, "same")
    assert (report.resumed, report.records.read) == (4, 4)
    assert outputs(folder) == undisturbed(folder, folder / "other")


def test_an_ordered_list_of_a_source_that_grew_in_front(folder: Path) -> None:
    """Rows that were taken over go behind those of a record that came before theirs."""
    texts_in(folder, a="one", b="two", c="three")
    run(folder, graph=IN_ORDER)
    texts_in(folder, A="zero", bb="between")
    assert run(folder, "same", IN_ORDER).resumed == 3
    texts = [json.loads(row)["text"] for row in (folder / "out" / "rows.jsonl").read_text().splitlines()]
    assert texts == ["ZERO", "ONE", "TWO", "BETWEEN", "THREE"]


@pytest.mark.parametrize(("before", "now"), [(4, 2), (2, 4)])
def test_archives_of_another_number(folder: Path, before: int, now: int) -> None:
    """Earlier ones that are taken as they are stand, and what is new is in those of the other number: each sample once."""
    graph = GRAPH + "  shards: {type: sink.shards, input: loud, params: {path: out/shards, num_shards: NUMBER}}\n"
    run(folder, graph=graph.replace("NUMBER", f"{before}"))
    texts_in(folder, d="seven eight")
    run(folder, "reuse", graph.replace("NUMBER", f"{now}"))
    names = []
    for path in (folder / "out" / "shards").iterdir():
        with tarfile.open(path) as archive:
            names += archive.getnames()
    keys = ("a#0000", "a#0001", "b#0000", "c#0000", "c#0001", "c#0002", "d#0000", "d#0001")
    assert sorted(names) == [f"texts/{key}.json" for key in keys]
