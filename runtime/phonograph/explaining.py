"""Plan -> what there is to tell of it: every value with its origin, every edge with its types, every decision with its reason.

Nothing here depends on the machine or on where the manifest lies: paths are given relative to its folder where they are below it,
and a number of workers that follows the cores is called `auto`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from phonograph.breaker import BreakerPolicy
from phonograph.entries import NodeEntry, QueueBounds
from phonograph.errors import Position
from phonograph.graph import Edge, Graph, GraphNode
from phonograph.journal import DEAD_LETTERS
from phonograph.parameters import Parameter
from phonograph.plan import Plan, SegmentPlan
from phonograph.retry import RetryPolicy
from phonograph.spec import path_fields, units
from phonograph.yaml12 import Located

HIDDEN = "***"
"""What is shown of a secret."""


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
        source: NODE.PORT. type: of what comes, as far as it is known before a run. taken: what the port takes.
        dead_letters: these are what the source could not process.
    """

    port: str
    source: str
    type: str
    taken: str
    dead_letters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node as it will run.

    Args:
        place: where the manifest has it; for an inserted node, in front of what.
        changes, loses: of an inserted conversion.
        policies: retry, breaker and what is done about errors, where they are not the usual ones.
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
    """

    nodes: tuple[str, ...]
    run: str
    reason: str
    workers: Fact | None
    queue: Fact | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that can be told of a plan; texts are ready to be shown, and hold no secret."""

    name: str
    description: str
    manifest: str
    run_directory: str
    params: tuple[Fact, ...]
    nodes: tuple[NodeFacts, ...]
    segments: tuple[SegmentFacts, ...]
    outputs: tuple[Fact, ...]
    dead_letters: tuple[Fact, ...]
    limits: tuple[Fact, ...]
    warnings: tuple[str, ...]


def explain(plan: Plan, *, run_directory: Path, workers: int | None = None) -> Explanation:
    """What there is to tell of a plan.

    Args:
        run_directory: where the run would leave its journal.
        workers: as `make_plan` was given.
    """
    return _Explainer(plan, run_directory, workers).explanation()


