"""Many sessions and requests that come and go at random over graphs in which things fail: nothing is lost, mixed up or left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import SessionEndedError, TransientError
from phonograph.executor import Executor
from phonograph.flow.collect import Collect
from phonograph.flow.filter import Filter
from phonograph.flow.join import Join
from phonograph.flow.merge import Merge
from phonograph.flow.order import Order
from phonograph.flow.window import Window
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import served
from talking import TallyNode, nothing_is_kept

GRAPH = """
inputs: {record: {type: record}}
outputs: {tally: tally, both: both.left, all: all, letters: letters, windows: windows, whole: whole, answers: told}
defaults: {retry: {max_retries: 20, base_delay: 0s, max_delay: 0s}, breaker: {failure_threshold: 1000000}}
nodes:
  split: {type: test.shaky, input: inputs.record, workers: 2}
  twice: {type: test.double, input: split, workers: 2}
  some: {type: flow.filter, input: split, params: {keep: attributes.wanted == true}}
  shaky: {type: test.shaky, input: some}
  both: {type: flow.join, input: {left: split, right: shaky}}
  ordered: {type: flow.order, input: twice}
  tally: {type: test.tally, input: ordered, workers: 3}
  all: {type: flow.merge, input: {one: twice, other: both.right}}
  windows: {type: flow.window, input: ordered, params: {size: 2}}
  whole: {type: flow.collect, input: both.left}
  asked: {type: test.asked, input: split, workers: 2}
  told: {type: flow.order, input: asked}
  caught: {type: testing.pass, input: {record: "split.dead_letter"}}
  letters: {type: testing.pass, input: caught}
"""


@node("test.shaky", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Shaky(Node[Params]):
    """Fail now and then, for a while; and for good on numbers that end in 7."""

    def open(self) -> None:
        self.chance = random.Random(1)

    def process(self, item: Item, state: None) -> Item:
        if item.payload["record"]["number"] % 10 == 7:
            raise RuntimeError("seven")
        if self.chance.random() < 0.2:
            raise TransientError("not now")
        return item


@node("test.double", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N", streaming="causal")
class Double(Node[Params]):
    """Give each item twice."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        for part in range(2):
            yield item.child(part, item.payload)


@node("test.asked", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:0..1", streaming="causal")
class Asked(Node[Params]):
    """Give nothing but answers."""

    def process(self, item: Item, state: None) -> None:
        pass

    def control(self, message: object, state: None) -> Item:
        return Item(key="", ordinal=0, payload={"record": {"answer": message}})


@pytest.mark.parametrize("seed", range(6))
def test_a_storm_of_sessions_and_requests_leaves_nothing(tmp_path: Path, seed: int) -> None:
    """Finished sessions have all of their own results in order, others end as they should, and all records are accounted for."""
    chance = random.Random(seed)

    async def scenario() -> None:
        async with served(tmp_path, GRAPH, *NODES) as executor:
            acts = [_finished, _finished, _cancelled, _left, _given_up, _requested]
            await asyncio.gather(*(chance.choice(acts)(executor, 1000 * number, random.Random(number)) for number in range(60)))
            assert nothing_is_kept()
        assert executor.report is not None  # which has counted every record, or would not be there
        assert executor.report.records.read > 100

    asyncio.run(scenario())


NODES = (Shaky, Double, Filter, Join, Order, Merge, Collect, Window, Asked, TallyNode)


async def _finished(executor: Executor, first: int, chance: random.Random) -> None:
    numbers = list(range(first, first + chance.randrange(1, 30)))
    questions = [value for value in numbers if chance.random() < 0.3]
    async with executor.session(max_in_flight=chance.randrange(1, 8), max_unread=chance.randrange(1, 20)) as session:

        async def send() -> None:
            for value in numbers:
                await session.send(_number(value), attributes={"wanted": value % 3 == 0})
                if value in questions:
                    session.control(value)
            await session.finish()

        sending = asyncio.create_task(send())
        outputs = ("tally", "both", "all", "letters", "windows", "whole", "answers")
        came: dict[str, list[Any]] = {name: [] for name in outputs}
        async for item in session:
            ((output, payload),) = item.payload.items()
            came[output].append(payload)
        await sending
    kept = [value for value in numbers if value % 10 != 7]
    twice = [value for value in kept for _ in range(2)]
    both = [value for value in kept if value % 3 == 0]
    assert came["tally"][-1:] == [{"all": twice}] * bool(kept)
    assert sorted(payload["number"] for payload in came["both"]) == both
    assert sorted(payload["number"] for payload in came["all"]) == sorted(twice + both)
    assert len(came["letters"]) == len(numbers) - len(kept)
    assert [[one["number"] for one in payload["items"]] for payload in came["windows"]] == [[value] * 2 for value in kept]
    assert [[one["number"] for one in payload["items"]] for payload in came["whole"]] == [both] * bool(both)
    assert came["answers"] == [{"answer": value} for value in questions]


async def _cancelled(executor: Executor, first: int, chance: random.Random) -> None:
    async with executor.session(max_in_flight=30) as session:
        for value in range(first, first + chance.randrange(1, 30)):
            await session.send(_number(value), attributes={"wanted": True})
            if chance.random() < 0.3:
                session.control(value)
        if chance.random() < 0.5:
            await session.finish()
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        session.cancel()
        with pytest.raises(SessionEndedError):
            await session.send(_number(1))


async def _left(executor: Executor, first: int, chance: random.Random) -> None:
    async with executor.session() as session:
        for value in range(first, first + 8):
            await session.send(_number(value), attributes={"wanted": True})
        async for _ in session:
            if chance.random() < 0.3:
                return


async def _given_up(executor: Executor, first: int, chance: random.Random) -> None:
    sending = asyncio.create_task(executor.submit(_number(first + 1), attributes={"wanted": True}))
    for _ in range(chance.randrange(30)):
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait((sending,))


async def _requested(executor: Executor, first: int, chance: random.Random) -> None:
    value = first + chance.randrange(10)
    result = await executor.submit(_number(value), attributes={"wanted": True})
    fails = value % 10 == 7
    assert len(result.outputs["all"]) == (0 if fails else 3)
    assert bool(result.dead_letters) == fails


def _number(value: int) -> dict[str, Any]:
    return {"record": {"number": value}}
