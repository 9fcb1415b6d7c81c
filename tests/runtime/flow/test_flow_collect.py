"""`flow.collect`: one item made of many, by record or by count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_runs import keys, run_flow
from phonograph.errors import GraphError, ManifestError
from phonograph.flow.collect import Collect, CollectParams
from phonograph.flow.gather import Made, Part, Results
from phonograph.flow.tickets import Gate
from phonograph.item import Item, Record
from phonograph.node import Node, Params, Source, node
from small_runs import dead_letters


def test_the_parts_of_a_record_are_collected(tmp_path: Path) -> None:
    """All children of a record come out as one item under its key, in their order, and a record without any gives none."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        slow: {type: test.work, input: parts, workers: 3}
        whole: {type: flow.collect, input: slow}
        out: {type: test.keep, input: whole}
        """,
    )
    found = {item.key: item for item in kept["out"]}
    assert sorted(found) == ["numbers/1", "numbers/2", "numbers/3"]
    assert found["numbers/3"].payload["item"] == {
        "keys": ["numbers/3#0000", "numbers/3#0001", "numbers/3#0002"],
        "items": [{"number": 3}] * 3,
        "attributes": [{}] * 3,
    }
    assert found["numbers/3"].parents == ("numbers/3#0000", "numbers/3#0001", "numbers/3#0002")
    assert (report.records.completed, report.records.filtered) == (3, 1)


def test_filtered_parts_are_left_out(tmp_path: Path) -> None:
    """A collection is made of the parts that came."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        some: {type: test.thin, input: parts, params: {every: 2}}
        whole: {type: flow.collect, input: some}
        out: {type: test.keep, input: whole}
        """,
    )
    assert [item.payload["item"]["keys"] for item in kept["out"]] == [
        ["numbers/1#0000"],
        ["numbers/2#0001"],
        ["numbers/3#0000", "numbers/3#0002"],
    ]


@pytest.mark.parametrize(("on_error", "collected"), [("dead_letter", []), ("skip", [["numbers/3#0000", "numbers/3#0002"]])])
def test_a_failed_part_spoils_the_collection(tmp_path: Path, on_error: str, collected: list[list[str]]) -> None:
    """When a part failed the others become dead letters; when the manifest skips failures, they are collected without it."""
    report, kept = run_flow(
        tmp_path,
        f"""
        numbers: {{type: testing.numbers, params: {{count: 4}}}}
        parts: {{type: test.split, input: numbers, params: {{every: 3}}}}
        ok: {{type: test.fail, input: parts, params: {{every: 2}}, on_error: {on_error}}}
        whole: {{type: flow.collect, input: ok}}
        out: {{type: test.keep, input: whole}}
        """,
    )
    told = {letter["key"]: letter["message"] for letter in dead_letters(report) if letter["node"] == "whole"}
    reason = "the collection of its record cannot be complete, because 'numbers/3#0001' failed"
    of_three = {key: message for key, message in told.items() if key.startswith("numbers/3")}
    assert of_three == ({} if collected else {"numbers/3#0000": reason, "numbers/3#0002": reason})
    assert [item.payload["item"]["keys"] for item in kept["out"] if item.key == "numbers/3"] == collected


def test_dead_letters_are_collected(tmp_path: Path) -> None:
    """A letter that arrives is no lost sibling of itself, and what a sink keeps of it is not in the run directory."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 6}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        ok: {type: test.fail, input: parts, params: {every: 2}}
        out: {type: test.keep, input: ok}
        failed: {type: flow.collect, input: "*.dead_letter"}
        rejected: {type: test.keep, input: failed}
        """,
    )
    assert [item.payload["item"]["keys"] for item in kept["rejected"] if item.key == "numbers/3"] == [["numbers/3#0001"]]
    assert sum(len(item.payload["item"]["keys"]) for item in kept["rejected"]) == report.records.dead_lettered == 2
    assert dead_letters(report) == []


def test_a_collection_with_letters_in_place_of_what_failed(tmp_path: Path) -> None:
    """What failed and what went well meet in one collection."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        ok: {type: test.fail, input: parts, params: {every: 2}}
        all: {type: flow.merge, input: {well: ok, ill: ok.dead_letter}}
        whole: {type: flow.collect, input: all}
        out: {type: test.keep, input: whole}
        """,
    )
    (three,) = [item for item in kept["out"] if item.key == "numbers/3"]
    assert three.payload["item"]["keys"] == [f"numbers/3#{number:04}" for number in range(3)]


def test_letters_of_a_collection_that_cannot_be_made(tmp_path: Path) -> None:
    """Each is in the run directory, beside what the collection says of it."""
    report, _ = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        ok: {type: test.fail, input: parts, params: {every: 2}}
        out: {type: test.keep, input: ok}
        again: {type: test.fail, input: ok.dead_letter, params: {every: 4}}
        failed: {type: flow.collect, input: again}
        rejected: {type: test.keep, input: failed}
        """,
    )
    told = {(letter["key"], letter["node"]) for letter in dead_letters(report)}
    refused = {key for key, node_id in told if node_id == "again"}
    left = {key for key, node_id in told if node_id == "failed"}
    assert {key for key, node_id in told if node_id == "ok"} == refused | left