class _Explainer:
    def __init__(self, plan: Plan, run_directory: Path, workers: int | None) -> None:
        self._plan = plan
        self._graph: Graph = plan.graph
        self._manifest = plan.graph.manifest
        self._run_directory = run_directory
        self._workers = workers
        self._folder = os.path.dirname(os.path.abspath(self._manifest.path))
        self._conversions = {conversion.node: conversion for conversion in self._graph.conversions}
        self._edges: dict[str, list[Edge]] = {}
        for edge in self._graph.edges:
            self._edges.setdefault(edge.target, []).append(edge)

    def explanation(self) -> Explanation:
        return Explanation(
            name=self._graph.name,
            description=self._manifest.description,
            manifest=os.path.basename(self._manifest.path),
            run_directory=self._path(str(self._run_directory), os.getcwd()),
            params=tuple(self._param(parameter) for parameter in self._manifest.params.values()),
            nodes=tuple(self._node(node) for node in self._graph.nodes.values()),
            segments=(*map(_source_segment, self._plan.sources), *map(self._segment, self._plan.segments)),
            outputs=(*self._stored(), *self._given_outside()),
            dead_letters=tuple(self._dead_letters()),
            limits=self._limits(),
            warnings=tuple(complaint.words for complaint in self._graph.warnings if complaint.severity == "warning"),
        )

    def _param(self, parameter: Parameter) -> Fact:
        value = HIDDEN if parameter.type == "secret" else self._value(parameter.value, _UNITS.get(parameter.type, ""))
        if parameter.is_given:
            return Fact(parameter.name, value, f"--param {parameter.name}")
        return Fact(parameter.name, value, f"default, {self._place(parameter.position)}")

    def _node(self, node: GraphNode) -> NodeFacts:
        entry, conversion = self._manifest.nodes.get(node.id), self._conversions.get(node.id)
        if conversion is not None:
            place = f"inserted before {_listed(conversion.before)}"
        else:
            place = self._place(node.position)
        return NodeFacts(
            id=node.id,
            type=node.spec.type,
            kind=node.spec.kind,
            place=place,
            params=tuple(self._params(node, entry)),
            inputs=tuple(self._inputs(node)),
            outputs=tuple(f"{port.name}: {port.type}" for port in node.ports[1]),
            policies=tuple(self._policies(node, entry)),
            changes=conversion.changes if conversion is not None else "",
            loses=conversion.loses if conversion is not None else "",
        )

    def _params(self, node: GraphNode, entry: NodeEntry | None) -> Iterator[Fact]:
        written = entry.params.value if entry is not None else {}
        assert isinstance(written, Mapping)
        in_units, secrets = units(node.spec.params), secret_fields(node.spec.params)
        paths = {name: self._manifest.input_folder for name in path_fields(node.spec.params, "input")}
        paths |= {name: self._manifest.output_folder for name in path_fields(node.spec.params, "output")}
        for field in msgspec.structs.fields(node.params):
            located = written.get(field.encode_name)
            value = getattr(node.params, field.name)
            if field.name in secrets or (located is not None and self._is_secret(located)):
                text = HIDDEN
            else:
                text = self._value(value, in_units.get(field.name, ""), paths.get(field.name))
            if located is not None:
                origin = self._origin(located, node.position.note)
            else:
                origin = f"default of {node.spec.type}" if entry is not None else "inserted"
            yield Fact(field.encode_name, text, origin)

    def _is_secret(self, located: Located) -> bool:
        parameter = self._manifest.params.get(located.came_from)
        return parameter is not None and parameter.type == "secret"

    def _origin(self, located: Located, known: str) -> str:
        """Where a value stands, and what it was made of; `known` is a note that was told of the node already."""
        place = self._place(located.position, known)
        if located.came_from in self._manifest.params:
            return f"{place}, from params.{located.came_from}"
        if located.came_from.startswith("env:"):
            return f"{place}, from the environment variable {located.came_from.removeprefix('env:')}"
        return place

    def _inputs(self, node: GraphNode) -> Iterator[EdgeFacts]:
        types = {(edge.source, edge.source_port, edge.target_port): edge for edge in self._edges.get(node.id, ())}
        for link in node.inputs:
            for source_port, target_port in link.ports:
                edge = types.get((link.source, source_port, target_port))
                yield EdgeFacts(
                    port=target_port,
                    source=f"{link.source}.{source_port}",
                    type=str(edge.given) if edge is not None else "",
                    taken=str(edge.taken) if edge is not None else "",
                    dead_letters=link.is_dead_letters,
                )

    def _policies(self, node: GraphNode, entry: NodeEntry | None) -> Iterator[Fact]:
        if entry is None:
            return
        for name, policy, usual in (("retry", node.retry, RetryPolicy()), ("breaker", node.breaker, BreakerPolicy())):
            changed, origins = [], []
            for field in fields(policy):
                value = getattr(policy, field.name)
                key = field.name.removesuffix("_s")
                if not field.compare or field.name == "retryable" or value == getattr(usual, field.name):
                    continue
                changed.append(f"{key} {_duration(value) if field.name.endswith('_s') else self._value(value)}")
                if position := entry.origins.get(f"{name}.{key}"):
                    origins.append(self._place(position, node.position.note))
            if changed:
                yield Fact(name, ", ".join(changed), ", ".join(dict.fromkeys(origins)))
        if node.on_error != "dead_letter":
            position = entry.origins.get("on_error")
            yield Fact("on_error", node.on_error, self._place(position, node.position.note) if position else "")

    def _segment(self, segment: SegmentPlan) -> SegmentFacts:
        first = segment.nodes[0]
        return SegmentFacts(
            nodes=tuple(node.id for node in segment.nodes),
            run=segment.run,
            reason=self._reason(first),
            workers=self._worker_fact(first),
            queue=self._queue_fact(first, segment.queue),
        )

    def _reason(self, node: GraphNode) -> str:
        """Why a barrier stands in front of a node; the reasons are those of `make_plan`."""
        data = [link for link in node.inputs if not link.is_dead_letters]
        if len(data) < len(node.inputs):
            return "reads dead letters"
        if node.spec.kind == "sink":
            return "a sink stands alone"
        if node.spec.variadic or len({link.source for link in data}) > 1:
            return f"gathers from {_listed(tuple(dict.fromkeys(link.source for link in data)))}"
        before = self._graph.nodes.get(data[0].source) if data else None
        if before is None:
            return "fed from outside"
        reasons = []
        if before.spec.kind == "source":
            reasons.append(f"follows the source {before.id}")
        if len(before.outputs) > 1:
            reasons.append(f"fan-out of {before.id}")
        if data[0].queue is not None:
            reasons.append("explicit queue")
        if before.spec.kind != "source" and before.spec.run != node.spec.run:
            reasons.append(f"runs {_RUNS[node.spec.run]}, {before.id} {_RUNS[before.spec.run]}")
        if before.spec.kind != "source" and before.workers != node.workers:
            reasons.append(f"workers: {node.workers or 'auto'}, those of {before.id}: {before.workers or 'auto'}")
        if before.spec.cardinality == "N:1" or before.spec.variadic:
            reasons.append(f"{before.id} gathers")
        return "; ".join(reasons) or f"{before.id} stands alone"

    def _worker_fact(self, node: GraphNode) -> Fact:
        if node.spec.run == "inline":
            return Fact("workers", "none: runs in the event loop", f"{node.spec.type} runs inline")
        if node.spec.kind == "sink" and getattr(node.spec.factory, "writers", "") == "single_writer":
            return Fact("workers", "1", f"{node.spec.type} has a single writer")
        if node.workers is not None:
            entry = self._manifest.nodes.get(node.id)
            position = entry.origins.get("workers") if entry is not None else None
            return Fact("workers", str(node.workers), self._place(position) if position else "")
        if self._workers is not None:
            return Fact("workers", str(self._workers), "--workers")
        return Fact("workers", "auto (one a core)", "default")

    def _queue_fact(self, node: GraphNode, queue: QueueBounds) -> Fact:
        value = f"{queue.num_items if hasattr(queue, 'num_items') else queue.items} items, {_size(queue.num_bytes)}"
        entry = self._manifest.nodes.get(node.id)
        given = [one for one in entry.inputs if one.queue is not None] if entry is not None else []
        return Fact("queue", value, self._place(given[0].position) if given else "default")

    def _stored(self) -> Iterator[Fact]:
        """What each sink writes to."""
        for node in self._graph.nodes.values():
            for name in path_fields(node.spec.params, "output"):
                value = getattr(node.params, name)
                if value is not None:
                    yield Fact(node.id, self._value(value, "", self._manifest.output_folder), node.spec.type)

    def _given_outside(self) -> Iterator[Fact]:
        for name, edge in self._graph.outputs.items():
            yield Fact(name, f"{edge.source}.{edge.source_port}", str(edge.given))

    def _dead_letters(self) -> Iterator[Fact]:
        """Who reads the dead letters of which nodes; what nobody reads lands in the run directory."""
        read: dict[tuple[str, ...], list[str]] = {}
        for node in self._graph.nodes.values():
            targets = tuple(dict.fromkeys(link.target for link in node.dead_letters))
            read.setdefault(targets, []).append(node.id)
        file = os.path.join(self._path(str(self._run_directory), os.getcwd()), DEAD_LETTERS)
        for targets, sources in sorted(read.items(), key=lambda pair: not pair[0]):
            who = "every node" if len(sources) == len(self._graph.nodes) else "the others" if not targets else _listed(sources)
            if len(read) == 1 and not targets:
                who = "every node"
            yield Fact(who, _listed(targets) if targets else file, "")

    def _limits(self) -> tuple[Fact, ...]:
        rate = self._graph.error_rate
        return () if rate >= 1 else (Fact("error_rate", f"{rate:g}", self._manifest_name()),)

    def _manifest_name(self) -> str:
        return os.path.basename(self._manifest.path)

    def _place(self, position: Position, known: str = "") -> str:
        """FILE:LINE, relative to the manifest's folder, with the note of the position unless it is known."""
        file = self._path(position.file, os.getcwd())
        note = f" ({position.note})" if position.note and position.note != known else ""
        return f"{file}:{position.line}{note}"

    def _path(self, path: str, start: str) -> str:
        """A path relative to the manifest's folder, or to where relative paths of its kind start, when it is below one of them."""
        absolute = os.path.normpath(os.path.join(start, path))
        for folder in dict.fromkeys((self._folder, start)):
            relative = os.path.relpath(absolute, folder)
            if relative != os.pardir and not relative.startswith(os.pardir + os.sep):
                return relative
        return absolute

    def _value(self, value: Any, unit: str = "", folder: str | None = None) -> str:
        """A value as a manifest has it, on one line."""
        if isinstance(value, Mapping | msgspec.Struct):
            plain = value if isinstance(value, Mapping) else msgspec.structs.asdict(value)
            return "{" + ", ".join(f"{key}: {self._value(item, '', folder)}" for key, item in plain.items()) + "}"
        if isinstance(value, list | tuple | set | frozenset):
            items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return "[" + ", ".join(self._value(item, "", folder) for item in items) + "]"
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return " ".join((self._path(value, folder) if folder is not None else value).split("\n")) or "''"
        if unit == "duration":
            return _duration(value)
        if unit == "size":
            return _size(value)
        return f"{value:g}" + f" {unit}".rstrip() if isinstance(value, float) and value == float(f"{value:g}") else f"{value} {unit}".rstrip()


_UNITS = {"duration": "duration", "size": "size"}
_RUNS = {"inline": "inline", "thread": "in threads"}


def secret_fields(params: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset()


def _source_segment(node: GraphNode) -> SegmentFacts:
    return SegmentFacts(nodes=(node.id,), run=node.spec.run, reason="a source reads in a thread of its own", workers=None, queue=None)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)


def _duration(seconds: float) -> str:
    """Seconds with the unit that makes the number short."""
    for unit, factor in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= factor and (seconds / factor).is_integer():
            return f"{seconds / factor:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"


def _size(num_bytes: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= factor and num_bytes % factor == 0:
            return f"{num_bytes // factor}{unit}"
    return f"{num_bytes}B"
