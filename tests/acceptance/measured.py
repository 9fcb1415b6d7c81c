"""What the modules of `benchmarks` measure, for claims; each measurement is made once for all claims that share it."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acceptance.claims import Figure
from acceptance.processes import run, temporary_folder

DEADLINE_S = 1_800


def needs_bench(*packages: str) -> Callable[[Callable[[], Figure]], Callable[[], Figure]]:
    """Where one of these packages is missing the claim is unmet, and says what to install."""

    def declare(measure: Callable[[], Figure]) -> Callable[[], Figure]:
        @functools.wraps(measure)
        def measured() -> Figure:
            missing = [name for name in packages if not _installed(name)]
            if missing:
                cause = f"needs the extra `bench`: {', '.join(missing)} not installed; `pip install -e '.[bench]'`"
                return Figure("not measured", met=False, cause=cause)
            return measure()

        return measured

    return declare


@functools.cache
def measured(module: str, *arguments: str, one_thread: bool = False) -> dict[str, Any]:
    """What a module of `benchmarks` stores.

    Args:
        one_thread: libraries that have thread pools use one thread.
    """
    from benchmarks.timing import ONE_THREAD  # which is not there where an installed package is tested

    with temporary_folder() as folder:
        out = folder / "measured.json"
        command: list[str | Path] = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--out", out]
        run(command, deadline_s=DEADLINE_S, environment=dict(ONE_THREAD) if one_thread else None)
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
