"""Claims about every instruction set: tests that are run with each."""

from __future__ import annotations

import sys
from pathlib import Path

from acceptance.claims import Figure
from acceptance.processes import CHECKOUT, CommandError, run
from phonograph.isa import AVAILABLE, VARIABLE


def tests_pass(*paths: str) -> Figure:
    """Whether the tests in these files pass with each instruction set that this processor has."""
    told, failed = [], []
    for isa in AVAILABLE:
        command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", *paths]
        try:
            printed = run(command, deadline_s=300, cwd=CHECKOUT, environment={VARIABLE: isa}).stdout
            told.append(f"{isa}: {printed.strip().splitlines()[-1]}")
        except CommandError as error:
            failed.append(f"{isa}: {error}")
    return Figure("; ".join(told), not failed, "; ".join(failed))
