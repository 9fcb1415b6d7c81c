"""Runs a manifest of test nodes with or without a journal: `python -m acceptance.journalled FOLDER MODE`.

MODE is `on`, `off` or `resume`. Prints what it took as JSON: seconds of the processor and of the wall, the peak of memory,
records that ended and were taken over.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phonograph import executor
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.journal import NoRunDirectory, RunDirectory
from phonograph.language.manifest import load_manifest
from phonograph.redaction import Secrets


def without(path: Path, secrets: Secrets, **options: Any) -> RunDirectory:
    """What keeps nothing, in the place of a run directory."""
    return NoRunDirectory(secrets)


def main(folder: Path, mode: str) -> Mapping[str, float]:
    if mode == "off":
        vars(executor)["RunDirectory"] = without
    resume = "same" if mode == "resume" else None
    loaded = load_manifest(folder / "scale.yaml")
    running = Executor(loaded, registry=Registry.installed(), run_dir=folder / "run", resume=resume)  # type: ignore[arg-type]
    started, processor = time.monotonic(), time.process_time()
    report = running.run()
    took = {"wall_s": time.monotonic() - started, "processor_s": time.process_time() - processor}
    assert report.metrics is not None
    peak_mb = report.metrics.pipeline_execution.process_peak_mb
    return {**took, "peak_mb": peak_mb, "completed": report.records.completed, "resumed": report.resumed}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
