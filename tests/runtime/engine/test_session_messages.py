"""Messages to nodes of a session, and what they answer: it goes on through the graph as all that they give."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from phonograph.engine.sessions import Session
from phonograph.executor import Executor
from phonograph.flow.collect import Collect
from phonograph.flow.join import Join
from phonograph.flow.order import Order
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import Gate, served
from talking import TallyNode, number

RECORDS: dict[str, Any] = {"inputs": {"record": "record"}, "outputs": {"record": "record"}, "streaming": "causal"}


@node("test.utterances", cardinality="1:N", **RECORDS)
class Utterances(Node[Params]):
    """Put numbers together until told that an utterance is over, or until the end."""

    def start(self) -> list[Item]:
        return []

    def process(self, item: Item, state: list[Item]) -> list[Item]:
        state.append(item)
        return []

    def control(self, message: object, state: list[Item]) -> list[Item]:
        if message == "wrong":
            raise ValueError("wrong")
        return self.flush(state) if message == "endpoint" else []

    def flush(self, state: list[Item]) -> list[Item]:
        said, state[:] = list(state), []
        return [said[-1].with_payload({"record": {"said": [item.payload["record"]["number"] for item in said]}})] if said else []


@node("test.shouts", **RECORDS)
class Shouts(Node[Params]):
    """Fail on what is long."""

    def process(self, item: Item, state: None) -> Item:
        if len(item.payload["record"]["said"]) > 3:
            raise RuntimeError("too long")
        return item


def talking(folder: Path, nodes: str = "", out: str = "work", **more: str) -> Executor:
    text = f"inputs: {{record: {{type: record}}}}\noutputs: {{out: {out}}}\nnodes:\n"
    text += f"  work: {{type: test.utterances, input: inputs.record, workers: 1{more.get('work', '')}}}\n{nodes}"
    return served(folder, text, Utterances, Shouts, TallyNode, Order, Join, Collect)


async def sent(session: Session, *values: int) -> None:
    for value in values:
        await session.send(number(value))


async def said(session: Session) -> list[int]:
    item = await session.receive()
    assert item is not None
    found: list[int] = item.payload["out"]["said"]
    return found


async def taken(session: Session) -> None:
    """Return when whatever was sent has been taken."""
    while session._in_flight:
        await session._change()


def test_what_a_node_answers_goes_on_in_order(tmp_path: Path) -> None:
    """An utterance that is ended by a message comes before the next one, with key, session and number of its own."""

    async def scenario() -> None:
        async with talking(tmp_path) as executor, executor.session("talk") as session:
            await sent(session, 1, 2)
            await taken(session)
            session.control("endpoint")
            first = await session.receive()
            assert first is not None
            assert (first.key, first.session, first.index, first.payload["out"]) == (
                *("talk#0001+message-0000", "talk", 0),
                {"said": [1, 2]},
            )
            session.control("nothing to answer")
            await sent(session, 3)
            await session.finish()
            last = await session.receive()
            assert last is not None
            assert (last.key, last.index, last.payload["out"]) == ("talk#0003", 1, {"said": [3]})
            assert await session.receive() is None
        assert executor.report is not None
        assert (executor.report.records.read, executor.report.status) == (3, "success")
        assert executor.report.metrics is not None
        (work,) = executor.report.metrics.pipeline_execution.nodes
        assert (work.items_in, work.items_out) == (3, 2)

    asyncio.run(scenario())


def test_an_answer_has_its_place_among_what_is_put_into_order_and_collected(tmp_path: Path) -> None:
    """It is a part of its session wherever branches meet: ordered, collected, and without a partner in a join let go."""
    nodes = "  ordered: {type: flow.order, input: work}\n  all: {type: flow.collect, input: ordered}\n"

    async def collected() -> None:
        async with talking(tmp_path, nodes, "all") as executor, executor.session() as session:
            await sent(session, 1)
            await taken(session)
            session.control("endpoint")
            await sent(session, 2)
            await session.finish()
            item = await session.receive()
            assert item is not None
            assert [one["said"] for one in item.payload["out"]["items"]] == [[1], [2]]
            assert await session.receive() is None

    async def joined() -> None:
        async with talking(tmp_path, nodes, "both.left") as executor, executor.session() as session:
            await sent(session, 1)
            await taken(session)
            session.control("endpoint")
            await session.finish()
            assert [item async for item in session] == []

    asyncio.run(collected())
    nodes = "  pass: {type: testing.pass, input: inputs.record}\n  both: {type: flow.join, input: {left: work, right: pass}}\n"
    asyncio.run(joined())


def test_an_answer_waits_for_no_other_session(tmp_path: Path) -> None:
    """Where answers are put into order, one that takes long on its way holds up those of its own session alone."""
    gate = Gate()

    @node("test.gated_first", **RECORDS)
    class GatedFirst(Node[Params]):
        """Wait with what the first session said."""

        def process(self, item: Item, state: None) -> Item:
            if item.session == "first":
                gate.pass_through()
            return item

    text = "inputs: {record: {type: record}}\noutputs: {out: ordered}\nnodes:\n"
    text += "  work: {type: test.utterances, input: inputs.record, workers: 1}\n"
    text += "  gated: {type: test.gated_first, input: work, workers: 2}\n  ordered: {type: flow.order, input: gated}\n"

    async def scenario() -> None:
        async with (
            served(tmp_path, text, Utterances, GatedFirst, Order) as executor,
            executor.session("first") as first,
            executor.session("second") as second,
        ):
            for session in (first, second):
                await sent(session, 1)
                await taken(session)
            first.control("endpoint")
            await asyncio.to_thread(gate.entered.wait, 30)
            second.control("endpoint")
            assert await asyncio.wait_for(said(second), 30) == [1]
            gate.leave.set()
            assert await said(first) == [1]

    asyncio.run(scenario())


def test_an_answer_that_fails_further_on_is_a_dead_letter(tmp_path: Path) -> None:
    """It is judged like any other item; no record has failed by it, but the executor has not gone without errors."""

    async def scenario() -> None:
        nodes = "  shouts: {type: test.shouts, input: work, workers: 1}\n"
        async with talking(tmp_path, nodes, "shouts") as executor, executor.session("talk") as session:
            await sent(session, 1, 2, 3, 4)
            await taken(session)
            session.control("endpoint")
            session.control("wrong")
            await sent(session, 5)
            await session.finish()
            assert await said(session) == [5]
            assert [(letter.node, letter.key) for letter in session.dead_letters] == [("shouts", "talk#0003+message-0000")]
        assert executor.report is not None
        assert (executor.report.records.completed, executor.report.status) == (5, "completed_with_errors")

    asyncio.run(scenario())


def test_an_answer_counts_as_on_its_way_until_it_is_there(tmp_path: Path) -> None:
    """A session that is finished meanwhile does not end before it."""
    gate = Gate()
    text = "inputs: {record: {type: record}}\noutputs: {out: gated}\nnodes:\n"
    text += "  work: {type: test.utterances, input: inputs.record, workers: 1}\n  gated: {type: test.gated, input: work}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Utterances, gate.node()) as executor, executor.session() as session:
            await sent(session, 1)
            session.control("endpoint")
            await session.finish()
            await asyncio.to_thread(gate.entered.wait, 30)
            gate.leave.set()
            assert await said(session) == [1]
            assert await session.receive() is None

    asyncio.run(scenario())
