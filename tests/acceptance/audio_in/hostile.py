"""Claims about audio that is broken, or made to break what reads it: an answer each time, in little time and memory."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.processes import CHECKOUT, TESTS, CommandError, run, run_pipeline, shared, temporary_folder
from phonograph_nodes.audio import load, save

SECONDS, MIB = 5, 200
NUM_MUTANTS, NUM_FAST_MUTANTS = 100_000, 3_000
ANSWERED = "inputs: 0 crashes, 0 hangs, 0 other exceptions, 0 silent"
NUM_LOADS, NUM_FAST_LOADS = 20_000, 2_000
MOST_HEAP, MOST_GROWTH = 2**14, 2**22  # bytes; the allocator's pools come and go, what they hold should not
LOADS = """
import dataclasses, json, sys
from pathlib import Path
from acceptance.audio_loads import loads
left = loads([Path(path) for path in sys.stdin.read().splitlines()], int(sys.argv[1]))
found = {"levels": left.levels, "growth": left.growth, "heap": left.heap_growth}
print(json.dumps(found | {"handles": left.num_handles, "failed": left.num_failed}))
"""
BADLY = """
version: 1
name: badly
params:
  clips: {type: path}
  out: {type: path}
defaults: {on_error: dead_letter}
nodes:
  clips: {type: source.files, params: {paths: "${params.clips}"}}
  audio: {type: probe.decode, input: clips, run: process, workers: 2, memory: 512MiB}
  files: {type: sink.wav, input: audio, params: {path: "${params.out}", sample_format: float32}}
"""
ENDS = {"abort": "worker_died", "fault": "worker_died", "kill": "worker_died", "devour": "memory_limit"}
"""What the decoder of `probe.decode` does to its process, by the beginning of a clip's name -> the code of the dead letter."""


@claim(
    issue="audio-in",
    bar=f"348 loads of 174 files: audio or a typed error that names the file, within {SECONDS} s and {MIB} MB; none silent",
    fast=True,
    needs_shared=True,
)
def every_malformed_file_is_answered() -> Figure:
    """Each malformed file, loaded as it is and as for features, gives audio or a typed error, in a limited process of its own."""
    folder = shared() / "data" / "malformed"
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    command = [sys.executable, "-m", "acceptance.limited_loads", str(SECONDS), str(MIB)]
    ended = _fed(command, [folder / row["path"] for row in rows], deadline_s=300)
    found = [json.loads(line) for line in ended.splitlines()]
    ends = Counter(one["end"] for one in found)
    wrong = [one for one in found if one["end"] not in ("audio", "error") or one["seconds"] > SECONDS or one["peak_mib"] > MIB]
    text = f"{len(found) - len(wrong)} of {len(found)}: {', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}; "
    text += f"at most {max(one['seconds'] for one in found):.3f} s and {max(one.get('peak_mib', 0) for one in found):.0f} MiB"
    return Figure(text, len(rows) == 174 and len(found) == 348 and not wrong, "; ".join(map(str, wrong[:5])))


@claim(
    issue="audio-in",
    bar=f"{NUM_FAST_MUTANTS} {ANSWERED}",
    fast=True,
    needs_shared=True,
)
def some_mutants_are_answered() -> Figure:
    """A few thousand mutants of the malformed files and the codecs give audio or a typed error."""
    return _mutants(NUM_FAST_MUTANTS, seed=2)


@claim(issue="audio-in", bar=f"{NUM_MUTANTS} {ANSWERED}", fast=False, needs_shared=True)
def mutants_are_answered() -> Figure:
    """100 000 mutants of the malformed files and the codecs give audio or a typed error."""
    return _mutants(NUM_MUTANTS, seed=1)


@claim(
    issue="audio-in",
    bar="no handle more; in the second half the heap is at most 16 KiB higher, memory 4 MiB",
    fast=True,
    needs_shared=True,
)
def some_loads_leave_nothing() -> Figure:
    """2 000 loads, whole and in part, of good files and bad ones, leave no handle open and no memory behind."""
    return _loads(NUM_FAST_LOADS, every=12)


@claim(
    issue="audio-in",
    bar="no handle more; in the second half the heap is at most 16 KiB higher, memory 4 MiB",
    fast=False,
    needs_shared=True,
)
def loads_leave_nothing() -> Figure:
    """20 000 loads, whole and in part, of good files and bad ones, leave no handle open and no memory behind."""
    return _loads(NUM_LOADS, every=1)


