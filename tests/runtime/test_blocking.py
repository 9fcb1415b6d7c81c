"""Executors for code that does not await: a thread of their own, or other threads beside an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phonograph.blocking import BlockingSession
from phonograph.errors import ExecutorClosedError, NodeError, SessionEndedError
from phonograph.node import Node, Params, node
from served import Gate, one_node
from talking import nothing_is_kept, number, tallying


def numbers_of(session: BlockingSession) -> Iterator[list[int]]:
    for item in session:
        payload = item.payload["out"]
        yield payload["all"] if "all" in payload else payload["so far"]


def test_a_program_without_an_event_loop_sends_requests_and_chunks(tmp_path: Path) -> None:
    """Inside `with`, submit and sessions block; outside, the executor is closed and can be opened again."""
    executor = tallying(tmp_path).blocking()
    for _ in range(2):
        with executor:
            assert executor.submit(number(1), key="n").outputs["out"][0].key == "n"
            with executor.session("call") as session:
                session.send(number(1))
                session.control("hello")
                session.send(number(-1), attributes={"fails": True})
                session.finish()
                assert list(numbers_of(session)) == [[1]]
                assert [letter.attributes for letter in session.dead_letters] == [{"fails": True}]
                assert session.receive() is None
        with pytest.raises(ExecutorClosedError):
            executor.submit(number(1))
        assert nothing_is_kept()


def test_it_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook: the executor has a loop and a thread of its own."""

    async def scenario() -> None:
        with one_node(tmp_path, "testing.pass").blocking() as executor:
            assert len(executor.submit(number(1)).outputs["out"]) == 1

    asyncio.run(scenario())


def test_many_threads_share_an_executor(tmp_path: Path) -> None:
    """Requests and sessions of threads do not mix, and one thread may send while another receives."""

    def talk(first: int) -> None:
        with executor.session() as session:

            def send() -> None:
                for value in range(first, first + 50):
                    session.send(number(value))
                session.finish()

            sending = threading.Thread(target=send)
            sending.start()
            assert list(numbers_of(session))[-1] == list(range(first, first + 50))
            sending.join()
        assert executor.submit(number(first)).outputs["out"][0].payload["out"]["so far"] == [first]

    with tallying(tmp_path).blocking() as executor, ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(talk, 100 * number) for number in range(12)]:
            done.result()


def test_threads_beside_an_event_loop_use_its_executor(tmp_path: Path) -> None:
    """The blocking view serves other threads, refuses the loop's own, and needs no opening."""

    async def scenario() -> None:
        async with one_node(tmp_path, "testing.pass") as executor:
            blocking = executor.blocking()
            results = await asyncio.gather(*(asyncio.to_thread(blocking.submit, number(value)) for value in range(4)))
            assert [result.outputs["out"][0].payload["out"]["number"] for result in results] == [0, 1, 2, 3]
            with pytest.raises(RuntimeError, match="called in the event loop that is to answer; expected `await"):
                blocking.submit(number(1))
            with pytest.raises(RuntimeError, match="open already"), blocking:
                raise AssertionError("it was opened twice")

    asyncio.run(scenario())


def test_a_node_that_cannot_be_opened_is_told_where_it_is_opened(tmp_path: Path) -> None:
    """`with` raises what opening does, and leaves no thread."""

    @node("test.unopened", inputs={"record": "record"}, outputs={"record": "record"})
    class Unopened(Node[Params]):
        """Cannot be opened."""

        def open(self) -> None:
            raise FileNotFoundError("weights")

    with (
        pytest.raises(NodeError, match="node 'work': could not be opened"),
        one_node(tmp_path, "test.unopened", Unopened).blocking(),
    ):
        raise AssertionError("it was opened")


def test_closing_sees_requests_of_other_threads_through(tmp_path: Path) -> None:
    """A thread that waits for a result gets it, one that waits for a session is told that it has ended."""
    gate = Gate()
    with ThreadPoolExecutor(2) as pool:
        with one_node(tmp_path, "test.gated", gate.node()).blocking() as executor:
            session = executor.session()
            sending = pool.submit(executor.submit, number(1))
            receiving = pool.submit(session.receive)
            assert gate.entered.wait(30)
            threading.Timer(0.01, gate.leave.set).start()
        assert len(sending.result().outputs["out"]) == 1
        with pytest.raises(ExecutorClosedError):
            receiving.result()


def test_a_session_ends_with_its_block(tmp_path: Path) -> None:
    """Leaving the block cancels what is not finished."""
    with tallying(tmp_path).blocking() as executor:
        with executor.session() as session:
            session.send(number(1))
        with pytest.raises(SessionEndedError, match="it was cancelled"):
            session.send(number(2))
        assert nothing_is_kept()
