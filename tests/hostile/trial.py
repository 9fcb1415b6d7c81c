"""A worker of the mutation run: feeds mutants to the target, and says in shared memory which one it is at.

    python -m hostile.trial JOB

JOB is JSON: `Job` below. What it does not return from, its starter finds out by itself.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import mmap
import resource
import signal
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from hostile.mutations import mutant, originals

STATE = struct.Struct("=qd5q")
"""Number of the mutant; when it was begun, on the monotonic clock; how many ended as each of `ENDS`; the slowest, in us."""
STATE_BYTES = 4096
ENDS = ("audio", "error", "silent", "exception")


def main(job: dict[str, Any]) -> None:
    """Work off the mutants from `start` on, every `step`th, below `stop`; or the one file `file`."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not to outlive the starter
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, _, name = job["target"].partition(":")
    read = getattr(importlib.import_module(module), name)
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + job["memory"], resource.RLIM_INFINITY))
    faulthandler.enable(sys.stderr, all_threads=False)
    if "file" in job:
        read(Path(job["file"]).read_bytes(), job["start"])
        return
    files = originals([Path(folder) for folder in job["folders"]])
    with mmap.mmap(job["state"], STATE_BYTES) as state:
        counts = list(STATE.unpack_from(state)[2:])
        for number in range(job["start"], job["stop"], job["step"]):
            name, content = mutant(files, job["seed"], number)
            began = time.monotonic()
            STATE.pack_into(state, 0, number, began, *counts)
            try:
                end = read(content, number)
            except Exception as error:  # noqa: BLE001  # an exception that is no answer is what is looked for
                end = "exception"
                print(json.dumps({"number": number, "words": _words(error), "place": _place(error)}), flush=True)
            if end == "silent":
                print(json.dumps({"number": number, "words": "silent", "place": Path(name).suffix}), flush=True)
            counts[ENDS.index(end)] += 1
            counts[-1] = max(counts[-1], int((time.monotonic() - began) * 1e6))
        STATE.pack_into(state, 0, job["stop"], 0.0, *counts)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _place(error: Exception) -> str:
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(at.filename).name}:{at.lineno}"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
