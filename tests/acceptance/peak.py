"""Runs `run-pipeline` in this process: `python -m acceptance.peak PEAK_FILE MANIFEST ...`; PEAK_FILE gets the peak memory in KiB.

The peak is VmHWM of this process. `getrusage` would not do: across exec it carries the peak of the process that started this one.
"""

from __future__ import annotations

import atexit
import sys
from pathlib import Path


def write_peak(path: Path) -> None:
    """Store the largest resident set that this process ever had, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    path.write_text(next(line.split()[1] for line in lines if line.startswith("VmHWM")), encoding="utf-8")


if __name__ == "__main__":
    atexit.register(write_peak, Path(sys.argv.pop(1)))
    sys.argv[0] = "run-pipeline"
    from phonograph.cli import main

    main()
