"""Commands that claims run: under a deadline, in processes of their own, with what they printed at hand when they fail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from places import shared_folder

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TESTS = CHECKOUT / "tests"
PLUGIN = Path(__file__).resolve().parent / "plugin"  # probe nodes, laid out as an installed third-party package


class CommandError(AssertionError):
    """A command that a claim needs failed, or did not end before its deadline."""


def run(
    command: Sequence[str | Path],
    *,
    deadline_s: float,
    cwd: Path = CHECKOUT,
    environment: Mapping[str, str | None] | None = None,
    accept: Sequence[int] = (0,),
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        deadline_s: after so many seconds it is killed, with everything that it started.
        environment: added to this process's own; a None removes the variable.
        accept: exit statuses that count as success.

    Raises:
        CommandError: another exit status, or the deadline passed; with the end of what was printed.
    """
    merged = {**os.environ, **(environment or {})}
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in merged.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        printed, complained = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, complained = process.communicate()
        raise CommandError(f"{_shown(command)}: did not end within {deadline_s:g} s\n{_end_of(printed + complained)}") from None
    if process.returncode not in accept:
        raise CommandError(f"{_shown(command)}: exit status {process.returncode}\n{_end_of(printed + complained)}")
    return subprocess.CompletedProcess(command, process.returncode, printed, complained)


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """What one run of a pipeline left behind."""

    exit_status: int
    metrics: dict[str, Any]
    dead_letters: list[dict[str, Any]]
    peak_mib: float
    printed: str

    @property
    def records(self) -> dict[str, int]:
        """Outcome -> number of records, with the records read under `read`."""
        found: dict[str, int] = self.metrics["records"]
        return found

    def node(self, node_id: str) -> dict[str, Any]:
        """The metrics of one node."""
        found: dict[str, Any] = next(entry for entry in self.metrics["nodes"] if entry["id"] == node_id)
        return found


def run_pipeline(manifest: Path, folder: Path, *, deadline_s: float, params: Mapping[str, object] | None = None) -> PipelineRun:
    """Run a manifest in a fresh process, with the probe nodes installed.

    Args:
        folder: where the run directory and the metrics go.

    Raises:
        CommandError: the process crashed, hung, or refused to start. A run over its error budget is no such failure.
    """
    metrics, run_directory, peak = folder / "metrics.json", folder / "run", folder / "peak.txt"
    command: list[str | Path] = [sys.executable, "-m", "acceptance.peak", peak, manifest]
    command += ["--run-dir", run_directory, "--metrics", metrics]
    for name, value in (params or {}).items():
        command += ["--param", f"{name}={value}"]
    ended = run(
        command,
        deadline_s=deadline_s,
        cwd=folder,
        environment={"PYTHONPATH": f"{TESTS}{os.pathsep}{PLUGIN}"},
        accept=(0, 1),
    )
    if not metrics.exists():
        raise CommandError(f"{_shown(command)}: wrote no metrics\n{_end_of(ended.stdout + ended.stderr)}")
    letters = run_directory / "dead_letters.jsonl"
    return PipelineRun(
        exit_status=ended.returncode,
        metrics=json.loads(metrics.read_text("utf-8"))["pipeline_execution"],
        dead_letters=[json.loads(line) for line in letters.read_text("utf-8").splitlines()] if letters.exists() else [],
        peak_mib=float(peak.read_text("utf-8")) / 1024,
        printed=ended.stdout + ended.stderr,
    )


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="phonograph-accept-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def shared() -> Path:
    """The shared data sets. Raises FileNotFoundError: a claim about them cannot be judged without."""
    folder = shared_folder()
    if not (folder / "data").is_dir():
        raise FileNotFoundError(f"no folder {folder / 'data'}; set PHONOGRAPH_SHARED to where the shared data sets are")
    return folder


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)


def _end_of(printed: str, lines: int = 15) -> str:
    return "\n".join(printed.splitlines()[-lines:])
