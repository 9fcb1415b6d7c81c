"""Order in an executor that serves: of each session and each record its own, so that no caller waits for another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from phonograph.flow.merge import Merge
from phonograph.flow.order import Order
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import Gate, served
from talking import number

ENDS = """
inputs: {record: {type: record}}
outputs: {out: last}
nodes:
  even: {type: test.even, input: inputs.record, workers: 2}
  odd: {type: test.odd, input: inputs.record}
"""
MERGED = "  last: {type: flow.merge, input: {even: even, odd: odd}, params: {order: source}}\n"
ORDERED = """
  both: {type: flow.merge, input: {even: even, odd: odd}}
  last: {type: flow.order, input: both}
"""
IN_ORDER = """
  both: {type: flow.merge, input: {even: even, odd: odd}}
  last: {type: testing.pass, input: both, order: true}
"""


@node("test.odd", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:0..1", streaming="causal")
class Odd(Node[Params]):
    """Let odd numbers through."""

    def process(self, item: Item, state: None) -> Item | None:
        return item if item.payload["record"]["number"] % 2 else None


@pytest.mark.parametrize("text", [MERGED, ORDERED, IN_ORDER], ids=["merge", "flow.order", "order: true"])
def test_no_caller_waits_for_what_another_sent_before(tmp_path: Path, text: str) -> None:
    """While a chunk is held up, results of other sessions and of requests come; its own session's come in order."""
    gate = Gate()

    @node("test.even", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:0..1", streaming="causal")
    class Even(Node[Params]):
        """Let even numbers through, and zero through the gate."""

        def process(self, item: Item, state: None) -> Item | None:
            value = item.payload["record"]["number"]
            if not value:
                gate.pass_through()
            return None if value % 2 else item

    def numbers(items: list[Item]) -> list[Any]:
        return [next(iter(item.payload.values()))["number"] for item in items]

    async def scenario() -> None:
        async with (
            served(tmp_path, ENDS + text, Even, Odd, Merge, Order) as executor,
            executor.session() as held,
            executor.session() as other,
        ):
            for value in (0, 1, 3, 4):
                await held.send(number(value))
            await asyncio.to_thread(gate.entered.wait)
            for value in (5, 6, 7):
                await other.send(number(value))
            await other.finish()
            assert numbers([item async for item in other]) == [5, 6, 7]
            results = await asyncio.gather(*(executor.submit(number(value)) for value in (8, 9)))
            assert [numbers(list(result.outputs["out"])) for result in results] == [[8], [9]]
            assert not gate.leave.is_set()
            gate.leave.set()
            await held.finish()
            assert numbers([item async for item in held]) == [0, 1, 3, 4]
            assert held.num_failed == 0, "it was held until the others were done"

    asyncio.run(scenario())
