"""`flow.collect`, `flow.window` and `flow.join` in sessions: a session is one record, from its first chunk to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import SessionEndedError
from phonograph.executor import Executor
from phonograph.flow import collect
from phonograph.flow.collect import Collect
from phonograph.flow.join import Join
from phonograph.flow.window import Window
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import served
from talking import TallyNode, nothing_is_kept, number, received

RECORDS: dict[str, Any] = {"inputs": {"record": "record"}, "outputs": {"record": "record"}, "streaming": "causal"}


class Sized(dict[str, Any]):
    """A record that says how much memory it takes."""

    nbytes = 10


@node("test.split", cardinality="1:N", **RECORDS)
class Split(Node[Params]):
    """Give each item twice, none of multiples of 10, and fail on negative numbers."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        value = item.payload["record"]["number"]
        if value < 0:
            raise RuntimeError("negative")
        for part in range(2 if value % 10 else 0):
            yield item.child(part, {"record": Sized(number=value + part / 10)})


def gathering(folder: Path, nodes: str, **options: Any) -> Executor:
    """An executor of `parts`, which splits what is sent, and nodes that read it, of which `out` gives the output."""
    text = "inputs: {record: {type: record}}\noutputs: {out: out}\nnodes:\n"
    text += f"  parts: {{type: test.split, input: inputs.record, workers: 2}}\n  {nodes}\n"
    return served(folder, text, Split, Collect, Window, TallyNode, **options)


async def talk(executor: Executor, values: Sequence[int], **limits: int) -> list[Item]:
    """What a session gives for these numbers."""
    async with executor.session("talk", **limits) as session:

        async def send() -> None:
            for value in values:
                await session.send(number(value))
            await session.finish()

        sending = asyncio.create_task(send())
        items = [item async for item in session]
        await sending
        return items


def numbers(item: Item) -> list[float]:
    return [one["number"] for one in item.payload["out"]["items"]]


def test_a_collection_is_made_of_a_whole_session(tmp_path: Path) -> None:
    """It comes once, at the end, under the session's id, and has all that a session of any length gave, in order."""

    async def scenario() -> None:
        async with gathering(tmp_path, "out: {type: flow.collect, input: parts}") as executor:
            (item,) = await talk(executor, range(1, 60), max_in_flight=2)
            assert numbers(item) == [value + part / 10 for value in range(1, 60) if value % 10 for part in range(2)]
            assert (item.key, item.session, item.index, item.parents[:2]) == (
                *("talk", "talk", 0),
                ("talk#0000#0000", "talk#0000#0001"),
            )
            (whole,) = (await executor.submit(number(7), key="once")).outputs["out"]
            assert (numbers(whole), whole.key) == ([7, 7.1], "once")
        assert executor.report is not None
        assert (executor.report.records.read, executor.report.records.completed, executor.report.records.filtered) == (60, 55, 5)

    asyncio.run(scenario())


