"""run-pipeline: exit codes, words, files; each test is a process of its own, as a user has it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_runs import rows_in

COMMAND = [sys.executable, "-W", "error", "-c", "from phonograph.cli import main; main()"]

CONVERT = """version: 1
name: small
nodes:
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  wav: {type: sink.wav, input: audio, params: {path: out}}
"""


def run_pipeline(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options)


def write_wav(path: Path, seconds: float = 0.1) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(np.arange(int(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a manifest and two clips, one of which is broken."""
    (tmp_path / "small.yaml").write_text(CONVERT)
    write_wav(tmp_path / "clips" / "good.wav")
    (tmp_path / "clips" / "broken.wav").write_bytes(b"not audio")
    return tmp_path


def test_a_run_with_a_broken_file_is_done_with_errors(project: Path) -> None:
    """The good clip is written, the broken one is named on the summary, the exit status is 0."""
    result = run_pipeline(project, "small.yaml", "--metrics", "m/metrics.json")
    assert result.returncode == 0, result.stderr
    assert "records: 2 read = 1 completed + 1 dead lettered" in result.stdout
    assert "broken.wav" in result.stdout
    assert [path.name for path in (project / "out").rglob("*.wav")] == ["good.wav.wav"]
    document = json.loads((project / "m" / "metrics.json").read_text())
    assert document["pipeline_execution"]["status"] == "completed_with_errors"


def test_without_a_terminal_there_is_no_progress(project: Path) -> None:
    """In a pipe, standard error holds log lines alone: no bar, no control codes."""
    (project / "clips" / "broken.wav").unlink()
    result = run_pipeline(project, "small.yaml")
    assert result.stderr == ""
    assert "\x1b" not in result.stdout


def test_a_terminal_gets_a_progress_line(project: Path) -> None:
    """On a terminal a line with counts is drawn while the run lasts."""
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a pseudo-terminal: {error}")
    try:
        command = [*COMMAND, "small.yaml"]
        result = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False)
        os.close(theirs)
        drawn = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
    assert result.returncode == 0
    assert "\x1b" in drawn


def test_json_logs_are_one_object_a_line(project: Path) -> None:
    """--log-format json gives machines a line for each event, with node and key."""
    result = run_pipeline(project, "small.yaml", "--log-format", "json")
    (event,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (event["event"], event["node"], event["level"]) == ("record_failed", "audio", "warning")
    assert event["key"].endswith("broken.wav")


def test_a_wrong_manifest_is_exit_2_and_runs_nothing(project: Path) -> None:
    """Complaints go to standard error with their position; nothing is written."""
    (project / "small.yaml").write_text(CONVERT.replace("audio.decode", "audio.decoed"))
    result = run_pipeline(project, "small.yaml")
    assert result.returncode == 2
    assert "small.yaml:5:17: unknown_type" in result.stderr
    assert "did you mean 'audio.decode'" in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in project.iterdir()) == ["clips", "small.yaml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.yaml"], "nothing.yaml"),
        (["featurse"], "did you mean 'features'?"),
        (["small.yaml", "--param", "corpus"], "expected NAME=VALUE"),
        (["small.yaml", "--param", "corpus=x"], "corpus"),
        (["small.yaml", "--workers", "0"], "--workers"),
        (["small.yaml", "--colour"], "--colour"),
        ([], "MANIFEST"),
    ],
    ids=["missing file", "misspelt name", "param without value", "unknown param", "no workers", "unknown option", "nothing"],
)
def test_a_wrong_command_line_is_exit_2(project: Path, arguments: list[str], words: str) -> None:
    """What is wrong stands in the message."""
    result = run_pipeline(project, *arguments)
    assert result.returncode == 2
    assert words in result.stderr + result.stdout


def test_a_corpus_that_does_not_exist_is_exit_2(project: Path) -> None:
    """A path that is not there is a complaint, before anything runs."""
    (project / "small.yaml").write_text(CONVERT.replace("paths: clips", "paths: clisp"))
    result = run_pipeline(project, "small.yaml")
    assert result.returncode == 2
    assert "missing_file" in result.stderr and "clisp" in result.stderr


def test_a_corpus_without_audio_fails_the_run(project: Path) -> None:
    """A source that finds nothing is exit status 1 and names the path."""
    (project / "empty").mkdir()
    (project / "small.yaml").write_text(CONVERT.replace("paths: clips", "paths: empty"))
    result = run_pipeline(project, "small.yaml")
    assert result.returncode == 1
    assert "empty" in result.stderr


