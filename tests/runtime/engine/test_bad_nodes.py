"""Nodes that do what a node must not: what becomes of the record, and who is named."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.engine.array_check import ArrayCheck
from phonograph.errors import BadInputError, NodeContractError, RunDirectoryError
from phonograph.executor import Executor, RunReport
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink
from phonograph.testing import Discard, item_with
from served import served
from small_runs import dead_letters, executor_for, line, node_metrics, run_text

COUNT = 6
GRAPH = """
nodes:
  numbers: {type: testing.numbers, params: {count: 6}}
  make: {type: test.make, input: numbers}
  TYPE: {type: test.TYPE, input: make, workers: 1}
  out: {type: testing.discard, input: TYPE}
"""


@node("test.make", inputs={"record": "record"}, outputs={"features": "features"}, run="inline")
class Make(Node[Params]):
    """Make an array with the record's number."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"features": np.full(4, item.ordinal, np.float32)})


@node("test.mutates", inputs={"features": "features"}, outputs={"features": "features"})
class Mutates(Node[Params]):
    """Write into what it takes."""

    def process(self, item: Item, state: None) -> Item:
        item.payload["features"][0] = -1
        return item


@node("test.reuses", inputs={"features": "features"}, outputs={"audio": "audio"})
class Reuses(Node[Params]):
    """Give a view of one buffer for every item."""

    def open(self) -> None:
        self.buffer = np.zeros((1, 8), np.float32)

    def process(self, item: Item, state: None) -> Item:
        self.buffer[0, :4] = item.payload["features"]
        return item.with_payload({"audio": AudioChunk(self.buffer[:, :4].reshape(1, 4), 16000)})


@node("test.repeats", inputs={"features": "features"}, outputs={"features": "features"}, cardinality="1:N")
class Repeats(Node[Params]):
    """Give one array over and over, filled anew."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        buffer = np.zeros(4, np.float32)
        for number in range(3):
            buffer[:] = number
            yield item.child(number, {"features": buffer})


def checked(folder: Path, kind: str, **options: Any) -> RunReport:
    text = GRAPH.replace("TYPE", kind)
    return executor_for(folder, text, Make, Mutates, Reuses, Repeats, **options).run()


def test_a_node_that_writes_into_its_input_is_named(tmp_path: Path) -> None:
    """With check_arrays, each record is a dead letter at the node that changed what others read, with the port."""
    report = checked(tmp_path, "mutates", check_arrays=True)
    assert report.records.dead_lettered == COUNT
    letters = dead_letters(report)
    assert {one["node"] for one in letters} == {"mutates"}
    assert {one["code"] for one in letters} == {"node_contract"}
    assert all("node 'mutates' changed the array on its input 'features'" in one["message"] for one in letters)


def test_a_node_that_writes_into_its_input_and_then_fails_is_named() -> None:
    """What it has changed is told rather than what it raised, which is the cause of that."""

    def spoils(item: Item) -> Item:
        item.payload["features"][:] = 0
        raise BadInputError("no use")

    with pytest.raises(NodeContractError, match="node 'spoils' changed the array on its input 'features'") as caught:
        ArrayCheck()._one(spoils, "spoils")(item_with({"features": np.ones(4, np.float32)}))
    assert isinstance(caught.value.__cause__, BadInputError)


def test_a_node_that_gives_one_buffer_again_is_named(tmp_path: Path) -> None:
    """With check_arrays, an array that its node has filled anew is refused, and the node and the record are named."""
    report = checked(tmp_path, "repeats", check_arrays=True)
    letters = dead_letters(report)
    assert letters
    assert {one["node"] for one in letters} == {"repeats"}
    assert "node 'repeats' gave the same array for" in letters[0]["message"]


def test_a_view_of_a_buffer_that_is_used_again_is_noticed_where_it_is_read(tmp_path: Path) -> None:
    """A reader that comes to an item after its maker has filled the buffer again is not given it; the maker is named."""
    maker = Reuses(Params(), "reuses")
    maker.open()
    check = ArrayCheck()
    make = check._one(lambda item: maker.process(item, None), "reuses")
    read = check._one(lambda item: item, "out")
    first = make(item_with({"features": np.full(4, 1, np.float32)}, "first"))
    assert isinstance(first, Item)
    assert read(first) is first
    second = make(item_with({"features": np.full(4, 2, np.float32)}, "second"))
    assert isinstance(second, Item)
    with pytest.raises(NodeContractError, match="that node 'reuses' gave for 'first', on input 'audio' here, has changed since"):
        read(first)
    assert read(second) is second


def test_nodes_that_keep_to_their_own_arrays_pass_the_check(tmp_path: Path) -> None:
    """A graph of well-behaved nodes is the same with and without the check."""
    text = line("testing.pass")
    assert run_text(tmp_path, text, check_arrays=True).records == run_text(tmp_path, text).records


def test_threads_of_a_node_s_own_are_its_own(tmp_path: Path) -> None:
    """A node may work in threads that it starts, and one that it does not wait for does not keep the run from ending."""
    go = threading.Event()
    helpers: list[threading.Thread] = []

    @node("test.threads", inputs={"record": "record"}, outputs={"record": "record"})
    class Threads(Node[Params]):
        """Start a thread that outlives the run."""

        def open(self) -> None:
            helpers.append(threading.Thread(target=go.wait, daemon=True))
            helpers[-1].start()

        def process(self, item: Item, state: None) -> Item:
            found: list[int] = []
            own = threading.Thread(target=found.append, args=(item.ordinal,))
            own.start()
            own.join()
            return item.with_payload({"record": {"number": found[0]}})

    report = run_text(tmp_path, line("test.threads"), Threads)
    try:
        assert (report.status, report.records.completed) == ("success", 20)
        assert node_metrics(report)["work"].items_out == 20
        assert all(one.is_alive() for one in helpers)
    finally:
        go.set()
        for one in helpers:
            one.join()


def test_an_exception_in_a_thread_of_a_node_s_own_is_no_failure_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a node's own thread raises goes to threading.excepthook, as in any program; a record is what `process` makes of it."""
    raised: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(str(args.exc_value)))

    @node("test.raises_aside", inputs={"record": "record"}, outputs={"record": "record"})
    class RaisesAside(Node[Params]):
        """Fail in a thread of its own."""

        def process(self, item: Item, state: None) -> Item:
            def fail() -> None:
                raise OSError(item.key)

            own = threading.Thread(target=fail)
            own.start()
            own.join()
            return item

    report = run_text(tmp_path, line("test.raises_aside"), RaisesAside)
    assert report.records.completed == len(raised) == 20


