"""Claims about real files: whole and broken ones, in every codec."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.processes import CHECKOUT, PipelineRun, run_pipeline, shared, temporary_folder
from phonograph.sink import output_path

FEATURES = CHECKOUT / "manifests" / "features.yaml"
SOURCE = "clips"  # the source's id in features.yaml: the first part of every key
FRAMES_PER_SECOND = 100
TOLERANCE_S = 0.15  # lossy codecs pad at both ends; a wrong rate or a lost second lies far outside
MALFORMED_DEADLINE_S = 120.0


@claim(issue="spine", bar="65 of 65, each within 0.15 s of its duration", fast=True, needs_shared=True)
def every_codec_gives_features() -> Figure:
    """features.yaml stores finite features of the right length for each file of the codec set."""
    rows = _rows("codecs")
    wrong, largest = [], 0.0
    with temporary_folder() as folder:
        ran = run_pipeline(FEATURES, folder, deadline_s=300, params=_params("codecs", folder))
        for row in rows:
            path = _features_of(row["id"], folder)
            if not path.exists():
                wrong.append(f"{row['id']}: {_why_dead(ran, row['id'])}")
                continue
            features = np.load(path)
            off = abs(features.shape[0] / FRAMES_PER_SECOND - row["duration"])
            largest = max(largest, off)
            if features.ndim != 2 or features.shape[1] != 80 or not np.isfinite(features).all() or off > TOLERANCE_S:
                wrong.append(f"{row['id']}: shape {features.shape}, {row['duration']} s expected")
        stored = len(_stored(folder))
    right = len(rows) - len(wrong)
    met = right == len(rows) == stored == 65 and ran.exit_status == 0
    text = f"{right} of {len(rows)}, {stored} files, at most {largest:.3f} s off, exit {ran.exit_status}"
    return Figure(text, met, "; ".join(wrong))


@claim(
    issue="spine",
    bar="174 records, each with features or one dead letter naming it and why; ends within 120 s",
    fast=True,
    needs_shared=True,
)
def every_malformed_file_is_accounted_for() -> Figure:
    """Each malformed file gives features or a dead letter, and the law holds on disk and in the metrics."""
    rows = _rows("malformed")
    with temporary_folder() as folder:
        ran = run_pipeline(FEATURES, folder, deadline_s=MALFORMED_DEADLINE_S, params=_params("malformed", folder))
        stored = _stored(folder)
        expected = {_features_of(row["id"], folder) for row in rows}
    wrong = []
    keys = [letter["key"] for letter in ran.dead_letters]
    dead = {Path(output_path(str(folder / "out" / "features"), key, ".npy")) for key in keys}
    records = ran.records
    outcomes = {name: count for name, count in records.items() if name != "read"}
    wrong += [f"no features and no dead letter: {path}" for path in sorted(expected - stored - dead)]
    wrong += [f"features and a dead letter: {path}" for path in sorted(stored & dead)]
    wrong += [f"nobody asked for: {path}" for path in sorted((stored | dead) - expected)]
    wrong += [f"more than one dead letter: {key}" for key in sorted({key for key in keys if keys.count(key) > 1})]
    wrong += [f"dead letter says too little: {letter}" for letter in ran.dead_letters if not _says_why(letter)]
    if not records["read"] == len(rows) == sum(outcomes.values()) == len(stored) + len(keys) + records["filtered"]:
        wrong.append(f"the law is broken: {records}, {len(stored)} files, {len(keys)} dead letters, {len(rows)} rows")
    if records["dead_lettered"] != len(keys) or records["completed"] != len(stored):
        wrong.append(f"metrics and disk differ: {records}, {len(stored)} files, {len(keys)} dead letters")
    text = f"{records['read']} read = {len(stored)} with features + {len(keys)} dead letters + {records['filtered']} filtered"
    return Figure(f"{text}, exit {ran.exit_status}", met=len(rows) == 174 and not wrong, cause="; ".join(wrong[:10]))


@claim(
    issue="spine",
    bar="exit 1; outcomes sum to the records read; one dead letter for each dead-lettered record",
    fast=True,
    needs_shared=True,
)
def a_run_over_its_budget_accounts_for_every_record() -> Figure:
    """features.yaml with a budget of 1 % stops on the malformed set, and what it had read by then is accounted for."""
    with temporary_folder() as folder:
        ran = run_pipeline(_with_budget(folder), folder, deadline_s=MALFORMED_DEADLINE_S, params=_params("malformed", folder))
        stored = len(_stored(folder))
    records = ran.records
    outcomes = {name: count for name, count in records.items() if name != "read"}
    balanced = records["read"] == sum(outcomes.values()) and records["dead_lettered"] == len(ran.dead_letters)
    text = ", ".join(f"{count} {name}" for name, count in records.items() if count)
    # a record may be cancelled between its two sinks, so there may be more files than completed records
    met = balanced and ran.exit_status == 1 and ran.metrics["status"] == "failed" and stored >= records["completed"] > 0
    return Figure(f"{text}, {stored} files, exit {ran.exit_status}", met)


def _with_budget(folder: Path) -> Path:
    path = folder / FEATURES.name
    path.write_text(FEATURES.read_text("utf-8") + "\nlimits: {error_rate: 0.01}\n", encoding="utf-8")
    return path


def _rows(name: str) -> list[dict[str, Any]]:
    lines = (shared() / "data" / name / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _params(name: str, folder: Path) -> dict[str, object]:
    return {"corpus": shared() / "data" / name / "manifest.jsonl", "out": folder / "out"}


def _features_of(row_id: str, folder: Path) -> Path:
    return Path(output_path(str(folder / "out" / "features"), f"{SOURCE}/{row_id}", ".npy"))


def _stored(folder: Path) -> set[Path]:
    """Every file of the run's output that is not the table of segments, temporary ones included."""
    features = folder / "out" / "features"
    return {Path(root, name) for root, _, names in os.walk(features) for name in names}


def _says_why(letter: dict[str, Any]) -> bool:
    name = letter["key"].rpartition("/")[2]
    return bool(letter["node"] and letter["code"] and len(letter["message"]) > len(name) and name in letter["message"])


def _why_dead(ran: PipelineRun, row_id: str) -> str:
    letters = [letter["message"] for letter in ran.dead_letters if letter["key"] == f"{SOURCE}/{row_id}"]
    return letters[0] if letters else "no features and no dead letter"