def test_an_output_folder_that_cannot_be_made_fails_the_run(project: Path) -> None:
    """A file where the output folder should be is exit status 1 with a remedy, and nothing is completed."""
    (project / "out").write_text("in the way")
    result = run_pipeline(project, "small.yaml")
    assert result.returncode == 1
    assert "out" in result.stderr and "folder" in result.stderr
    assert (project / "out").read_text() == "in the way"


def test_ctrl_c_drains_and_exits_130(project: Path) -> None:
    """After SIGINT what was read is completed, the law holds on disk, and the exit status is 130."""
    for number in range(40):
        write_wav(project / "clips" / f"{number:03}.wav", seconds=0.02)
    (project / "slow.yaml").write_text(
        CONVERT.replace("paths: clips", "paths: [" + ", ".join(["clips"] * 500) + "]")  # long enough to be interrupted
    )
    process = subprocess.Popen(
        [*COMMAND, "slow.yaml", "--run-dir", "run", "--workers", "1"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = project / "run" / "dead_letters.jsonl"
    while not (journal.exists() and journal.stat().st_size) and process.poll() is None:
        pass  # the first dead letter shows that the run is under way
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    records = json.loads((project / "run" / "metrics.json").read_text())["pipeline_execution"]["records"]
    assert records["cancelled"] == 0
    assert records["completed"] + records["dead_lettered"] == records["read"]
    assert len(rows_in(project / "run")) == records["read"]
    assert "interrupted" in stdout
    assert not (project / "run" / "lock").exists()


def test_a_log_that_nobody_can_read_changes_nothing(project: Path) -> None:
    """With standard error on a full device the run ends as ever."""
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*COMMAND, "small.yaml"], cwd=project, stdout=subprocess.PIPE, stderr=full, text=True, timeout=120, check=False
        )
    assert result.returncode == 0
    assert "1 completed + 1 dead lettered" in result.stdout


def test_a_summary_that_cannot_be_written_is_one_line(project: Path) -> None:
    """With standard output on a full device the exit status is 1, in words and without a traceback."""
    command = [*COMMAND, "small.yaml", "--log-level", "error"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
    assert (project / "out" / "clips" / "good.wav.wav").exists()


def test_metrics_that_cannot_be_written_do_not_hide_the_summary(project: Path) -> None:
    """A folder of that name which the run makes itself: the summary comes first; the exit status is 1, the reason is named."""
    result = run_pipeline(project, "small.yaml", "--metrics", "out")
    assert result.returncode == 1
    assert "records: 2 read" in result.stdout
    assert "/out: no file of this name can be made: it is a folder" in result.stderr


def test_json_logs_tell_start_and_end(project: Path) -> None:
    """At level info a machine sees when the run started and how it ended."""
    result = run_pipeline(project, "small.yaml", "--log-format", "json", "--log-level", "info")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["event"] for event in events] == ["run_started", "record_failed", "run_ended"]
    assert (events[-1]["completed"], events[-1]["dead_lettered"]) == (1, 1)


def test_a_dry_run_opens_and_writes_nothing(project: Path) -> None:
    """--dry-run shows segments, outputs and the run directory, and leaves the folder as it was."""
    result = run_pipeline(project, "small.yaml", "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "small: 3 nodes in 3 segments",
        "  clips  source.files",
        "  audio  audio.decode",
        "  wav    sink.wav",
        "output         out",
        result.stdout.splitlines()[5],
        "dry run: nothing was opened or written",
    ]
    assert result.stdout.splitlines()[5].startswith("run directory  .phonograph/small-")
    assert sorted(path.name for path in project.iterdir()) == ["clips", "small.yaml"]


def test_a_dry_run_of_a_wrong_manifest_is_exit_2(project: Path) -> None:
    """Its complaints come, as without --dry-run."""
    (project / "small.yaml").write_text(CONVERT.replace("audio.decode", "audio.decoed"))
    result = run_pipeline(project, "small.yaml", "--dry-run")
    assert (result.returncode, result.stdout) == (2, "")
    assert "unknown_type" in result.stderr


def test_a_sample_is_a_part_of_the_records(project: Path) -> None:
    """--sample N reads N records and no more."""
    for number in range(5):
        write_wav(project / "clips" / f"{number}.wav")
    result = run_pipeline(project, "small.yaml", "--sample", "3")
    assert result.returncode == 0, result.stderr
    assert "records: 3 read = 3 completed" in result.stdout


