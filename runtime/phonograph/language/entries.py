"""Reads the nodes of a manifest: what each one is, what feeds it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType

from phonograph.errors import Complaint, Position
from phonograph.language import fields, policies
from phonograph.language.batches import Batching, read_batching
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.parameters import ID
from phonograph.language.policies import AskedRun, OnError, Policies, Settings, read_policies
from phonograph.language.queues import QueueBounds, read_queue
from phonograph.language.references import Scope, interpolate
from phonograph.language.yaml12 import Located
from phonograph.timeout import TimeoutPolicy

RESERVED = ("inputs", "outputs", "params", "env")
"""Names that mean something else where nodes are named."""

NODE_KEYS = ("type", "include", "input", "params", *policies.KEYS, "order")
INPUT_KEYS = ("from", "queue", "batch")
STEP_KEYS = ("id", "type", "include", "params", *policies.KEYS, "order")
_NO_COLON = re.compile(rf"({ID.pattern})\s*\{{")  # `id {type: x}`, which is a key up to the colon after `type`
_SPELLING = "a-z, then a-z, 0-9, '_' or '-'"


@dataclass(frozen=True, slots=True)
class InputEntry:
    """One connected input of a node, as written.

    Args:
        port: the node's input port; None: its default one.
        source, source_port: where it comes from; a None port is the source's default one. The source `*` with the port
            `dead_letter` stands for every node but the one that reads it and those after it, `clean/*` for those of the
            sub-graph `clean`. The source `inputs` has the manifest's own inputs as its ports.
        queue, batch: None when the manifest says nothing about it.
        through: the port types that sub-graphs declare for the inputs by which it comes in, the innermost first.
    """

    port: str | None
    source: str
    source_port: str | None
    queue: QueueBounds | None
    position: Position
    through: tuple[str, ...] = ()
    batch: Batching | None = None


@dataclass(frozen=True, slots=True)
class InputDeclaration:
    """One input of a manifest or sub-graph: the text of its port type, such as "audio[rate=16000]"."""

    name: str
    type: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """One node, as written, with the defaults merged in.

    Args:
        params: a mapping, references replaced.
        workers: None: as the engine sees fit.
        run: None: as its type says. memory: of each of its worker processes, in bytes; None: no limit.
        own: keys of policies that stand beside its type, and not only in the defaults.
        position: of the id, or of the step.
        auto_convert: whether conversions may be inserted in front of it.
        order: whether it gets what comes in the order of the sources.
        origins: where each policy that the manifest sets was set, by its path: "retry.max_retries", "workers", "order".
    """

    id: str
    type: str
    type_position: Position
    params: Located
    inputs: tuple[InputEntry, ...]
    retry: Settings
    breaker: Settings
    timeout: TimeoutPolicy
    on_error: OnError
    workers: int | None
    position: Position
    run: AskedRun | None = None
    memory: int | None = None
    own: frozenset[str] = frozenset()
    auto_convert: bool = True
    order: bool = False
    error_rate: float = 1.0
    origins: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludeEntry:
    """One node that stands for a sub-graph, as written.

    Args:
        file: the path of the sub-graph, as written.
        params: values for the sub-graph's parameters, a mapping, references replaced.
        fields: the node itself, for the policies that hold for all nodes of the sub-graph.
    """

    id: str
    file: Located
    params: Located
    inputs: tuple[InputEntry, ...]
    fields: Fields
    position: Position


class EntryReader:
    """Reads nodes, or the steps that stand for a line of nodes.

    Args:
        scope: what references may refer to.
        complaints: is added to.
        prefix: what ids begin with: "clean/" inside the sub-graph `clean`.

    Attributes:
        unread: ids of nodes that could not be read.
    """

    def __init__(self, scope: Scope, complaints: list[Complaint], prefix: str = "") -> None:
        self.unread: set[str] = set()
        self._scope = scope
        self._complaints = complaints
        self._prefix = prefix

    def nodes(self, nodes: Located, defaults: Policies) -> list[NodeEntry | IncludeEntry] | None:
        """In the order of the text; None when there is nothing to read."""
        if not isinstance(nodes.value, Mapping):
            found = f"'nodes' is {describe(nodes.value)}"
            complain(self._complaints, "wrong_type", nodes.position, found, "a mapping from id to {type, input, params}")
            return None
        if not nodes.value:
            complain(self._complaints, "empty", nodes.position, "'nodes' is empty", self._at_least())
            return None
        entries = []
        for name, located in nodes.value.items():
            position = nodes.keys[name]
            if match := _NO_COLON.match(name):
                found = f"{match[1]!r} without a colon before its '{{'"
                complain(self._complaints, "bad_id", position, found, f"'{match[1]}: {{type: ..., input: ...}}'")
                self.unread.add(self._prefix + match[1])
                continue
            self._check_id(name, position)
            node_id = self._prefix + name
            found_fields = Fields(located, what=f"node {node_id!r}", allowed=NODE_KEYS, complaints=self._complaints)
            entries.append(self._entry(node_id, position, found_fields, self._inputs(found_fields), defaults))
        return [entry for entry in entries if entry is not None]

    def steps(self, steps: Located, defaults: Policies, first: str | None) -> list[NodeEntry | IncludeEntry] | None:
        """The same for a list of steps, each fed by the one before it.

        Args:
            first: the manifest's own input that feeds the first step.
        """
        if not isinstance(steps.value, tuple):
            found = f"'steps' is {describe(steps.value)}"
            complain(self._complaints, "wrong_type", steps.position, found, "a list of {type, params}")
            return None
        if not steps.value:
            complain(self._complaints, "empty", steps.position, "'steps' is empty", self._at_least())
            return None
        entries = []
        self._check_step_ids(steps.value)
        before: tuple[str, str | None] | None = None if first is None else ("inputs", first)
        for name, located in zip(step_ids(steps.value), steps.value, strict=True):
            node_id = self._prefix + name
            found_fields = Fields(located, what=f"step {node_id!r}", allowed=STEP_KEYS, complaints=self._complaints)
            inputs: tuple[InputEntry, ...] = ()
            if before is not None:
                inputs = (InputEntry(None, self._prefix + before[0], before[1], None, located.position),)
            entries.append(self._entry(node_id, located.position, found_fields, inputs, defaults))
            before = (name, None)
        return [entry for entry in entries if entry is not None]

    def _at_least(self) -> str:
        return "at least one node" if self._prefix else "at least a source and a sink"

    def _check_step_ids(self, steps: tuple[Located, ...]) -> None:
        seen: set[str] = set()
        for step in steps:
            located = step.value.get("id") if isinstance(step.value, Mapping) else None
            if located is None:
                continue
            name = fields.read(located, fields.text, what="'id'", complaints=self._complaints)
            if name is None or not self._check_id(name, located.position):
                continue
            if name in seen:
                found = f"a second step with the id {name!r}"
                complain(self._complaints, "duplicate_key", located.position, found, "each id once")
            seen.add(name)

    def _entry(
        self, node_id: str, position: Position, found: Fields, inputs: tuple[InputEntry, ...] | None, defaults: Policies
    ) -> NodeEntry | IncludeEntry | None:
        """Read what nodes and steps have in common; a node without a readable type or input counts as unread."""
        include = found.get("include")
        if include is not None:
            return self._include_entry(node_id, position, found, inputs, include)
        if found.readable and found.get("type") is None and not found.lacks("include"):
            self.unread.add(node_id)  # a slip for 'include', about which there is a complaint
            return None
        located = found.require("type", "the type of the node, such as 'audio.decode'")
        node_type = found.read("type", fields.text)
        policy = read_policies(found, defaults, self._complaints)
        params = self._params(found)
        order, origins = found.read("order", fields.truth), policy.origins
        if (written := found.get("order")) is not None:
            origins = MappingProxyType({**origins, "order": written.position})
        if located is None or node_type is None or inputs is None or params is None:
            self.unread.add(node_id)
            return None
        return NodeEntry(
            id=node_id,
            type=node_type,
            type_position=located.position,
            params=params,
            inputs=inputs,
            retry=policy.retry,
            breaker=self._breaker(policy.breaker),
            timeout=policy.timeout,
            on_error=policy.on_error,
            error_rate=policy.error_rate,
            workers=policy.workers,
            run=policy.run,
            memory=policy.memory,
            own=policy.own,
            position=position,
            auto_convert=policy.auto_convert,
            order=bool(order),
            origins=origins,
        )

    def _breaker(self, settings: Settings) -> Settings:
        """With the fallback as it is called where this level stands."""
        fallback = settings.get("fallback")
        return settings if fallback is None else MappingProxyType({**settings, "fallback": f"{self._prefix}{fallback}"})

    def _include_entry(
        self, node_id: str, position: Position, found: Fields, inputs: tuple[InputEntry, ...] | None, include: Located
    ) -> IncludeEntry | None:
        if (also := found.get("type")) is not None:
            expected = "one of them: 'type' for a node, 'include' for a sub-graph"
            complain(self._complaints, "unknown_key", also.position, f"'type' beside 'include' in {found.what}", expected)
        if (order := found.get("order")) is not None:
            expected = "it on the nodes of the sub-graph that are to get their items in order"
            complain(self._complaints, "unknown_key", order.position, f"'order' beside 'include' in {found.what}", expected)
        params = self._params(found)
        if fields.read(include, fields.path, what="'include'", complaints=self._complaints) is None:
            params = None
        if params is None or inputs is None:
            self.unread.add(node_id)
            return None
        return IncludeEntry(id=node_id, file=include, params=params, inputs=inputs, fields=found, position=position)

    def _params(self, found: Fields) -> Located | None:
        located = found.get("params")
        if located is None:
            return Located(MappingProxyType({}), found.position)
        if not isinstance(located.value, Mapping):
            complain(self._complaints, "wrong_type", located.position, f"'params' is {describe(located.value)}", "a mapping")
            return None
        return interpolate(located, self._scope, self._complaints)

    def _check_id(self, name: str, position: Position) -> bool:
        if ID.fullmatch(name) is None:
            complain(self._complaints, "bad_id", position, f"a node called {describe(name)}", _SPELLING)
            return False
        if name in RESERVED:
            expected = "another id; that word means something else in a manifest"
            complain(self._complaints, "bad_id", position, f"a node called {name!r}", expected)
            return False
        return True

    def _inputs(self, found: Fields) -> tuple[InputEntry, ...] | None:
        """What `input:` says; None when a part of it could not be read."""
        located = found.get("input")
        if located is None:
            return () if found.lacks("input") or not found.readable else None
        if not isinstance(located.value, Mapping):
            reference = fields.read(located, reference_to, what="'input'", complaints=self._complaints)
            return None if reference is None else (self._from(None, reference, None, located.position),)
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
        queue, batch, origin = None, None, located
        if isinstance(located.value, Mapping):
            found = Fields(located, what=f"input {port!r}", allowed=INPUT_KEYS, complaints=self._complaints)
            source = found.require("from", "NODE or NODE.PORT")
            if source is None:
                return None
            bounds, batching = found.get("queue"), found.get("batch")
            queue, origin = None if bounds is None else read_queue(bounds, self._complaints), source
            batch = None if batching is None else read_batching(batching, self._complaints)
        reference = fields.read(origin, reference_to, what=f"input {port!r}", complaints=self._complaints)
        return None if reference is None else replace(self._from(port, reference, queue, origin.position), batch=batch)

    def _from(
        self, port: str | None, reference: tuple[str, str | None], queue: QueueBounds | None, position: Position
    ) -> InputEntry:
        return InputEntry(port, self._prefix + reference[0], reference[1], queue, position)


def step_ids(steps: tuple[Located, ...]) -> list[str]:
    """The ids that steps give themselves; else the last part of the type, numbered when that is taken."""
    given: dict[str, int] = {}
    for number, step in enumerate(steps):
        located = step.value.get("id") if isinstance(step.value, Mapping) else None
        if located is not None and isinstance(located.value, str) and _is_id(located.value):
            given.setdefault(str(located.value), number)
    own = {number: name for name, number in given.items()}
    taken = {*given, *RESERVED}
    ids, numbers = [], dict.fromkeys(taken, 1)
    for number, step in enumerate(steps):
        name = own.get(number) or _free_id(_last_part(step) or f"step-{number + 1}", taken, numbers)
        taken.add(name)
        ids.append(name)
    return ids


def _is_id(text: str) -> bool:
    return ID.fullmatch(text) is not None and text not in RESERVED


def reference_to(value: object) -> tuple[str, str | None]:
    """(node, port) of NODE or NODE.PORT."""
    expected = "NODE or NODE.PORT"
    if not isinstance(value, str):
        raise fields.MismatchError(expected)
    if "/" in value:
        inside = "NODE or NODE.PORT; what a sub-graph gives is read by the names of its outputs"
        raise fields.MismatchError(inside, code="unknown_reference")
    node, separator, port = value.partition(".")
    if not node or (separator and not port):
        raise fields.MismatchError(expected, code="wrong_value")
    return node, port or None


def _last_part(step: Located) -> str | None:
    """The last part of the step's type, or the name of the file that it includes, where it can be an id."""
    if not isinstance(step.value, Mapping):
        return None
    for key, part in (("type", _after_dots), ("include", _stem)):
        located = step.value.get(key)
        if located is not None and isinstance(located.value, str):
            last = part(located.value)
            return last if ID.fullmatch(last) else None
    return None


def _after_dots(text: str) -> str:
    return text.rpartition(".")[2]


def _stem(text: str) -> str:
    return PurePath(text).stem


def _free_id(wanted: str, taken: set[str], numbers: dict[str, int]) -> str:
    """`wanted`, or that with the next free number behind it; `numbers` remembers how far those have come."""
    name, number = wanted, numbers.get(wanted, 1)
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    numbers[wanted] = number
    return name
