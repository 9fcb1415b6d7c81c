"""Small C programs that measurements need: compiled when they are, with the machine's own compiler."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).resolve().parent


def build(name: str, folder: Path, flags: Sequence[str] = ()) -> Path:
    """Compile `name`.c into a shared library in the folder; returns its path.

    Raises:
        SystemExit: there is no C compiler, or it refused; with what it said.
    """
    compiler = os.environ.get("CC", "cc")
    library = folder / f"{name}.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-Wall", *flags, "-o", str(library), str(SOURCES / f"{name}.c")]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(f"no C compiler {compiler!r}; expected one on PATH, or its name in CC") from None
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {ended.returncode}\n{ended.stderr}")
    return library
