"""Runs a graph under the faults of a seed, goes on with it wherever it stops, and has what it leaves judged.

Theory of operation. A run without faults says what is to come out, and how much there is to disturb. A seed is up to three
disturbed runs, each going on with the one before, until one comes to its end; behind them one that is left alone, which must heal
all that is left. All are simulated (`phonograph.testing.simulate`), write below one folder, and begin with it as it was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import os
import random
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phonograph.chaos.disk import Disk, Left
from phonograph.chaos.faults import DISTURBED_RUNS, KINDS, Done, Event, Faults, Full, History, Stop
from phonograph.chaos.injection import Injection
from phonograph.chaos.judgement import Found, Judgement, varies
from phonograph.chaos.remains import OUT, RUN, TEMPORARY, Remains, Undisturbed, letters_in, outputs_in, rows_in
from phonograph.engine.outside import refuse_inputs
from phonograph.engine.simulated import NothingCanHappenError, SimulatedLoop
from phonograph.errors import ChaosError
from phonograph.executor import Executor, RunReport
from phonograph.graph.instances import writing_below
from phonograph.graph.model import Graph, GraphNode
from phonograph.journal.earlier import Resume
from phonograph.log import command_logger
from phonograph.spec import path_fields

_LONGEST_S = 1e7
"""Of simulated time. A run that takes four months will never end."""

_WORKERS = 2
"""For parts of a graph that do not say how many: on every machine the same, so that a seed is the same run."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a seed.

    Args:
        events: what was injected, in order. found: what is wrong, of the first run in which something was; nothing as a rule.
        num_runs: how many runs it took.
    """

    seed: int
    events: Sequence[Event]
    found: Sequence[Found]
    num_runs: int


class Chaos:
    """A graph that is run under faults, in a temporary folder that ends with it; to be used in a `with` block.

    Args:
        records: so many of each source; None: all. kinds, rate: see `Faults`.

    Attributes:
        num_records: that an undisturbed run reads. left_out: what is not tried, or not judged, in words.
        found: what another order of events alone makes wrong; then there is no sense in faults.

    Raises:
        GraphError: it wants inputs from outside.
        ChaosError: a node would do something outside that folder, or an undisturbed run fails.
    """

    def __init__(self, graph: Graph, *, records: int | None = 20, kinds: Collection[str] = KINDS, rate: float = 0.1) -> None:
        refuse_inputs(graph)
        _refuse_effects(graph)
        self.left_out = tuple(_left_out(graph))
        self._kinds, self._rate = kinds, rate
        self._leaving = contextlib.ExitStack()
        self._root = Path(os.path.realpath(self._leaving.enter_context(_folder())))
        self._injection = Injection(records)
        nodes = {node.id: _in_threads(node) for node in graph.nodes.values()}
        limits = replace(graph.limits, memory=None)
        self._graph = self._injection.around(writing_below(replace(graph, nodes=nodes, limits=limits), self._root / OUT))
        self.num_records = 0
        self.found: Sequence[Found] = ()
        self._done = Done()
        self._undisturbed: Undisturbed | None = None

    def __enter__(self) -> Chaos:
        with self._leaving:
            self._begin()
            self._leaving = self._leaving.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._leaving.close()

    def run(self, seed: int) -> Verdict:
        """Run under the faults of a seed."""
        assert self._undisturbed is not None
        judgement = Judgement(self._graph, self._undisturbed)
        faults, history = Faults(seed, self._kinds, self._rate), History()
        self._forget()
        self._injection.faults, self._injection.history = faults, history
        is_torn, number = False, 0
        for number in range(DISTURBED_RUNS):
            stop = faults.stop_of(number, self._done)
            remains = self._run(seed, number, history, stop, faults.full_of(number, self._done))
            if remains.is_stopped:
                is_torn = is_torn or (stop is not None and stop.loss != "nothing")
                found = list(judgement.of_stopped(remains))
            else:
                found = list(judgement.of_ended(remains, is_disturbed=True, may_leave=is_torn))
            if found:
                return Verdict(seed, history.events, found, number + 1)
            if remains.has_ended_well:
                break
        self._injection.faults = None
        remains = self._run(seed, DISTURBED_RUNS, history, None, None)
        found = list(judgement.of_ended(remains, is_disturbed=False, may_leave=is_torn))
        return Verdict(seed, history.events, found, number + 2)

    def _begin(self) -> None:
        """Run twice without faults, in two orders of events."""
        remains, stored = [], []
        for number in range(2):
            self._forget()
            remains.append(self._run(0, number, History(), None, None))
            stored.append(tuple(self._injection.stored))
            error = remains[-1].error
            if remains[-1].report is None or error is not None:
                remedy = "`run-pipeline MANIFEST` shows more of it"
                raise ChaosError("an undisturbed run", f"failed: {error}", "one that ends well", remedy)
        self._undisturbed, self._done = Undisturbed.of(remains[0], stored[0], self._root), remains[0].done
        assert remains[0].report is not None
        self.num_records = remains[0].report.records.read
        if not self.num_records:
            remedy = "give its sources something to read"
            raise ChaosError("an undisturbed run", "reads no record", "one at least, that faults can meet", remedy)
        judged = Judgement(self._graph, self._undisturbed).of_ended(remains[1], is_disturbed=False, may_leave=False)
        self.found = list(judged)

    def _forget(self) -> None:
        """Have nothing there of runs before."""
        self._injection.stored.clear()
        for path in self._root.iterdir():
            shutil.rmtree(path)
        (self._root / TEMPORARY).mkdir()

    def _run(self, seed: int, number: int, history: History, stop: Stop | None, full: Full | None) -> Remains:
        """Run once, going on with what is there."""
        disk = Disk(self._root, stop, full, history.add)
        watched = _Watched(seed * (DISTURBED_RUNS + 1) + number, disk)
        report, error = watched.run(self._graph, self._root / RUN, "same")
        if disk.outside is not None:
            raise ChaosError(
                "a node",
                f"changes {disk.outside}",
                "writing below paths that are declared as OutputPath alone",
                "declare that parameter as an OutputPath",
            )
        if disk.left is not None:
            _restore(self._root, disk.left)
        if isinstance(error, NothingCanHappenError):
            watched.faults.append(str(error))
        return Remains(
            report=report,
            error=error if report is None else report.error,
            is_stopped=disk.left is not None,
            outputs=outputs_in(self._root),
            rows=rows_in(self._root),
            letters=letters_in(self._root),
            faults=watched.faults,
            done=disk.done,
        )


class _Watched:
    """One simulated run, and what it did that no run may do."""

    def __init__(self, seed: int, disk: Disk) -> None:
        self.faults: list[str] = []
        self._loop = _Loop(seed, disk)
        self._seed, self._disk = seed, disk

    def run(self, graph: Graph, folder: Path, resume: Resume) -> tuple[RunReport | None, BaseException | None]:
        """The report, or what was raised instead; neither when it has stopped dead."""
        threads, files = {*threading.enumerate()}, _open_files()
        state = random.getstate()
        random.seed(self._seed)  # for nodes that draw
        try:
            report, error = self._run(graph, folder, resume)
        finally:
            random.setstate(state)
        if self._disk.left is not None:
            return None, None
        left = [thread.name for thread in threading.enumerate() if thread not in threads]
        if left:
            self.faults.append(f"threads were left behind: {', '.join(sorted(left))}")
        if _open_files() != files:
            gc.collect()
            if more := sorted(_open_files() - files):
                self.faults.append(f"files were left open: {', '.join(more)}")
        temporary = folder.parent / TEMPORARY
        if names := sorted(path.name for path in temporary.iterdir()):
            self.faults.append(f"temporary files were left behind: {', '.join(names[:5])}")
            _empty(temporary)
        return report, error

    def _run(self, graph: Graph, folder: Path, resume: Resume) -> tuple[RunReport | None, BaseException | None]:
        loop, before = self._loop, tempfile.tempdir
        tempfile.tempdir = str(folder.parent / TEMPORARY)
        loop.set_exception_handler(lambda loop, context: None)  # of a run that is taken apart, nobody wants to hear
        try:
            with self._disk.watching(), asyncio.Runner(loop_factory=lambda: loop) as runner:
                log = command_logger("console", "critical", io.StringIO())
                executor = Executor(graph, run_dir=folder, workers=_WORKERS, resume=resume, log=log)
                loop.executor = executor
                return runner.run(self._main(executor)), None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what the run came to
            return None, error
        finally:
            tempfile.tempdir = before
            if loop.overfull:
                self.faults.append(f"more waited than queues have room for, in front of {', '.join(sorted(loop.overfull))}")

    async def _main(self, executor: Executor) -> RunReport:
        report = await executor.run_async()
        if report.metrics is not None and report.metrics.pipeline_execution.left_behind:
            self._disk.is_let_go = True  # what their nodes have open, the end of the process would close
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self.faults.append(f"tasks were left behind: {', '.join(sorted(task.get_name() for task in left))}")
        return report


class _Loop(SimulatedLoop):
    """A simulated loop that ends where the disk stops, and looks at the queues at each turn."""

    def __init__(self, seed: int, disk: Disk) -> None:
        super().__init__(seed, _LONGEST_S)
        self.executor: Executor | None = None
        self.overfull: set[str] = set()
        self._disk = disk
        self._has_stopped = False

    def select(self, timeout_s: float | None) -> list[Any]:
        if self._disk.left is not None and not self._has_stopped:
            self._has_stopped = True
            raise NothingCanHappenError("the run has stopped dead")
        if self.executor is not None:
            self.overfull.update(self.executor.overfull())
        return super().select(timeout_s)


def _restore(root: Path, left: Left) -> None:
    """Have in a folder what a stop has left there, as of a process that is gone."""
    for folder in root.iterdir():
        shutil.rmtree(folder)
    for path, file in left.items():
        if file is None:
            os.makedirs(path, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(file[0])
        os.utime(path, ns=(file[1], file[1]))
    (root / TEMPORARY).mkdir(exist_ok=True)
    _empty(root / TEMPORARY)
    lock = root / RUN / "lock"
    with contextlib.suppress(FileNotFoundError, ValueError):
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "started": "never"}))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="phonograph-chaos-", ignore_cleanup_errors=True) as folder:
        yield folder


def _open_files() -> Counter[str]:
    """What this process has open, as far as it has a name."""
    found: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if path.startswith("/") and not path.startswith("/proc/"):
                found[path] += 1
    return found


def _in_threads(node: GraphNode) -> GraphNode:
    return replace(node, asked_run="thread", memory=None) if node.run == "process" else node


def _refuse_effects(graph: Graph) -> None:
    """Raises ChaosError: a node does something outside the process, and there is no telling it to do that elsewhere."""
    for node in graph.nodes.values():
        if not node.spec.side_effects and node.spec.kind != "sink":
            continue
        fields = path_fields(node.spec.params, "output")
        given = [getattr(node.params, name) for name in fields]
        if any(not isinstance(path, str | None) for path in given):
            found = "writes to several places under one parameter"
        elif node.spec.side_effects and not any(given):
            found = "has effects outside, and no parameter that is an OutputPath"
        else:
            continue
        raise ChaosError(
            f"node {node.id!r} ({node.spec.type})",
            found,
            "a place that can be moved into a temporary folder",
            "try the manifest with another sink: --set nodes.NAME.type=...",
        )


def _left_out(graph: Graph) -> Iterator[str]:
    alone = sorted(node.id for node in graph.nodes.values() if node.run == "process")
    if alone:
        yield f"{', '.join(alone)}: 'run: process' is run in a thread here; no process dies, and 'memory' does not hold"
    if graph.limits.memory is not None:
        yield "limits.memory: does not hold here, because what the process takes is not simulated"
    if varies(graph):
        yield (
            "outputs and outcomes are not compared: nodes make items of several records, queues drop some, or fallbacks "
            "stand in, so that they depend on the order of events"
        )
