"""Claims about what the engine costs: the time around nodes that do nothing, an item and node.

`benchmarks/engine_speed.py` says what is run. Times are on the wall, the least of some rounds, because other programs on the
machine can only add to it; beside it stands the processor time, which is the wall's where a core is free.
"""

from __future__ import annotations

from typing import Any

from acceptance.claims import Figure, claim
from acceptance.measured import measured, needs_bench

PEERS = ("haystack-ai", "remotemedia-client", "spdl-core")
FUSED_US, HOP_US, PROCESS_US = 5.0, 25.0, 200.0


@claim(issue="flow", bar=f"<= {FUSED_US:g} us an item and node, metrics on", fast=False)
def fused_nodes_cost_next_to_nothing() -> Figure:
    """A saturated chain of five fused nodes, 20 000 items: the wall over items x nodes."""
    loop, thread = _of("nodes", "fused", metrics=True), _of("nodes", "fused in a thread", metrics=True)
    text = f"{_times(loop)} in the event loop, {_times(thread)} in a thread"
    return _held(text, {"in the event loop": loop, "in a thread": thread}, FUSED_US)


@claim(issue="flow", bar=f"<= {HOP_US:g} us an item and node, metrics on", fast=False)
def a_thread_hop_is_paid_for_many_items() -> Figure:
    """The same with each of the five nodes in a thread of its own."""
    hops = _of("nodes", "thread hops", metrics=True)
    return _held(_times(hops), {"thread hops": hops}, HOP_US)


@claim(issue="flow", bar=f"<= {PROCESS_US:g} us an item and node with an array of 1 MB", fast=False)
def processes_take_a_megabyte() -> Figure:
    """Five nodes in worker processes, each item with an array of 1 MB: in one process, and each in a process of its own."""
    one, five = _of("processes", "one process"), _of("processes", "five processes")
    return _held(
        f"{one['wall_us']:.0f} us in one process, {five['wall_us']:.0f} us in five", {"one": one, "five": five}, PROCESS_US
    )


@claim(issue="flow", bar="stated", fast=False)
def a_lone_item_does_not_wait() -> Figure:
    """How long one item takes from the source through five nodes to the sink, while nothing else is under way."""
    found = _measured("latency")
    text = "; ".join(f"{one['name']}: p50 {one['p50_us']:.0f} us, p99 {one['p99_us']:.0f} us" for one in found)
    return Figure(text, met=len(found) == 2)


@claim(issue="flow", bar="stated", fast=False)
def metrics_can_be_turned_off() -> Figure:
    """What the chain costs less without metrics, in processor time an item and node."""
    names = ("fused", "fused in a thread", "thread hops")
    pairs = {name: (_of("nodes", name, metrics=True), _of("nodes", name, metrics=False)) for name in names}
    shares = {name: 1 - off["processor_us"] / on["processor_us"] for name, (on, off) in pairs.items()}
    text = "; ".join(
        f"{name}: {on['processor_us']:.2f} -> {off['processor_us']:.2f} us, {shares[name]:.0%} less"
        for name, (on, off) in pairs.items()
    )
    return Figure(text, met=all(share > 0 for share in shares.values()))


@claim(issue="flow", bar="stated; fused and with hops below SPDL, Haystack, remotemedia-client and run_in_executor", fast=False)
@needs_bench(*PEERS)
def peers_cost_more_for_a_node() -> Figure:
    """Side by side in one run: an item and node here, in SPDL, Haystack, remotemedia-client, asyncio queues, run_in_executor."""
    found = {one["name"]: one for one in _measured("peers")}
    ours = {name: one for name, one in found.items() if name.startswith("phonograph")}
    theirs = {name: one for name, one in found.items() if name not in ours and name != "asyncio queues"}  # those do nothing else
    slow = [
        f"{name} beside {other}"
        for name, one in ours.items()
        for other, peer in theirs.items()
        if one["wall_us"] >= peer["wall_us"]
    ]
    text = "; ".join(f"{name} {_times(one)}" for name, one in found.items())
    return Figure(text, not slow, f"not below: {', '.join(slow)}" if slow else "")


def _held(text: str, found: dict[str, dict[str, Any]], bar_us: float) -> Figure:
    slow = [name for name, one in found.items() if one["wall_us"] > bar_us]
    waited = [name for name in slow if 0 < found[name]["processor_us"] <= bar_us]
    causes = [f"above the bar: {', '.join(slow)}"] * bool(slow)
    causes += [f"below it in processor time: {', '.join(waited)}; other programs had the cores meanwhile"] * bool(waited)
    return Figure(text, not slow, "; ".join(causes))


def _times(one: dict[str, Any]) -> str:
    return f"{one['wall_us']:.2f} us (processor {one['processor_us']:.2f})"


def _of(part: str, name: str, **facts: object) -> dict[str, Any]:
    (found,) = (one for one in _measured(part) if one["name"] == name and facts.items() <= one.items())
    return found


def _measured(part: str) -> list[dict[str, Any]]:
    """What `benchmarks.engine_speed` stores of a part."""
    found: list[dict[str, Any]] = measured("engine_speed", part)["entries"]
    return found
