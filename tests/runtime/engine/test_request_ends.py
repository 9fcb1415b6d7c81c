"""How requests end when they are cancelled, or when the executor is closed, breaks or cannot be opened."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from phonograph.errors import ExecutorClosedError, NodeError, OutputError
from phonograph.item import Item, Outcome
from phonograph.node import Node, Params, node
from phonograph.sink import Part, Sink
from phonograph.testing import Discard
from served import ENDS, Gate, one_node, served
from talking import number


def test_an_output_that_cannot_be_stored_breaks_the_executor(tmp_path: Path) -> None:
    """A sink that cannot store ends every request, those that come later too, with the cause chained."""

    @node("test.full", inputs={"item": "any"})
    class Full(Sink[Params]):
        """Store nothing, for want of room."""

        def stage(self, item: Item) -> Part:
            raise OutputError("the disk is full")

    text = "inputs: {record: {type: record}}\nnodes:\n  out: {type: test.full, input: inputs.record}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Full) as executor:
            for _ in range(2):
                with pytest.raises(ExecutorClosedError, match="the executor has broken: the disk is full") as raised:
                    await executor.submit(number(1))
                assert isinstance(raised.value.__cause__, OutputError)

    asyncio.run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_sinks_complete_their_outputs_when_the_executor_is_closed(tmp_path: Path, fails: bool) -> None:
    """What spans records is completed at the end, unless an exception has ended it."""
    finished: list[int] = []

    @node("test.counted", inputs={"item": "any"})
    class Counted(Discard):
        """Tell when all is stored."""

        def finish(self) -> None:
            finished.append(1)

    text = "inputs: {record: {type: record}}\nnodes:\n  out: {type: test.counted, input: inputs.record, workers: 1}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Counted) as executor:
            assert (await executor.submit(number(1))).metrics.outcome is Outcome.COMPLETED
            if fails:
                raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        asyncio.run(scenario())
    assert bool(finished) == (not fails)


def test_a_cancelled_request_ends_and_holds_up_nobody(tmp_path: Path) -> None:
    """Cancelled while a node works on it, a request counts as cancelled, and others are served."""
    gate = Gate()

    async def scenario() -> None:
        async with one_node(tmp_path, "test.gated", gate.node(), policies="workers: 1") as executor:
            sending = [asyncio.create_task(executor.submit(number(value))) for value in range(3)]
            await asyncio.to_thread(gate.entered.wait, 30)
            for task in sending[:2]:
                task.cancel()
            gate.leave.set()
            done = await asyncio.gather(*sending, return_exceptions=True)
            assert [isinstance(one, asyncio.CancelledError) for one in done] == [True, True, False]
        assert executor.report is not None
        assert (executor.report.records.cancelled, executor.report.records.completed) == (2, 1)

    asyncio.run(scenario())


def test_closing_sees_requests_through(tmp_path: Path) -> None:
    """What is under way when the block is left ends as usual; what comes later is refused."""
    gate = Gate()

    async def scenario() -> None:
        executor = one_node(tmp_path, "test.gated", gate.node())
        async with executor:
            sending = asyncio.create_task(executor.submit(number(1)))
            await asyncio.to_thread(gate.entered.wait, 30)
            asyncio.get_running_loop().call_soon(gate.leave.set)
        assert (await sending).metrics.outcome is Outcome.COMPLETED
        with pytest.raises(ExecutorClosedError, match="expected it inside `async with executor:`"):
            await executor.submit(number(1))

    asyncio.run(scenario())


def test_an_exception_that_leaves_the_block_ends_what_waits(tmp_path: Path) -> None:
    """Requests are not seen through then, and get an error of their own."""
    gate = Gate()

    async def scenario() -> None:
        executor = one_node(tmp_path, "test.gated", gate.node(), policies="workers: 1")
        with pytest.raises(ZeroDivisionError):
            async with executor:
                sending = [asyncio.create_task(executor.submit(number(value))) for value in range(3)]
                await asyncio.to_thread(gate.entered.wait, 30)
                asyncio.get_running_loop().call_soon(gate.leave.set)
                raise ZeroDivisionError
        done = await asyncio.gather(*sending, return_exceptions=True)
        assert all(isinstance(one, ExecutorClosedError) for one in done)

    asyncio.run(scenario())


@pytest.mark.parametrize("call", ["submit", "session", "send", "finish", "receive", "control", "cancel"])
def test_a_call_from_another_event_loop_is_refused(tmp_path: Path, call: str) -> None:
    """It would wait for ever, because nobody would wake that loop; the error says what other threads use."""

    async def scenario() -> None:
        async with one_node(tmp_path, "testing.pass") as executor, executor.session() as session:

            async def elsewhere() -> None:
                calls: dict[str, Callable[[], object]] = {
                    "submit": lambda: executor.submit(number(1)),
                    "session": executor.session,
                    "send": lambda: session.send(number(1)),
                    "finish": session.finish,
                    "receive": session.receive,
                    "control": lambda: session.control("reset"),
                    "cancel": session.cancel,
                }
                made = calls[call]()
                if asyncio.iscoroutine(made):
                    await made

            with pytest.raises(RuntimeError, match=r"outside the event loop.*executor\.blocking"):
                await asyncio.to_thread(lambda: asyncio.run(asyncio.wait_for(elsewhere(), 30)))
            await session.send(number(1))
            await session.finish()
            assert len([item async for item in session]) == 1

    asyncio.run(scenario())


def test_several_executors_are_open_at_once(tmp_path: Path) -> None:
    """Two executors in one loop, of one manifest too, share nothing; one that is open is not opened again."""

    async def scenario() -> None:
        first, second = one_node(tmp_path, "testing.pass"), one_node(tmp_path, "testing.pass")
        async with first, second:
            await asyncio.gather(*(executor.submit(number(1), key="n") for executor in (first, second, first)))
            with pytest.raises(RuntimeError, match="open already"):
                await first.__aenter__()
        assert first.report is not None and second.report is not None
        assert (first.report.records.read, second.report.records.read) == (2, 1)
        async with first:
            await first.submit(number(1))

    asyncio.run(scenario())


def test_a_node_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    """Entering raises the node's error, and closes what was open by then."""
    closed = threading.Event()

    @node("test.unopened", inputs={"record": "record"}, outputs={"record": "record"})
    class Unopened(Node[Params]):
        """Cannot be opened."""

        def open(self) -> None:
            raise FileNotFoundError("weights")

    @node("test.closing", inputs={"record": "record"}, outputs={"record": "record"}, run="inline")
    class Closing(Node[Params]):
        """Tell when it is closed."""

        def close(self) -> None:
            closed.set()

    text = ENDS + "nodes:\n  first: {type: test.closing, input: inputs.record}\n  work: {type: test.unopened, input: first}\n"

    async def scenario() -> None:
        executor = served(tmp_path, text, Unopened, Closing)
        with pytest.raises(NodeError, match="node 'work': could not be opened"):
            async with executor:
                raise AssertionError("it was opened")

    asyncio.run(scenario())
    assert closed.is_set()
