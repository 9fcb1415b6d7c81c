"""`run-pipeline status`: what it tells of runs that ended, were killed, or go on."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from phonograph.cli.status import command
from phonograph.cli.summary import summarise
from phonograph.journal.directory import JOURNAL
from phonograph.journal.records import EARLIER, RECORDS
from phonograph.shipped import shipped_root
from resumed import executor, run, texts_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts_in(tmp_path, a="one two", b="bad", c="three")
    return tmp_path


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What it tells as JSON, held against its contract."""
    command.main([str(folder / "run"), "--format", "json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, json.loads((shipped_root("contracts") / "status.schema.json").read_text()))
    return found


def test_a_run_that_has_ended(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts are those of the report; what failed is left to do, and the exit status says so."""
    run(folder)
    found = told(folder, capsys)
    assert (found["state"], found["status"], found["is_complete"]) == ("ended", "completed_with_errors", True)
    assert found["records"] == {
        **dict.fromkeys(("filtered", "skipped", "dropped", "cancelled"), 0),
        **{"ended": 3, "completed": 2, "dead_lettered": 1},
    }
    assert (found["to_do"], found["dead_letters"], found["holder"]) == (1, 1, None)
    assert command.main([str(folder / "run")], standalone_mode=False) == 1
    text = capsys.readouterr().out
    assert "records: 3 ended = 2 completed + 1 dead lettered\n  1 of them would be done again\n  1 dead letter: " in text
    texts_in(folder, b="good")
    run(folder, "same")
    assert command.main([str(folder / "run")], standalone_mode=False) == 0
    assert "(run 2 of those that went on with each other)" in capsys.readouterr().out


def test_a_run_that_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While a run holds the directory, it is told which process that is."""
    running = executor(folder)
    found: dict[str, Any] = {}

    class Watching:
        def __getattr__(self, level: str) -> Any:
            return self.told

        def told(self, event: str, **facts: object) -> None:
            if event == "run_started":
                found.update(told(folder, capsys))

    running._log = Watching()
    running.run()
    assert found["state"] == "running"
    assert found["holder"] == {"pid": os.getpid(), "host": socket.gethostname()}


def test_a_run_that_was_killed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal without an end is that of a run that was killed; what is torn is not counted."""
    run(folder)
    path = folder / "run" / JOURNAL / RECORDS
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b'{"ended"')] + b'{"key":"texts/d","outcome"')
    found = told(folder, capsys)
    assert (found["state"], found["status"], found["records"]["ended"]) == ("stopped", None, 3)


def test_a_run_that_is_about_to_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it has said anything itself, the run before is told."""
    run(folder)
    (folder / "run" / JOURNAL / RECORDS).rename(folder / "run" / JOURNAL / EARLIER)
    found = told(folder, capsys)
    assert (found["run"], found["records"]["ended"], found["not_met"]) == (1, 3, 0)


def test_inputs_that_are_gone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a run has seen all that there is, they count no more, and nothing of them is left to do."""
    run(folder)
    for name in "bc":
        (folder / "texts" / name).unlink()
    report = run(folder, "same")
    assert (report.gone, report.records.read) == (2, 1)
    assert "  2 of earlier runs are no longer in the sources; what was made of them stays" in summarise(
        report, executor(folder).graph
    )
    found = told(folder, capsys)
    assert (found["gone"], found["not_met"], found["to_do"], found["records"]["ended"]) == (2, 0, 0, 1)
    assert command.main([str(folder / "run")], standalone_mode=False) == 0
    assert "  2 of earlier runs are no longer in the sources" in capsys.readouterr().out


def test_no_run_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a journal is no run directory, and the exit status is 2."""
    assert command.main([str(tmp_path)], standalone_mode=False) == 2
    assert "holds no journal; expected the --run-dir of a run" in capsys.readouterr().err
    assert command.main([str(tmp_path / "none")], standalone_mode=False) == 2
    assert "is not there; expected the --run-dir of a run" in capsys.readouterr().err
