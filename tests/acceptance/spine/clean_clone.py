"""Claims about what somebody else gets: a clean clone, an installed wheel."""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.native_code import rust_extensions
from acceptance.processes import CHECKOUT, run, shared, temporary_folder

CI_BUDGET_S = 600.0
# What somebody else's shell does not have: our data sets, and what the `make` that runs these claims exports.
OURS = ("PHONOGRAPH_SHARED", "PHONOGRAPH_CI", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "ISSUE")
PLAIN: dict[str, str | None] = dict.fromkeys(OURS)


def _clone(folder: Path) -> Path:
    run(["git", "clone", "-q", "--no-hardlinks", CHECKOUT, folder / "clone"], deadline_s=60)
    return folder / "clone"


@functools.cache
def _interpreter() -> str:
    """The Python that made this environment; a clone makes its own from the same one."""
    return os.path.realpath(sys.executable)


def _make(clone: Path, target: str, *, deadline_s: float) -> tuple[str, float]:
    started = time.monotonic()
    ended = run(["make", target, f"PYTHON={_interpreter()}"], cwd=clone, deadline_s=deadline_s, environment=PLAIN)
    return ended.stdout, time.monotonic() - started


@claim(issue="spine", bar="both exit 0; a feature file for every bundled clip", fast=False)
def a_clean_clone_runs_demo_and_tests() -> Figure:
    """In a clean clone `make demo` and `make test` pass, without the shared data sets."""
    with temporary_folder() as folder:
        clone = _clone(folder)
        demo, demo_s = _make(clone, "demo", deadline_s=600)
        stored = len(list((clone / "phonograph-out").rglob("*.npy")))
        clips = len(list((clone / "manifests" / "samples").glob("*.wav")))
        tests, tests_s = _make(clone, "test", deadline_s=600)
    named = "phonograph-out" in demo
    text = f"demo {demo_s:.0f} s, {stored} of {clips} clips; test {tests_s:.0f} s, {tests.strip().splitlines()[-1]}"
    return Figure(text, met=stored == clips > 0 and named, cause="" if named else "the demo does not say where its results are")


@claim(issue="spine", bar="exit 0 within 600 s", fast=False, needs_shared=True)
def ci_is_green_in_ten_minutes() -> Figure:
    """`.ci/run` passes in a clean clone with the shared data sets at hand."""
    if os.environ.get("PHONOGRAPH_CI"):
        raise RuntimeError("this is running inside .ci/run, which would start itself; run `make accept` by hand")
    with temporary_folder() as folder:
        clone = _clone(folder)
        started = time.monotonic()
        environment = {**PLAIN, "PHONOGRAPH_SHARED": str(shared()), "PYTHON": _interpreter()}
        ended = run(["bash", ".ci/run"], cwd=clone, deadline_s=2 * CI_BUDGET_S, environment=environment)
        seconds = time.monotonic() - started
    return Figure(f"{seconds:.0f} s, {ended.stdout.strip().splitlines()[-1]}", met=seconds <= CI_BUDGET_S)


@claim(issue="spine", bar="demo and tests pass outside the checkout", fast=False)
def the_wheel_works_outside_the_checkout() -> Figure:
    """The wheel, built from the sdist, runs the demo by name and the tests in a fresh environment."""
    with temporary_folder() as folder:
        printed, seconds = _make(_clone(folder), "wheel-test", deadline_s=900)
    closing = printed.strip().splitlines()[-1]
    return Figure(f"{seconds:.0f} s, {closing}", met=re.search(r"\d+ passed", closing) is not None and "failed" not in closing)


@claim(issue="spine", bar="0 of the extensions, in at least 20 looked at", fast=False)
def the_core_install_has_no_rust_extension() -> Figure:
    """Installing phonograph without extras brings no PyO3 or other Rust extension along."""
    with temporary_folder() as folder:
        clone = _clone(folder)
        run([_interpreter(), "-m", "venv", folder / "venv"], deadline_s=120)
        python = folder / "venv" / "bin" / "python"
        run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", clone], deadline_s=600, environment=PLAIN)
        looked_at, rust = rust_extensions(folder / "venv")
    return Figure(f"{len(rust)} of {looked_at} extensions", met=not rust and looked_at >= 20, cause="; ".join(rust))
