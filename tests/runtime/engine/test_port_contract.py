"""What nodes return against what they declare."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.item import Item
from phonograph.node import Node, Params, Port, PortType, node
from phonograph.spec import Ports
from small_runs import dead_letters, line, node_metrics, run_text


def contract_breaker(result: Any) -> type[Node[Params]]:
    @node("test.breaks", inputs={"record": "record"}, outputs={"record": "record"})
    class Breaks(Node[Params]):
        """Return what it may not."""

        def process(self, item: Item, state: None) -> Any:
            return result(item)

    return Breaks


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda item: "text", "returned str; expected Item"),
        (lambda item: 5, "returned int; expected Item"),
        (lambda item: {"record": 1}, "returned dict; expected Item"),
        (lambda item: [item, "text"], "returned str; expected Item"),
        (lambda item: item.with_payload(None), "payload is NoneType; expected a mapping"),
        (lambda item: Item(key="x", ordinal=99, payload=item.payload), "an Item of another record"),
        (lambda item: None, "returned nothing; expected one item, for its cardinality is 1:1; declare 1:0..1 to filter"),
        (lambda item: [item], "returned a list of 1 items; expected one item, for its cardinality is 1:1"),
        (lambda item: Item(key="x", ordinal=item.ordinal, payload=item.payload, attributes=None), "attributes are NoneType"),  # type: ignore[arg-type]  # what the test is about
        (lambda item: item.with_payload({"other": 1}), "returned ports ['other']; expected 'record'"),
    ],
    ids=[
        "text",
        "number",
        "dict",
        "list with text",
        "no payload",
        "another record",
        "nothing",
        "list",
        "no attributes",
        "wrong port",
    ],
)
def test_a_node_that_breaks_its_contract_is_named(tmp_path: Path, result: Any, words: str) -> None:
    """What the node returned and what it should have returned stand in the dead letter."""
    text = line("test.breaks").replace("count: 20", "count: 1")
    report = run_text(tmp_path, text, contract_breaker(result))
    (letter,) = dead_letters(report)
    assert words in letter["message"]
    assert letter["code"] == "node_contract"
    assert letter["node"] == "work"
    metrics = node_metrics(report)["work"]
    assert (metrics.errors, metrics.items_out) == (0 if "ports" in words else 1, 1 if "ports" in words else 0)


SQUARE = np.zeros((1, 4), np.float32)


@pytest.mark.parametrize(
    "value",
    [
        SQUARE,
        AudioChunk(SQUARE[0], 16_000),
        AudioChunk(SQUARE.astype(np.float64), 16_000),
        AudioChunk(SQUARE[:, ::2], 16_000),
        AudioChunk(SQUARE, 16_000.0),  # type: ignore[arg-type]  # what the test is about
    ],
    ids=["array", "one dimension", "float64", "strided", "float rate"],
)
def test_a_wrong_payload_is_blamed_on_the_node_that_made_it(tmp_path: Path, value: Any) -> None:
    """What does not fit the declared port is refused where it comes out, and not in the next node."""

    @node("test.wrong", inputs={"record": "record"}, outputs={"audio": "audio"})
    class Wrong(Node[Params]):
        """Emit something that is no audio."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"audio": value})

    report = run_text(tmp_path, line("test.wrong").replace("count: 20", "count: 1"), Wrong)
    (letter,) = dead_letters(report)
    assert (letter["node"], letter["code"]) == ("work", "node_contract")
    assert "on port 'audio'; expected AudioChunk" in letter["message"]


@pytest.mark.parametrize("run", ["inline", "thread"])
@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_a_node_cannot_end_the_program(tmp_path: Path, run: Any, error: BaseException) -> None:
    """SystemExit and its like out of a node are a dead letter, and the other records go on."""

    @node("test.exits", inputs={"record": "record"}, outputs={"record": "record"}, run=run)
    class Exits(Node[Params]):
        """Exit on the third record."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 2:
                raise error
            return item

    report = run_text(tmp_path, line("test.exits"), Exits)
    assert (report.records.completed, report.records.dead_lettered) == (19, 1)
    assert type(error).__name__ in dead_letters(report)[0]["message"]


def test_attributes_cannot_be_changed_by_a_node(tmp_path: Path) -> None:
    """Branches share a record's attributes, so a node that writes into them fails."""

    @node("test.scribble", inputs={"record": "record"}, outputs={"record": "record"})
    class Scribble(Node[Params]):
        """Write into the attributes."""

        def process(self, item: Item, state: None) -> Item:
            item.attributes["mine"] = 1  # type: ignore[index]  # what the test is about
            return item

    report = run_text(tmp_path, line("test.scribble").replace("count: 20", "count: 1"), Scribble)
    assert "does not support item assignment" in dead_letters(report)[0]["message"]


