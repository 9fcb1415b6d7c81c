"""Claims about scale: a million records, a thousand nodes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import PLUGIN, TESTS, run, run_pipeline, temporary_folder
from phonograph.journal.records import contents_of

PROBES = {"PYTHONPATH": f"{TESTS}{os.pathsep}{PLUGIN}"}
NUM_BETWEEN = 4  # beside the source and the sink, so six nodes
SIZES = (100, 1_000)
VERBS = ("check", "plan", "explain", "run")

PLANNED = """
import sys, time
from phonograph.engine.plan import make_plan
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
registry = Registry.installed()
started = time.process_time()
graph = load_graph(sys.argv[1], registry)
checked = time.process_time()
make_plan(graph)
print(checked - started, time.process_time() - checked)
"""


@claim(issue="flow", bar="peak at 1 000 000 records <= 1.05 of the peak at 100 000", fast=False)
def memory_is_flat_up_to_a_million_records() -> Figure:
    """A million records through six nodes, with journal and metrics, need no more memory than a hundred thousand."""
    peaks, completed, seconds = [], [], []
    for count in (100_000, 1_000_000):
        with temporary_folder() as folder:
            ran = run_pipeline(_chain(folder, NUM_BETWEEN, count, workers=2), folder, deadline_s=1_800)
            rows = contents_of(folder / "run" / "journal" / "records.log").num_rows
        peaks.append(ran.peak_mib)
        completed.append(ran.records["completed"] == rows == count)
        seconds.append(ran.metrics["total_time_ms"] / 1e3)
    share = peaks[1] / peaks[0]
    text = f"{peaks[1]:.1f} MiB beside {peaks[0]:.1f}: {share:.3f}; {seconds[1]:.0f} s, {seconds[1] / 6:.1f} us a record and node"
    return Figure(text, share <= 1.05 and all(completed))


@claim(issue="flow", bar="checked, explained, planned, run to the end; 1 000 nodes take <= 20 x as long as 100", fast=False)
def a_thousand_nodes_run() -> Figure:
    """Graphs of a hundred and a thousand nodes check, explain and run, in times that grow as the nodes do."""
    figures, met = [], True
    for shape in (_chain, _wide, _diamonds):
        costs: dict[int, tuple[float, ...]] = {}
        for size in SIZES:
            with temporary_folder() as folder:
                manifest = shape(folder, size - 2, 20)
                planned = run([sys.executable, "-c", PLANNED, manifest], deadline_s=120, environment=PROBES)
                check_s, plan_s = map(float, planned.stdout.split())
                explain_s = _timed("explain", manifest)
                ran = run_pipeline(manifest, folder, deadline_s=600)
                run_s = ran.metrics["total_time_ms"] / 1e3
                met = met and ran.records["completed"] == ran.records["read"] == 20
            costs[size] = (check_s, plan_s, explain_s, run_s)
        grows = max(after / max(before, 0.01) for before, after in zip(costs[100], costs[1_000], strict=True))
        met = met and grows <= 20
        told = "; ".join(
            f"{size}: " + ", ".join(f"{word} {one:.2f} s" for word, one in zip(VERBS, costs[size], strict=True)) for size in SIZES
        )
        figures.append(f"{shape.__name__.strip('_')} {told}; {grows:.1f} x")
    cause = (
        "threads that wait for the interpreter lock wake every 5 ms to ask for it, and of a thousand sinks that get a record at "
        "once a thousand wait; at a switch interval of 200 ms the same run takes half of the processor time"
    )
    return Figure(" | ".join(figures), met, "" if met else cause)


def _timed(verb: str, manifest: Path) -> float:
    started = time.monotonic()
    run([Path(sys.executable).parent / "run-pipeline", verb, manifest], deadline_s=120, cwd=manifest.parent, environment=PROBES)
    return time.monotonic() - started


def _chain(folder: Path, between: int, count: int, workers: int = 1) -> Path:
    """A line of nodes that do nothing, half of them in a thread of their own."""
    nodes, before = [f"numbers: {{type: testing.numbers, params: {{count: {count}}}}}"], "numbers"
    for number in range(between):
        own = f", workers: {workers + number % 2}" if number % 4 < 2 else ""
        kind = "probe.free" if number % 4 < 2 else "testing.pass"
        params = ", params: {num_bytes: 1}" if number % 4 < 2 else ""
        nodes.append(f"n{number}: {{type: {kind}, input: {before}{params}{own}}}")
        before = f"n{number}"
    return _written(folder, [*nodes, f"out: {{type: testing.discard, input: {before}}}"])


def _wide(folder: Path, between: int, count: int) -> Path:
    """One source that many sinks read."""
    nodes = [f"out{number}: {{type: testing.discard, input: numbers}}" for number in range(between)]
    return _written(folder, [f"numbers: {{type: testing.numbers, params: {{count: {count}}}}}", *nodes])


def _diamonds(folder: Path, between: int, count: int) -> Path:
    """A line of branches that part and meet."""
    nodes, before = [f"numbers: {{type: testing.numbers, params: {{count: {count}}}}}"], "numbers"
    for number in range(between // 3):
        nodes += [f"{side}{number}: {{type: testing.pass, input: {before}}}" for side in ("a", "b")]
        nodes.append(f"j{number}: {{type: flow.join, input: {{a: a{number}, b: b{number}}}}}")
        before = f"j{number}.a"
    return _written(folder, [*nodes, f"out: {{type: testing.discard, input: {before}}}"])


def _written(folder: Path, nodes: list[str]) -> Path:
    path = folder / "scale.yaml"
    path.write_text("version: 1\nname: scale\nnodes:\n" + "".join(f"  {line}\n" for line in nodes), encoding="utf-8")
    return path