def test_a_node_that_spoils_arrays_is_found_on_request(project: Path) -> None:
    """--check-arrays names a node that writes into what others read; without, nothing is said."""
    (project / "clips" / "broken.wav").unlink()
    code = "from phonograph import AudioChunk\nfrom phonograph.node import node\n\n\n@node('my.spoil')\n"
    code += "def spoil(audio: AudioChunk) -> AudioChunk:\n    audio.samples[:] = 0\n    return audio\n"
    (project / "spoil.py").write_text(code)
    text = CONVERT.replace("nodes:", "plugins: [spoil.py]\nnodes:").replace("input: audio", "input: spoil")
    (project / "small.yaml").write_text(text + "  spoil: {type: my.spoil, input: audio}\n")
    assert "1 completed" in run_pipeline(project, "small.yaml").stdout
    result = run_pipeline(project, "small.yaml", "--check-arrays")
    assert "1 dead lettered" in result.stdout
    assert "node 'spoil' changed the array on its input 'audio'" in result.stderr


def test_an_override_changes_the_run(project: Path) -> None:
    """--set replaces a value of the manifest; a path given so starts where the command was given."""
    (project / "elsewhere").mkdir()
    result = run_pipeline(project / "elsewhere", "../small.yaml", "--set", "nodes.wav.params.path=here")
    assert result.returncode == 0, result.stderr
    assert (project / "elsewhere" / "here" / "clips" / "good.wav.wav").exists()


def test_an_override_that_leads_nowhere_is_exit_2(project: Path) -> None:
    """A slip in a path is named, with what is nearest to it."""
    result = run_pipeline(project, "small.yaml", "--set", "nodes.wave.params.path=here")
    assert result.returncode == 2
    assert "override" in result.stderr and "did you mean 'wav'?" in result.stderr


def test_a_manifest_that_wants_inputs_is_exit_2(project: Path) -> None:
    """What is made to be included or embedded cannot be run by itself, and that is said before anything runs."""
    text = "version: 1\nname: part\ninputs: {speech: {type: audio}}\nnodes:\n"
    (project / "part.yaml").write_text(text + "  wav: {type: sink.wav, input: inputs.speech, params: {path: out}}\n")
    for options in ((), ("--dry-run",)):
        result = run_pipeline(project, "part.yaml", *options)
        assert (result.returncode, result.stdout) == (2, "")
        assert "missing_input" in result.stderr and "'speech'" in result.stderr
    assert run_pipeline(project, "check", "part.yaml").returncode == 0
    assert not (project / ".phonograph").exists()


def test_warnings_are_logged_and_notes_are_not(project: Path) -> None:
    """A run says once what is odd about its manifest; what is only worth knowing is left to `check`."""
    text = CONVERT.replace(
        "audio.decode, input: clips}", "audio.decode, input: clips}\n  idle: {type: audio.convert, input: audio}"
    )
    (project / "small.yaml").write_text(text)
    result = run_pipeline(project, "small.yaml", "--log-format", "json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["code"] for event in events if event["event"] == "manifest_warning"] == ["unused_node"]


def test_a_terminal_gets_the_line_and_a_caret(project: Path) -> None:
    """On a terminal the line of the manifest stands below each complaint, with a caret below the column."""
    (project / "small.yaml").write_text(CONVERT.replace("audio.decode", "audio.decoed"))
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a pseudo-terminal: {error}")
    try:
        command = [*COMMAND, "small.yaml"]
        subprocess.run(command, cwd=project, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False)
        os.close(theirs)
        shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
    assert "\n   5 |   audio: {type: audio.decoed, input: clips}\n     |                 ^\n" in shown


def test_a_verb_that_cannot_be_loaded_harms_no_other(project: Path) -> None:
    """A broken package is named by its own verb and in the help, and the rest works."""
    package = project / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[phonograph.commands]\nbroken = no_such_module:command\n")
    environment = {**os.environ, "PYTHONPATH": str(project)}
    result = run_pipeline(project, "--help", env=environment)
    assert result.returncode == 0 and "explain" in result.stdout and "broken" in result.stdout
    result = run_pipeline(project, "broken", "--whatever", env=environment)
    assert result.returncode == 2
    assert "the verb 'broken', no_such_module:command, cannot be loaded: ModuleNotFoundError" in result.stderr


def test_nodes_lists_what_is_installed(tmp_path: Path) -> None:
    """Each node type has a line with its summary."""
    result = run_pipeline(tmp_path, "nodes")
    assert result.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line)
    assert {"source.files", "audio.decode", "features.log_mel", "sink.npy"} <= set(lines)
    assert all(lines.values())


def test_help_does_not_import_numpy(tmp_path: Path) -> None:
    """`--help` answers without loading what only a run needs."""
    code = "import sys; from phonograph.cli.verbs import cli; cli(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = result.stdout.splitlines()[-1]
    assert "'phonograph.cli.run'" in modules
    assert not any(f"'{name}'" in modules for name in ("numpy", "av", "rich", "yaml", "structlog"))
