"""Completion in shells: what a shell is offered for a command line that is begun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import project, run_pipeline

COMMAND = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]


def ask(folder: Path, instruction: str, **variables: str) -> str:
    environment = {**os.environ, "_RUN_PIPELINE_COMPLETE": instruction, **variables}
    result = subprocess.run(COMMAND, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr == ""
    return result.stdout


def offered(folder: Path, *words: str) -> list[str]:
    """What bash is offered for the last of these words; bash makes words of their own of `=`."""
    line = ["run-pipeline", *words]
    answer = ask(folder, "bash_complete", COMP_WORDS="\n".join(line), COMP_CWORD=str(len(line) - 1))
    return [item.partition(",")[2] for item in answer.splitlines() if item]


def test_the_first_word_is_a_verb_or_a_manifest(tmp_path: Path) -> None:
    """Verbs, shipped manifests, manifests that lie here and folders are offered, other files are not."""
    project(tmp_path)
    (tmp_path / "notes.txt").touch()
    found = offered(tmp_path, "")
    assert {"check", "explain", "graph", "run", "features", "line.yaml", "clips/"} <= set(found)
    assert "notes.txt" not in found
    assert offered(tmp_path, "feat") == ["features"]


def test_manifests_in_folders_are_found(tmp_path: Path) -> None:
    """A folder that is typed is looked into."""
    (tmp_path / "parts").mkdir()
    project(tmp_path / "parts")
    assert offered(tmp_path, "check", "pa") == ["parts/"]
    assert offered(tmp_path, "check", "parts/") == ["parts/clips/", "parts/line.yaml"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("features", "--param", ""), ["corpus=", "out=", "frontend="]),
        (("run", "features", "--param", "fr"), ["frontend="]),
        (("features", "--param", "out", "=", "x", "--param", "fr"), ["frontend="]),
        (("features", "--param", "out", "=", "x"), []),
        (("check", "features", "--set", "nodes.mel.params.n_"), ["nodes.mel.params.n_mels="]),
        (("explain", "features", "--set", "params.co"), ["params.corpus.default="]),
        (("explain", "features", "--node", "ma"), ["matrices"]),
        (("explain", "features", "--format", ""), ["text", "json"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("features", "--dry"), ["--dry-run"]),
        (("no-such-manifest", "--param", ""), []),
    ],
    ids=" ".join,
)
def test_options_complete_from_the_manifest(tmp_path: Path, words: tuple[str, ...], expected: list[str]) -> None:
    """Parameters, paths and node ids are those of the manifest on the command line."""
    assert offered(tmp_path, *words) == expected


def test_completion_runs_no_plug_in(tmp_path: Path) -> None:
    """Of a type from a plug-in the parameters are offered that the manifest gives; the plug-in's code does not run."""
    (tmp_path / "mine.py").write_text("open('ran', 'w').close()\n")
    text = "version: 1\nname: x\nplugins: [mine.py]\nnodes:\n  gain: {type: my.gain, params: {gain_db: 1}}\n"
    project(tmp_path, text)
    assert offered(tmp_path, "line.yaml", "--set", "nodes.gain.params") == ["nodes.gain.params.gain_db="]
    assert offered(tmp_path, "explain", "line.yaml", "--node", "") == ["gain"]
    assert not (tmp_path / "ran").exists()


def test_a_broken_manifest_offers_what_can_be_read(tmp_path: Path) -> None:
    """Completion works while the manifest is being written, and never prints an error."""
    path = tmp_path / "half.yaml"
    path.write_text("version: 1\nparams:\n  corpus: {type: path}\nnodes:\n  clips: {typ")
    assert offered(tmp_path, "half.yaml", "--param", "") == []
    path.write_text("version: 1\nparams:\n  corpus: {type: path}\nnodes:\n  clips: {type: source.fils}\n")
    assert offered(tmp_path, "half.yaml", "--param", "") == ["corpus="]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_activation_line_is_printed(tmp_path: Path, shell: str) -> None:
    """`completion SHELL` prints one line below a comment, and the script that it fetches knows our command."""
    comment, line = run_pipeline("completion", shell).stdout.splitlines()
    assert comment.startswith("# ")
    assert f"_RUN_PIPELINE_COMPLETE={shell}_source run-pipeline" in line
    assert "run-pipeline" in ask(tmp_path, f"{shell}_source")


def test_bash_takes_the_script(tmp_path: Path) -> None:
    """The script runs in bash, and what it offers after --param ends without a space, for the value is still to come."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    script = ask(tmp_path, "bash_source")
    probe = (
        'run_pipeline() { "$PYTHON" -c "from phonograph.cli import main; main()"; }\n'
        "compopt() { echo option $*; }\n"
        'COMP_WORDS=(run-pipeline features --param fr); COMP_CWORD=3; PATH="$PWD:$PATH"\n'
        "_run_pipeline_completion run-pipeline fr --param\necho offered ${COMPREPLY[*]}\n"
    )
    command = tmp_path / "run-pipeline"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from phonograph.cli import main; main()'\n")
    command.chmod(0o755)
    result = subprocess.run([bash, "-c", script + probe], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.splitlines() == ["option -o nospace", "offered frontend="]
