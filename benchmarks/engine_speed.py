"""Times what the engine does around nodes that do nothing: `python -m benchmarks.engine_speed PART --out FILE.json`.

A chain is a source, five nodes that hand items on, and a sink that stores nothing; all records wait to be read, so the chain is
saturated. A figure is the time from `Executor.run` to the report, with opening and closing, journal and metrics, over items x
nodes. PART is one of

- `nodes`: the five nodes fused in the event loop and in one thread, each in a thread of its own behind a queue of 64 items, with
  and without metrics.
- `processes`: with an array of 1 MB, the five nodes in one process, and each in a process of its own. Timed from the first item
  at the sink to the last, for a process takes a third of a second to start; that is left out of the processor time too.
- `latency`: how long one record takes from the source through the five nodes to the sink, while nothing else is under way.
- `peers`: SPDL, Haystack, remotemedia-client, asyncio queues and run_in_executor with five functions that do nothing, in turns.

Time is on the wall, and beside it the processor time of the process: where that is less, threads have waited for the core.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.engine_nodes import Arrays, Arrived, OneByOne, PassArray
from benchmarks.peers.chains import ABSENT, CHAINS
from phonograph.executor import Executor, RunReport
from phonograph.graph.registry import Registry
from phonograph.language.manifest import load_manifest
from phonograph.testing import Discard, NumberSource, PassOn

NODES = 5
ITEMS = 20_000
ARRAYS = 1_000
LONE = 300
PEER_ITEMS = 2_000  # of those that take up to half a millisecond an item and node
HOP = ", run: thread, workers: 1"


def chain(node_type: str, source: str, *, settings: str, queue: str = "", sink: str = "testing.discard") -> str:
    """The manifest of a chain of five nodes.

    Args:
        source: type and parameters of the source. settings: of each node, with a comma before.
        queue: bound in front of each, which keeps them apart.
    """
    lines = ["version: 1", "name: chain", "nodes:", f"  n0: {{{source}}}"]
    port = "features" if node_type == "bench.pass-array" else "record"
    for number in range(NODES):
        given = f"{{{port}: {{from: n{number}, queue: {{items: {queue}}}}}}}" if queue else f"n{number}"
        lines.append(f"  n{number + 1}: {{type: {node_type}, input: {given}{settings}}}")
    return "\n".join([*lines, f"  out: {{type: {sink}, workers: 1, input: n{NODES}}}", ""])


def run(folder: Path, text: str, *, metrics: bool = True) -> RunReport:
    """Run a manifest's text; every record must have come through."""
    registry = Registry()
    for target in (NumberSource, PassOn, Discard, Arrays, PassArray, OneByOne, Arrived):
        registry.register(target)
    path = folder / "chain.yaml"
    path.write_text(text, encoding="utf-8")
    report = Executor(load_manifest(path), registry=registry, run_dir=folder / "run", metrics=metrics).run()
    if report.records.completed != report.records.read or report.error is not None:
        raise SystemExit(f"not every record was completed: {report.records}, {report.error}; nothing is timed")
    return report


def clocked(call: Callable[[], object], count: int) -> tuple[float, float]:
    """Microseconds on the wall and of the processor, an item and node."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    scale = 1e6 / (count * NODES)
    return (time.perf_counter() - wall) * scale, (time.process_time() - processor) * scale


def figures(name: str, taken: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The least of the rounds, which other programs have disturbed least, and the median."""
    walls = [wall for wall, _ in taken]
    least = {"wall_us": min(walls), "processor_us": min(used for _, used in taken), "median_us": statistics.median(walls)}
    return {"name": name, **{key: round(value, 3) for key, value in least.items()}}


