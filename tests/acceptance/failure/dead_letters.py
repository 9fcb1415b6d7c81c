"""Claims about dead letters: what is run again heals as if it had never failed, and failures read by their reasons."""

from __future__ import annotations

import random
import shutil
import signal
import tracemalloc
from functools import partial
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.forked import contents, forked, graph_of, run
from acceptance.processes import CHECKOUT, temporary_folder
from phonograph.engine.failures import Failures
from phonograph.errors import BadInputError
from phonograph.executor import Executor
from phonograph.graph.model import Graph
from phonograph.log import command_logger
from phonograph.redaction import NO_SECRETS

_SAMPLES = CHECKOUT / "manifests" / "samples"
_NODES = """
  clips: {type: source.files, params: {paths: clips}}
  audio: {type: audio.decode, input: clips}
  vad: {type: vad.energy, input: audio}
  mel: {type: features.log_mel, input: audio}
  files: {type: sink.npy, input: mel, params: {path: out/mel}}
  rows: {type: sink.jsonl, input: vad.segments, order: true, params: {path: out/rows.jsonl}}
"""
_COPIES = 40


def redriven(graph: Graph, run_dir: Path) -> int:
    """Run the dead letters again; how many records were to be."""
    log = command_logger("console", "error")
    report = Executor(graph, run_dir=run_dir, redrive=True, sync_every=0.01, log=log).run()
    return 61 if report.redrive is None else report.redrive.records


def _redriven_with_kills(num_kills: int) -> Figure:
    chance, num_killed, num_between, num_redriven = random.Random(8), 0, 0, 0
    faults: list[str] = []
    with temporary_folder() as folder:
        graph, clips = _project(folder)
        forked(partial(run, graph, folder / "run"))
        undisturbed = contents(folder / "out")
        while num_killed < num_kills and len(faults) < 3:
            for name in ("out", "run"):
                shutil.rmtree(folder / name, ignore_errors=True)
            broken = {path: path.read_bytes() for path in chance.sample(clips, len(clips) // 3)}
            for path in broken:
                path.write_bytes(b"not audio")
            forked(partial(run, graph, folder / "run"))
            for path, content in broken.items():
                path.write_bytes(content)
            for _ in range(2):
                ending = forked(partial(redriven, graph, folder / "run"), kill_after_s=chance.uniform(0.05, 0.4))
                num_killed += ending.signal == signal.SIGKILL
            ending = forked(partial(redriven, graph, folder / "run"))
            num_redriven += ending.status or 0
            num_between += 0 < (ending.status or 0) < len(broken)
            letters = (folder / "run" / "dead_letters.jsonl").read_bytes()
            if ending.signal or (ending.status or 0) > 60 or letters or contents(folder / "out") != undisturbed:
                faults.append(f"{ending}, {len(letters)} bytes of letters"[:200])
    text = (
        f"{num_killed} kills, after which {num_redriven} records were left, in {num_between} cases some and not all; "
        f"{len(faults)} faults {'; '.join(faults)}"
    )
    return Figure(text, num_killed >= num_kills and not faults)


@claim(issue="failure", bar="8 kills: outputs byte for byte as undisturbed, no letter left", fast=True)
def redrives_killed_at_some_moments_heal_what_failed() -> Figure:
    """A third of the clips fails, is mended and run again, killed on the way: files and ordered rows as if none had failed."""
    return _redriven_with_kills(8)


@claim(issue="failure", bar="100 kills: outputs byte for byte as undisturbed, no letter left", fast=False)
def redrives_killed_at_a_hundred_moments_heal_what_failed() -> Figure:
    """The same for 100 kills."""
    return _redriven_with_kills(100)


def _grouped(num_failures: int) -> Figure:
    failures = Failures(NO_SECRETS)
    chance = random.Random(8)
    letters = "abcdefghijklmnopqrstuvwxyz"
    tracemalloc.start()
    try:
        peaks = []
        for share in (10, 1):
            tracemalloc.reset_peak()
            for number in range(num_failures // share - (num_failures // 10 if share == 1 else 0)):
                unlike = "".join(chance.choices(letters, k=8))
                failures.add("audio", f"clips/{number}.wav", BadInputError(f"clips/{number}.wav: {number} samples short"))
                failures.add("audio", f"clips/{number}.wav", BadInputError(f"nothing like {unlike}"))
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    first = failures.metrics()[0]
    told = sum(group.count for group in failures.metrics()) + failures.num_untold
    text = f"{peaks[1] / 1e6:.2f} MB at {told} failures, {peaks[0] / 1e6:.2f} MB at a tenth; largest group {first.count}"
    return Figure(text, told == 2 * num_failures and first.count == num_failures and peaks[1] <= 1.1 * peaks[0])


@claim(issue="failure", bar="memory at 20 000 different failures within 10 % of that at a tenth; none lost", fast=True)
def many_failures_are_grouped_in_bounded_memory() -> Figure:
    """Failures of one kind are one group, whatever else fails in ever new ways."""
    return _grouped(10_000)


@claim(issue="failure", bar="memory at a million different failures within 10 % of that at a tenth; none lost", fast=False)
def a_million_failures_are_grouped_in_bounded_memory() -> Figure:
    """The same for a million failures that have nothing in common, among a million of one kind."""
    return _grouped(1_000_000)


def _project(folder: Path) -> tuple[Graph, list[Path]]:
    (folder / "clips").mkdir()
    clips = []
    for path in sorted(_SAMPLES.glob("*.wav"))[:3]:
        for number in range(_COPIES):
            clips.append(folder / "clips" / f"{path.stem}-{number}.wav")
            shutil.copy(path, clips[-1])
    (folder / "manifest.yaml").write_text("version: 1\nname: redriven\nnodes:" + _NODES)
    return graph_of(folder / "manifest.yaml"), clips
