"""Claims about streams: audio in chunks gives what it gives in one piece, whatever the chunks are."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from acceptance.claims import Figure, claim
from acceptance.processes import run

PIPELINE = Path(sys.executable).parent / "run-pipeline"
SEEDS, SAMPLE, DEADLINE_S = 20, 3, 300
FRONT_ENDS = ("squeezeformer", "zipformer", "paraformer", "w2v-bert", "whisper", "kaldi", "icefall", "nemo")
SHIPPED = (
    ("convert",),
    ("convert", "--param", "sample_rate=8000"),
    ("vad-segments",),
    *(("features", "--param", f"frontend={name}") for name in FRONT_ENDS),
)
CLASSES = ("causal", "post-normalised", "whole")


def checked(*arguments: str) -> dict[str, Any]:
    """What `check --chunking` found of a manifest."""
    options = ["--chunking", "--format", "json", "--seeds", str(SEEDS), "--sample", str(SAMPLE)]
    ended = run([PIPELINE, "check", *arguments, *options], deadline_s=DEADLINE_S, accept=(0, 1))
    (found,) = json.loads(ended.stdout)["chunking"]
    return dict(found)


@claim(issue="flow", bar="every node bit-equal, or within the tolerance that its type declares", fast=True)
def chunks_give_what_one_piece_gives() -> Figure:
    """Shipped manifests, with every front end: a session of random chunks gives at each node what one request gives."""
    largest: dict[str, float] = defaultdict(float)
    num_nodes = num_ways = 0
    differing = []
    for arguments in SHIPPED:
        found = checked(*arguments)
        num_ways += found["records"] * SEEDS
        for node in found["nodes"]:
            num_nodes += 1
            deviation = float("inf") if node["deviation"] is None else node["deviation"]
            largest[node["streaming"]] = max(largest[node["streaming"]], deviation)
            if not node["holds"]:
                differing.append(f"{' '.join(arguments)}: {node['id']}: {node['where']} ({node['key']}, seed {node['seed']})")
    figures = ", ".join(f"{name} {largest[name]:g}" for name in CLASSES if name in largest)
    met = not differing and set(CLASSES) <= largest.keys()
    return Figure(f"largest difference: {figures}; {num_nodes} nodes, {num_ways} sessions", met, "; ".join(differing[:3]))