def test_a_payload_of_unknown_size_flows(tmp_path: Path) -> None:
    """What a payload calls nbytes may be anything; only a whole number counts for the queue."""

    class Odd:
        def nbytes(self) -> str:
            return "many"

    @node("test.odd_size", inputs={"record": "record"}, outputs={"record": "record"})
    class OddSize(Node[Params]):
        """Emit an object that has its own idea of nbytes."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"record": Odd()})

    assert run_text(tmp_path, line("test.odd_size"), OddSize).records.completed == 20


@pytest.mark.parametrize(
    ("port_type", "payload", "found"),
    [
        ("audio[rate=16000]", AudioChunk(np.zeros((1, 4), np.float32), 8_000), "audio[rate=8000, channels=1]"),
        ("audio[channels=2]", AudioChunk(np.zeros((1, 4), np.float32), 8_000), "audio[rate=8000, channels=1]"),
        ("audio[rate=8000|16000]", AudioChunk(np.zeros((1, 4), np.float32), 44_100), "audio[rate=44100, channels=1]"),
        ("audio[channels=1..2]", AudioChunk(np.zeros((3, 4), np.float32), 8_000), "audio[rate=8000, channels=3]"),
        ("features[bins=80]", np.zeros((5, 40), np.float32), "features[bins=40]"),
        ("features[bins=80]", np.zeros((), np.float32), "features[bins=0]"),
    ],
)
def test_a_payload_outside_the_axes_that_a_node_declares(tmp_path: Path, port_type: str, payload: Any, found: str) -> None:
    """The node that made it is named, with what it made and what it declares."""

    @node("test.breaks", inputs={"record": "record"}, outputs={"out": port_type})
    class Breaks(Node[Params]):
        """Make something else than is declared."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"out": payload})

    report = run_text(tmp_path, line("test.breaks").replace("count: 20", "count: 1"), Breaks)
    (letter,) = dead_letters(report)
    assert (letter["node"], letter["code"]) == ("work", "node_contract")
    assert letter["message"] == f"test.breaks returned {found} on port 'out'; expected {port_type}"


def test_a_payload_within_the_axes_of_a_parameter(tmp_path: Path) -> None:
    """Parameters are filled in before payloads are held against them."""

    class RateParams(Params, frozen=True):
        rate: int | None = None

    @node("test.made", inputs={"record": "record"}, outputs={"out": "audio[rate={rate}]"})
    class Made(Node[RateParams]):
        """Make 8 kHz audio."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"out": AudioChunk(np.zeros((1, 4), np.float32), 8_000)})

    for rate, completed in ((8000, 1), ("null", 1), (16000, 0)):
        text = line("test.made, params: {rate: RATE}").replace("RATE", str(rate)).replace("count: 20", "count: 1")
        assert run_text(tmp_path, text, Made).records.completed == completed


def test_an_input_of_no_known_family_is_checked_per_item(tmp_path: Path) -> None:
    """What a function without annotations makes may be anything, so its reader looks at each item."""

    @node("test.some", inputs={"record": "record"}, outputs={"out": "any"})
    class Some(Node[Params]):
        """Make audio of some records and text of others."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"out": "text" if item.ordinal % 2 else AudioChunk(np.zeros((1, 4), np.float32), 8_000)})

    @node("test.take", inputs={"audio": "audio"}, outputs={"audio": "audio"})
    class Take(Node[Params]):
        """Take audio."""

        def process(self, item: Item, state: None) -> Item:
            return item

    text = (
        line("test.take")
        .replace("input: numbers", "input: some")
        .replace("  work:", "  some: {type: test.some, input: numbers}\n  work:")
    )
    report = run_text(tmp_path, text, Some, Take)
    assert (report.records.completed, report.records.dead_lettered) == (10, 10)
    letter = dead_letters(report)[0]
    assert (letter["node"], letter["code"]) == ("work", "bad_input")
    assert letter["message"].startswith("input 'audio' of test.take got str; expected AudioChunk")


def _records_by_name(params: Params, connected: tuple[str, ...]) -> Ports:
    return tuple(Port(name, PortType.parse("text")) for name in connected), (Port("record", PortType.parse("record")),)


def test_an_item_of_a_variadic_node_is_held_against_the_port_that_it_comes_by(tmp_path: Path) -> None:
    """An item comes by one of the ports, so that the types of the others do not matter to it."""

    @node("test.anything", inputs={"record": "record"}, outputs={"out": "any"})
    class Anything(Node[Params]):
        """Give what cannot be told before a run."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"out": "text" if item.ordinal % 2 else 5})

    @node("test.gathers", outputs={"record": "record"}, ports_of=_records_by_name, variadic=True)
    class Gathers(Node[Params]):
        """Take text by every port."""

        def process(self, item: Item, state: None) -> Item:
            return item.with_payload({"record": dict(item.payload)})

    report = run_text(
        tmp_path,
        """
defaults: {breaker: {failure_threshold: 1000}}
limits: {error_rate: 1.0}
nodes:
  numbers: {type: testing.numbers, params: {count: 20}}
  one: {type: test.anything, input: numbers}
  other: {type: test.anything, input: numbers}
  work: {type: test.gathers, input: {left: one, right: other}}
  out: {type: testing.discard, input: work}
""",
        Anything,
        Gathers,
    )
    messages = Counter(letter["message"] for letter in dead_letters(report))
    assert messages == {f"input {port!r} of test.gathers got int; expected str": 10 for port in ("left", "right")}
