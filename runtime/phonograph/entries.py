"""Reads the nodes of a manifest: types, parameters, inputs, policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from phonograph import fields
from phonograph.errors import Complaint, Position
from phonograph.fields import Fields, complain, describe
from phonograph.parameters import ID, Parameter, interpolate
from phonograph.yaml12 import Located

OnError = Literal["fail", "skip", "dead_letter"]
Settings = Mapping[str, Any]
"""Arguments of RetryPolicy or BreakerPolicy that the manifest gives; times in seconds."""

_POLICIES = ("workers", "retry", "breaker", "on_error")
_NODE = ("type", "input", "params", *_POLICIES)
_STEP = ("id", "type", "params", *_POLICIES)
_NO_COLON = re.compile(rf"({ID.pattern})\s*\{{")  # `id {type: x}`, which is a key up to the colon after `type`
_SPELLING = "a-z, then a-z, 0-9, '_' or '-'"

# Key in the manifest -> argument of the policy, how its value is read.
_RETRY: Mapping[str, tuple[str, fields.Reader[Any]]] = {
    "max_retries": ("max_retries", fields.integer(0)),
    "base_delay": ("base_delay_s", fields.duration),
    "factor": ("factor", fields.number(1)),
    "max_delay": ("max_delay_s", fields.duration),
    "jitter": ("jitter_s", fields.duration),
}
_BREAKER: Mapping[str, tuple[str, fields.Reader[Any]]] = {
    "failure_threshold": ("failure_threshold", fields.integer(1)),
    "reset_timeout": ("reset_timeout_s", fields.duration),
    "half_open_probes": ("half_open_probes", fields.integer(1)),
    "when_open": ("when_open", fields.one_of("wait", "shed", "skip")),
    "max_open": ("max_open_s", fields.duration),
}
# `skip` fits neither sources nor sinks, so a default of `skip` would fit no graph at all.
_BREAKER_DEFAULTS = {**_BREAKER, "when_open": ("when_open", fields.one_of("wait", "shed"))}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBounds:
    """How much may wait in a queue: items, and the bytes of their payloads."""

    items: int = 16
    num_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class InputEntry:
    """One connected input of a node, as written.

    Args:
        port: the node's input port; None: its default one.
        source, source_port: where it comes from; a None port is the source's default one. The source `*` with the port
            `dead_letter` stands for every node but the one that reads it and those after it.
        queue: None when the manifest says nothing about it.
    """

    port: str | None
    source: str
    source_port: str | None
    queue: QueueBounds | None
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """One node, as written, with the defaults merged in.

    Args:
        params: a mapping, references replaced.
        workers: None: as the engine sees fit.
        position: of the id, or of the step.
        auto_convert: whether conversions may be inserted in front of it.
        origins: where each policy that the manifest sets was set, by its path: "retry.max_retries", "workers".
    """

    id: str
    type: str
    type_position: Position
    params: Located
    inputs: tuple[InputEntry, ...]
    retry: Settings
    breaker: Settings
    on_error: OnError
    workers: int | None
    position: Position
    auto_convert: bool = True
    origins: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What happens when a node fails, and how many workers it gets; the fields of NodeEntry of these names."""

    retry: Settings
    breaker: Settings
    on_error: OnError
    workers: int | None


NO_POLICIES = Policies(retry=MappingProxyType({}), breaker=MappingProxyType({}), on_error="dead_letter", workers=None)


