"""Makes the nodes of a graph, without their links, of those of the manifest and of what is inserted between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from phonograph.breaker import BreakerPolicy
from phonograph.errors import Complaint
from phonograph.graph.conversion import Insertion
from phonograph.graph.isolation import stays
from phonograph.graph.model import GraphNode
from phonograph.graph.ordering import Ordering
from phonograph.graph.wiring import BoundNode
from phonograph.language.entries import NodeEntry
from phonograph.retry import RetryPolicy
from phonograph.spec import NodeSpec, Run
from phonograph.timeout import UNBOUNDED, TimeoutPolicy


def node_of(node: BoundNode) -> GraphNode:
    """A node of the manifest about which there is no complaint."""
    entry, spec, params, ports = node.entry, node.spec, node.params, node.ports
    assert spec is not None and params is not None and ports is not None  # or there would be a complaint
    return GraphNode(
        id=entry.id,
        spec=spec,
        params=params,
        ports=ports,
        inputs=(),
        outputs=(),
        retry=retry_of(entry, spec.retryable + node.retryable),
        breaker=breaker_of(entry),
        timeout=timeout_of(entry, spec),
        on_error=entry.on_error,
        error_rate=entry.error_rate,
        workers=1 if entry.order else entry.workers,
        asked_run=asked_run(entry, spec),
        memory=entry.memory,
        order=entry.order,
        position=entry.position,
    )


def node_of_insertion(insertion: Insertion, entry: NodeEntry) -> GraphNode:
    """The node of an insertion, with the policies of the nodes behind it, which are alike.

    Args:
        entry: one of those nodes.
    """
    spec, breaker = insertion.spec(), breaker_of(entry)
    return GraphNode(
        id=insertion.id,
        spec=spec,
        params=insertion.params,
        ports=(spec.inputs, spec.outputs),
        inputs=(),
        outputs=(),
        retry=retry_of(entry, spec.retryable),
        # Passing over it would hand on what the next node does not take, and what stands in for that does not stand in for it.
        breaker=replace(breaker, when_open="wait") if breaker.when_open in ("skip", "fallback") else breaker,
        timeout=entry.timeout,
        on_error=entry.on_error,
        workers=entry.workers,
        asked_run=asked_run(entry, spec),
        memory=entry.memory,
        position=insertion.position,
    )


def node_of_ordering(ordering: Ordering, entry: NodeEntry) -> GraphNode:
    """The node of an ordering.

    Args:
        entry: the node behind it.
    """
    return GraphNode(
        id=ordering.id,
        spec=ordering.spec,
        params=ordering.spec.params(),
        ports=(ordering.ports, ordering.ports),
        inputs=(),
        outputs=(),
        retry=RetryPolicy(),
        breaker=BreakerPolicy(),
        on_error=entry.on_error,
        workers=None,
        position=ordering.position,
    )


def asked_run(entry: NodeEntry, spec: NodeSpec) -> Run | None:
    """Where the manifest wants a node to run; what `defaults` say is not for nodes that stay where they are."""
    if "run" not in entry.own and (stays(spec) or spec.run == "inline"):
        return None
    return entry.run


def retry_of(entry: NodeEntry, retryable: tuple[type[Exception], ...]) -> RetryPolicy:
    """How a node is tried again, with these errors besides those of every policy."""
    return RetryPolicy(**{**entry.retry, "retryable": retryable})


def breaker_of(entry: NodeEntry) -> BreakerPolicy:
    settings = dict(entry.breaker)
    if settings.pop("fallback", None) is not None:
        settings["when_open"] = "fallback"
    return replace(BreakerPolicy(), **settings)


def timeout_of(entry: NodeEntry, spec: NodeSpec) -> TimeoutPolicy:
    """How long calls of a node may take. A source may wait for records as long as it likes, unless it says otherwise itself."""
    return UNBOUNDED if spec.kind == "source" and "timeout" not in entry.own else entry.timeout


def unfit_breaker(entry: NodeEntry, spec: NodeSpec) -> Iterator[Complaint]:
    """What is said of a node's breaker that fits it nowhere."""
    if entry.breaker.get("when_open") == "skip" and not _can_be_skipped(spec):
        found = f"'when_open: skip' on node {entry.id!r} ({spec.type})"
        expected = "it only on 1:1 nodes with one input and one output of the same family; 'wait' or 'shed' here"
        yield Complaint("wrong_value", entry.position, found, expected)
    breaker = breaker_of(entry)
    if breaker.window is not None and breaker.window < breaker.failure_threshold:
        found = f"'window' on node {entry.id!r} is {breaker.window} records, of which {breaker.failure_threshold} can never fail"
        expected = f"at least {breaker.failure_threshold}, the 'failure_threshold'"
        yield Complaint("wrong_value", entry.origins.get("breaker.window", entry.position), found, expected)


def _can_be_skipped(spec: NodeSpec) -> bool:
    """Whether what enters the node can pass for what leaves it."""
    if spec.kind != "transform" or spec.cardinality != "1:1" or len(spec.inputs) != 1 or len(spec.outputs) != 1:
        return False
    return spec.inputs[0].type.family == spec.outputs[0].type.family
