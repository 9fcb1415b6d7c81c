"""What there is to tell of a plan, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A value in words, and where it comes from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFacts:
    """What enters a node by one of its ports.

    Args:
        source: NODE.PORT. type: of what comes, as far as it is known before a run.
        taken: what the port takes, where that says more than `type`; each item is held against it.
        dead_letters: these are what the source could not process. fallback: they are what it could not take, as it came there.
    """

    port: str
    source: str
    type: str
    taken: str
    dead_letters: bool = False
    fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node as it will run.

    Args:
        place: where the manifest has it; for an inserted node, in front of what.
        changes, loses: of an inserted conversion.
        policies: retry, breaker, where it runs and what is done about errors, where they are not the usual ones.
    """

    id: str
    type: str
    kind: str
    place: str
    params: tuple[Fact, ...]
    inputs: tuple[EdgeFacts, ...]
    outputs: tuple[str, ...]
    policies: tuple[Fact, ...]
    changes: str = ""
    loses: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """A line of nodes that runs as one.

    Args:
        reason: why it does not run as one with what is in front of it.
        workers, queue: None for a source, which reads in a thread of its own.
        batch: which items it takes in one call; None: one by one.
        opens_at: of a node that gathers, where the tickets open by which it knows what belongs together.
    """

    nodes: tuple[str, ...]
    run: str
    reason: str
    workers: Fact | None
    queue: Fact | None
    opens_at: tuple[str, ...] = ()
    batch: Fact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgraphFacts:
    """What a node includes, and the values that the parameters there have."""

    id: str
    place: str
    params: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that can be told of a plan; texts are ready to be shown, and hold no secret."""

    name: str
    description: str
    manifest: str
    run_directory: str
    params: tuple[Fact, ...]
    subgraphs: tuple[SubgraphFacts, ...]
    nodes: tuple[NodeFacts, ...]
    segments: tuple[SegmentFacts, ...]
    outputs: tuple[Fact, ...]
    dead_letters: tuple[Fact, ...]
    limits: tuple[Fact, ...]
    warnings: tuple[str, ...]