def nodes(folder: Path, rounds: int) -> list[dict[str, Any]]:
    source = f"type: testing.numbers, params: {{count: {ITEMS}}}"
    texts = {
        "fused": chain("testing.pass", source, settings=""),
        "fused in a thread": chain("testing.pass", source, settings=HOP),
        "thread hops": chain("testing.pass", source, settings=HOP, queue="64"),
    }
    sides = {(name, metrics): text for name, text in texts.items() for metrics in (True, False)}
    taken: dict[tuple[str, bool], list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for (name, metrics), text in sides.items():
            taken[name, metrics].append(clocked(lambda text=text, metrics=metrics: run(folder, text, metrics=metrics), ITEMS))  # type: ignore[misc]
    return [figures(name, times) | {"metrics": metrics} for (name, metrics), times in taken.items()]


def processes(folder: Path, rounds: int) -> list[dict[str, Any]]:
    settings = ", run: process, workers: 1"

    def measured(count: int, queue: str) -> tuple[float, float]:
        """Seconds at the sink, and of the processor in all processes."""
        before = _processor_s()
        source = f"type: bench.arrays, params: {{count: {count}}}"
        metrics = run(folder, chain("bench.pass-array", source, settings=settings, queue=queue)).metrics
        assert metrics is not None, "measured by default"
        (sink,) = (one for one in metrics.pipeline_execution.nodes if one.id == "out")
        return sink.wall_ms / 1e3, _processor_s() - before

    kinds = {"one process": "", "five processes": "16"}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, queue in kinds.items():
            _, starting_s = measured(1, queue)
            wall_s, processor_s = measured(ARRAYS, queue)
            scale = 1e6 / (ARRAYS * NODES)
            taken[name].append((wall_s * scale, (processor_s - starting_s) * scale))
    return [figures(name, times) for name, times in taken.items()]


def _processor_s() -> float:
    """Of this process and those that it has started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def latency(folder: Path, rounds: int) -> list[dict[str, Any]]:
    entries = []
    source = f"type: bench.one-by-one, params: {{count: {LONE}}}"
    for name, settings, queue in (("fused", "", ""), ("thread hops", HOP, "64")):
        taken: list[int] = []
        for _ in range(rounds):
            run(folder, chain("testing.pass", source, settings=settings, queue=queue, sink="bench.arrived"))
            taken += OneByOne.taken_ns
        cuts = statistics.quantiles(taken, n=100)
        entries.append({"name": name, "p50_us": round(cuts[49] / 1e3, 1), "p99_us": round(cuts[98] / 1e3, 1)})
    return entries


def peers(folder: Path, rounds: int) -> list[dict[str, Any]]:
    source = f"type: testing.numbers, params: {{count: {ITEMS}}}"
    ours = {
        "phonograph, fused": chain("testing.pass", source, settings=""),
        "phonograph, thread hops": chain("testing.pass", source, settings=HOP, queue="64"),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (*ours, *CHAINS)}
    logging.disable(logging.WARNING)  # remotemedia-client has everyone's log shown, which costs the others more than their work
    for _ in range(rounds):
        for name, text in ours.items():
            taken[name].append(clocked(lambda text=text: run(folder, text), ITEMS))  # type: ignore[misc]
        for name, prepare in CHAINS.items():
            call = prepare(NODES)
            if call(64) != 64:
                raise SystemExit(f"{name}: not every item came through; nothing is timed")
            taken[name].append(clocked(lambda call=call: call(PEER_ITEMS), PEER_ITEMS))  # type: ignore[misc]
    return [figures(name, times) for name, times in taken.items()] + [{"name": name, "absent": True} for name in ABSENT]


PARTS = {"nodes": nodes, "processes": processes, "latency": latency, "peers": peers}
ROUNDS = {"nodes": 5, "processes": 3, "latency": 3, "peers": 3}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    record.add_options(parser, "engine_speed", rounds=0)
    options = parser.parse_args(arguments)
    rounds = options.rounds or ROUNDS[options.part]
    with tempfile.TemporaryDirectory(prefix="phonograph-bench-") as folder:
        entries = PARTS[options.part](Path(folder), rounds)
    for entry in entries:
        print(entry, flush=True)
    record.write(options.out, {"part": options.part, "rounds": rounds, "items": ITEMS, "nodes": NODES, "entries": entries})
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
