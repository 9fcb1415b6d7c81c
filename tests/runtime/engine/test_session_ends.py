"""Sessions: what bounds them, and how they end: finished, cancelled, idle, closed, failed; nothing is left of them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from phonograph.errors import BadInputError, ExecutorClosedError, GraphError, NodeError, SessionEndedError, TransientError
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Node, Params, node
from phonograph.testing import simulate
from served import Gate, one_node, served
from talking import Tally, TallyNode, nothing_is_kept, number, received, tallying


def test_sending_waits_while_results_are_unread(tmp_path: Path) -> None:
    """A slow consumer holds up its own sender, keeps a bounded number of items, and nobody else notices."""

    async def scenario() -> None:
        async with (
            tallying(tmp_path) as executor,
            executor.session(max_in_flight=2, max_unread=5) as slow,
            executor.session() as quick,
        ):
            sent: list[int] = []

            async def send() -> None:
                for value in range(100):
                    await slow.send(number(value))
                    sent.append(value)
                await slow.finish()

            sending = asyncio.create_task(send())
            for value in range(200):
                await quick.send(number(value))
                assert await quick.receive() is not None
            assert 5 <= len(sent) <= 5 + 2
            assert len([item async for item in slow]) == 101
            await sending
            sending = asyncio.create_task(quick.send(number(1)))
            await sending

    asyncio.run(scenario())


def test_cancelling_lets_go_of_everything_at_once(tmp_path: Path) -> None:
    """A cancelled session gets no more results, keeps no state, and its chunks count as cancelled."""
    gate = Gate()

    @node("test.slow", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Slow(Node[Params]):
        """Wait until told to go on."""

        def process(self, item: Item, state: None) -> Item:
            gate.pass_through()
            return item

    text = "inputs: {record: {type: record}}\noutputs: {out: tally}\nnodes:\n"
    text += "  slow: {type: test.slow, input: inputs.record, workers: 1}\n  tally: {type: test.tally, input: slow, workers: 2}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Slow, TallyNode) as executor:
            async with executor.session() as session:
                for value in range(5):
                    await session.send(number(value))
                await asyncio.to_thread(gate.entered.wait, 30)
                session.cancel()
                for act in (session.receive(), session.send(number(1)), session.finish()):
                    with pytest.raises(SessionEndedError, match="it was cancelled") as raised:
                        await act
                    assert raised.value.reason == "cancelled"
                gate.leave.set()
            async with executor.session() as other:
                await other.send(number(1))
                await other.finish()
                assert len(await received(other)) == 2
            assert nothing_is_kept()
        assert executor.report is not None
        assert executor.report.records.cancelled == 5

    asyncio.run(scenario())


def test_a_consumer_that_leaves_its_loop_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a break, nor an exception, nor a cancelled task keeps state of a session, or holds up the executor's end."""

    async def broken(executor: Executor) -> None:
        async with executor.session() as session:
            for value in range(8):
                await session.send(number(value))
            async for _ in session:
                raise ZeroDivisionError

    async def stuck(executor: Executor) -> None:
        async with executor.session(max_unread=1) as session:
            while True:
                await session.send(number(1))

    async def scenario() -> None:
        async with tallying(tmp_path) as executor:
            with pytest.raises(ZeroDivisionError):
                await broken(executor)
            tasks = [asyncio.create_task(stuck(executor)) for _ in range(5)]
            async with executor.session() as session:
                for value in range(50):
                    await session.send(number(value))
                    await session.receive()
            for task in tasks:
                task.cancel()
            assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True))
        assert nothing_is_kept()

    asyncio.run(scenario())


