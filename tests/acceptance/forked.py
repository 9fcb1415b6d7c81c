"""Runs of manifests in processes that may be killed: forks of one that has loaded everything, so that each begins at once."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phonograph import points
from phonograph.executor import Executor
from phonograph.graph.builder import build_graph
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.log import command_logger

_FAILED = 70


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended: by which signal, or with which status."""

    signal: int | None
    status: int | None


def graph_of(path: Path, registry: Registry | None = None) -> Graph:
    """The graph of a manifest; loads what its nodes need."""
    return build_graph(load_manifest(path), registry or Registry.installed())


def forked(work: Callable[[], int], *, kill_after_s: float | None = None) -> Ending:
    """Do something in a process of its own.

    Args:
        kill_after_s: when it is killed, if it has not ended by then.
    """
    process = os.fork()
    if not process:
        try:
            os._exit(work())
        except BaseException:  # noqa: BLE001  # nothing of this process may go on there
            traceback.print_exc()
            os._exit(_FAILED)
    if kill_after_s is not None:
        deadline = time.monotonic() + kill_after_s
        while time.monotonic() < deadline:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return _ending(status)
            time.sleep(0.001)
        os.kill(process, signal.SIGKILL)
    return _ending(os.waitpid(process, 0)[1])


def run(graph: Graph, run_dir: Path, *, resume: bool = False, sync_every_s: float = 0.02) -> int:
    """Run to the end, here. Returns how many records were taken over, or 71 when the run failed."""
    log = command_logger("console", "error")
    report = Executor(graph, run_dir=run_dir, resume="same" if resume else None, sync_every=sync_every_s, log=log).run()
    return min(report.resumed, 60) if report.exit_code == 0 else 71


def killed_at(step: str, number: int) -> None:
    """Have this process killed when it has taken a step so many times."""
    left = number

    def reached(name: str) -> None:
        nonlocal left
        left -= name == step
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    points.hook = reached


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _ending(status: int) -> Ending:
    if os.WIFSIGNALED(status):
        return Ending(os.WTERMSIG(status), None)
    return Ending(None, os.WEXITSTATUS(status))
