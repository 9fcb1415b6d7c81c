"""Claims about runs that are killed: at every step of storing, and at any moment."""

from __future__ import annotations

import io
import random
import shutil
import signal
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.forked import contents, forked, graph_of, killed_at, run
from acceptance.processes import CHECKOUT, temporary_folder
from phonograph.graph.model import Graph

FILE_STEPS = ("part.begun", "part.written", "part.synced", "part.renamed", "part.committed", "records.written", "records.synced")
ROW_STEPS = (
    *("rows.appended", "rows.synced", "rows.journalled", "records.written", "records.synced"),
    *("rows.finishing", "rows.renamed", "rows.finished", "run.ended"),
)
REWRITING = ("rows.rewritten", "rows.noted", "rows.replaced", "rows.finishing", "rows.renamed", "rows.finished")
SINKS: Mapping[str, tuple[str, str]] = {
    "sink.npy": ("mel", "path: out"),
    **dict.fromkeys(("sink.wav", "sink.flac", "sink.opus", "sink.mp3", "sink.m4a", "sink.audio"), ("audio", "path: out")),
    "sink.jsonl": ("vad.segments", "path: out/rows.jsonl"),
    "sink.shards": ("mel", "path: out, num_shards: 2"),
}
SAMPLES = CHECKOUT / "manifests" / "samples"
NODES = """
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio}
  mel: {type: features.log_mel, input: audio}
"""


@claim(issue="failure", bar="killed at every step of every sink: outputs as undisturbed, nothing left over", fast=True)
def a_run_killed_at_any_step_of_storing_is_gone_on_with() -> Figure:
    """Killed behind each named step, at the first and the last clip, a run comes to what an undisturbed one makes."""
    num_steps, num_kills, faults = 0, 0, []
    for sink in SINKS:
        with temporary_folder() as folder:
            graph = _graph(folder, f"  sink: {{type: {sink}, input: {SINKS[sink][0]}, params: {{{SINKS[sink][1]}}}}}\n")
            made = _undisturbed(graph, folder)
            for step in ROW_STEPS if sink in ("sink.jsonl", "sink.shards") else FILE_STEPS:
                for number in (1, 3) if step in ("part.renamed", "rows.appended") else (1,):
                    _begin_anew(folder)
                    ending = forked(partial(_run_until, graph, folder, step, number))
                    num_steps, num_kills = num_steps + 1, num_kills + (ending.signal == signal.SIGKILL)
                    if fault := _fault_after(graph, folder, made):
                        faults.append(f"{sink} at {step}: {fault}")
    text = f"{num_kills} kills at {num_steps} steps, {len(faults)} faults {'; '.join(faults[:5])}"
    return Figure(text, num_kills == num_steps and not faults)


@claim(issue="failure", bar="every step of writing rows anew: outputs as undisturbed", fast=True)
def a_file_of_rows_killed_while_it_is_put_in_order_is_gone_on_with() -> Figure:
    """Rows that are left out and put in order when a run goes on survive a kill at each step of that."""
    num_kills, faults = 0, []
    with temporary_folder() as folder:
        graph = _graph(folder, "  sink: {type: sink.jsonl, input: vad.segments, order: true, params: {path: out/rows.jsonl}}\n")
        clips = sorted((folder / "clips").iterdir())
        for step in REWRITING:
            _begin_anew(folder)
            shutil.copy(sorted(SAMPLES.glob("*.wav"))[3], clips[0])
            forked(partial(run, graph, folder / "run"))
            shutil.copy(sorted(SAMPLES.glob("*.wav"))[0], clips[0])
            num_kills += forked(partial(_run_until, graph, folder, step, 1, resume=True)).signal == signal.SIGKILL
            forked(partial(run, graph, folder / "run", resume=True))
            made = contents(folder / "out")
            _begin_anew(folder)
            if made != _undisturbed(graph, folder):
                faults.append(step)
    return Figure(f"{num_kills} kills, faults at {faults}", num_kills == len(REWRITING) and not faults)


