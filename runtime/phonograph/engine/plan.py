"""Graph -> Plan: nodes fused into segments, with the queues and workers that run them.

A segment is a line of nodes that one worker runs for an item without queue or thread hop in between. Nodes fuse when nothing
asks for a barrier: a fan-out, an explicit queue or worker count, a change of where nodes run. Sources, sinks and the nodes that
gather stand alone, and so do those that take several items in one call.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from phonograph.flow.gather import gather_type
from phonograph.flow.splits import openers
from phonograph.graph.model import Batching, Graph, GraphNode, Link, QueueBounds
from phonograph.sink import Sink
from phonograph.spec import Run

ENTRANCE, TAP = "inputs", "outputs"
"""Types of the nodes where items come from, and leave for, the program that embeds a graph; see `phonograph.engine.outside`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """A line of nodes that runs as one.

    Args:
        nodes: in order; the first takes its input from `queue`.
        num_workers: threads, or processes, that run it at the same time; 1 for inline segments, which run in the event loop; 0
            for a node that gathers, which needs no worker.
        queue: bounds of the queue in front of it.
        batch: how items are gathered for its only node; None: each call is for one.
    """

    nodes: tuple[GraphNode, ...]
    run: Run
    num_workers: int
    queue: QueueBounds
    batch: Batching | None = None

    @property
    def name(self) -> str:
        return "+".join(node.id for node in self.nodes)

    @property
    def is_sink(self) -> bool:
        return self.nodes[0].spec.kind == "sink"

    @property
    def gathers(self) -> bool:
        return self.num_workers == 0

    @property
    def is_timed(self) -> bool:
        """Whether calls of one of its nodes may take only so long."""
        return any(node.is_timed for node in self.nodes)

    @property
    def has_single_writer(self) -> bool:
        """Whether it is a sink of which there must be only one."""
        factory = self.nodes[0].spec.factory
        return isinstance(factory, type) and issubclass(factory, Sink) and factory.writers == "single_writer"

    @property
    def memory(self) -> int | None:
        """Bytes that each process it runs in may take for its work; None: no limit."""
        return self.nodes[0].memory

    @property
    def outputs(self) -> tuple[Link, ...]:
        return self.nodes[-1].outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a graph runs: its sources, and its segments in topological order.

    Args:
        sources: those that are read; the place where what is sent to an executor comes in is none.
        openers: gathering node -> the nodes at which its tickets open, see `phonograph.flow.tickets`.
        taps: the places where items leave for the program that sent them; none in a run.
    """

    graph: Graph
    sources: tuple[GraphNode, ...]
    segments: tuple[SegmentPlan, ...]
    openers: Mapping[str, tuple[str, ...]]
    taps: tuple[GraphNode, ...] = ()


def make_plan(graph: Graph, *, workers: int | None = None) -> Plan:
    """Fuse the graph's nodes into segments.

    Args:
        workers: threads for segments whose nodes do not say how many; None: one for each core.
    """
    opened_at = openers(graph)
    opening = {node_id for node_ids in opened_at.values() for node_id in node_ids}
    lines: list[list[GraphNode]] = []
    line_of: dict[str, list[GraphNode]] = {}
    for node in graph.nodes.values():
        if node.spec.kind == "source" or node.spec.type == TAP:
            continue
        before = line_of.get(node.inputs[0].source) if len(node.inputs) == 1 else None
        if before is not None and before[-1].id not in opening and _fuses(before, node):
            before.append(node)
            line_of[node.id] = before
        else:
            line_of[node.id] = [node]
            lines.append(line_of[node.id])
    automatic = workers or _available_cores()
    return Plan(
        graph=graph,
        sources=tuple(node for node in graph.nodes.values() if node.spec.kind == "source" and node.spec.type != ENTRANCE),
        segments=tuple(_segment(line, automatic) for line in lines),
        openers=opened_at,
        taps=tuple(node for node in graph.nodes.values() if node.spec.type == TAP),
    )


def plan_as_dict(plan: Plan) -> Mapping[str, object]:
    """The plan as plain values, for plan.json in the run directory."""
    return {
        "name": plan.graph.name,
        "nodes": [{"id": node.id, "type": node.spec.type, "version": node.spec.version} for node in plan.graph.nodes.values()],
        "segments": [
            {
                "nodes": [node.id for node in segment.nodes],
                "run": segment.run,
                "workers": segment.num_workers,
                "queue": {"items": segment.queue.items, "bytes": segment.queue.num_bytes, "full": segment.queue.full},
                **({"batch": _batch_as_dict(segment.batch)} if segment.batch is not None else {}),
                **({"gathers_from": list(plan.openers[segment.name])} if segment.gathers else {}),
            }
            for segment in plan.segments
        ],
    }


def _batch_as_dict(batch: Batching) -> Mapping[str, object]:
    return {
        "max_items": batch.max_items,
        "max_audio_s": batch.max_audio_s,
        "max_wait_s": batch.max_wait_s,
        "bucket": "duration" if batch.by_duration else None,
    }


def _fuses(line: Sequence[GraphNode], node: GraphNode) -> bool:
    before = line[-1]
    return (
        before.spec.kind == node.spec.kind == "transform"
        and len(before.outputs) == 1
        and not node.inputs[0].is_dead_letters
        and not node.inputs[0].is_fallback
        and not node.fallback  # it gets the very item that the node was given
        and node.inputs[0].queue is None
        and before.batch is node.batch is None
        and gather_type(before) is gather_type(node) is None
        and (before.run, before.memory) == (node.run, node.memory)
        and before.workers == node.workers
        and not _loses_several([*line, node])
    )


def _loses_several(line: Sequence[GraphNode]) -> bool:
    """What was made of an item is lost with a worker that is left behind: whether that may be several items by then."""
    return any(
        node.spec.cardinality == "1:N" and any(later.is_timed for later in line[number:]) for number, node in enumerate(line[:-1])
    )


def _segment(line: list[GraphNode], automatic: int) -> SegmentPlan:
    first = line[0]
    num_workers = first.workers or automatic
    if gather_type(first) is not None:
        num_workers = 0
    queue = _queue_in_front_of(first)
    plan = SegmentPlan(nodes=tuple(line), run=first.run, num_workers=num_workers, queue=queue, batch=first.batch)
    return replace(plan, num_workers=min(num_workers, 1)) if first.run == "inline" or plan.has_single_writer else plan


def _queue_in_front_of(node: GraphNode) -> QueueBounds:
    """The bounds that the manifest gives, the widest where it gives several for a node that gathers."""
    given = [link.queue for link in node.inputs if link.queue is not None]
    if not given:
        return QueueBounds()
    return QueueBounds(
        items=max(queue.items for queue in given), num_bytes=max(queue.num_bytes for queue in given), full=given[0].full
    )


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
