"""Reads the `tests` section of a manifest into cases, with every complaint at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phonograph.cases import quantities
from phonograph.cases.case import Case, ExpectedItem, GivenItem, Outcomes
from phonograph.cases.comparison import Expected
from phonograph.cases.expectations import ExpectationReader
from phonograph.cases.part import INPUTS, Part, PartError, part_between
from phonograph.cases.payloads import PayloadReader
from phonograph.cases.sound import Make
from phonograph.errors import CODES, Complaint, Position, nearest
from phonograph.graph.model import Graph
from phonograph.language import fields
from phonograph.language.fields import Fields, complain, describe
from phonograph.language.manifest import Manifest
from phonograph.language.yaml12 import Located

CASE_KEYS = ("name", "node", "from", "to", "input", "expect", "timeout")
OUTCOME_KEYS = ("items", "count", "error", "message", "at", "skipped", "filtered")
GIVEN_KEYS = ("key", "attributes")
EXPECTED_KEYS = (*GIVEN_KEYS, "port")

_USUAL_TIMEOUT_S = 60.0
_OUTCOMES = "what leaves the last node: a list of items, {count: N}, {error: CODE} or {filtered: true}"
_WHERE = "'node: ID', or 'from: ID' and 'to: ID'"


def read_cases(manifest: Manifest, graph: Graph | None) -> tuple[tuple[Case, ...], tuple[Complaint, ...]]:
    """The cases of a manifest, those that could be read, and what is wrong with its `tests`.

    Args:
        graph: of that manifest; None when it has none. Then there are no cases, and what depends on nodes is not judged.
    """
    complaints: list[Complaint] = []
    section = manifest.tests
    if section is None:
        return (), ()
    if not isinstance(section.value, tuple):
        found = f"'tests' is {describe(section.value)}"
        complain(complaints, "wrong_type", section.position, found, "a list of cases, {name, node, input, expect}")
        return (), tuple(complaints)
    if not section.value:
        complain(complaints, "empty", section.position, "'tests' is empty", "at least one case")
    names: dict[str, Position] = {}
    reader = _CaseReader(graph, manifest.input_folder, names, complaints)
    read = [reader.read(located) for located in section.value]
    return tuple(case for case in read if case is not None), tuple(complaints)


class _CaseReader:
    """Reads one case after the other.

    Where the part that a case is about cannot be told, its payloads are not judged: nobody knows the ports.
    """

    def __init__(self, graph: Graph | None, folder: str, names: dict[str, Position], complaints: list[Complaint]) -> None:
        self._graph = graph
        self._names = names
        self._complaints = complaints
        self._payloads = PayloadReader(folder, complaints)
        self._expectations = ExpectationReader(folder, complaints)

    def read(self, located: Located) -> Case | None:
        """The case; None when there is a complaint about it."""
        known = len(self._complaints)
        case = Fields(located, what="a case", allowed=CASE_KEYS, complaints=self._complaints)
        if not case.readable:
            return None
        name = self._name(case)
        part = self._part(case)
        timeout = case.read("timeout", _timeout)
        written = case.get("expect")
        if written is None:
            case.require("expect", _OUTCOMES)
        given = self._given(case, part)
        expected = None if written is None else self._outcomes(written, part)
        if part is None or name is None or given is None or expected is None or len(self._complaints) > known:
            return None
        return Case(
            name=name,
            part=part,
            given=given,
            expected=expected,
            timeout_s=_USUAL_TIMEOUT_S if timeout is None else timeout,
            position=located.position,
        )

    def _complain(self, code: str, position: Position, found: str, expected: str = "", candidates: tuple[str, ...] = ()) -> None:
        complain(self._complaints, code, position, found, expected, candidates)

    def _name(self, case: Fields) -> str | None:
        located = case.require("name", "what the case shows")
        name = case.read("name", _words)
        if located is None or name is None:
            return None
        if name in self._names:
            found = f"a second case called {name!r}; the first stands on line {self._names[name].line}"
            self._complain("duplicate_key", located.position, found, "each name once")
            return None
        self._names[name] = located.position
        return name

    # Which part of the graph.

    def _part(self, case: Fields) -> Part | None:
        node, start, end = case.get("node"), case.get("from"), case.get("to")
        if node is not None and (start is not None or end is not None):
            other = start or end
            assert other is not None
            self._complain("unknown_key", other.position, "'from' or 'to' beside 'node'", _WHERE)
            return None
        if node is None and start is None and end is None:
            if all(case.lacks(key) for key in ("node", "from", "to")):
                self._complain("missing_key", case.position, "a case does not say what it tests", _WHERE)
            return None
        if node is not None:
            only = self._end(node, "'node'")
            return None if only is None else self._between(only, only, node.position)
        for key, located in (("from", start), ("to", end)):
            if located is None:
                case.require(key, _WHERE)
        first = None if start is None else self._start(start)
        last = None if end is None else self._end(end, "'to'")
        if first is None or last is None or start is None:
            return None
        return self._between(first, last, start.position)

    def _between(self, start: str, end: str, position: Position) -> Part | None:
        if self._graph is None:
            return None
        try:
            return part_between(self._graph, start, end)
        except PartError as error:
            self._complain("unknown_reference", position, error.found, error.expected)
            return None

    def _start(self, located: Located) -> str | None:
        node_id = fields.read(located, fields.text, what="'from'", complaints=self._complaints)
        if node_id == INPUTS:
            if self._graph is None or self._graph.inputs:
                return INPUTS
            self._complain("unknown_reference", located.position, "the manifest has no 'inputs'", "the id of a node")
            return None
        return None if node_id is None else self._node(node_id, located.position)

    def _end(self, located: Located, what: str) -> str | None:
        """The id of a node from which something leaves."""
        written = fields.read(located, fields.text, what=what, complaints=self._complaints)
        node_id = None if written is None else self._node(written, located.position)
        if node_id is None or self._graph is None:
            return node_id
        node = self._graph.nodes[node_id]
        if node.spec.kind == "sink" or not node.ports[1]:
            before = ", ".join(dict.fromkeys(link.source for link in node.inputs))
            found = f"node {node_id!r} ({node.spec.type}) is a sink, which writes files and hands nothing on"
            self._complain("wrong_value", located.position, found, f"what it stores to be tested where it comes from: {before}")
            return None
        return node_id

    def _node(self, node_id: str, position: Position) -> str | None:
        if self._graph is None or node_id in self._graph.nodes:
            return node_id
        if (subgraph := self._graph.manifest.subgraphs.get(node_id)) is not None:
            inside = [name for name in self._graph.manifest.nodes if name.startswith(f"{node_id}/")]
            expected = f"one of its nodes, {', '.join(inside)}; a case of {subgraph.file} itself tests it whole, 'from: inputs'"
            self._complain("unknown_reference", position, f"{node_id!r} is a sub-graph", expected)
            return None
        known = [node.id for node in self._graph.nodes.values() if node.spec.kind != "sink" and "~" not in node.id]
        self._complain(
            "unknown_reference", position, f"no node {node_id!r}", f"one of {', '.join(known)}", nearest(node_id, known)
        )
        return None

    # What goes in.

    def _given(self, case: Fields, part: Part | None) -> tuple[GivenItem, ...] | None:
        located = case.get("input")
        if part is None and located is None:
            return ()
        if part is not None and not part.inputs:
            if located is None:
                return ()
            found = f"'input' where the case begins with {part.nodes[0].id!r}, a source"
            self._complain("unknown_key", located.position, found, "no input, for a source reads records itself")
            return None
        if located is None:
            case.require("input", f"payloads for {', '.join(part.inputs if part is not None else ())}")
            return None
        entries = located.value if isinstance(located.value, tuple) else (located,)
        if not entries:
            self._complain("empty", located.position, "'input' is an empty list", "at least one item")
            return None
        whats = [f"input[{number}]" for number in range(len(entries))] if isinstance(located.value, tuple) else ["input"]
        read = [
            self._given_item(entry, what, f"item-{number}", part)
            for number, (entry, what) in enumerate(zip(entries, whats, strict=True), start=1)
        ]
        items = tuple(item for item in read if item is not None)
        return items if len(items) == len(read) else None

    def _given_item(self, located: Located, what: str, usual_key: str, part: Part | None) -> GivenItem | None:
        known = len(self._complaints)
        if not isinstance(located.value, Mapping):
            expected = f"an item, {{{'PORT' if part is None else next(iter(part.inputs))}: ...}}, or a list of items"
            self._complain("wrong_type", located.position, f"{what} is {describe(located.value)}", expected)
            return None
        ports = located.value if part is None else part.inputs
        given = Fields(located, what=what, allowed=(*ports, *GIVEN_KEYS), complaints=self._complaints)
        key = given.read("key", _words)
        attributes = self._attributes(given, what)
        if part is None:
            return None
        payload: dict[str, Make] = {}
        for name, family in part.inputs.items():
            value = given.get(name)
            if value is not None:
                make = self._payloads.read(value, family, f"{what}.{name}")
                payload.update({} if make is None else {name: make})
            elif given.lacks(name) and not part.gathers:
                given.require(name, f"a payload of family {family}")
        if part.gathers and all(given.lacks(name) for name in part.inputs):
            self._complain("missing_key", located.position, f"{what} has no payload", f"one for {' or '.join(part.inputs)}")
        if len(self._complaints) > known:
            return None
        return GivenItem(key=key or usual_key, attributes=attributes, payload=MappingProxyType(payload))

    def _attributes(self, given: Fields, what: str) -> Mapping[str, object]:
        located = given.get("attributes")
        if located is None:
            return MappingProxyType({})
        if not isinstance(located.value, Mapping):
            found = f"{what}.attributes is {describe(located.value)}"
            self._complain("wrong_type", located.position, found, "a mapping from name to value")
            return MappingProxyType({})
        return MappingProxyType(quantities.as_json(located))

    # What is expected.

    def _outcomes(self, located: Located, part: Part | None) -> Outcomes | None:
        if isinstance(located.value, tuple):
            items = self._items(located, "expect", part)
            return None if items is None else Outcomes(items=items)
        known = len(self._complaints)
        if not isinstance(located.value, Mapping):
            found = f"'expect' is {describe(located.value)}"
            self._complain("wrong_type", located.position, found, _OUTCOMES)
            return None
        given = Fields(located, what="'expect'", allowed=OUTCOME_KEYS, complaints=self._complaints)
        filtered, error = given.read("filtered", _only_true), given.read("error", _code)
        message, at = given.read("message", fields.text), self._at(given, part)
        for key in ("message", "at"):
            value = given.get(key)
            if value is not None and given.lacks("error"):
                self._complain(
                    "unknown_key", value.position, f"{key!r} without 'error' in 'expect'", "the code of the error, too"
                )
        written, counted = given.get("items"), given.get("count")
        skips = given.get("skipped")
        others = [name for name in ("items", "count", "error", "skipped") if given.get(name) is not None]
        if filtered and others:
            found = f"{others[0]!r} beside 'filtered' in 'expect'"
            self._complain(
                "unknown_key", located.keys[others[0]], found, "one of them; what is filtered neither leaves nor fails"
            )
        if not others and all(given.lacks(key) for key in OUTCOME_KEYS):
            found, expected = "'expect' is an empty mapping", f"one of {', '.join(OUTCOME_KEYS)}"
            self._complain("empty", located.position, found, expected)
        items = None if written is None else self._items(written, "expect.items", part)
        count = None if counted is None else self._expectations.number(counted, "expect.count")
        skipped = None if skips is None else self._expectations.number(skips, "expect.skipped")
        if len(self._complaints) > known:
            return None
        return Outcomes(items=items, count=count, error=error, message=message, at=at, filtered=bool(filtered), skipped=skipped)

    def _at(self, given: Fields, part: Part | None) -> str | None:
        located, node_id = given.get("at"), given.read("at", fields.text)
        if part is None:
            return node_id
        ids = [node.id for node in part.nodes]
        if located is not None and node_id is not None and node_id not in ids:
            found = f"node {node_id!r} is not in the part that is tested"
            self._complain("unknown_reference", located.position, found, f"one of {', '.join(ids)}", nearest(node_id, ids))
        return node_id

    def _items(self, located: Located, what: str, part: Part | None) -> tuple[ExpectedItem, ...] | None:
        if not isinstance(located.value, tuple):
            found = f"{what} is {describe(located.value)}"
            self._complain("wrong_type", located.position, found, "a list of items, {key, attributes, PORT: ...}")
            return None
        read = [self._item(entry, f"{what}[{number}]", part) for number, entry in enumerate(located.value)]
        items = tuple(item for item in read if item is not None)
        return items if len(items) == len(read) else None

    def _item(self, located: Located, what: str, part: Part | None) -> ExpectedItem | None:
        known = len(self._complaints)
        ports = part.outputs if part is not None else located.value if isinstance(located.value, Mapping) else ()
        given = Fields(located, what=what, allowed=(*ports, *EXPECTED_KEYS), complaints=self._complaints)
        if not given.readable:
            return None
        key = given.get("key")
        expected_key = None if key is None else self._expectations.scalar(key, f"{what}.key")
        attributes = self._expected_attributes(given, what)
        if part is None:
            return None
        port = self._port(given, part, what)
        payload = self._each(given, part.outputs, what)
        if part.end.spec.chooses and len(payload) > 1:
            found = f"{what} has {' and '.join(map(repr, payload))}"
            expected = f"one of them, for an item leaves {part.end.id!r} by one output"
            self._complain("wrong_value", located.position, found, expected)
        if len(self._complaints) > known:
            return None
        return ExpectedItem(key=expected_key, attributes=attributes, port=port, payload=payload)

    def _port(self, given: Fields, part: Part, what: str) -> str | None:
        located = given.get("port")
        if located is None or "port" in part.outputs:
            return None
        if not part.end.spec.chooses:
            found = f"'port' in {what}, where all outputs of {part.end.id!r} leave at once"
            self._complain("unknown_key", located.position, found, f"the outputs by name: {', '.join(part.outputs)}")
            return None
        name = given.read("port", fields.one_of(*part.outputs))
        if name is not None and (other := next((port for port in part.outputs if given.get(port) and port != name), None)):
            self._complain(
                "wrong_value", located.position, f"'port' is {name!r} beside {other!r} in {what}", "one and the same output"
            )
        return name

    def _each(self, given: Fields, outputs: Mapping[str, str], what: str) -> Mapping[str, Expected]:
        found: dict[str, Expected] = {}
        for name, family in outputs.items():
            located = given.get(name)
            expected = None if located is None else self._expectations.read(located, family, f"{what}.{name}")
            found.update({} if expected is None else {name: expected})
        return MappingProxyType(found)

    def _expected_attributes(self, given: Fields, what: str) -> Mapping[str, Expected]:
        located = given.get("attributes")
        if located is None:
            return MappingProxyType({})
        if not isinstance(located.value, Mapping) or not located.value:
            found = f"{what}.attributes is {describe(located.value) if located.value else 'an empty mapping'}"
            self._complain("wrong_type", located.position, found, "a mapping from name to value")
            return MappingProxyType({})
        read = {name: self._expectations.scalar(value, f"{what}.attributes.{name}") for name, value in located.value.items()}
        return MappingProxyType({name: expected for name, expected in read.items() if expected is not None})


def _words(value: object) -> str:
    text = fields.text(value)
    if not text.strip() or not text.isprintable():
        raise fields.MismatchError("some words, on one line", code="wrong_value")
    return text


def _timeout(value: object) -> float:
    seconds = fields.duration(value)
    if seconds <= 0:
        raise fields.MismatchError("more than 0s", code="wrong_value")
    return seconds


def _only_true(value: object) -> bool:
    if value is not True:
        raise fields.MismatchError("true, or no 'filtered' at all")
    return True


def _code(value: object) -> str:
    """A code of a dead letter. Other packages have their own, so only what looks like a slip for one of ours is refused."""
    code = fields.text(value)
    if code not in CODES and (candidates := nearest(code, CODES)):
        raise fields.MismatchError("a code of error-codes.json", code="wrong_value", candidates=candidates)
    return code
