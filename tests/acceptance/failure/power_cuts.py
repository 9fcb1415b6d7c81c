"""Claims about what is left when a run stops behind any of its calls to the file system."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from acceptance.claims import Figure, claim
from crashes import Loss
from stopped import GRAPH, IN_ORDER, IN_SHARDS, Stopped

LOSSES: tuple[Loss, ...] = ("killed", "data", "half", "all")


@claim(issue="failure", bar="every call, four ways to lose what was not synced: as undisturbed", fast=False)
def a_run_without_power_behind_any_call_is_gone_on_with() -> Figure:
    """What a kill or a power cut leaves behind each call of a short run, first or gone on with, comes to the same outputs."""
    logging.disable(logging.CRITICAL)
    num_stops, faults = 0, []
    try:
        for graph in (GRAPH, IN_ORDER, IN_SHARDS):
            for goes_on in (False, True):
                with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
                    stopped = Stopped(Path(folder), graph, goes_on=goes_on)
                    for loss in LOSSES:
                        for number in range(stopped.begin, stopped.end + 1):
                            num_stops += 1
                            try:
                                stopped.goes_on_after(number, loss)
                            except Exception as error:  # noqa: BLE001  # the figure says which
                                faults.append(f"{loss} behind {number}: {type(error).__name__}: {error}"[:200])
    finally:
        logging.disable(logging.NOTSET)
    return Figure(f"{num_stops} stops, {len(faults)} faults {'; '.join(faults[:3])}", num_stops > 1000 and not faults)
