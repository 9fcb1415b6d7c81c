"""Claims about runs in which everything goes wrong, in real time: nodes, processes, disks, power."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import itertools
import os
import random
import shutil
import signal
import struct
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.forked import contents, forked, graph_of
from acceptance.processes import temporary_folder
from faulty_nodes import RELEASE, Faulty, FaultyIsolated
from limits import make_room, small_disk
from phonograph import points
from phonograph.errors import RunDirectoryError
from phonograph.executor import Executor, RunReport
from phonograph.graph.model import Graph
from phonograph.graph.registry import Registry
from phonograph.log import command_logger

NUM_CLIPS = 30
KINDS = ("nodes", "processes", "full disk", "killed")
"""What goes wrong in every fourth run, besides nodes that raise, time out and are slow, which they do in each."""

MANIFEST = """version: 1
name: faulty
defaults:
  retry: {{max_retries: 4, base_delay: 2ms, max_delay: 8ms, jitter: 2ms}}
  breaker: {{failure_threshold: 5, reset_timeout: 20ms}}
nodes:
  clips: {{type: source.files, params: {{paths: clips}}}}
  audio: {{type: audio.decode, input: clips}}
  first: {{type: faulty.audio, input: audio, workers: 2, timeout: 150ms, params: {{{chances}}}}}
  second: {{type: {second}, input: first}}
  vad: {{type: vad.energy, input: second}}
  mel: {{type: features.log_mel, input: second}}
  arrays: {{type: sink.npy, input: mel, params: {{path: {out}/mel}}}}
  sounds: {{type: sink.wav, input: second, params: {{path: {out}/wav}}}}
  rows: {{type: sink.jsonl, input: vad.segments, order: true, params: {{path: {out}/rows.jsonl}}}}
