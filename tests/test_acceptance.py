"""The runner of claims: what it reports when a claim holds, does not hold, or cannot be measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance import claims, run
from acceptance.claims import Figure
from acceptance.processes import CommandError
from acceptance.processes import run as run_command


def declare(measure: Callable[[], Figure], *, fast: bool = True) -> None:
    claims.claim(issue="spine", bar="1", fast=fast)(measure)


@pytest.fixture
def own_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spine's own claims are set aside, so that the test declares all there are."""
    claims.claims_of("spine")  # imported, and so declared, before the list is replaced
    monkeypatch.setattr(claims, "_CLAIMS", [])


def judged(tmp_path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    out = tmp_path / "verdicts" / "acceptance.json"
    status = run.main(["--issue", "spine", "--out", str(out), *options])
    return status, json.loads(out.read_text("utf-8"))["claims"]


def holds() -> Figure:
    """One is one."""
    return Figure("1", met=True)


def falls_short() -> Figure:
    """One is two."""
    return Figure("2", met=False, cause="miscounted")


def breaks() -> Figure:
    """One can be counted."""
    raise FileNotFoundError("no numbers here")


@pytest.mark.usefixtures("own_claims")
def test_a_claim_that_raises_is_unmet_and_the_others_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is a claim's cause, not the run's end; without --strict the exit status is 0."""
    for measure in (breaks, falls_short, holds):
        declare(measure)
    status, verdicts = judged(tmp_path)
    assert status == 0
    assert [(one["claim"], one["met"]) for one in verdicts] == [("breaks", False), ("falls_short", False), ("holds", True)]
    assert [one["cause"] for one in verdicts] == ["FileNotFoundError: no numbers here", "miscounted", ""]
    printed = capsys.readouterr().out
    assert printed.count("    UNMET") == 2
    assert printed.count("    MET") == 1
    assert "1 of 3 claims met" in printed


@pytest.mark.usefixtures("own_claims")
def test_strict_runs_exit_with_1_when_a_claim_is_unmet(tmp_path: Path) -> None:
    """With --strict the exit status tells whether all claims are met."""
    declare(holds)
    assert judged(tmp_path, "--strict")[0] == 0
    declare(falls_short)
    assert judged(tmp_path, "--strict")[0] == 1


@pytest.mark.usefixtures("own_claims")
def test_fast_runs_leave_slow_claims_out(tmp_path: Path) -> None:
    """With --fast only fast claims are judged, and choosing none is refused."""
    declare(holds)
    declare(falls_short, fast=False)
    assert [one["claim"] for one in judged(tmp_path, "--fast")[1]] == ["holds"]
    with pytest.raises(SystemExit, match="it has: holds, falls_short"):
        judged(tmp_path, "--only", "imagined")


def test_every_claim_says_what_it_is_about() -> None:
    """The claims of each issue have different names, a sentence and a bar."""
    for issue in claims.issues():
        found = claims.claims_of(issue)
        assert len({one.name for one in found}) == len(found) > 0
        assert all(one.text.endswith(".") and one.bar for one in found)
        assert any(one.fast for one in found)


def test_a_command_past_its_deadline_is_killed_with_its_children() -> None:
    """A command that hangs ends at its deadline, together with what it started, and the claim hears of it."""
    with pytest.raises(CommandError, match=r"did not end within 0\.5 s"):
        run_command(["bash", "-c", "sleep 60 & wait"], deadline_s=0.5)


def test_a_command_that_fails_tells_what_it_printed() -> None:
    """The end of a failing command's output is in the error."""
    with pytest.raises(CommandError, match=r"exit status 3\n.*out of tape"):
        run_command([sys.executable, "-c", "import sys; print('out of tape', file=sys.stderr); sys.exit(3)"], deadline_s=30)
