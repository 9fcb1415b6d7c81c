"""Loads files each in a process of its own, with limits: `python -m acceptance.limited_loads SECONDS MIB < PATHS`.

One line of JSON is printed for each load. Every file is loaded in two ways: as it is, and as a program that wants features from
damaged files does. The processes are forked from this one, which has imported everything. A process may get so many MiB besides
what it begins with, and its peak is measured with that.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from phonograph.errors import AudioError
from phonograph_nodes.audio import load

WAYS: dict[str, Callable[[str], np.ndarray[Any, Any]]] = {
    "as it is": lambda path: load(path, sr=None, mono=False)[0],
    "for features": lambda path: load(path, sr=16_000, keep_truncated=True, non_finite="zero")[0],
}


def limited(path: str, way: str, seconds: float, mib: int) -> dict[str, Any]:
    """What became of one load: `end` is audio, error, silent, exception, crash or hang."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            told = json.dumps(_load(path, WAYS[way], mib)).encode()
            os.write(writing, told)
        finally:
            os._exit(0)
    os.close(writing)
    process = os.pidfd_open(child)
    try:
        is_over = bool(select.select([process], [], [], seconds)[0])
        if not is_over:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        told = os.read(reading, 65_536)
    finally:
        os.close(process)
        os.close(reading)
    found = {"path": path, "way": way, "seconds": round(time.monotonic() - began, 4)}
    if not is_over:
        return found | {"end": "hang", "words": f"not over after {seconds:g} s"}
    if not told:
        return found | {"end": "crash", "words": f"status {status}"}
    answer: dict[str, Any] = json.loads(told)
    return found | answer


def _load(path: str, way: Callable[[str], np.ndarray[Any, Any]], mib: int) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[5])
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + mib * 2**20, resource.RLIM_INFINITY))
    words = ""
    try:
        samples = way(path)
        end = "audio" if samples.size and np.isfinite(samples).all() else "silent"
    except AudioError as error:
        end, words = "error", f"{error.code}: {error}"
        if Path(path).name not in words:
            end, words = "exception", f"an error that does not name the file: {words}"
    except Exception as error:  # noqa: BLE001  # what is not typed is what is looked for
        end, words = "exception", f"{type(error).__name__}: {error}"
    return {"end": end, "words": words[:500], "peak_mib": round(_peak_kib() / 1024, 1)}


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    seconds, mib = float(sys.argv[1]), int(sys.argv[2])
    paths = [line.strip() for line in sys.stdin if line.strip()]
    for way, call in WAYS.items():  # imported before the processes are forked
        with contextlib.suppress(AudioError):
            call(paths[0])
        for path in paths:
            print(json.dumps(limited(path, way, seconds, mib)), flush=True)


if __name__ == "__main__":
    main()
