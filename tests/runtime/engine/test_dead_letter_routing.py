"""Dead letters that nodes of the manifest read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from flow_runs import HEAD, keys, run_flow
from phonograph.item import Item
from phonograph.journal import DeadLetter
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink, Written
from small_runs import dead_letters, journalled, node_metrics

FAILING = """
    numbers: {type: testing.numbers, params: {count: 20}}
    work: {type: test.fail, input: numbers, params: {every: 4}}
    out: {type: test.keep, input: work}
"""
FAILED = [f"numbers/{number}" for number in (0, 13, 17, 4, 8)]


def test_a_sink_reads_dead_letters(tmp_path: Path) -> None:
    """A node that reads a node's dead letters gets one item each, with the fields of the contract, and none lands on disk."""
    report, kept = run_flow(tmp_path, FAILING + "rejected: {type: test.keep, input: work.dead_letter}")
    assert sorted(keys(kept["rejected"])) == FAILED
    fields = next(item.payload["item"] for item in kept["rejected"] if item.key == "numbers/13")
    assert set(fields) == set(DeadLetter.__struct_fields__)
    assert (fields["key"], fields["node"], fields["code"], fields["message"]) == (
        "numbers/13",
        "work",
        "bad_input",
        "numbers/13 is refused",
    )
    assert dead_letters(report) == []
    assert (report.records.completed, report.records.dead_lettered) == (15, 5)
    assert {row["key"] for row in journalled(report) if row["outcome"] == "dead_lettered"} == set(FAILED)


def test_every_node_s_dead_letters(tmp_path: Path) -> None:
    """`*.dead_letter` brings those of all nodes, parts of a line that runs as one among them, over a queue that holds one."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 100}}
        parts: {type: test.split, input: numbers, params: {every: 3}}
        a: {type: test.fail, input: parts, params: {every: 3}}
        b: {type: test.fail, input: a, params: {every: 4}}
        out: {type: test.keep, input: b}
        rejected: {type: test.keep, input: {item: {from: "*.dead_letter", queue: {items: 1}}}}
        """,
    )
    metrics = node_metrics(report)
    assert metrics["a"].errors + metrics["b"].errors == len(kept["rejected"]) > 20
    assert {item.payload["item"]["node"] for item in kept["rejected"]} == {"a", "b"}
    assert len(set(keys(kept["rejected"]))) == len(kept["rejected"])
    assert dead_letters(report) == []


def test_a_reader_that_fails(tmp_path: Path) -> None:
    """What the reader of dead letters fails on lands in the run directory: the dead letter itself, and the reader's own."""
    report, kept = run_flow(
        tmp_path,
        FAILING
        + """
        again: {type: test.fail, input: work.dead_letter, params: {every: 2}}
        rejected: {type: test.keep, input: again}
        """,
    )
    assert "rejected" not in kept
    assert sorted((letter["key"], letter["node"]) for letter in dead_letters(report)) == sorted(
        (key, reader) for key in FAILED for reader in ("work", "again")
    )
    assert report.records.dead_lettered == 5


def test_a_letter_that_one_of_two_readers_keeps(tmp_path: Path) -> None:
    """A letter that was stored is not in the run directory besides, though another reader failed on it."""
    report, kept = run_flow(
        tmp_path,
        FAILING
        + """
        rejected: {type: test.keep, input: work.dead_letter}
        again: {type: test.fail, input: work.dead_letter, params: {every: 2}}
        more: {type: test.keep, input: again}
        """,
    )
    assert sorted(keys(kept["rejected"])) == FAILED
    assert {letter["node"] for letter in dead_letters(report)} == {"again"}


def test_a_letter_that_fails_further_on(tmp_path: Path) -> None:
    """What a reader made of a letter is the letter still: when that fails, the letter is in the run directory."""
    report, kept = run_flow(
        tmp_path,
        FAILING
        + """
        passed: {type: test.work, input: work.dead_letter, workers: 1}
        again: {type: test.fail, input: passed, params: {every: 8}, workers: 2}
        rejected: {type: test.keep, input: again}
        """,
    )
    assert sorted(keys(kept["rejected"])) == ["numbers/13", "numbers/4"]
    assert sorted((letter["key"], letter["node"]) for letter in dead_letters(report)) == sorted(
        (key, node_id) for key in ("numbers/0", "numbers/17", "numbers/8") for node_id in ("work", "again")
    )