def _killed_anywhere(num_kills: int) -> Figure:
    chance, num_killed, num_resumed = random.Random(7), 0, 0
    faults: list[str] = []
    with temporary_folder() as folder:
        sinks = "  files: {type: sink.npy, input: mel, params: {path: out/mel}}\n"
        sinks += "  sounds: {type: sink.flac, input: audio, params: {path: out/flac}}\n"
        sinks += "  shards: {type: sink.shards, input: mel, order: true, params: {path: out/shards, num_shards: 3}}\n"
        sinks += "  rows: {type: sink.jsonl, input: vad.segments, order: true, params: {path: out/rows.jsonl}}\n"
        graph = _graph(folder, sinks, copies=12)
        made = _undisturbed(graph, folder)
        while num_killed < num_kills and len(faults) < 5:
            _begin_anew(folder)
            for number in range(3):  # a run that goes on is killed too
                ending = forked(partial(run, graph, folder / "run", resume=bool(number)), kill_after_s=chance.uniform(0.02, 0.6))
                num_killed += ending.signal == signal.SIGKILL
            ending = forked(partial(run, graph, folder / "run", resume=True))
            num_resumed += ending.status or 0
            if ending.signal or (ending.status or 0) > 60 or contents(folder / "out") != made:
                faults.append(f"{ending}: {sorted(contents(folder / 'out').items() ^ made.items())[:2]}"[:200])
    text = f"{num_killed} kills, {num_resumed} records taken over at the end, {len(faults)} faults {'; '.join(faults)}"
    return Figure(text, num_killed >= num_kills and num_resumed > 0 and not faults)


@claim(issue="failure", bar="10 kills at random moments: byte for byte as undisturbed", fast=True)
def runs_killed_at_ten_moments_are_gone_on_with() -> Figure:
    """Files and an ordered list of rows are those of an undisturbed run, however often runs were killed on the way."""
    return _killed_anywhere(10)


@claim(issue="failure", bar="200 kills at random moments: byte for byte as undisturbed", fast=False)
def runs_killed_at_two_hundred_moments_are_gone_on_with() -> Figure:
    """The same for 200 kills."""
    return _killed_anywhere(200)


def _graph(folder: Path, sinks: str, copies: int = 1) -> Graph:
    (folder / "clips").mkdir()
    for path in sorted(SAMPLES.glob("*.wav"))[:3]:
        for number in range(copies):
            shutil.copy(path, folder / "clips" / f"{path.stem}-{number}.wav")
    (folder / "manifest.yaml").write_text("version: 1\nname: killed\nnodes:" + NODES + sinks)
    return graph_of(folder / "manifest.yaml")


def _undisturbed(graph: Graph, folder: Path) -> dict[str, bytes]:
    assert forked(partial(run, graph, folder / "run")).status == 0
    return contents(folder / "out")


def _any_order(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files with their rows sorted, if they are lists, or their samples, if they are archives: records end in any order."""
    return {name: _sorted(name, content) for name, content in files.items()}


def _sorted(name: str, content: bytes) -> bytes:
    if name.endswith(".jsonl"):
        return b"".join(sorted(content.splitlines(keepends=True)))
    if name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = archive.getmembers()
        ends = [*(member.offset for member in members[2::2]), len(content) - 2 * tarfile.BLOCKSIZE]  # two are a sample
        samples = [content[member.offset : end] for member, end in zip(members[::2], ends, strict=True)] if members else []
        return b"".join([*sorted(samples), content[ends[-1] :]])
    return content


def _begin_anew(folder: Path) -> None:
    for name in ("out", "run"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _run_until(graph: Graph, folder: Path, step: str, number: int, *, resume: bool = False) -> int:
    killed_at(step, number)
    return run(graph, folder / "run", resume=resume)


def _fault_after(graph: Graph, folder: Path, made: Mapping[str, bytes]) -> str:
    """What is wrong when a run that was killed is gone on with, twice; empty when nothing is."""
    first = forked(partial(run, graph, folder / "run", resume=True))
    if first.status is None or first.status > 60:
        return f"it ended so: {first}"
    found = _any_order(contents(folder / "out"))
    made = _any_order(made)
    if found != made:
        return f"{sorted(found)} instead of {sorted(made)}" if found.keys() != made.keys() else "another content"
    second = forked(partial(run, graph, folder / "run", resume=True))
    return "" if second.status == 3 else f"the second time it took over {second.status} of 3"
