"""Works out what there is to tell of a plan."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from phonograph.breaker import BreakerPolicy
from phonograph.engine.plan import Plan, SegmentPlan
from phonograph.errors import Position
from phonograph.explaining.facts import EdgeFacts, Explanation, Fact, NodeFacts, SegmentFacts, SubgraphFacts
from phonograph.explaining.words import path_in_words, timeouts_in_words, value_in_words
from phonograph.graph.model import Batching, Edge, Graph, GraphNode, Link
from phonograph.journal.letters import DEAD_LETTERS
from phonograph.language.binding import secrets_of
from phonograph.language.entries import NodeEntry
from phonograph.language.parameters import Parameter
from phonograph.language.queues import QueueBounds
from phonograph.language.subgraphs import Subgraph
from phonograph.language.units import duration_in_words, size_in_words
from phonograph.language.yaml12 import Located
from phonograph.porttype import Dynamic, Variable
from phonograph.redaction import HIDDEN, Secrets
from phonograph.retry import RetryPolicy
from phonograph.spec import measures, path_fields, secret_fields, units

_RUNS = {"inline": "inline", "thread": "in threads", "process": "in processes"}


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
        # Paths in a manifest start at its folder; those of a shipped one that was asked for by name at the working directory.
        self._folders = (os.path.dirname(os.path.abspath(self._manifest.path)), os.getcwd())
        self._secrets = self._manifest.secrets | secrets_of(node.params for node in self._graph.nodes.values())
        self._conversions = {conversion.node: conversion for conversion in self._graph.conversions}
        self._edges: dict[str, list[Edge]] = {}
        for edge in self._graph.edges:
            self._edges.setdefault(edge.target, []).append(edge)

    def explanation(self) -> Explanation:
        """The facts, without the secrets that may be in any text of them."""
        return _cleaned(self._found(), self._secrets)

    def _found(self) -> Explanation:
        return Explanation(
            name=self._graph.name,
            description=self._manifest.description,
            manifest=os.path.basename(self._manifest.path),
            run_directory=self._path(str(self._run_directory)),
            params=tuple(self._param(parameter) for parameter in self._manifest.params.values()),
            subgraphs=tuple(
                SubgraphFacts(
                    id=subgraph.id,
                    place=self._place(subgraph.position),
                    params=tuple(self._param(parameter, subgraph) for parameter in subgraph.params.values()),
                )
                for subgraph in self._manifest.subgraphs.values()
            ),
            nodes=tuple(self._node(node) for node in self._graph.nodes.values()),
            segments=(*map(_source_segment, self._plan.sources), *map(self._segment, self._plan.segments)),
            outputs=(*self._stored(), *self._given_outside()),
            dead_letters=tuple(self._dead_letters()),
            limits=self._limits(),
            warnings=tuple(complaint.words for complaint in self._graph.warnings if complaint.severity == "warning"),
        )

    def _param(self, parameter: Parameter, subgraph: Subgraph | None = None) -> Fact:
        unit = parameter.type if parameter.type in ("duration", "size") else ""
        value = HIDDEN if parameter.is_secret else value_in_words(parameter.value, unit)
        if parameter.is_given and subgraph is not None:
            return Fact(parameter.name, value, self._origin(Located(None, parameter.position, came_from=parameter.came_from), ""))
        if parameter.is_given:
            return Fact(parameter.name, value, f"--param {parameter.name}")
        origin = f"default, {self._place(parameter.position)}"
        return Fact(parameter.name, value, origin + _from_variable(parameter.variable))

    def _node(self, node: GraphNode) -> NodeFacts:
        entry, conversion = self._manifest.nodes.get(node.id), self._conversions.get(node.id)
        place = f"inserted before {_listed(conversion.before)}" if conversion is not None else self._place(node.position)
        return NodeFacts(
            id=node.id,
            type=node.spec.type,
            kind=node.spec.kind,
            place=place,
            params=tuple(self._params(node, entry)),
            inputs=tuple(self._inputs(node)),
            outputs=tuple(f"{port.name}: {port.type}" for port in node.ports[1]),
            policies=tuple(self._policies(node)),
            changes=conversion.changes if conversion is not None else "",
            loses=conversion.loses if conversion is not None else "",
        )

    def _params(self, node: GraphNode, entry: NodeEntry | None) -> Iterator[Fact]:
        written = entry.params.value if entry is not None else {}
        assert isinstance(written, Mapping)
        in_units = {**units(node.spec.params), **measures(node.spec.params)}
        secrets = secret_fields(node.spec.params)
        paths = {*path_fields(node.spec.params, "input"), *path_fields(node.spec.params, "output")}
        for field in msgspec.structs.fields(node.params):
            located = written.get(field.encode_name)
            shown = self._path if field.name in paths else str
            text = value_in_words(getattr(node.params, field.name), in_units.get(field.name, ""), shown=shown)
            if located is not None:
                origin = self._origin(located, node.position.note)
            else:
                origin = f"default of {node.spec.type}" if entry is not None else "inserted"
            yield Fact(field.encode_name, HIDDEN if field.name in secrets and text != "null" else text, origin)

    def _origin(self, located: Located, known: str) -> str:
        """Where a value stands, and what it was made of; `known` is a note that was told of the node already."""
        place = self._place(located.position, known)
        if located.came_from in self._manifest.params:
            return f"{place}, from params.{located.came_from}"
        return place + _from_variable(located.came_from.removeprefix("env:") if located.came_from.startswith("env:") else "")

    def _inputs(self, node: GraphNode) -> Iterator[EdgeFacts]:
        edges = self._edges.get(node.id, ())
        types = {(edge.source, edge.source_port, edge.target_port): edge for edge in edges}
        types_of_ports = {edge.target_port: edge for edge in edges}
        for link in node.inputs:
            for source_port, target_port in link.ports:
                of_node = types_of_ports.get(target_port) if link.stands_in else None
                edge = types.get((link.source, source_port, target_port), of_node)
                yield EdgeFacts(
                    port=target_port,
                    source=f"{link.source}.{source_port}",
                    type=str(edge.given) if edge is not None else "",
                    taken=str(edge.taken) if edge is not None and _narrows(edge) else "",
                    dead_letters=link.is_dead_letters,
                    fallback=link.is_fallback,
                )

    def _timeouts(self, node: GraphNode, entry: NodeEntry) -> Iterator[Fact]:
        """How long calls of a node may take, where that is bounded."""
        if not node.is_timed:
            return
        for name, words in zip(("timeout", "total_timeout"), timeouts_in_words(node.timeout), strict=True):
            position = entry.origins.get(name)
            if words and position is not None:
                yield Fact(name, words, self._place(position, node.position.note))

    def _decided_by(self, node: GraphNode) -> NodeEntry | None:
        """The node of the manifest whose policies it has: itself, or, of an inserted one, the first of its readers."""
        inserted = self._conversions.get(node.id)
        return self._manifest.nodes.get(node.id if inserted is None else inserted.before[0])

    def _policies(self, node: GraphNode) -> Iterator[Fact]:
        entry = self._decided_by(node)
        if entry is None:
            return
        for name, policy, usual in (("retry", node.retry, RetryPolicy()), ("breaker", node.breaker, BreakerPolicy())):
            changed, origins = [], []
            for field in dataclasses.fields(policy):
                value, key = getattr(policy, field.name), field.name.removesuffix("_s")
                if value == "fallback" and node.fallback:
                    key, value = value, node.fallback[0].target
                if not field.compare or field.name == "retryable" or value == getattr(usual, field.name):
                    continue
                changed.append(f"{key} {duration_in_words(value) if field.name.endswith('_s') else value_in_words(value)}")
                if position := entry.origins.get(f"{name}.{key}"):
                    origins.append(self._place(position, node.position.note))
            if name == "retry" and (named := entry.retry.get("retryable")):
                changed.append(f"retryable {value_in_words(named)}")
                origins.append(self._place(entry.origins["retry.retryable"], node.position.note))
            if changed:
                yield Fact(name, ", ".join(changed), ", ".join(dict.fromkeys(origins)))
        yield from self._timeouts(node, entry)
        if node.run == "process":
            position = entry.origins.get("run") if node.asked_run is not None else None
            yield Fact(
                "run", "process", self._place(position, node.position.note) if position else f"default of {node.spec.type}"
            )
            if node.memory is not None and (position := entry.origins.get("memory")):
                yield Fact("memory", size_in_words(node.memory), self._place(position, node.position.note))
        if node.on_error != "dead_letter":
            position = entry.origins.get("on_error")
            yield Fact("on_error", node.on_error, self._place(position, node.position.note) if position else "")

        if node.error_rate < 1 and (position := entry.origins.get("error_rate")):
            yield Fact("error_rate", f"{node.error_rate:g}", self._place(position, node.position.note))

    def _segment(self, segment: SegmentPlan) -> SegmentFacts:
        first = segment.nodes[0]
        return SegmentFacts(
            nodes=tuple(node.id for node in segment.nodes),
            run=segment.run,
            reason=self._reason(first),
            workers=self._worker_fact(first),
            opens_at=self._plan.openers.get(first.id, ()),
            queue=self._queue_fact(first, segment.queue),
            batch=None if segment.batch is None else self._batch_fact(segment.batch),
        )

    def _reason(self, node: GraphNode) -> str:
        """Why a barrier stands in front of a node; the reasons are those of `make_plan`."""
        data = [link for link in node.inputs if not link.is_dead_letters]
        if always := self._always(node, data):
            return always
        before = self._graph.nodes.get(data[0].source) if data else None
        if before is None:
            return "fed from outside"
        reasons = []
        if before.spec.kind == "source":
            reasons.append(f"follows the source {before.id}")
        if len(before.outputs) > 1:
            reasons.append(f"fan-out of {before.id}")
        explicit = {
            "explicit queue": data[0].queue,
            "takes batches": node.batch,
            f"{before.id} takes batches, and stands alone": before.batch,
        }
        reasons += [reason for reason, given in explicit.items() if given is not None]
        if before.spec.kind != "source" and before.run != node.run:
            reasons.append(f"runs {_RUNS[node.run]}, {before.id} {_RUNS[before.run]}")
        elif before.spec.kind != "source" and before.memory != node.memory:
            reasons.append(f"another memory limit than {before.id}")
        if before.spec.kind != "source" and before.workers != node.workers:
            reasons.append(f"workers: {node.workers or 'auto'}, those of {before.id}: {before.workers or 'auto'}")
        if node.fallback:
            reasons.append(f"{node.fallback[0].target} may have to take what comes to it")
        if before.id in self._plan.openers:
            reasons.append(f"{before.id} gathers, and stands alone")
        if opened := [gathering for gathering, openers in self._plan.openers.items() if before.id in openers]:
            reasons.append(f"the tickets of {_listed(opened)} open behind {before.id}")
        return "; ".join(dict.fromkeys(reasons))

    def _always(self, node: GraphNode, data: Sequence[Link]) -> str:
        """What makes a node stand alone whatever it follows."""
        if len(data) < len(node.inputs):
            return "reads dead letters"
        if node.spec.kind == "sink":
            return "a sink stands alone"
        if node.id in self._plan.openers:
            return f"gathers {_listed(tuple(dict.fromkeys(link.source for link in data)))}"
        if any(link.is_fallback or link.stands_in for link in data):
            return _beside_fallback(data)
        return ""

    def _worker_fact(self, node: GraphNode) -> Fact:
        if node.id in self._plan.openers:
            return Fact("workers", "none", f"{node.spec.type} waits for what it gathers, and calls nothing")
        if node.run == "inline":
            return Fact("workers", "none", f"{node.spec.type} runs inline, in the event loop")
        if node.spec.kind == "sink" and getattr(node.spec.factory, "writers", "") == "single_writer":
            return Fact("workers", "1", f"{node.spec.type} has a single writer")
        if node.order:
            return Fact("workers", "1", "order: true takes items one by one")
        if node.workers is not None:
            entry = self._decided_by(node)
            position = entry.origins.get("workers") if entry is not None else None
            return Fact("workers", str(node.workers), self._place(position) if position else "")
        if self._workers is not None:
            return Fact("workers", str(self._workers), "--workers")
        return Fact("workers", "auto", "one a core, so that it alone can fill them")

    def _queue_fact(self, node: GraphNode, queue: QueueBounds) -> Fact:
        value = f"{queue.items} items, {size_in_words(queue.num_bytes)}"
        if queue.full != "block":
            value += f", drops the {queue.full} when full"
        inserted = self._conversions.get(node.id)  # it has the queue of what it stands in front of
        entries = [self._manifest.nodes.get(node_id) for node_id in (inserted.before if inserted is not None else (node.id,))]
        given = [one for entry in entries if entry is not None for one in entry.inputs if one.queue is not None]
        return Fact("queue", value, self._place(given[0].position) if given and queue != QueueBounds() else "default")

    def _batch_fact(self, batch: Batching) -> Fact:
        audio = "" if batch.max_audio_s is None else f" or {duration_in_words(batch.max_audio_s)} of audio"
        value = f"up to {batch.max_items} items{audio}, waits {duration_in_words(batch.max_wait_s)}"
        return Fact("batch", value + (", by duration" if batch.by_duration else ""), self._place(batch.position))

    def _stored(self) -> Iterator[Fact]:
        """What each sink writes to."""
        for node in self._graph.nodes.values():
            for name in path_fields(node.spec.params, "output"):
                value = getattr(node.params, name)
                if value is not None:
                    yield Fact(node.id, value_in_words(value, shown=self._path), node.spec.type)

    def _given_outside(self) -> Iterator[Fact]:
        for name, edge in self._graph.outputs.items():
            yield Fact(name, f"{edge.source}.{edge.source_port}", str(edge.given))

    def _dead_letters(self) -> Iterator[Fact]:
        """Who reads the dead letters of which nodes; what nobody reads lands in the run directory."""
        read: dict[tuple[str, ...], list[str]] = {}
        for node in self._graph.nodes.values():
            targets = tuple(dict.fromkeys(link.target for link in node.dead_letters))
            read.setdefault(targets, []).append(node.id)
        file = os.path.join(self._path(str(self._run_directory)), DEAD_LETTERS)
        for targets, sources in sorted(read.items(), key=lambda pair: not pair[0]):
            who = "every node" if len(sources) == len(self._graph.nodes) else "the others" if not targets else _listed(sources)
            if len(read) == 1 and not targets:
                who = "every node"
            yield Fact(who, _listed(targets) if targets else file, "")

    def _limits(self) -> tuple[Fact, ...]:
        limits = self._graph.limits
        watchdog = "null" if limits.watchdog_s == inf else duration_in_words(limits.watchdog_s)
        words = {"error_rate": f"{limits.error_rate:g}", "memory": size_in_words(limits.memory or 0), "watchdog": watchdog}
        return tuple(Fact(name, words[name], self._place(place)) for name, place in limits.places.items())

    def _path(self, path: str) -> str:
        return path_in_words(path, *self._folders)

    def _place(self, position: Position, known: str = "") -> str:
        """FILE:LINE, relative to the manifest's folder, with the note of the position unless it is known."""
        file = self._path(position.file)
        note = f" ({position.note})" if position.note and position.note != known else ""
        return f"{file}:{position.line}{note}"


