"""Claims about manifests of a thousand nodes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from acceptance.claims import Figure, claim
from acceptance.processes import run, temporary_folder

SHAPES = ("chain", "fan-out", "diamonds")
NUM_NODES = 1_000

CHECK_AND_PLAN = """
import sys, time
from phonograph.graph.builder import load_graph
from phonograph.engine.plan import make_plan
from phonograph.graph.registry import Registry
registry = Registry.installed()
started = time.perf_counter()
graph = load_graph(sys.argv[1], registry)
checked = time.perf_counter()
plan = make_plan(graph)
print(checked - started, time.perf_counter() - checked, len(graph.nodes))
"""


def _manifest(shape: str) -> str:
    """A manifest of a thousand nodes: a source, a decoder, a sink for the dead letters, and the rest in one of three shapes."""
    lines = ["version: 1", "name: thousand", "params: {quality: {type: str, default: high, choices: [fast, high]}}", "nodes:"]
    nodes = [
        "clips: {type: source.files, params: {paths: samples}}",
        "audio: {type: audio.decode, input: clips}",
        'rejected: {type: sink.jsonl, input: {item: "*.dead_letter"}, params: {path: out/rejected.jsonl}}',
    ]
    before, number = "audio", 0
    while len(nodes) < NUM_NODES - (shape != "fan-out"):
        number += 1
        node = f'{{type: audio.resample, input: {before}, params: {{sample_rate: 16000, quality: "${{params.quality}}"}}}}'
        if shape == "diamonds" and len(nodes) + 3 < NUM_NODES:
            other = f"{{type: audio.convert, input: {before}}}"
            both = f"{{type: flow.join, input: {{audio: one-{number}, other: two-{number}}}}}"
            nodes += [f"one-{number}: {node}", f"two-{number}: {other}", f"both-{number}: {both}"]
            before = f"both-{number}.audio"
        elif shape == "fan-out":
            nodes.append(f"wav-{number}: {{type: sink.wav, input: audio, params: {{path: out/{number}}}}}")
        else:
            nodes.append(f"same-{number}: {node}")
            before = f"same-{number}"
    if shape != "fan-out":
        nodes.append(f"wav: {{type: sink.wav, input: {before}, params: {{path: out/wav}}}}")
    return "\n".join([*lines, *(f"  {node}" for node in nodes)]) + "\n"


@claim(issue="manifest", bar="< 1 s each, in three shapes", fast=True)
def a_thousand_nodes_check_and_plan() -> Figure:
    """A manifest of 1 000 nodes is checked in less than a second, and planned in less than a second."""
    figures, met = [], True
    with temporary_folder() as folder:
        (folder / "samples").mkdir()
        for shape in SHAPES:
            path = folder / f"{shape}.yaml"
            path.write_text(_manifest(shape), encoding="utf-8")
            printed = run([sys.executable, "-c", CHECK_AND_PLAN, path], deadline_s=120).stdout.split()
            check_s, plan_s, num_nodes = float(printed[0]), float(printed[1]), int(printed[2])
            started = time.monotonic()
            run([Path(sys.executable).parent / "run-pipeline", "check", path], deadline_s=120)
            whole_s = time.monotonic() - started
            met = met and check_s < 1 and plan_s < 1 and whole_s < 2 and num_nodes >= NUM_NODES
            figures.append(
                f"{shape}: check {check_s:.2f} s, plan {plan_s:.3f} s, `run-pipeline check` as a process {whole_s:.2f} s"
            )
    return Figure("; ".join(figures), met)
