"""Executors for code that does not await: a thread of their own, or other threads beside an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from phonograph.blocking import BlockingExecutor, BlockingSession
from phonograph.engine.sessions import Session
from phonograph.errors import ExecutorClosedError, NodeError, SessionEndedError
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import Gate, one_node
from small_runs import line, run_text
from talking import TallyNode, nothing_is_kept, number, tallying


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


class Pressed:
    """Someone presses Ctrl-C while another thread is at work, which goes on when that has been noticed."""

    def __init__(self) -> None:
        self._noticed = threading.Event()

    def handle(self, *unused: object) -> None:
        self._noticed.set()
        raise KeyboardInterrupt

    def __call__(self, *unused: object) -> None:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        assert self._noticed.wait(30), "nobody was interrupted"


@pytest.fixture
def pressed() -> Iterator[Pressed]:
    found = Pressed()
    before = signal.signal(signal.SIGINT, found.handle)
    yield found
    signal.signal(signal.SIGINT, before)


def _node(opened: Callable[[], object] = int, closed: Callable[[], object] = int) -> type[Node[Params]]:
    @node("test.ends", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Ends(Node[Params]):
        """Do something when it is opened and closed."""

        def open(self) -> None:
            opened()

        def process(self, item: Item, state: None) -> Item:
            return item

        def close(self) -> None:
            closed()

    return Ends


def test_ctrl_c_while_it_opens_closes_it_again(tmp_path: Path, pressed: Pressed) -> None:
    """Whoever is interrupted while a model is loaded gets KeyboardInterrupt, and the executor can be opened again."""
    closed: list[str] = []
    presses: list[Callable[[], object]] = [int, pressed]
    ends = _node(lambda: presses.pop()(), lambda: closed.append("closed"))  # noqa: PLW0108  # one at each opening
    executor = one_node(tmp_path, "test.ends", ends, workers=1)
    with pytest.raises(KeyboardInterrupt), executor.blocking():
        raise AssertionError("it was opened")
    assert executor.loop is None
    assert closed == ["closed"]
    with executor.blocking() as again:
        assert again.submit(number(1)).outputs["out"]


@pytest.mark.parametrize("begins", [False, True])
def test_ctrl_c_while_its_thread_starts_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: bool) -> None:
    """An interrupt in `Thread.start` is an interrupt of opening, whether the thread has begun by then or not."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        ours = thread.name == "phonograph-blocking"
        if begins or not ours:
            start(thread)
        if ours:
            raise KeyboardInterrupt

    executor = one_node(tmp_path, "testing.pass")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt), executor.blocking():
            raise AssertionError("it was opened")
    with executor.blocking() as again:
        assert again.submit(number(1)).outputs["out"]


def test_ctrl_c_while_it_closes_does_not_keep_it_open(tmp_path: Path, pressed: Pressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is over at once, and the executor is closed in the background."""
    closed, ended = threading.Event(), threading.Event()
    live = BlockingExecutor._live

    def lived(executor: BlockingExecutor, *arguments: Any) -> None:
        live(executor, *arguments)
        ended.set()

    def close() -> None:
        pressed()
        closed.set()

    monkeypatch.setattr(BlockingExecutor, "_live", lived)
    with pytest.raises(KeyboardInterrupt), one_node(tmp_path, "test.ends", _node(closed=close), workers=1).blocking() as executor:
        assert executor.submit(number(1)).outputs["out"]
    assert ended.wait(30)  # and no `join`: of a thread whose `join` was interrupted Python says that it has ended
    assert closed.is_set()


def test_ctrl_c_while_a_session_is_opened_ends_it(tmp_path: Path, pressed: Pressed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that nobody was given is not kept."""
    made: list[Session] = []
    with tallying(tmp_path).blocking() as executor:
        opening = executor._executor.session

        def session(*arguments: Any, **options: Any) -> Session:
            made.append(opening(*arguments, **options))
            pressed()
            return made[0]

        monkeypatch.setattr(executor._executor, "session", session)
        with pytest.raises(KeyboardInterrupt):
            executor.session()
        with pytest.raises(SessionEndedError, match="it was cancelled"):
            executor.call(made[0].receive)


def test_threads_have_executors_of_their_own(tmp_path: Path) -> None:
    """Any number may be open in a process, each in the thread that opened it, beside runs in others: none sees another's."""

    def serve(first: int) -> None:
        with one_node(_folder(first), "test.tally", TallyNode).blocking() as executor, executor.session("call") as session:
            for value in range(first, first + 20):
                session.send(number(value))
            session.finish()
            assert list(numbers_of(session))[-1] == list(range(first, first + 20))
            assert executor.submit(number(first)).outputs["out"][0].payload["out"]["so far"] == [first]

    def run(first: int) -> None:
        report = run_text(_folder(first), line("testing.pass"))
        assert (report.status, report.records.completed) == ("success", 20)

    def _folder(number: int) -> Path:
        folder = tmp_path / str(number)
        folder.mkdir()
        return folder

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(serve if value % 200 else run, value) for value in range(0, 1200, 100)]:
            done.result()
    assert nothing_is_kept()


def test_a_task_that_is_cancelled_while_it_opens_an_executor_leaves_nothing(tmp_path: Path) -> None:
    """A node that was opened by then is closed, and the executor can be opened again."""
    gate, closed = Gate(), threading.Event()
    executor = one_node(tmp_path, "test.ends", _node(gate.pass_through, closed.set), workers=1)

    async def scenario() -> None:
        opening = asyncio.create_task(executor.__aenter__())
        await asyncio.to_thread(gate.entered.wait)
        opening.cancel()
        asyncio.get_running_loop().call_soon(gate.leave.set)
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert closed.is_set()
        with pytest.raises(ExecutorClosedError):
            await executor.submit(number(1))
        async with executor:
            assert (await executor.submit(number(1))).outputs["out"]

    asyncio.run(scenario())