def test_what_failed_is_left_out_of_the_collection(tmp_path: Path) -> None:
    """A chunk that fails on its way is a dead letter, and the collection of the session is made without it."""

    async def scenario() -> None:
        async with gathering(tmp_path, "out: {type: flow.collect, input: parts}") as executor:
            async with executor.session("talk") as session:
                for value in (1, -1, 2):
                    await session.send(number(value))
                await session.finish()
                (item,) = [item async for item in session]
                assert numbers(item) == [1, 1.1, 2, 2.1]
                assert [(letter.node, letter.key) for letter in session.dead_letters] == [("parts", "talk#0001")]
            assert await talk(executor, []) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "bound", "words"), [("MAX_PARTS", 3, "3 items already"), ("MAX_GATHERED_BYTES", 30, "30 bytes")]
)
def test_a_collection_has_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int, words: str) -> None:
    """What is too much for it fails item by item, and the rest comes at the end."""
    monkeypatch.setattr(collect, name, bound)

    async def scenario() -> None:
        async with (
            gathering(tmp_path, "out: {type: flow.collect, input: parts}") as executor,
            executor.session("talk") as session,
        ):
            for value in (1, 2):
                await session.send(number(value))
            await session.finish()
            (item,) = [item async for item in session]
            assert numbers(item) == [1, 1.1, 2]
            (letter,) = session.dead_letters
            assert (letter.node, letter.key, letter.code) == ("out", "talk#0001#0001", "bad_input")
            assert words in letter.message

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("params", "expected", "counts"),
    [
        ("size: 3", [[1, 1.1, 2], [2.1, 3, 3.1], [4, 4.1]], (4, 0)),
        ("size: 3, partial: drop", [[1, 1.1, 2], [2.1, 3, 3.1]], (4, 0)),
        ("size: 2, every: 1", [[1, 1.1], [1.1, 2], [2, 2.1], [2.1, 3], [3, 3.1], [3.1, 4], [4, 4.1]], (4, 0)),
        ("size: 1, every: 4", [[1], [3]], (2, 2)),
    ],
)
def test_windows_go_on_from_chunk_to_chunk(
    tmp_path: Path, params: str, expected: list[list[float]], counts: tuple[int, int]
) -> None:
    """They are those of the same items in one record, come as soon as they are full, and hold up no sender."""

    async def scenario() -> None:
        async with gathering(tmp_path, f"out: {{type: flow.window, input: parts, params: {{{params}}}}}") as executor:
            items = await talk(executor, [1, 10, 2, 3, 4], max_in_flight=1)
            assert [numbers(item) for item in items] == expected
            assert [item.index for item in items] == list(range(len(expected)))
            assert len({item.key for item in items}) == len(items)
        assert executor.report is not None
        records = executor.report.records
        assert (records.completed, records.filtered - 1) == counts  # the chunk 10 has no parts

    asyncio.run(scenario())


def test_a_window_comes_before_the_session_ends(tmp_path: Path) -> None:
    """It needs no more than its items, and what comes of it has its turn in nodes behind."""

    async def scenario() -> None:
        async with (
            gathering(tmp_path, "out: {type: flow.window, input: parts, params: {size: 4}}") as executor,
            executor.session() as session,
        ):
            for value in (1, 2, 3):
                await session.send(number(value))
            item = await session.receive()
            assert item is not None
            assert numbers(item) == [1, 1.1, 2, 2.1]

    asyncio.run(scenario())


def test_a_cancelled_session_leaves_no_window(tmp_path: Path) -> None:
    """What was kept of it is let go of, also when its chunks are still on their way."""

    async def scenario() -> None:
        text = "inputs: {record: {type: record}}\noutputs: {out: out}\nnodes:\n"
        text += "  tally: {type: test.tally, input: inputs.record}\n"
        text += "  out: {type: flow.window, input: tally, params: {size: 100}}\n"
        async with served(tmp_path, text, TallyNode, Window) as executor:
            for _ in range(3):
                async with executor.session() as session:
                    for value in range(5):
                        await session.send(number(value))
                with pytest.raises(SessionEndedError):
                    await session.receive()
            async with executor.session() as other:
                await other.send(number(1))
                await other.finish()
                assert len(await received(other)) == 1
            assert nothing_is_kept()
            serving = executor._serving
            assert serving is not None
            assert [len(one._sessions) for one in serving._assembly.gatherings] == [0]

    asyncio.run(scenario())


@node("test.lags", cardinality="1:N", **RECORDS)
class Lags(Node[Params]):
    """Give each chunk when the next one comes."""

    def start(self) -> list[Item]:
        return []

    def process(self, item: Item, state: list[Item]) -> list[Item]:
        state.append(item)
        return [item.with_payload(state.pop(0).payload)] if len(state) > 1 else []

    def flush(self, state: list[Item]) -> list[Item]:
        return state


def test_a_join_says_what_came_too_late_for_it(tmp_path: Path) -> None:
    """A chunk that one branch has kept is no filtered one: its partner is a dead letter that says why."""
    text = "inputs: {record: {type: record}}\noutputs: {out: both.left}\nnodes:\n"
    text += "  echo: {type: testing.pass, input: inputs.record}\n  lags: {type: test.lags, input: inputs.record}\n"
    text += "  both: {type: flow.join, input: {left: echo, right: lags}}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Lags, Join) as executor, executor.session("talk") as session:
            for value in range(3):
                await session.send(number(value))
            await session.finish()
            assert [item.payload["out"]["number"] async for item in session] == [1, 2]
            (letter,) = session.dead_letters
            assert (letter.node, letter.key, letter.code) == ("both", "talk#0000", "left_over")
            assert "input 'right' has nothing for this chunk" in letter.message

    asyncio.run(scenario())
