"""The page on chaos: its commands run, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from phonograph.chaos.faults import KINDS
from phonograph.cli.chaos import command


@pytest.fixture
def page(checkout: Path) -> str:
    return (checkout / "docs" / "chaos.md").read_text("utf-8")


def test_the_commands_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes to its end without a violation, with two seeds in place of as many as it says, and leaves nothing."""
    monkeypatch.chdir(tmp_path)
    lines = [line for block in re.findall(r"```bash\n(.*?)\n```", page, re.DOTALL) for line in block.splitlines()]
    assert len(lines) == 2
    for line in lines:
        words = re.sub(r"--seeds \d+", "--seeds 2", line).split()
        assert words[:2] == ["run-pipeline", "chaos"]
        result = CliRunner().invoke(command, words[2:], standalone_mode=False)
        assert (result.exception, result.return_value) == (None, 0), result.output
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_fault_and_every_option_is_explained(page: str) -> None:
    """The table has a row for each kind, in their order."""
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == KINDS
    own = {"--seeds", "--seed", "--faults", "--rate", "--records", "--format"}
    assert own <= {option for parameter in command.params for option in parameter.opts}
    assert [option for option in sorted(own) if option not in page] == []
