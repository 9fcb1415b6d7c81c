"""Runs a manifest of test nodes with or without a journal: `python -m acceptance.journalled FOLDER MODE`.

MODE is `on`, `off` or `resume`. Prints what it took as JSON: seconds of the processor and of the wall, the peak of memory,
records that ended and were taken over. `pairs`: runs with and without a journal in turns, in the same process, so that both meet
the same machine; prints the seconds of the processor of each, and what the journal takes for a record when nothing else is done.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phonograph import executor
from phonograph.engine.course import Course
from phonograph.engine.identity import Identity
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.item import Outcome
from phonograph.journal import NoRunDirectory, RunDirectory
from phonograph.language.manifest import load_manifest
from phonograph.log import library_logger
from phonograph.redaction import Secrets

PAIRS = 11
ALONE = 100_000  # records that end while nothing else is done


def without(path: Path, secrets: Secrets, **options: Any) -> RunDirectory:
    """What keeps nothing, in the place of a run directory."""
    return NoRunDirectory(secrets)


def main(folder: Path, mode: str) -> Mapping[str, float]:
    vars(executor)["RunDirectory"] = without if mode == "off" else RunDirectory
    resume = "same" if mode == "resume" else None
    loaded = load_manifest(folder / "scale.yaml")
    running = Executor(loaded, registry=Registry.installed(), run_dir=folder / "run", resume=resume)  # type: ignore[arg-type]
    started, processor = time.monotonic(), time.process_time()
    report = running.run()
    took = {"wall_s": time.monotonic() - started, "processor_s": time.process_time() - processor}
    assert report.metrics is not None
    peak_mb = report.metrics.pipeline_execution.process_peak_mb
    return {**took, "peak_mb": peak_mb, "completed": report.records.completed, "resumed": report.resumed}


def pairs(folder: Path) -> Mapping[str, object]:
    took: dict[str, list[float]] = {"on": [], "off": []}
    main(folder, "on")  # what is made and imported once
    for number in range(PAIRS):
        for mode in ("on", "off") if number % 2 else ("off", "on"):
            took[mode].append(main(folder, mode)["processor_s"])
    with RunDirectory(folder / "alone") as directory:
        with_journal = min(asyncio.run(alone(directory)) for _ in range(5))
    without_any = min(asyncio.run(alone(NoRunDirectory())) for _ in range(5))
    return {**took, "alone_s": (with_journal - without_any) / ALONE}


async def alone(directory: RunDirectory) -> float:
    """Seconds of the processor, of all threads, in which records are read and end, and their rows are stored."""
    course = Course({}, ["numbers"], directory, library_logger(), sync_every_s=1.0)
    identities = [Identity(f"numbers/{number}") for number in range(ALONE)]
    began = time.process_time()
    for number, identity in enumerate(identities):
        course.ledger.end(course.ledger.read(identity), Outcome.COMPLETED)
        if not number % 1024:
            await asyncio.sleep(0)
    await course.scribe.close()
    return time.process_time() - began


if __name__ == "__main__":
    print(json.dumps(pairs(Path(sys.argv[1])) if sys.argv[2] == "pairs" else main(Path(sys.argv[1]), sys.argv[2])))
