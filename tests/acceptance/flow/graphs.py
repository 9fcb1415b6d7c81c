"""Claims about graphs where branches part and meet: they end, nothing is lost, order is kept, nobody stalls another."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from flow_graphs import TYPES, graphs, misplaced
from flow_runs import HANGS_AFTER_S, HEAD, KEPT, Keep, is_lawful, run_graph
from phonograph.item import Item
from phonograph.node import node
from phonograph.sink import Part
from phonograph_nodes.writing.rows import Jsonl
from small_runs import run_text

NUM_GRAPHS, NUM_FAST_GRAPHS = 1_000, 60
WORKERS = (1, 2, 8)
COUNT, ROOM = 200, 8


@claim(issue="flow", bar=f"{NUM_GRAPHS} of {NUM_GRAPHS} end, the law holds, 0 items out of order", fast=False)
def random_graphs_end() -> Figure:
    """Random graphs of fan-outs, joins, filters, failures, parts, drops, order and windows over queues of one item all end."""
    return _graphs(NUM_GRAPHS)


@claim(issue="flow", bar=f"{NUM_FAST_GRAPHS} of {NUM_FAST_GRAPHS} end, the law holds, 0 items out of order", fast=True)
def some_random_graphs_end() -> Figure:
    """The same, of fewer graphs."""
    return _graphs(NUM_FAST_GRAPHS)


@claim(issue="flow", bar=f"equal to the byte with {', '.join(map(str, WORKERS))} workers; not so without `order`", fast=True)
def a_list_in_order_is_the_same_with_any_number_of_workers() -> Figure:
    """`sink.jsonl` with `order: true`, behind nodes that filter, fail and split, writes the same bytes however many workers."""
    with temporary_folder() as folder:
        ordered = {workers: _rows(folder / f"ordered-{workers}", workers, "true") for workers in WORKERS}
        loose = {workers: _rows(folder / f"loose-{workers}", workers, "false") for workers in WORKERS}
    num_rows = len(ordered[1].splitlines())
    is_same, differs = len(set(ordered.values())) == 1, len(set(loose.values())) > 1
    text = f"{num_rows} rows, {'equal' if is_same else 'different'}; without `order` {'different' if differs else 'equal'}"
    return Figure(text, met=is_same and differs and num_rows > COUNT)


@claim(
    issue="flow",
    bar=f"{ROOM} records, as its queue holds; with a queue that drops all {COUNT}",
    fast=True,
)
def a_slow_sink_does_not_stall_its_sibling() -> Figure:
    """While a sink stores nothing at all, its sibling goes on until the sink's queue is full; and to the end if that drops."""
    stored = {full: _stored_beside_a_stuck_sink(full) for full in ("block", "newest", "oldest")}
    met = stored["block"] >= ROOM and stored["newest"] == stored["oldest"] == COUNT
    return Figure(", ".join(f"{full}: {number}" for full, number in stored.items()), met=met)


def _graphs(number: int) -> Figure:
    """Run so many random graphs, the same ones each time."""
    found: Counter[str] = Counter()

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(text=graphs(max_nodes=14, tight=True), workers=st.integers(1, 8))
    def run(text: str, workers: int) -> None:
        report = run_graph(text, workers)
        found["graphs"] += 1
        found["lawful"] += is_lawful(report)
        found["dropped"] += report.records.dropped
        found["items in order"] += sum(len(items) for items in KEPT.values())
        found["out of order"] += sum(len(misplaced(items)) for items in KEPT.values())

    run()
    text = f"{found['lawful']} of {found['graphs']} end lawfully, {found['dropped']} records dropped, "
    text += f"{found['out of order']} of {found['items in order']} items out of order"
    met = found["lawful"] == found["graphs"] >= number and not found["out of order"] and found["items in order"] > number
    return Figure(text, met=met)


def _rows(folder: Path, workers: int, order: str) -> bytes:
    folder.mkdir()
    nodes = f"""
  numbers: {{type: testing.numbers, params: {{count: {COUNT * 10}}}}}
  fail: {{type: test.fail, input: numbers, params: {{every: 7}}, workers: {workers}}}
  parts: {{type: test.split, input: fail, params: {{every: 4}}, workers: {workers}}}
  work: {{type: test.work, input: {{record: {{from: parts, queue: {{items: 3}}}}}}, workers: {workers}}}
  thin: {{type: test.thin, input: work, params: {{every: 5}}}}
  rows: {{type: sink.jsonl, input: thin, order: {order}, params: {{path: rows.jsonl}}}}
"""
    report = run_text(folder, HEAD + nodes, *TYPES, Jsonl)
    if report.error is not None:
        raise report.error
    return (folder / "rows.jsonl").read_bytes()


class _Hold:
    """What `claim.stuck` waits for, and what `claim.sibling` has stored by then."""

    released: ClassVar[threading.Event] = threading.Event()
    until: ClassVar[int] = 0


@node("claim.stuck", inputs={"item": "any"})
class Stuck(Keep):
    """Store nothing before its sibling has stored as many records as it is to."""

    def stage(self, item: Item) -> Part:
        if not _Hold.released.wait(HANGS_AFTER_S):
            raise RuntimeError("the sibling did not get so far")
        return super().stage(item)


@node("claim.sibling", inputs={"item": "any"})
class Sibling(Keep):
    """Store everything, and say when that is enough."""

    def stage(self, item: Item) -> Part:
        part = super().stage(item)
        if len(KEPT[self.node_id]) == _Hold.until:
            _Hold.released.set()
        return part


def _stored_beside_a_stuck_sink(full: str) -> int:
    """Records that the sibling stored before the stuck sink stored its first one."""
    _Hold.released.clear()
    _Hold.until = ROOM if full == "block" else COUNT
    nodes = f"""
  numbers: {{type: testing.numbers, params: {{count: {COUNT}}}}}
  work: {{type: test.work, input: numbers, workers: 2}}
  stuck: {{type: claim.stuck, input: {{item: {{from: work, queue: {{items: {ROOM}, full: {full}}}}}}}}}
  sibling: {{type: claim.sibling, input: work}}
"""
    KEPT.clear()
    with temporary_folder() as folder:
        report = run_text(folder, HEAD + nodes, *TYPES, Stuck, Sibling)
    if report.error is not None or report.records.dead_lettered:
        return 0
    return _Hold.until
