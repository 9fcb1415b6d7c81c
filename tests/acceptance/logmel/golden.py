"""Claims that the features of every front end equal the golden references, whichever instruction set computes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from acceptance.claims import Figure, claim
from acceptance.processes import TESTS, CommandError, run, shared, temporary_folder
from phonograph.isa import AVAILABLE, KNOWN, VARIABLE


@claim(
    issue="logmel",
    bar="every golden front end, clip and variant within tolerance (error / tolerance <= 1)",
    fast=True,
    needs_shared=True,
)
def every_front_end_equals_the_golden_references() -> Figure:
    """log_mel agrees with the golden development set: all front ends, all clips, all variants, no exception."""
    told, wrong = [], []
    for variant in KNOWN:
        if variant not in AVAILABLE:
            told.append(f"{variant}: not on this processor")
            continue
        found = _checked(variant)
        rows = found["rows"]
        worst = max(rows, key=lambda name: float(rows[name]["ratio"]))
        right, cases = (sum(row[count] for row in rows.values()) for count in ("ok", "cases"))
        told.append(f"{variant}: {right} of {cases} cases of {len(rows)} front ends, worst {rows[worst]['ratio']:.3f} ({worst})")
        if not found["ok"] or set(rows) != _front_ends():
            wrong.append(f"{variant}: {'; '.join(map(str, found['failures'][:5]))}")
    return Figure(", ".join(told), not wrong, " | ".join(wrong))


def _checked(variant: str) -> dict[str, Any]:
    """The checker's report for one variant of the kernels, in a process that can use no other."""
    with temporary_folder() as folder:
        report = folder / "golden.json"
        command: list[str | Path] = [
            sys.executable,
            shared() / "golden" / "check_features.py",
            "acceptance.golden_names:compute",
            "--json",
            report,
        ]
        printed = run(command, deadline_s=300, cwd=TESTS, environment={VARIABLE: variant}, accept=(0, 1)).stdout
        if not report.exists():
            raise CommandError(f"the checker wrote no report\n{printed}")
        found: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return found


def _front_ends() -> set[str]:
    index = json.loads((shared() / "golden" / "dev" / "index.json").read_text("utf-8"))
    return set(index["frontends"])