def test_closing_the_executor_ends_its_sessions(tmp_path: Path) -> None:
    """Whoever waits for a result then is told so, and state is gone."""

    async def scenario() -> None:
        async with tallying(tmp_path) as executor:
            session = executor.session()
            await session.send(number(1))
            await session.receive()
            waiting = asyncio.create_task(session.receive())
            await asyncio.sleep(0)
        with pytest.raises(ExecutorClosedError, match="session 'session-1'"):
            await waiting
        with pytest.raises(ExecutorClosedError):
            await session.send(number(1))
        with pytest.raises(ExecutorClosedError):
            executor.session()
        assert nothing_is_kept()

    asyncio.run(scenario())


def test_on_error_fail_ends_the_session_with_the_error(tmp_path: Path) -> None:
    """A node with `on_error: fail` ends the session whose chunk failed, and no other."""

    async def scenario() -> None:
        async with (
            tallying(tmp_path, policies="on_error: fail") as executor,
            executor.session() as session,
            executor.session() as other,
        ):
            await session.send(number(-1))
            with pytest.raises(NodeError, match="node 'work', record 'session-1#0000': RuntimeError: negative"):
                await session.receive()
            await other.send(number(1))
            assert await other.receive() is not None

    asyncio.run(scenario())


def test_what_a_node_raises_to_end_the_program_is_a_dead_letter(tmp_path: Path) -> None:
    """SystemExit and its like fail the chunk, and neither the worker nor the session."""

    @node("test.exiting", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Exiting(Node[Params]):
        """Try to end the program."""

        def start(self) -> list[int]:
            return []

        def process(self, item: Item, state: list[int]) -> Item:
            if item.index == 0:
                raise SystemExit(3)
            return item

    async def scenario() -> None:
        async with one_node(tmp_path, "test.exiting", Exiting) as executor, executor.session() as session:
            await session.send(number(1))
            await session.send(number(2))
            await session.finish()
            assert await received(session) == [{"number": 2}]
        assert [letter.message for letter in session.dead_letters] == ["test.exiting raised SystemExit; expected an Exception"]

    asyncio.run(scenario())


def test_messages_overtake_chunks(tmp_path: Path) -> None:
    """A message reaches the state before chunks that were sent earlier and still wait, and makes a state where there is none."""
    gate = Gate()

    class Held(TallyNode):
        """As it is, behind a gate."""

        def process(self, item: Item, state: Tally) -> Item:
            gate.pass_through()
            return super().process(item, state)

    held = node("test.held", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")(Held)

    async def scenario() -> None:
        async with one_node(tmp_path, "test.held", held, policies="workers: 1") as executor, executor.session() as session:
            session.control("early")
            for value in range(3):
                await session.send(number(value))
            await asyncio.to_thread(gate.entered.wait, 30)
            session.control("late")
            session.control("wrong")
            gate.leave.set()
            await session.finish()
            told = [payload["told"] for payload in await received(session) if "told" in payload]
        assert told[0] == ["early"]
        assert told[2] == ["early", "late", "wrong"]
        with pytest.raises(SessionEndedError, match="it was finished"):
            session.control("too late")

    asyncio.run(scenario())


def test_an_idle_session_times_out(tmp_path: Path) -> None:
    """Nothing sent and nothing received for the time-out ends a session, also one whose results nobody takes; so does an hour."""

    async def scenario() -> None:
        async with tallying(tmp_path) as executor:
            silent = executor.session("silent", idle_timeout=60)
            with pytest.raises(SessionEndedError, match="session 'silent': nothing was sent or received") as raised:
                await silent.receive()
            assert raised.value.reason == "idle"
            deaf = executor.session("deaf", idle_timeout=60, max_unread=1)
            with pytest.raises(SessionEndedError, match="nothing was sent or received"):
                while True:
                    await deaf.send(number(1))
            dropped = executor.session("dropped")
            await dropped.send(number(1))
            await asyncio.sleep(2 * 3600)
            assert nothing_is_kept()
            with pytest.raises(SessionEndedError, match="nothing was sent or received for 3600 s"):
                await dropped.receive()

    simulate(scenario(), seed=1, longest_s=3 * 3600)


def test_a_finished_session_takes_nothing_more(tmp_path: Path) -> None:
    """Sending behind the end is an error that says so; the iteration ends again and again."""

    async def scenario() -> None:
        async with tallying(tmp_path) as executor, executor.session() as session:
            await session.finish()
            for act in (session.send(number(1)), session.finish()):
                with pytest.raises(SessionEndedError, match="it was finished; expected nothing more to be sent"):
                    await act
            assert await received(session) == []
            assert await session.receive() is None

    asyncio.run(scenario())


def test_a_node_that_cannot_stream_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """A graph may take requests and no sessions; opening one names each node at fault."""

    @node("test.parts", inputs={"record": "record"}, outputs={"record": "record"})
    class Parts(Node[Params]):
        """Say nothing of streaming."""

        def process(self, item: Item, state: None) -> Item:
            return item

    async def scenario() -> None:
        async with one_node(tmp_path, "test.parts", Parts) as executor:
            with pytest.raises(GraphError, match=r"node 'work' \(test.parts\) is of a type that takes whole records") as raised:
                executor.session()
            assert [complaint.code for complaint in raised.value.complaints] == ["streaming"]
            assert len((await executor.submit(number(1))).outputs["out"]) == 1

    asyncio.run(scenario())


def test_chunks_of_the_wrong_kind_are_refused_where_they_are_sent(tmp_path: Path) -> None:
    """A chunk that the manifest does not declare costs the session nothing."""

    async def scenario() -> None:
        async with tallying(tmp_path) as executor, executor.session() as session:
            with pytest.raises(BadInputError, match=r"got inputs \['other'\]; expected \['record'\]"):
                await session.send({"other": 1})
            await session.send(number(1))
            await session.finish()
            assert len(await received(session)) == 2

    asyncio.run(scenario())


def test_a_request_given_up_in_its_back_off_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Closing waits for requests; cancelled while it waits for its next attempt, one is waited for no longer."""
    failed = threading.Event()

    @node("test.never", inputs={"record": "record"}, outputs={"record": "record"})
    class Never(Node[Params]):
        """Fail as if it would heal."""

        def process(self, item: Item, state: None) -> Item:
            failed.set()
            raise TransientError("not yet")

    async def scenario() -> None:
        policies = "retry: {base_delay: 1h, max_delay: 1h}, workers: 2"
        async with one_node(tmp_path, "test.never", Never, policies=policies) as executor:
            sending = asyncio.create_task(executor.submit(number(1)))
            await asyncio.to_thread(failed.wait, 30)
            asyncio.get_running_loop().call_later(0.01, sending.cancel)
        assert (await asyncio.gather(sending, return_exceptions=True))[0].__class__ is asyncio.CancelledError

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_node_that_fails_at_the_end_says_so(tmp_path: Path) -> None:
    """What fails behind the last chunk is a dead letter, though all chunks are completed; the executor ends with errors."""

    @node("test.breaks", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N", streaming="causal")
    class BreaksAtTheEnd(Node[Params]):
        """Keep everything, and fail in the end."""

        def start(self) -> list[Item]:
            return []

        def process(self, item: Item, state: list[Item]) -> list[Item]:
            state.append(item)
            return []

        def flush(self, state: list[Item]) -> Item:
            raise RuntimeError("nothing to say")

    async def scenario() -> Executor:
        async with one_node(tmp_path, "test.breaks", BreaksAtTheEnd) as executor, executor.session("talk") as session:
            for value in range(3):
                await session.send(number(value))
            await session.finish()
            assert await received(session) == []
            assert [(letter.node, letter.key, letter.message) for letter in session.dead_letters] == [
                ("work", "talk#0003", "RuntimeError: nothing to say")
            ]
        return executor

    report = asyncio.run(scenario()).report
    assert report is not None
    assert (report.records.read, report.records.completed, report.status) == (3, 3, "completed_with_errors")
