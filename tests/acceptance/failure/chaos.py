"""Claims about manifests under injected faults: what is right comes through, and what is wrong is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

import chaos_nodes as wrong
from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from phonograph.chaos import Chaos
from phonograph.flow.order import Order
from phonograph.graph.builder import load_graph
from phonograph.graph.registry import Registry
from phonograph.shipped import find_manifest, shipped_manifests

SEEDS_UNTIL_FOUND = 40

WRONG_SINKS = (("wrong.in_place", wrong.InPlace), ("wrong.append", wrong.Append), ("wrong.unsynced", wrong.Unsynced))
WRONG_NODES = (
    ("wrong.once", wrong.Once),
    ("wrong.numbering", wrong.Numbering),
    ("wrong.spending", wrong.Spending),
    ("wrong.opened", wrong.Opened),
    ("wrong.leaving", wrong.Leaving),
)


def _on_shipped(seeds: Iterable[int]) -> Figure:
    counts: Counter[str] = Counter()
    num_seeds = num_runs = 0
    wrong_seeds: list[str] = []
    began = monotonic()
    for name in sorted(shipped_manifests()):
        with Chaos(load_graph(find_manifest(name), Registry.installed())) as chaos:
            wrong_seeds += [f"{name}: {found}" for found in chaos.found]
            for seed in seeds:
                verdict = chaos.run(seed)
                num_seeds, num_runs = num_seeds + 1, num_runs + verdict.num_runs
                counts.update(event.name for event in verdict.events)
                wrong_seeds += [f"{name}, seed {seed}: {found}" for found in verdict.found[:1]]
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    text = f"{num_seeds} seeds, {num_runs} runs, {counts.total()} faults ({told}), {len(wrong_seeds)} violations"
    has_all = counts.keys() >= {"transient error", "bad input", "fault of the node", "delay", "crash", "torn writes", "full disk"}
    return Figure(f"{text}, {monotonic() - began:.0f} s", has_all and not wrong_seeds, "; ".join(wrong_seeds[:3]))


@claim(issue="failure", bar="each shipped manifest under 12 seeds: every kind of fault, 0 violations", fast=True)
def shipped_manifests_come_through_chaos() -> Figure:
    """Nothing is lost, twice, torn or left behind, whatever is injected and wherever a run stops."""
    return _on_shipped(range(1, 13))


@claim(issue="failure", bar="each shipped manifest under 1 000 seeds: every kind of fault, 0 violations", fast=False)
def shipped_manifests_come_through_a_thousand_seeds_of_chaos() -> Figure:
    """The same for a thousand seeds each."""
    return _on_shipped(range(1, 1001))


@claim(issue="failure", bar=f"8 of 8 wrong sinks and nodes within {SEEDS_UNTIL_FOUND} seeds", fast=True)
def chaos_finds_what_is_wrong() -> Figure:
    """Sinks without the commit protocol, nodes that remember or cannot be tried again, and none in the graph without them."""
    graphs: list[tuple[str, str, type]] = [(name, wrong.with_sink(name, "out/rows.txt"), target) for name, target in WRONG_SINKS]
    graphs += [(name, wrong.with_node(name), target) for name, target in WRONG_NODES]
    needed: dict[str, int | None] = {}
    with temporary_folder() as folder:
        for name, text, target in graphs:
            needed[name] = _first_seed(folder, text, target)
        is_right_found = _first_seed(folder, wrong.GRAPH) is not None
    told = ", ".join(f"{name.removeprefix('wrong.')}: {'not found' if seed is None else seed}" for name, seed in needed.items())
    num_found = sum(seed is not None for seed in needed.values())
    text = f"{num_found} of {len(needed)}; the seed that shows it, 0 for another order alone: {told}"
    return Figure(text, num_found == len(needed) and not is_right_found, "the right one is found too" * is_right_found)


def _first_seed(folder: Path, text: str, *targets: type) -> int | None:
    """The first seed under which something is wrong; 0: without any fault. None: nothing is."""
    with Chaos(wrong.graph_in(folder, text, Order, *targets)) as chaos:
        if chaos.found:
            return 0
        return next((seed for seed in range(1, SEEDS_UNTIL_FOUND + 1) if chaos.run(seed).found), None)