class EntryReader:
    """Reads nodes, or the steps that stand for a line of nodes.

    Args:
        parameters: what `${params.x}` may refer to.
        complaints: is added to.

    Attributes:
        unread: ids of nodes that could not be read.
    """

    def __init__(
        self, parameters: Mapping[str, Parameter | None], environment: Mapping[str, str], complaints: list[Complaint]
    ) -> None:
        self.unread: set[str] = set()
        self._parameters = parameters
        self._environment = environment
        self._complaints = complaints

    def defaults(self, located: Located) -> Policies:
        """The manifest's `defaults`."""
        found = Fields(located, what="'defaults'", allowed=_POLICIES, complaints=self._complaints)
        return self._policies(found, NO_POLICIES, _BREAKER_DEFAULTS)

    def nodes(self, nodes: Located, defaults: Policies) -> dict[str, NodeEntry] | None:
        """Id -> node, in the order of the text; None when there is nothing to read."""
        if not isinstance(nodes.value, Mapping):
            found = f"'nodes' is {describe(nodes.value)}"
            complain(self._complaints, "wrong_type", nodes.position, found, "a mapping from id to {type, input, params}")
            return None
        if not nodes.value:
            complain(self._complaints, "empty", nodes.position, "'nodes' is empty", "at least a source and a sink")
            return None
        entries: dict[str, NodeEntry] = {}
        for node_id, located in nodes.value.items():
            position = nodes.keys[node_id]
            if match := _NO_COLON.match(node_id):
                found = f"{match[1]!r} without a colon before its '{{'"
                complain(self._complaints, "bad_id", position, found, f"'{match[1]}: {{type: ..., input: ...}}'")
                self.unread.add(match[1])
                continue
            self._check_id(node_id, position)
            found_fields = Fields(located, what=f"node {node_id!r}", allowed=_NODE, complaints=self._complaints)
            inputs = self._inputs(found_fields)
            self._add(entries, node_id, position, found_fields, inputs, defaults)
        return entries

    def steps(self, steps: Located, defaults: Policies) -> dict[str, NodeEntry] | None:
        """The same for a list of steps, each fed by the one before it."""
        if not isinstance(steps.value, tuple):
            found = f"'steps' is {describe(steps.value)}"
            complain(self._complaints, "wrong_type", steps.position, found, "a list of {type, params}")
            return None
        if not steps.value:
            complain(self._complaints, "empty", steps.position, "'steps' is empty", "at least a source and a sink")
            return None
        entries: dict[str, NodeEntry] = {}
        ids = self._step_ids(steps.value)
        for number, (node_id, located) in enumerate(zip(ids, steps.value, strict=True)):
            found_fields = Fields(located, what=f"step {node_id!r}", allowed=_STEP, complaints=self._complaints)
            before = ids[number - 1] if number else None
            inputs = () if before is None else (InputEntry(None, before, None, None, located.position),)
            self._add(entries, node_id, located.position, found_fields, inputs, defaults)
        return entries

    def _step_ids(self, steps: tuple[Located, ...]) -> list[str]:
        """The ids that steps give themselves; else the last part of the type, numbered when that is taken."""
        given: dict[int, str] = {}
        for number, step in enumerate(steps):
            located = step.value.get("id") if isinstance(step.value, Mapping) else None
            if located is None:
                continue
            node_id = fields.read(located, fields.text, what="'id'", complaints=self._complaints)
            if node_id is None or not self._check_id(node_id, located.position):
                continue
            if node_id in given.values():
                complain(
                    self._complaints, "duplicate_key", located.position, f"a second step with the id {node_id!r}", "each id once"
                )
            else:
                given[number] = node_id
        taken = set(given.values())
        ids = []
        for number, step in enumerate(steps):
            node_id = given.get(number) or _free_id(_last_part(step) or f"step-{number + 1}", taken)
            taken.add(node_id)
            ids.append(node_id)
        return ids

    def _add(
        self,
        entries: dict[str, NodeEntry],
        node_id: str,
        position: Position,
        found: Fields,
        inputs: tuple[InputEntry, ...] | None,
        defaults: Policies,
    ) -> None:
        """Read what nodes and steps have in common; a node without a readable type or input counts as unread."""
        located = found.require("type", "the type of the node, such as 'audio.decode'")
        node_type = found.read("type", fields.text)
        policies = self._policies(found, defaults)
        params = self._node_params(found)
        if located is None or node_type is None or inputs is None or params is None:
            self.unread.add(node_id)
            return
        entries[node_id] = NodeEntry(
            id=node_id,
            type=node_type,
            type_position=located.position,
            params=params,
            inputs=inputs,
            retry=MappingProxyType(dict(policies.retry)),
            breaker=MappingProxyType(dict(policies.breaker)),
            on_error=policies.on_error,
            workers=policies.workers,
            position=position,
        )

    def _node_params(self, found: Fields) -> Located | None:
        located = found.get("params")
        if located is None:
            return Located(MappingProxyType({}), found.position)
        if not isinstance(located.value, Mapping):
            complain(self._complaints, "wrong_type", located.position, f"'params' is {describe(located.value)}", "a mapping")
            return None
        return interpolate(located, self._parameters, self._environment, self._complaints)

    def _check_id(self, node_id: str, position: Position) -> bool:
        if ID.fullmatch(node_id) is None:
            complain(self._complaints, "bad_id", position, f"a node called {describe(node_id)}", _SPELLING)
            return False
        return True

    def _policies(
        self, found: Fields, before: Policies, breaker_keys: Mapping[str, tuple[str, fields.Reader[Any]]] = _BREAKER
    ) -> Policies:
        """What `found` says about retry, breaker, errors and workers, over what was said before."""
        on_error = found.read("on_error", fields.one_of(*get_args(OnError)))
        workers = found.read("workers", _workers)
        return Policies(
            retry={**before.retry, **self._settings(found, "retry", _RETRY)},
            breaker={**before.breaker, **self._settings(found, "breaker", breaker_keys)},
            on_error=cast(OnError, on_error or before.on_error),
            workers=before.workers if workers is None else workers or None,
        )

    def _settings(self, found: Fields, key: str, keys: Mapping[str, tuple[str, fields.Reader[Any]]]) -> dict[str, Any]:
        located = found.get(key)
        if located is None:
            return {}
        given = Fields(located, what=f"{key!r}", allowed=tuple(keys), complaints=self._complaints)
        values = {argument: given.read(name, reader) for name, (argument, reader) in keys.items()}
        return {argument: value for argument, value in values.items() if value is not None}

    def _inputs(self, found: Fields) -> tuple[InputEntry, ...] | None:
        """What `input:` says; None when a part of it could not be read."""
        located = found.get("input")
        if located is None:
            return () if found.lacks("input") or not found.readable else None
        if not isinstance(located.value, Mapping):
            reference = fields.read(located, _reference, what="'input'", complaints=self._complaints)
            return None if reference is None else (InputEntry(None, *reference, None, located.position),)
        if not located.value:
            complain(
                self._complaints,
                "empty",
                located.position,
                "'input' is empty",
                "NODE, NODE.PORT, or a mapping from port to these",
            )
            return None
        entries = [self._input(port, value) for port, value in located.value.items()]
        complete = tuple(entry for entry in entries if entry is not None)
        return complete if len(complete) == len(entries) else None

    def _input(self, port: str, located: Located) -> InputEntry | None:
        queue, origin = None, located
        if isinstance(located.value, Mapping):
            found = Fields(located, what=f"input {port!r}", allowed=("from", "queue"), complaints=self._complaints)
            source = found.require("from", "NODE or NODE.PORT")
            if source is None:
                return None
            bounds = found.get("queue")
            queue, origin = None if bounds is None else self._queue(bounds), source
        reference = fields.read(origin, _reference, what=f"input {port!r}", complaints=self._complaints)
        return None if reference is None else InputEntry(port, *reference, queue, origin.position)

    def _queue(self, located: Located) -> QueueBounds:
        found = Fields(located, what="'queue'", allowed=("items", "bytes"), complaints=self._complaints)
        usual = QueueBounds()
        items, num_bytes = found.read("items", fields.integer(1)), found.read("bytes", _queue_bytes)
        return QueueBounds(items=items or usual.items, num_bytes=num_bytes or usual.num_bytes)