def _source_segment(node: GraphNode) -> SegmentFacts:
    return SegmentFacts(
        nodes=(node.id,), run=node.spec.run, reason="a source reads in a thread of its own", workers=None, queue=None
    )


def _narrows(edge: Edge) -> bool:
    """Whether the port says something of an axis that the type of what comes does not."""
    given = dict(edge.given.axes)
    return any(not isinstance(value, Variable | Dynamic) and given.get(axis) != value for axis, value in edge.taken.axes)


def _from_variable(name: str) -> str:
    return f", from the environment variable {name}" if name else ""


def _beside_fallback(data: Sequence[Link]) -> str:
    """Why a barrier stands in front of a fallback, or of what reads a node that has one."""
    if data[0].is_fallback:
        return f"stands in for {data[0].source}"
    others = [link.source for link in data if link.stands_in]
    return f"reads {_listed([data[0].source, *others])}, which {'stands' if len(others) == 1 else 'stand'} in for it"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _cleaned(found: Explanation, secrets: Secrets) -> Explanation:
    """The same with `***` for every secret in any of its texts."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return secrets.clean(value)
        if isinstance(value, tuple):
            return tuple(map(clean, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.replace(
                value, **{field.name: clean(getattr(value, field.name)) for field in dataclasses.fields(value)}
            )
        return value

    cleaned = clean(found) if secrets else found
    assert isinstance(cleaned, Explanation)
    return cleaned
