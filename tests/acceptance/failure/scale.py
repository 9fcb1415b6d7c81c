"""Claims about what the journal costs: memory, throughput, the time to go on with a run that has ended."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from acceptance.claims import Figure, claim
from acceptance.processes import PLUGIN, TESTS, run, temporary_folder

IN_PAIRS = 100_000
"""Records of a run: few, so that what else the machine does changes little from one run to the next."""

NODES = """version: 1
name: scale
nodes:
  numbers: {{type: testing.numbers, params: {{count: {count}}}}}
  n0: {{type: probe.free, input: numbers, params: {{num_bytes: 1}}, workers: 2}}
  n1: {{type: probe.free, input: n0, params: {{num_bytes: 1}}, workers: 1}}
  n2: {{type: testing.pass, input: n1}}
  n3: {{type: testing.pass, input: n2}}
  out: {{type: testing.discard, input: n3}}
"""


@claim(issue="failure", bar="peaks at 1 000 000 records <= 1.05 of those at 100 000; gone on with in < 10 s", fast=False)
def a_million_records_are_journalled_and_gone_on_with() -> Figure:
    """A million records with journal and metrics need no more memory than a tenth of them, nor does going on with them."""
    took: dict[tuple[int, str], dict[str, Any]] = {}
    for count in (100_000, 1_000_000):
        with temporary_folder() as folder:
            for mode in ("on", "resume"):
                took[count, mode] = _run(folder, count, mode)
    shares = {mode: took[1_000_000, mode]["peak_mb"] / took[100_000, mode]["peak_mb"] for mode in ("on", "resume")}
    wall_s = took[1_000_000, "resume"]["wall_s"]
    is_whole = took[1_000_000, "on"]["completed"] == took[1_000_000, "resume"]["resumed"] == 1_000_000
    text = f"a run {took[1_000_000, 'on']['peak_mb']:.1f} MB, {shares['on']:.3f}; going on with it "
    text += f"{took[1_000_000, 'resume']['peak_mb']:.1f} MB, {shares['resume']:.3f}; in {wall_s:.1f} s"
    return Figure(text, max(shares.values()) <= 1.05 and wall_s < 10 and is_whole)


@claim(issue="failure", bar="processor time with a journal <= 1.03 of that without, median of pairs", fast=False)
def a_journal_costs_little() -> Figure:
    """Journalling how records end takes less than 3 % of the processor time of a run of six nodes that do nothing."""
    with temporary_folder() as folder:
        took = _run(folder, IN_PAIRS, "pairs")
    shares = [on / off for on, off in zip(took["on"], took["off"], strict=True)]
    middle, low, high = statistics.median(shares), *statistics.quantiles(shares, n=4)[::2]
    record_s = statistics.median(took["off"]) / IN_PAIRS
    cause = "a row is made, kept and encoded for each record, of nodes that take no time; runs differ by more than the bar"
    text = f"{middle:.3f}, quartiles {low:.3f} to {high:.3f} of {len(shares)} pairs, {min(took['on']) / min(took['off']):.3f} of "
    text += f"the least; by itself {took['alone_s'] * 1e9:.0f} ns a "
    text += f"record, {took['alone_s'] / record_s:.1%} of the {record_s * 1e6:.0f} us that a record takes without"
    return Figure(text, middle <= 1.03, "" if middle <= 1.03 else cause)


def _run(folder: Path, count: int, mode: str) -> dict[str, Any]:
    (folder / "scale.yaml").write_text(NODES.format(count=count), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-m", "acceptance.journalled", folder, mode]
    environment = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(PLUGIN), os.environ.get("PYTHONPATH", "")])}
    took: dict[str, Any] = json.loads(run(command, deadline_s=1_800, environment=environment).stdout)
    return took
