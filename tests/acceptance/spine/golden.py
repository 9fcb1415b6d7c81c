"""Claims that features equal the golden references."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import TESTS, CommandError, run, shared, temporary_folder

FRONT_ENDS = ("squeezeformer", "zipformer", "whisper80", "whisper128", "whisper80_pad30", "whisper128_pad30")


@claim(issue="spine", bar="every clip of 6 front ends within tolerance (error / tolerance <= 1)", fast=True, needs_shared=True)
def log_mel_equals_the_golden_references() -> Figure:
    """log_mel agrees with the golden development set for each front end that it has."""
    with temporary_folder() as folder:
        report = folder / "golden.json"
        command: list[str | Path] = [
            sys.executable,
            shared() / "golden" / "check_features.py",
            "acceptance.golden_names:compute",
            *("--frontends", ",".join(FRONT_ENDS), "--json", report),
        ]
        printed = run(command, deadline_s=300, cwd=TESTS, accept=(0, 1)).stdout
        if not report.exists():
            raise CommandError(f"the checker wrote no report\n{printed}")
        found = json.loads(report.read_text("utf-8"))
    rows = found["rows"]
    cases, right = sum(row["cases"] for row in rows.values()), sum(row["ok"] for row in rows.values())
    worst = max(row["ratio"] for row in rows.values())
    met = bool(found["ok"]) and set(rows) == set(FRONT_ENDS)
    text = f"{right} of {cases} cases, worst error / tolerance {worst:.3f}"
    return Figure(text, met, "; ".join(map(str, found["failures"][:5])))