@node("test.label", inputs={"record": "any"}, outputs={"record": "record"}, cardinality="1:N")
class Label(Node[Params]):
    """Emit parts that say something of themselves."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        number = item.payload["record"]["number"]
        return (item.child(part, item.payload, {"part": part, "speaker": "b" * number}) for part in range(number))


@node("test.told", outputs={"record": "record"})
class Told(Source[Params]):
    """Read records with attributes."""

    def read(self) -> Iterator[Record]:
        return (
            Record(key=f"told/{number}", payload={"record": {"number": number}}, attributes={"text": "yes", "speaker": "b"})
            for number in range(1, 3)
        )


def test_a_collection_has_the_attributes_of_its_record(tmp_path: Path) -> None:
    """What all parts have as the record had it, with one part too: what a part says of itself is in the list alone."""
    _, kept = run_flow(
        tmp_path,
        """
        clips: {type: test.told}
        parts: {type: test.label, input: clips}
        whole: {type: flow.collect, input: parts}
        out: {type: test.keep, input: whole}
        """,
        Label,
        Told,
    )
    one, two = sorted(kept["out"], key=lambda item: item.key)
    assert dict(one.attributes) == {"text": "yes", "speaker": "b"}
    assert dict(two.attributes) == {"text": "yes"}
    assert [attributes["part"] for attributes in two.payload["item"]["attributes"]] == [0, 1]


def test_collections_of_so_many(tmp_path: Path) -> None:
    """Every 100 items of whatever record become one, in source order; the last collection is smaller; more than a gate holds."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 250}}
        slow: {type: test.work, input: numbers, workers: 3}
        batches: {type: flow.collect, input: slow, params: {by: count, size: 100}}
        out: {type: test.keep, input: batches}
        """,
    )
    assert keys(kept["out"]) == ["numbers/0+batches-0000", "numbers/100+batches-0001", "numbers/200+batches-0002"]
    assert [len(item.payload["item"]["keys"]) for item in kept["out"]] == [100, 100, 50]
    assert kept["out"][2].payload["item"]["keys"] == [f"numbers/{number}" for number in range(200, 250)]
    assert report.records.completed == 250


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("{by: count}", "'by: count' without 'size'; expected how many items to collect"),
        ("{size: 3}", "'size' with 'by: record'; expected it with 'by: count' only"),
        ("{by: count, size: 2, timeout: 0s}", "'timeout' is 0s; expected more than 0s, or null to wait for ever"),
        ("{timeout: 3s}", "'timeout' with 'by: record'"),
        ("{by: count, size: 2, timeout: 3}", "'timeout' is the number 3"),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path: Path, params: str, said: str) -> None:
    """A size without `by: count`, or the other way round, is refused before anything runs."""
    with pytest.raises((GraphError, ManifestError)) as raised:
        run_flow(
            tmp_path,
            f"""
            numbers: {{type: testing.numbers}}
            batches: {{type: flow.collect, input: numbers, params: {params}}}
            out: {{type: test.keep, input: batches}}
            """,
        )
    assert said in str(raised.value)


def test_a_small_collection_goes_on_in_time() -> None:
    """With a time-out, what has come goes on when the first item of the collection has waited so long."""
    machine = Collect(CollectParams(by="count", size=3, timeout=0.5), "batches")
    machine.ports = ("item",)
    gate = Gate("batches", (0,), 1, lambda settled: None)

    def arrive(key: str, at: float) -> Results:
        ticket = asyncio.run(gate.open())
        part = Part(0, Item(key=key, ordinal=0, payload={"item": key}), ticket, key, at)
        return [*machine.arrive(part), *machine.closed(ticket)]

    assert machine.due() is None
    assert arrive("a", 10.0) == arrive("b", 10.4) == []
    assert machine.due() == 10.5
    assert machine.expired(10.4) == []
    (made,) = machine.expired(10.5)
    assert isinstance(made, Made)
    assert (made.item.key, made.item.parents) == ("a+batches-0000", ("a", "b"))
    assert machine.due() is None
    assert arrive("c", 20.0) == []
    (rest,) = machine.ended()
    assert isinstance(rest, Made) and rest.item.parents == ("c",)
