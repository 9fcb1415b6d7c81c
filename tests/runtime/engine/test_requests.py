"""Requests: what a program that embeds a graph gets back for what it sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonograph.errors import BadInputError, GraphError, NodeError, RequestFailedError, TransientError
from phonograph.flow.collect import Collect
from phonograph.flow.join import Join
from phonograph.flow.zip import Zip
from phonograph.item import Item, Outcome
from phonograph.node import Node, Params, node
from served import ENDS, one_node, served
from small_runs import rows_in
from talking import number


@node("test.wrong", inputs={"record": "record"}, outputs={"record": "record"})
class Wrong(Node[Params]):
    """Fail on odd numbers."""

    def process(self, item: Item, state: None) -> Item:
        if item.payload["record"]["number"] % 2:
            raise RuntimeError("odd")
        return item


@node("test.parts", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N")
class Parts(Node[Params]):
    """Make as many items as the number says."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        for place in range(item.payload["record"]["number"]):
            yield item.child(place, number(place))


def test_a_request_gets_what_came_to_each_output(tmp_path: Path) -> None:
    """A result has every output of the manifest, with the items of this request alone, under the output's name."""
    text = "inputs: {record: {type: record}}\noutputs: {parts: parts, as_it_was: plain, collected: all}\nnodes:\n"
    text += "  plain: {type: testing.pass, input: inputs.record}\n  parts: {type: test.parts, input: plain}\n"
    text += "  all: {type: flow.collect, input: parts}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Parts, Collect) as executor:
            results = await asyncio.gather(*(executor.submit(number(count)) for count in (3, 0, 700)))
        for count, result in zip((3, 0, 700), results, strict=True):
            assert [item.payload["parts"]["number"] for item in result.outputs["parts"]] == list(range(count))
            assert [item.payload["as_it_was"]["number"] for item in result.outputs["as_it_was"]] == [count]
            assert [len(item.payload["collected"]["items"]) for item in result.outputs["collected"]] == [count] * (count > 0)
            assert result.metrics.outcome is Outcome.COMPLETED

    asyncio.run(scenario())


def test_what_failed_is_in_the_dead_letters_and_raises_nothing(tmp_path: Path) -> None:
    """A request that failed has a letter with node, key and words, no items, and raises them only when asked."""

    async def scenario() -> None:
        async with one_node(tmp_path, "test.wrong", Wrong) as executor:
            failed = await executor.submit(number(1), key="call-7")
            fine = await executor.submit(number(2))
        assert (failed.outputs["out"], failed.metrics.outcome) == ((), Outcome.DEAD_LETTERED)
        assert [(letter.node, letter.key, letter.message) for letter in failed.dead_letters] == [
            ("work", "call-7", "RuntimeError: odd")
        ]
        with pytest.raises(RequestFailedError, match="node 'work', record 'call-7': exception: RuntimeError: odd"):
            failed.raise_for_failure()
        assert fine.raise_for_failure() is fine
        assert executor.report is not None
        assert (executor.report.status, executor.report.records.dead_lettered) == ("completed_with_errors", 1)

    asyncio.run(scenario())
    assert not list(tmp_path.glob(".phonograph")), "no run directory unless asked for"


def test_dead_letters_can_be_an_output(tmp_path: Path) -> None:
    """An output that names a node's dead letters gets those of the request, beside its own list of them."""
    text = ENDS.replace("{out: work}", "{out: work, failed: work.dead_letter}")
    text += "nodes:\n  work: {type: test.wrong, input: inputs.record}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Wrong) as executor:
            failed, fine = await executor.submit(number(1), key="n"), await executor.submit(number(2))
        assert [item.payload["failed"]["message"] for item in failed.outputs["failed"]] == ["RuntimeError: odd"]
        assert ([letter.key for letter in failed.dead_letters], failed.metrics.outcome) == (["n"], Outcome.DEAD_LETTERED)
        assert (len(fine.outputs["out"]), fine.outputs["failed"]) == (1, ())

    asyncio.run(scenario())


def test_a_run_directory_is_written_where_one_is_asked_for(tmp_path: Path) -> None:
    """With `run_dir` the journal has every request, and the dead letters of all of them."""

    async def scenario() -> None:
        async with one_node(tmp_path, "test.wrong", Wrong, run_dir=tmp_path / "run") as executor:
            for value in range(4):
                await executor.submit(number(value), key=f"n{value}")

    asyncio.run(scenario())
    rows = rows_in(tmp_path / "run")
    assert [(row["key"], row["outcome"]) for row in rows] == [
        *(("n0", "completed"), ("n1", "dead_lettered"), ("n2", "completed"), ("n3", "dead_lettered"))
    ]
    letters = [json.loads(line) for line in (tmp_path / "run" / "dead_letters.jsonl").read_text().splitlines()]
    assert [letter["key"] for letter in letters] == ["n1", "n3"]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["pipeline_execution"]["records"]["read"] == 4