def test_a_part_of_a_letter_that_fails(tmp_path: Path) -> None:
    """A letter of which nothing was kept is there once, however many parts of it failed, beside those that nobody reads."""
    report, _ = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 4}}
        work: {type: test.fail, input: numbers, params: {every: 1}}
        out: {type: test.keep, input: work}
        parts: {type: test.split, input: work.dead_letter, params: {every: 3}}
        again: {type: test.fail, input: parts, params: {every: 1}}
        rejected: {type: test.keep, input: again}
        """,
    )
    told = [letter["key"] for letter in dead_letters(report) if letter["node"] == "work"]
    assert sorted(told) == ["numbers/1", "numbers/2", "numbers/3"]  # 0 has no part: filtered


def test_a_letter_that_is_filtered(tmp_path: Path) -> None:
    """A letter that a reader lets through no further is nowhere, because the manifest chose so."""
    report, kept = run_flow(
        tmp_path,
        FAILING
        + """
        some: {type: test.thin, input: work.dead_letter, params: {every: 8}}
        rejected: {type: test.keep, input: some}
        """,
    )
    assert sorted(keys(kept["rejected"])) == ["numbers/13", "numbers/4"]
    assert dead_letters(report) == []


def test_a_letter_that_a_reader_skips(tmp_path: Path) -> None:
    """A reader that fails and skips its failures has kept nothing."""
    report, _ = run_flow(
        tmp_path,
        FAILING
        + """
        again: {type: test.fail, input: work.dead_letter, params: {every: 2}, on_error: skip}
        rejected: {type: test.keep, input: again}
        """,
    )
    assert sorted((letter["key"], letter["node"]) for letter in dead_letters(report)) == [(key, "work") for key in FAILED]


def test_dead_letters_of_a_join(tmp_path: Path) -> None:
    """What is left over where branches meet goes to those who read its dead letters."""
    _, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 2}}
        parts: {type: test.split, input: numbers, params: {every: 1}}
        both: {type: flow.join, input: {parts: parts, whole: numbers}}
        out: {type: test.keep, input: both.whole}
        rejected: {type: test.keep, input: both.dead_letter}
        """,
    )
    assert sorted(keys(kept["rejected"])) == ["numbers/1", "numbers/1#0000"]
    assert "out" not in kept


def test_failures_merged_with_what_went_well(tmp_path: Path) -> None:
    """A node's output and its dead letters may meet again, in source order."""
    report, kept = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 20}}
        work: {type: test.fail, input: numbers, params: {every: 4}, workers: 3}
        all: {type: flow.merge, input: {well: work, ill: work.dead_letter}, params: {order: source}}
        out: {type: test.keep, input: all}
        """,
    )
    assert keys(kept["out"]) == [f"numbers/{number}" for number in range(20)]
    assert (report.records.completed, report.records.dead_lettered) == (15, 5)


def test_a_run_that_is_stopped_loses_no_dead_letter(tmp_path: Path) -> None:
    """When a failure stops the run, dead letters that nobody has read yet are in the run directory."""

    @node("test.burst", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
    class Burst(Node[Params]):
        """Emit children."""

        def process(self, item: Item, state: None) -> Iterator[Item]:
            return (item.child(number, item.payload) for number in range(30))

    @node("test.full", inputs={"item": "any"})
    class Full(Sink[Params]):
        """Fail on what comes."""

        def stage(self, item: Item) -> Part:
            raise RuntimeError("no more")

    report, _ = run_flow(
        tmp_path,
        """
        numbers: {type: testing.numbers, params: {count: 1}}
        burst: {type: test.burst, input: numbers}
        work: {type: test.fail, input: burst, params: {every: 1}, workers: 1}
        out: {type: test.keep, input: work}
        rejected: {type: test.full, input: work.dead_letter, on_error: fail}
        """,
        Burst,
        Full,
    )
    assert report.status == "failed"
    told = [letter["key"] for letter in dead_letters(report) if letter["node"] == "work"]
    assert len(told) == len(set(told)) == node_metrics(report)["work"].errors


def test_the_letters_as_lines(tmp_path: Path) -> None:
    """A routed dead letter, written as JSON, is a line as the run directory would have it."""

    class LinesParams(Params, frozen=True):
        path: Annotated[str, msgspec.Meta(description="file to write")]

    @node("test.lines", inputs={"item": "record"})
    class Lines(Sink[LinesParams]):
        """Write each item as a line of JSON."""

        writers = "single_writer"

        def stage(self, item: Item) -> Part:
            return _Line(self.params.path, json.dumps(dict(item.payload["item"])))

    target = tmp_path / "rejected.jsonl"
    run_flow(tmp_path, FAILING + f"rejected: {{type: test.lines, input: work.dead_letter, params: {{path: {target}}}}}", Lines)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(msgspec.convert(line, DeadLetter).key for line in lines) == FAILED
    assert "error_rate" in HEAD  # else a quarter of failures would stop the run


class _Line(Part):
    def __init__(self, path: str, line: str) -> None:
        self._path, self._line = path, line

    def commit(self) -> Written:
        with Path(self._path).open("a") as file:
            file.write(self._line + "\n")
        return Written(self._path, 1, "")

    def discard(self) -> None:
        pass