@claim(
    issue="audio-in",
    bar="every good clip stored, bit for bit; every bad one a dead letter that names it; the run ends by itself",
    fast=True,
)
def a_run_survives_a_decoder_that_aborts() -> Figure:
    """With `run: process` a decoder that aborts, faults, is killed or takes all memory fails its clip, and the run goes on."""
    generator = np.random.default_rng(3)
    with temporary_folder() as folder:
        clips, manifest = folder / "clips", folder / "badly.yaml"
        manifest.write_text(BADLY, encoding="utf-8")
        good = [f"good-{number:02d}" for number in range(12)]
        bad = [f"{how}-{number}" for how, number in itertools.product(ENDS, range(1))]
        for name in (*good, *bad):
            save(clips / f"{name}.flac", generator.uniform(-1, 1, 8000).astype(np.float32), 16_000)
        ran = run_pipeline(manifest, folder, deadline_s=120, params={"clips": clips, "out": folder / "out"})
        wrong = []
        for name in good:
            stored = list((folder / "out").rglob(f"{name}*.wav"))
            written = load(clips / f"{name}.flac", sr=None)[0]
            if len(stored) != 1 or not np.array_equal(load(stored[0], sr=None)[0], written):
                wrong.append(f"{name}: {len(stored)} stored, or other samples")
        letters = {letter["key"].rpartition("/")[2].partition(".")[0]: letter for letter in ran.dead_letters}
    wrong += [f"{name}: {letters.get(name)}" for name in bad if letters.get(name, {}).get("code") != ENDS[name.partition("-")[0]]]
    codes = Counter(letter["code"] for letter in ran.dead_letters)
    text = f"{ran.records['completed']} of {len(good)} completed, dead letters: {dict(codes)}, exit {ran.exit_status}"
    met = not wrong and ran.records["completed"] == len(good) and len(ran.dead_letters) == len(bad)
    return Figure(text, met, "; ".join(map(str, wrong[:5])))


def _mutants(number: int, *, seed: int) -> Figure:
    shared()
    command: list[str | Path] = [sys.executable, "-m", "hostile.run", "--inputs", str(number), "--seed", str(seed)]
    with temporary_folder() as folder:
        ended = run([*command, "--kept", folder / "kept"], deadline_s=7200, environment={"PYTHONPATH": _path()}, accept=(0, 1))
        found: dict[str, Any] = json.loads(ended.stdout)
    ends = ("audio", "error", "silent", "exception", "crash", "hang")
    text = ", ".join(f"{found[end]} {end}" for end in ends) + f"; slowest {found['slowest_ms']} ms, of {found['files']} files"
    met = ended.returncode == 0 and found["audio"] + found["error"] == number
    return Figure(text, met, "; ".join(f"{one['kind']}: {one['what']} ({one['count']})" for one in found["findings"][:5]))


def _loads(number: int, *, every: int) -> Figure:
    folder = shared() / "data"
    paths = [path for name in ("codecs", "malformed") for path in sorted((folder / name).glob("*/*")) if path.is_file()]
    found = json.loads(_fed([sys.executable, "-c", LOADS, str(number)], paths[::every], deadline_s=3600))
    text = f"{number} loads of {len(paths[::every])} files, {found['failed']} refused: {found['handles']:+d} handles, "
    text += f"{found['heap'] / 2**10:+.1f} KiB of heap, {found['growth'] / 2**20:+.2f} MiB of memory in the second half"
    return Figure(text, found["handles"] <= 0 and found["heap"] <= MOST_HEAP and found["growth"] <= MOST_GROWTH)


def _fed(command: Sequence[str], paths: Sequence[Path], *, deadline_s: float) -> str:
    """What a command prints that is given paths, one a line."""
    given = "\n".join(map(str, paths))
    ended = subprocess.run(
        command,
        input=given,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": _path()},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )
    if ended.returncode:
        raise CommandError(f"{' '.join(command[:3])}: exit status {ended.returncode}\n{ended.stderr[-2000:]}")
    return ended.stdout


def _path() -> str:
    """Where processes find the tests, besides what they are told already."""
    return os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