def test_on_error_fail_fails_the_request_and_not_the_executor(tmp_path: Path) -> None:
    """A node with `on_error: fail` makes submit raise; others go on."""

    async def scenario() -> None:
        async with one_node(tmp_path, "test.wrong", Wrong, policies="on_error: fail") as executor:
            with pytest.raises(NodeError, match="node 'work', record 'n': RuntimeError: odd"):
                await executor.submit(number(1), key="n")
            assert (await executor.submit(number(2))).metrics.outcome is Outcome.COMPLETED

    asyncio.run(scenario())


def test_errors_that_heal_are_tried_again(tmp_path: Path) -> None:
    """A request goes through a node that fails at first, in the order of its policy."""
    calls: list[str] = []

    @node("test.healing", inputs={"record": "record"}, outputs={"record": "record"})
    class Healing(Node[Params]):
        """Fail twice on each record."""

        def process(self, item: Item, state: None) -> Item:
            calls.append(item.key)
            if calls.count(item.key) < 3:
                raise TransientError("not yet")
            return item

    async def scenario() -> None:
        async with one_node(tmp_path, "test.healing", Healing, policies="retry: {base_delay: 0s}") as executor:
            assert len((await executor.submit(number(1))).outputs["out"]) == 1
        assert len(calls) == 3

    asyncio.run(scenario())


def test_an_open_breaker_sheds_what_is_sent(tmp_path: Path) -> None:
    """Nobody waits for a breaker, unless the manifest says so."""

    async def scenario() -> None:
        async with one_node(tmp_path, "test.wrong", Wrong, policies="breaker: {failure_threshold: 2}") as executor:
            codes = [(await executor.submit(number(1))).dead_letters[0].code for _ in range(3)]
        assert codes == ["exception", "exception", "breaker_open"]

    asyncio.run(scenario())


def test_joins_bring_together_what_is_of_one_request(tmp_path: Path) -> None:
    """Branches of many requests at once meet request by request, and a branch that fails is no time-out."""
    text = "inputs: {record: {type: record}}\noutputs: {both: both.left, other: both.right}\nnodes:\n"
    text += "  split: {type: testing.pass, input: inputs.record}\n  wrong: {type: test.wrong, input: split}\n"
    text += "  fine: {type: testing.pass, input: split}\n  both: {type: flow.join, input: {left: fine, right: wrong}}\n"
    text += "defaults: {breaker: {failure_threshold: 1000}}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Wrong, Join) as executor:
            results = await asyncio.gather(*(executor.submit(number(value)) for value in range(300)))
        for value, result in enumerate(results):
            came = [item.payload["both"]["number"] for item in result.outputs["both"]]
            assert came == ([] if value % 2 else [value])
            assert len(result.outputs["other"]) == len(came)
            assert len(result.dead_letters) == value % 2

    asyncio.run(scenario())


@pytest.mark.parametrize("run", ["thread", "process"])
def test_nodes_that_run_in_processes_serve_too(tmp_path: Path, run: str) -> None:
    """Where a node runs makes no difference to what is sent to it."""

    async def scenario() -> None:
        async with one_node(tmp_path, "testing.pass", policies=f"run: {run}, workers: 2") as executor:
            results = await asyncio.gather(*(executor.submit(number(value)) for value in range(20)))
        assert [result.outputs["out"][0].payload["out"]["number"] for result in results] == list(range(20))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes:\n  n: {type: testing.numbers}\n  work: {type: testing.pass, input: n}\noutputs: {out: work}\n", "no 'inputs'"),
        (ENDS + "nodes:\n  n: {type: testing.numbers}\n  work: {type: testing.pass, input: inputs.record}\n", "is a source"),
        (
            ENDS + "nodes:\n  work: {type: flow.collect, input: inputs.record, params: {by: count, size: 2}}\n",
            "different records",
        ),
        (
            ENDS.replace("work", "work.a") + "nodes:\n  work: {type: flow.zip, input: {a: inputs.record, b: inputs.record}}\n",
            "'work'",
        ),
    ],
)
def test_a_graph_that_cannot_be_sent_things_is_refused_before_it_opens(tmp_path: Path, text: str, message: str) -> None:
    """Each complaint names the place in the manifest."""

    async def scenario() -> None:
        with pytest.raises(GraphError, match=message):
            async with served(tmp_path, text, Collect, Zip):
                raise AssertionError("it was opened")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"got inputs \[\]; expected \['text'\]"),
        ({"text": "a", "more": "b"}, r"got inputs \['more', 'text'\]"),
        ({"text": 3}, "input 'text' got int; expected str"),
        ("a", "got str; expected a mapping"),
    ],
)
def test_what_the_manifest_does_not_declare_is_refused_at_the_call(tmp_path: Path, inputs: object, message: str) -> None:
    """Nothing runs for inputs of other names or families."""
    text = "inputs: {text: {type: text}}\noutputs: {out: inputs.text}\nnodes: {o: {type: testing.discard, input: inputs.text}}\n"

    async def scenario() -> None:
        async with served(tmp_path, text) as executor:
            with pytest.raises(BadInputError, match=message):
                await executor.submit(inputs)  # type: ignore[arg-type]  # that is the point
            assert (await executor.submit({"text": "a"})).outputs["out"][0].payload["out"] == "a"
        assert executor.report is not None
        assert executor.report.records.read == 1

    asyncio.run(scenario())