def _reference(value: object) -> tuple[str, str | None]:
    """(node, port) of NODE or NODE.PORT."""
    expected = "NODE or NODE.PORT"
    if not isinstance(value, str):
        raise fields.MismatchError(expected)
    node, separator, port = value.partition(".")
    if not node or (separator and not port):
        raise fields.MismatchError(expected, code="wrong_value")
    return node, port or None


def _workers(value: object) -> int:
    """A count of workers; 0 stands for "auto"."""
    if value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise fields.MismatchError("a whole number, at least 1, or auto")
    if value < 1:
        raise fields.MismatchError("a whole number, at least 1, or auto", code="wrong_value")
    return value


def _queue_bytes(value: object) -> int:
    num_bytes = fields.size(value)
    if num_bytes < 1:
        raise fields.MismatchError("at least 1B", code="wrong_value")
    return num_bytes


def _last_part(step: Located) -> str | None:
    """The last part of the step's type, where it can be an id."""
    located = step.value.get("type") if isinstance(step.value, Mapping) else None
    if located is None or not isinstance(located.value, str):
        return None
    last = located.value.rpartition(".")[2]
    return last if ID.fullmatch(last) else None


def _free_id(wanted: str, taken: set[str]) -> str:
    node_id, number = wanted, 1
    while node_id in taken:
        number += 1
        node_id = f"{wanted}-{number}"
    return node_id