def test_a_second_executor_on_a_run_directory_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """Two executors of one process: the second says who holds the directory, and spoils nothing of the first."""
    refused: list[str] = []

    @node("test.second", inputs={"record": "record"}, outputs={"record": "record"})
    class Second(Node[Params]):
        """Run another executor on the same directory in the middle of the run."""

        def process(self, item: Item, state: None) -> Item:
            if item.ordinal == 7:
                try:
                    executor_for(tmp_path, line("testing.pass")).run()
                except RunDirectoryError as error:
                    refused.append(str(error))
            return item

    report = run_text(tmp_path, line("test.second"), Second)
    assert (report.status, report.records.completed) == ("success", 20)
    assert len(refused) == 1
    assert "in use by process" in refused[0]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_sink_cannot_end_the_program_either(tmp_path: Path, error: BaseException) -> None:
    """SystemExit and its like out of a sink are dead letters that name it."""

    @node("test.leaves", inputs={"item": "any"})
    class Leaves(Sink[Params]):
        """Leave at every third item."""

        def stage(self, item: Item) -> Part:
            if item.ordinal % 3 == 0:
                raise error
            return Discard(Params(), "kept").stage(item)

    report = run_text(tmp_path, line("testing.pass").replace("testing.discard", "test.leaves"), Leaves)
    assert (report.records.completed, report.records.dead_lettered) == (13, 7)
    assert {one["node"] for one in dead_letters(report)} == {"out"}
    assert type(error).__name__ in dead_letters(report)[0]["message"]


FEATURES: dict[str, Any] = {"inputs": {"features": "features"}, "outputs": {"features": "features"}, "streaming": "causal"}


@node("test.spoils_state", cardinality="1:N", **FEATURES)
class SpoilsState(Node[Params]):
    """Write into a chunk when told to; give a buffer that is filled again at the end."""

    def start(self) -> Any:
        return np.zeros(2, np.float32)

    def process(self, item: Item, state: Any) -> Item:
        chunk = item.payload["features"]
        if chunk[0] == 1:
            chunk[0] = -1
        return item.with_payload({"features": state})

    def flush(self, state: Any) -> Item:
        state[:] = 9
        return Item(key="end", ordinal=0, payload={"features": state})


@node("test.spoils_some", **FEATURES)
class SpoilsSome(Node[Params]):
    """Write into some of the items of a batch."""

    def process_batch(self, items: Sequence[Item], states: Sequence[Any]) -> Sequence[Item]:
        for item in items:
            if item.payload["features"][0] == 1:
                item.payload["features"][0] = -1
        return [item.with_payload({"features": item.payload["features"].copy()}) for item in items]


def spoiling(folder: Path, type_name: str, read: str = "inputs.features") -> Executor:
    text = "inputs: {features: {type: features}}\noutputs: {out: spoils}\n"
    text += f"nodes:\n  spoils: {{type: {type_name}, input: {{features: {read}}}, workers: 1}}\n"
    return served(folder, text, SpoilsState, SpoilsSome, check_arrays=True)


def row(value: float) -> Any:
    return {"features": np.full(2, value, np.float32)}


def test_arrays_are_checked_chunk_by_chunk(tmp_path: Path) -> None:
    """In a session, a node with state that writes into a chunk, or gives its buffer again at the end, is named."""

    async def scenario() -> None:
        async with spoiling(tmp_path, "test.spoils_state") as executor, executor.session("talk") as session:
            for value in range(3):
                await session.send(row(value))
            kept = await session.receive(), await session.receive()
            assert None not in kept
            await session.finish()
            assert [item async for item in session] == []
            first, last = session.dead_letters
            assert (first.node, first.key) == ("spoils", "talk#0001")
            assert "node 'spoils' changed the array on its input 'features'" in first.message
            assert (last.node, last.key) == ("spoils", "talk#0003")
            assert "node 'spoils' gave the same array for" in last.message

    asyncio.run(scenario())


def test_arrays_are_checked_in_batches(tmp_path: Path) -> None:
    """Of a batch, those items fail whose arrays the node has written into, and the others go on."""

    async def scenario() -> None:
        read = "{from: inputs.features, batch: {max_items: 3, max_wait: 1h}}"
        async with spoiling(tmp_path, "test.spoils_some", read) as executor:
            results = await asyncio.gather(*(executor.submit(row(value)) for value in range(3)))
            assert [len(result.outputs["out"]) for result in results] == [1, 0, 1]
            (letter,) = results[1].dead_letters
            assert "node 'spoils' changed the array on its input 'features'" in letter.message
        assert executor.report is not None and executor.report.metrics is not None
        (spoils,) = executor.report.metrics.pipeline_execution.nodes
        assert spoils.batches is not None
        assert spoils.batches.formed == 1

    asyncio.run(scenario())
