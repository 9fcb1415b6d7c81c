"""Claims about the benchmark gate: it fails on what became 15 % slower, and passes what did not, also on a busy machine.

Each claim stores ratios of its own first, so that it can be judged on any processor.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import run, temporary_folder
from acceptance.slower import LEAST, MOST, Slowing, calibrated, find_benchmarks, kernel, scheduler

DEADLINE_S = 600
KERNELS = (
    ("log-mel whisper", "log_mel"),
    ("log-mel kaldi", "log_mel"),
    ("energy VAD", "energy_vad"),
    ("convert f32 to i16", "convert"),
    ("resample 48 to 16 kHz, high", "resample"),
)


@claim(issue="resample", bar="10 of 10 runs fail", fast=False)
def the_gate_fails_on_a_slower_kernel() -> Figure:
    """A kernel that takes 15 % longer fails the gate, whichever it is."""
    return _failing([kernel(*one) for one in KERNELS], 10)


@claim(issue="resample", bar="10 of 10 runs fail", fast=False)
def the_gate_fails_on_a_slower_scheduler() -> Figure:
    """A scheduler that takes 15 % longer for an item fails the gate."""
    return _failing([scheduler()], 10)


@claim(issue="resample", bar="20 of 20 runs pass", fast=False)
def the_gate_passes_unchanged_code() -> Figure:
    """Code that has not changed passes the whole gate, every subject with every instruction set."""
    with temporary_folder() as folder:
        _gate(folder, "--accept")
        seconds, failed = [], []
        for number in range(20):
            started = time.monotonic()
            status, printed = _gate(folder, "--strict")
            seconds.append(time.monotonic() - started)
            if status:
                failed.append(f"run {number + 1}: {_verdicts(printed)}")
    text = f"{20 - len(failed)} of 20 pass, in {min(seconds):.0f} to {max(seconds):.0f} s"
    return Figure(text, met=not failed, cause="; ".join(failed))


@claim(issue="resample", bar="unchanged passes; the slower kernel fails, the slower scheduler fails", fast=False)
def the_gate_tells_slower_from_unchanged() -> Figure:
    """The gate passes a kernel and the scheduler as they are, and fails each of them when it takes 15 % longer."""
    slowings = [kernel(*KERNELS[0]), scheduler()]
    with temporary_folder() as folder:
        found = _accepted(slowings, folder)
        unchanged = [_gate(folder, "--strict", "--only", one.subject) for one in found]
        slower = [_gate(folder, "--only", one.subject, slowing=one) for one in found]
    words = [f"{one.subject} unchanged {_seen(one, *ended)}" for one, ended in zip(found, unchanged, strict=True)]
    words += [_told(one, *ended) for one, ended in zip(found, slower, strict=True)]
    met = all(status == 0 for status, _ in unchanged) and all(status == 1 for status, _ in slower)
    return Figure("; ".join(words), met and not _off(found), _off(found))


def _failing(slowings: Sequence[Slowing], num_runs: int) -> Figure:
    with temporary_folder() as folder:
        found = _accepted(slowings, folder)
        chosen = [found[number % len(found)] for number in range(num_runs)]
        ended = [_gate(folder, "--only", one.subject, slowing=one) for one in chosen]
    num_failed = sum(status == 1 for status, _ in ended)
    words = [_told(one, *rest) for one, rest in zip(chosen, ended, strict=True)]
    text = f"{num_failed} of {num_runs} fail: {'; '.join(words)}"
    return Figure(text, num_failed == num_runs and not _off(found), _off(found))


def _accepted(slowings: Sequence[Slowing], folder: Path) -> list[Slowing]:
    """The slowings, calibrated; each subject's ratio is accepted as it will be measured, by itself."""
    for one in slowings:
        _gate(folder, "--accept", "--only", one.subject)
    find_benchmarks()
    return [calibrated(one, folder) for one in slowings]


def _gate(folder: Path, *arguments: str, slowing: Slowing | None = None) -> tuple[int, str]:
    """Run the gate with the folder's own floors, for some subjects with the fastest kernels only; exit status and table."""
    from phonograph.isa import AVAILABLE

    environment: dict[str, str | None] = {}
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.gate", "--floors", folder / "floors.json", *arguments]
    if "--only" in arguments:
        command += ["--isa", AVAILABLE[0]]
    if slowing is not None:
        environment |= slowing.environment(folder)
    ended = run(command, deadline_s=DEADLINE_S, environment=environment, accept=(0, 1))
    return ended.returncode, ended.stdout


def _off(slowings: Sequence[Slowing]) -> str:
    """Why it is no test of 15 %: what was made slower by something else, which would prove less, or ask for more."""
    off = [f"{one.subject} {one.share:.1%}" for one in slowings if not LEAST <= one.share <= MOST]
    return f"made slower by other than {LEAST:.0%} to {MOST:.0%}, so not judged: {', '.join(off)}" if off else ""


def _told(slowing: Slowing, status: int, printed: str) -> str:
    """By how much it was made slower, and what the gate saw of it."""
    return f"{slowing.subject} made {slowing.share:.1%} slower {_seen(slowing, status, printed)}"


def _seen(slowing: Slowing, status: int, printed: str) -> str:
    seen = re.search(rf"^{re.escape(slowing.subject)} .* ([0-9.]+)%", printed, re.MULTILINE)
    share = f"{100 / float(seen[1]) - 1:+.1%}" if seen else "nothing"
    return f"is seen as {share} and {'fails' if status == 1 else 'passes'}"


def _verdicts(printed: str) -> str:
    return "; ".join(line for line in printed.splitlines() if re.match(r"[A-Z]{4}[A-Z ]*: ", line))