"""
_IN_THREADS = "faulty.audio, workers: 2, timeout: 150ms, params: {chances}"
_IN_PROCESSES = "faulty.isolated, run: process, workers: 1, timeout: 1s, params: {chances}"
_HEALABLE = {"transient", "timeout", "total_timeout", "breaker_open"}


@dataclass
class Tally:
    """What happened in all runs: how many items met a fault that may heal, and how many of them were given up."""

    runs: int = 0
    resumed: int = 0
    met: int = 0
    given_up: int = 0
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, report: RunReport) -> None:
        records = report.records
        ended = records.completed + records.filtered + records.skipped + records.dropped + records.dead_lettered
        if ended + records.cancelled != records.read:
            self.wrong.append(f"the law: {records}")
        assert report.metrics is not None
        nodes = report.metrics.pipeline_execution.nodes
        self.counts["calls left behind"] += len(report.metrics.pipeline_execution.left_behind)
        self.counts["time-outs"] += sum(node.timeouts for node in nodes)
        self.counts["processes that died"] += sum(one.count for one in report.failures if one.code == "worker_died")
        if report.error is None:  # of a run that was stopped it is not known what would have become of them
            self.met += sum(node.retried_items for node in nodes)
            self.given_up += sum(one.count for one in report.failures if one.code in _HEALABLE)
        elif "No space left on device" in str(report.error):
            self.counts["full disks"] += 1
        else:
            self.counts["other failed runs"] += 1


@claim(issue="failure", bar="8 runs: the law holds, >= 95 % healed, outputs as undisturbed, nothing left", fast=True)
def a_few_runs_in_which_everything_goes_wrong_are_whole_in_the_end() -> Figure:
    """Exceptions, time-outs, slow nodes, processes that die, disks that fill up, torn writes: eight runs in real time."""
    return _faulty_runs(8)


@claim(issue="failure", bar="100 runs: the law holds, >= 95 % healed, outputs as undisturbed, nothing left", fast=False)
def a_hundred_runs_in_which_everything_goes_wrong_are_whole_in_the_end() -> Figure:
    """The same for 100 runs, in four of which calls hang for good and are left behind with their threads."""
    return _faulty_runs(100)


def _faulty_runs(num_runs: int) -> Figure:
    tally, not_mounted = Tally(), ""
    with temporary_folder() as folder, _temporary_files_in(folder / "temporary"), _orphans_are_ours():
        undisturbed = _undisturbed(folder)
        with _nothing_left(folder, tally):
            pass  # what the first run loads stays
        for number in range(num_runs):
            kind, chance = KINDS[number % len(KINDS)], random.Random(number)
            place = folder / "disk"
            disk = contextlib.ExitStack()
            if kind == "full disk":
                try:
                    disk.enter_context(small_disk(place, 4096 * chance.randrange(1, 150 if "out" in _on_disk(number) else 12)))
                except OSError as error:
                    not_mounted = f"no disk was small: tmpfs cannot be mounted here: {error.strerror}"
                    place.mkdir(exist_ok=True)
            else:
                place.mkdir()
            with disk:
                deaf = f"clip-{number % NUM_CLIPS:02}.wav" if num_runs >= 100 and number % 25 == 12 else ""
                faulty = _Faulty(folder, place, kind, number, chance, deaf=deaf)
                with _nothing_left(folder, tally):
                    faulty.run(tally, undisturbed)
            shutil.rmtree(place)
            tally.runs += 1
    share = 1 - tally.given_up / max(1, tally.met)
    told = ", ".join(f"{count} {what}" for what, count in sorted(tally.counts.items()))
    text = f"{tally.runs} runs, gone on with {tally.resumed} times; {tally.met} items met what may heal, {share:.1%} "
    text += f"healed at once and all in the end; {told}; {len(tally.wrong)} faults {'; '.join(tally.wrong[:3])}"
    happened = tally.counts["kills"] and tally.counts["processes that died"]
    if num_runs >= 100 or not not_mounted:  # the few runs are for machines too where nothing may be mounted, and say so
        happened = happened and tally.counts["full disks"]
    return Figure(f"{text}{not_mounted and '; '}{not_mounted}", bool(happened) and share >= 0.95 and not tally.wrong, not_mounted)


class _Faulty:
    """One run in which things go wrong, and those that go on with it."""

    def __init__(self, folder: Path, place: Path, kind: str, seed: int, chance: random.Random, *, deaf: str) -> None:
        self._kind, self._chance, self._place = kind, chance, place
        on_disk = _on_disk(seed)
        elsewhere = folder / "elsewhere"
        shutil.rmtree(elsewhere, ignore_errors=True)
        elsewhere.mkdir()
        self.out, self.run_dir = (
            (place if kind != "full disk" or name in on_disk else elsewhere) / name for name in ("out", "run")
        )
        has_processes = kind == "processes" or (kind == "killed" and seed % 8 == 3)
        self._graph = _graph(folder, self.out, seed, has_processes=has_processes, deaf=deaf)

    def run(self, tally: Tally, undisturbed: Mapping[str, bytes]) -> None:
        where = f"{self._kind} {self._graph.name}"
        if self._kind == "killed":
            self._killed(tally)
        report = None
        for number in range(12):
            if number == 1 and self._kind == "full disk" and os.path.ismount(self._place):
                make_room(self._place, 2**26)
            report = self._once(tally, resume=number > 0 or self._kind == "killed")
            tally.resumed += number > 0
            if report is not None and report.error is None and report.records.completed == NUM_CLIPS:
                break
        made = {name: content for name, content in contents(self.out).items() if self._kind != "killed" or not _is_hidden(name)}
        if made != undisturbed:
            names = sorted(name for name in made.keys() | undisturbed.keys() if made.get(name) != undisturbed.get(name))
            told = "" if report is None else str(report.error)
            tally.wrong.append(f"{where}: {len(names)} files are not as undisturbed, such as {names[:2]}; {told}")

    def _once(self, tally: Tally, *, resume: bool) -> RunReport | None:
        log = command_logger("console", "critical")
        executor = Executor(self._graph, run_dir=self.run_dir, resume="same" if resume else None, sync_every=0.02, log=log)
        RELEASE.clear()
        try:
            report, num_tasks = asyncio.run(_with_tasks(executor))
        except RunDirectoryError as error:  # there was no room even to begin
            if "No space left on device" not in str(error):
                tally.wrong.append(f"{self._kind}: {error}")
            tally.counts["full disks"] += 1
            return None
        finally:
            RELEASE.set()
        if num_tasks:
            tally.wrong.append(f"{num_tasks} tasks left")
        tally.add(report)
        return report

    def _killed(self, tally: Tally) -> None:
        """Kill a run at some step of storing, and tear off some of what it had not synced."""
        synced = self._place / "synced"
        ending = forked(partial(self._begin_noting, synced, self._chance.randrange(1, 300)))
        tally.counts["kills"] += ending.signal == signal.SIGKILL
        sizes: dict[tuple[int, int], int] = {}
        for device, inode, size in struct.iter_unpack("QQQ", _whole(synced.read_bytes()) if synced.exists() else b""):
            sizes[device, inode] = size
        for path in (*self.out.rglob("*"), *self.run_dir.rglob("*")):
            status = path.lstat()
            least = min(status.st_size, sizes.get((status.st_dev, status.st_ino), 0))
            if path.is_file() and path.name != "lock" and least < status.st_size:
                os.truncate(path, self._chance.randint(least, status.st_size))
                tally.counts["torn files"] += 1

    def _begin_noting(self, synced: Path, num_steps: int) -> int:
        """Run until so many steps of storing have been taken, and tell a file how much of which other file has been synced."""
        steps = itertools.count(1)
        points.hook = lambda step: os.kill(os.getpid(), signal.SIGKILL) if next(steps) == num_steps else None
        descriptor = os.open(synced, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for name in ("fsync", "fdatasync"):
            setattr(os, name, partial(_sync_noting, descriptor, getattr(os, name)))
        self._once(Tally(), resume=False)
        return 0


def _on_disk(number: int) -> tuple[str, ...]:
    """What is on the small disk in a run."""
    return (("out",), ("run",), ("out", "run"))[number // len(KINDS) % 3]


def _sync_noting(descriptor: int, sync: Callable[[int], None], file: int) -> None:
    status = os.fstat(file)
    sync(file)
    os.write(descriptor, struct.pack("QQQ", status.st_dev, status.st_ino, status.st_size))


def _whole(content: bytes) -> bytes:
    return content[: len(content) // 24 * 24]


def _is_hidden(name: str) -> bool:
    """A power cut takes names of temporary files out of the journal, which are left then."""
    return os.path.basename(name).startswith(".") and name.endswith(".tmp")


async def _with_tasks(executor: Executor) -> tuple[RunReport, int]:
    report = await executor.run_async()
    return report, len(asyncio.all_tasks()) - 1


def _undisturbed(folder: Path) -> Mapping[str, bytes]:
    """Make the clips, and what becomes of them when nothing goes wrong."""
    (folder / "clips").mkdir()
    for number in range(NUM_CLIPS):
        samples = np.random.default_rng(number).integers(-9000, 9000, 4000 + 100 * number, np.int16)
        with wave.open(str(folder / "clips" / f"clip-{number:02}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    report = Executor(_graph(folder, folder / "undisturbed", None), run_dir=folder / "undisturbed-run").run()
    assert report.records.completed == NUM_CLIPS, report
    return contents(folder / "undisturbed")


def _graph(folder: Path, out: Path, seed: int | None, *, has_processes: bool = False, deaf: str = "") -> Graph:
    chances = "seed: 0" if seed is None else f"seed: {seed}, fails: 0.2, hangs: 0.01, slow: 0.1"
    second = _IN_PROCESSES if has_processes else _IN_THREADS
    of_second = "seed: 0" if seed is None else "seed: 0, fails: 0.1, hangs: 0.01"
    if has_processes:
        of_second += f", dies: 0.02, died: {out.parent / 'died'}"
    first = chances + (f", deaf: '{deaf}'" if deaf else "")
    path = folder / "faulty.yaml"
    path.write_text(MANIFEST.format(chances=first, second=second.format(chances=f"{{{of_second}}}"), out=out))
    registry = Registry.installed()
    for target in (Faulty, FaultyIsolated):
        registry.register(target)
    return graph_of(path, registry)


@contextlib.contextmanager
def _nothing_left(folder: Path, tally: Tally) -> Iterator[None]:
    """Count what is there behind a run and was not before: threads, open files, children, temporary files."""
    before = _there(folder)
    yield
    deadline = time.monotonic() + 10  # for threads that were left behind, and orphans of what was killed
    while (left := {what: there - before[what] for what, there in _there(folder).items()}) and any(left.values()):
        if time.monotonic() > deadline:
            tally.wrong.append(f"left: { {what: sorted(map(str, some)) for what, some in left.items() if some} }")
            break
        time.sleep(0.005)


def _there(folder: Path) -> dict[str, set[Any]]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    files = set()
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            files.add((entry, os.readlink(f"/proc/self/fd/{entry}")))
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "files": {(entry, target) for entry, target in files if not target.startswith(("/dev/", "/proc/"))},
        "children": set(children.split()),
        "temporary files": set(os.listdir(folder / "temporary")),
    }


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _orphans_are_ours() -> Iterator[None]:
    """What a process that is killed leaves running becomes a child of this one, and not of the first of the machine."""
    set_child_subreaper = 36
    libc = ctypes.CDLL(None)
    libc.prctl(set_child_subreaper, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(set_child_subreaper, 0, 0, 0, 0)
