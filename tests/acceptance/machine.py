"""What figures depend on: the machine, the versions, the commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

VERSIONS_OF = ("phonograph", "numpy", "av", "soxr", "msgspec", "structlog", "tenacity", "click", "cython", "pytest", "hypothesis")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, kernel."""
    processors = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kb = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "processor": processors[0] if processors else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kb[0] / 2**20, 1) if memory_kb else None,
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """Python and the packages that a figure may depend on; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(checkout: Path) -> str:
    """The commit's hash, with `+changes` when the work tree differs from it; "none" outside a git checkout or without git."""
    head = _git(checkout, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return "none"
    return f"{head}+changes" if _git(checkout, "status", "--porcelain") else head


def _git(checkout: Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
