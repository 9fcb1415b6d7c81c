"""What a manifest becomes: nodes bound to their types, in an order in which data can flow, with the links between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from phonograph.breaker import BreakerPolicy
from phonograph.errors import Complaint, Position
from phonograph.language.about import Limits
from phonograph.language.batches import Batching
from phonograph.language.binding import secrets_of
from phonograph.language.manifest import Manifest
from phonograph.language.policies import OnError
from phonograph.language.queues import Full, QueueBounds
from phonograph.porttype import PortType
from phonograph.redaction import Secrets
from phonograph.retry import RetryPolicy
from phonograph.spec import NodeSpec, Params, Port, Ports, Run
from phonograph.timeout import UNBOUNDED, TimeoutPolicy

__all__ = ["Batching", "Conversion", "Edge", "Full", "Graph", "GraphNode", "Link", "OnError", "QueueBounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Every edge between two nodes, as one.

    Args:
        ports: (source port, target port) of each edge.
        queue, batch: None when the manifest says nothing about it.
        is_dead_letters: it carries the dead letters of the source, and not what the source makes.
        is_fallback: it carries what the source could not take, as it came there, to the node that stands in for it; its source
            ports are inputs.
        stands_in: it carries what its source gives in place of the node that it stands in for.
    """

    source: str
    target: str
    ports: tuple[tuple[str, str], ...]
    queue: QueueBounds | None
    is_dead_letters: bool = False
    batch: Batching | None = None
    is_fallback: bool = False
    stands_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One edge between two ports, for people and tools; the engine knows links.

    Args:
        source, target: ids of nodes; `inputs` is the source of what comes from outside.
        given: the type of what the source gives, as far as it is known before a run. taken: the type that the target takes.
        position: where the manifest has the edge.
    """

    source: str
    source_port: str
    target: str
    target_port: str
    given: PortType
    taken: PortType
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A node that the manifest does not have, inserted because two ends of an edge differ, or for the sake of order.

    Args:
        node: its id. before: the nodes that it was inserted in front of.
        changes: what it does, in words: "rate to 16000".
        loses: what is lost by it for certain or maybe, in words: "down-sampling from 44100 Hz"; empty when nothing is.
    """

    node: str
    before: tuple[str, ...]
    changes: str
    loses: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A node ready to be made: `spec.factory(params, id)`.

    Args:
        ports: its inputs and outputs. They are those of `spec`, with what depends on parameters and connections filled in.
        inputs: one link for each node that feeds it; none for a source. Only a node that gathers has more than one, and then one
            for each of its ports; a node that reads dead letters, one for each node that has them; and one that reads a node
            with a fallback, one for each of the two. The source `inputs` is what comes from outside.
        outputs: one link for each consumer, in manifest order.
        dead_letters: one link for each consumer of its dead letters.
        fallback: the link to its fallback; none for most nodes.
        unproven: inputs whose type is known only per item; each item is held against them.
        workers: None: as the engine sees fit.
        asked_run: where the manifest wants it to run; None: as its type says.
        memory: bytes that each process it runs in may take for its work; None: no limit.
        order: it gets items one by one, none before the one ahead of it has ended.
        position: in the manifest; of an inserted node, that of the edge.
    """

    id: str
    spec: NodeSpec
    params: Params
    ports: Ports
    inputs: tuple[Link, ...]
    outputs: tuple[Link, ...]
    dead_letters: tuple[Link, ...] = ()
    fallback: tuple[Link, ...] = ()
    unproven: tuple[Port, ...] = ()
    retry: RetryPolicy
    breaker: BreakerPolicy
    timeout: TimeoutPolicy = UNBOUNDED
    on_error: OnError
    workers: int | None
    position: Position
    asked_run: Run | None = None
    memory: int | None = None
    order: bool = False
    error_rate: float = 1.0

    @property
    def leaving(self) -> tuple[Link, ...]:
        """Every link that leaves it."""
        return (*self.outputs, *self.dead_letters, *self.fallback)

    @property
    def run(self) -> Run:
        return self.asked_run or self.spec.run

    @property
    def is_timed(self) -> bool:
        """Whether its calls may take only so long. What runs in the event loop cannot be left behind there."""
        return self.timeout.is_set and self.run != "inline"

    @property
    def batch(self) -> Batching | None:
        """How items are gathered for its calls; None: each call is for one."""
        return next((link.batch for link in self.inputs if link.batch is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A runnable pipeline.

    Args:
        nodes: by id; a node stands after those that feed it, else in the order of the manifest.
        limits: what a run may at most do.
        inputs: what comes from outside, by name; a graph that has some cannot run by itself.
        outputs: what goes outside, by name, as edges to a target called `outputs`.
        edges: every edge between two nodes, or from `inputs` into one, with the types at its ends, in the order of the manifest.
        warnings: what is odd and does not stop a run.
    """

    name: str
    nodes: Mapping[str, GraphNode]
    limits: Limits
    manifest: Manifest
    inputs: Mapping[str, PortType] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Edge] = field(default_factory=lambda: MappingProxyType({}))
    edges: tuple[Edge, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    warnings: tuple[Complaint, ...] = ()

    @property
    def secrets(self) -> Secrets:
        """What must not be seen of the parameters of the manifest and its nodes."""
        return self.manifest.secrets | secrets_of(node.params for node in self.nodes.values())
