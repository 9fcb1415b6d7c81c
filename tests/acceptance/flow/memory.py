"""Claims about the memory that a run takes: kept to a limit."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from acceptance.claims import Figure, claim
from acceptance.processes import TESTS, PipelineRun, run, run_pipeline, temporary_folder

NODES = '''
import time
import numpy as np
from phonograph.item import Item
from phonograph.node import Node, Params, node

MIB = 2**20


@node("claim.grow", inputs={"record": "record"}, outputs={"features": "features"}, streaming="causal")
class Grow(Node[Params]):
    """Make 8 MiB of next to nothing."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"features": np.ones(8 * MIB, np.uint8)})


@node("claim.copy", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
class Copy(Node[Params]):
    """Make as much again."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"features": item.payload["features"] + 1})


@node("claim.slow", inputs={"features": "features"}, outputs={"features": "features"}, streaming="causal")
class Slow(Node[Params]):
    """Take longer than the nodes before, so that their queues fill up."""

    def process(self, item: Item, state: None) -> Item:
        time.sleep(0.01)
        return item.with_payload({"features": item.payload["features"][:1].copy()})
'''

GRAPH = """\
version: 1
name: limited
plugins: [nodes.py]
LIMITS
nodes:
  numbers: {type: testing.numbers, params: {count: 400}}
  grow: {type: claim.grow, input: numbers}
  copy: {type: claim.copy, input: {features: {from: grow, queue: {items: 64, bytes: 4GiB}}}}
  again: {type: claim.copy, input: {features: {from: copy, queue: {items: 64, bytes: 4GiB}}}}
  slow: {type: claim.slow, input: {features: {from: again, queue: {items: 64, bytes: 4GiB}}}, workers: 1}
  out: {type: testing.discard, input: slow}
"""
LIMIT_MIB = 384


@claim(issue="flow", bar="peak of the process <= the limit; >= 2 x the limit without it; all records completed", fast=True)
def a_limit_on_memory_holds() -> Figure:
    """The process's own peak stays within limits.memory, in a graph that takes several times as much without it."""
    with temporary_folder() as folder:
        free = _run(folder / "free", "")
        limited = _run(folder / "limited", f"limits: {{memory: {LIMIT_MIB}MiB}}")
    found = limited.metrics["memory_limit"]
    whole = all(one.records["completed"] == one.records["read"] == 400 for one in (free, limited))
    times = limited.metrics["total_time_ms"] / free.metrics["total_time_ms"]
    text = (
        f"{limited.peak_mib:.0f} MiB of {LIMIT_MIB}, {free.peak_mib:.0f} without a limit; {times:.2f} x its time; sources paused "
        f"{found['pauses']} times, {found['paused_ms']:.0f} ms; let in although it did not fit: {found['forced']}"
    )
    return Figure(text, whole and limited.peak_mib <= LIMIT_MIB and free.peak_mib >= 2 * LIMIT_MIB and not found["forced"])


@claim(issue="flow", bar="all records completed, one in flight, one warning", fast=True)
def a_limit_below_one_record_lets_them_pass() -> Figure:
    """Under a limit smaller than one record, records pass one at a time, and one warning says so."""
    with temporary_folder() as folder:
        ran = _run(folder / "tiny", "limits: {memory: 1MiB}")
    found, warnings = ran.metrics["memory_limit"], ran.printed.count("memory_limit_too_small")
    text = (
        f"{ran.records['completed']} of 400 completed, {found['forced']} let in alone, {warnings} warning, {ran.peak_mib:.0f} MiB"
    )
    return Figure(text, ran.records["completed"] == found["forced"] == 400 and warnings == 1)


SERVED = """\
version: 1
name: limited
plugins: [nodes.py]
LIMITS
inputs: {record: {type: record}}
outputs: {out: slow}
nodes:
  grow: {type: claim.grow, input: inputs.record}
  copy: {type: claim.copy, input: grow, workers: 2}
  again: {type: claim.copy, input: copy, workers: 2}
  slow: {type: claim.slow, input: again, workers: 1}
"""

SENDERS = """
import asyncio, json, sys
from pathlib import Path
from acceptance.peak import write_peak
from phonograph import Executor, load_manifest

REQUESTS, SESSIONS, CHUNKS = 100, 50, 4


async def talk(executor):
    async with executor.session() as session:
        for number in range(CHUNKS):
            await session.send({"record": {"number": number}})
        await session.finish()
        return [item async for item in session]


async def main():
    async with Executor(load_manifest("limited.yaml")) as executor:
        requests = (executor.submit({"record": {"number": number}}) for number in range(REQUESTS))
        done = await asyncio.gather(*requests, *(talk(executor) for _ in range(SESSIONS)))
    whole = all(len(one.outputs["out"]) == 1 for one in done[:REQUESTS]) and all(len(one) == CHUNKS for one in done[REQUESTS:])
    found = executor.report.metrics.pipeline_execution
    limit = found.memory_limit
    told = {"whole": whole, "ms": found.total_time_ms}
    print(json.dumps(told | ({"pauses": limit.pauses, "forced": limit.forced, "refused": limit.refused} if limit else {})))
    write_peak(Path("peak"))


asyncio.run(main())
"""


@claim(issue="flow", bar="peak of the process <= the limit; >= 2 x the limit without it; all senders get results", fast=True)
def a_limit_on_memory_holds_senders_back() -> Figure:
    """100 requests and 50 sessions at once stay within limits.memory, and take several times as much without it."""
    with temporary_folder() as folder:
        free, free_mib = _serve(folder / "free", "")
        limited, peak_mib = _serve(folder / "limited", f"limits: {{memory: {LIMIT_MIB}MiB}}")
    text = (
        f"{peak_mib:.0f} MiB of {LIMIT_MIB}, {free_mib:.0f} without a limit; {limited['ms'] / free['ms']:.2f} x its time; "
        f"senders waited {limited['pauses']} times; {limited['forced']} let in that did not fit, {limited['refused']} refused"
    )
    whole = free["whole"] and limited["whole"] and not limited["forced"]
    return Figure(text, whole and peak_mib <= LIMIT_MIB and free_mib >= 2 * LIMIT_MIB)


def _serve(folder: Path, limits: str) -> tuple[dict[str, Any], float]:
    folder.mkdir()
    (folder / "nodes.py").write_text(NODES, encoding="utf-8")
    (folder / "limited.yaml").write_text(SERVED.replace("LIMITS", limits), encoding="utf-8")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    ended = run([sys.executable, "-c", SENDERS], cwd=folder, deadline_s=120, environment={"PYTHONPATH": path})
    return json.loads(ended.stdout.splitlines()[-1]), int((folder / "peak").read_text(encoding="utf-8")) / 1024


def _run(folder: Path, limits: str) -> PipelineRun:
    folder.mkdir()
    (folder / "nodes.py").write_text(NODES, encoding="utf-8")
    manifest = folder / "limited.yaml"
    manifest.write_text(GRAPH.replace("LIMITS", limits), encoding="utf-8")
    return run_pipeline(manifest, folder, deadline_s=120)
