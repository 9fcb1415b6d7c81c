"""Ctrl-C while nodes work in the event loop, in programs that embed an executor: it gets out, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import ExecutorClosedError
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import one_node
from small_runs import executor_for, journalled, line
from talking import number

Press = Callable[[], None]


def _raised() -> None:
    """As where nobody handles the signal: it is raised right here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _handled() -> None:
    """As under asyncio.run: the main task is cancelled first."""
    signal.raise_signal(signal.SIGINT)


def _pressed_twice() -> None:
    """As under asyncio.run, by someone who is impatient."""
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def pressing(press: Press, at: int) -> type[Node[Params]]:
    """A node type `test.pressed` in whose call someone presses Ctrl-C."""

    @node("test.pressed", inputs={"record": "record"}, outputs={"record": "record"}, run="inline", streaming="causal")
    class Pressed(Node[Params]):
        """Be interrupted once."""

        def process(self, item: Item, state: None) -> Item:
            if item.payload["record"]["number"] == at:
                press()
            return item

        def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Item]:
            return [self.process(item, None) for item in items]

    return Pressed


@node("test.pressed", inputs={"record": "record"}, outputs={"record": "record"}, run="inline", cardinality="1:N")
class PressedGenerator(Node[Params]):
    """Be interrupted when more is asked for than goes on at a time."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        for one in range(1000):
            if one == 900 and item.payload["record"]["number"] == 3:
                _raised()
            yield item.child(one, item.payload)


def interrupted(executor: Executor) -> None:
    """Run it, and see that nothing is lost or complained about."""
    complaints: list[dict[str, Any]] = []

    async def running() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await executor.run_async()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(running())
    report = executor.report
    assert report is not None and complaints == []
    assert report.status == "interrupted"
    assert report.records.completed + report.records.cancelled == report.records.read == len(journalled(report)) > 0
    assert not (report.run_directory / "lock").exists()


@pytest.mark.parametrize("batch", ["", "batch: {max_items: 4}"])
@pytest.mark.parametrize("press", [_raised, _handled, _pressed_twice])
def test_ctrl_c_in_an_inline_node_ends_the_run(tmp_path: Path, press: Press, batch: str) -> None:
    """KeyboardInterrupt gets out of the run when all of its tasks and threads have ended; every record has an outcome."""
    text = line("test.pressed").replace("input: numbers", f"input: {{record: {{from: numbers, {batch}}}}}")
    interrupted(executor_for(tmp_path, text, pressing(press, 7)))


def test_ctrl_c_while_a_node_gives_more_ends_the_run(tmp_path: Path) -> None:
    """The same of a generator that is asked for its next stretch."""
    interrupted(executor_for(tmp_path, line("test.pressed"), PressedGenerator))


@pytest.mark.parametrize("press", [_raised, _handled, _pressed_twice])
def test_ctrl_c_while_an_executor_serves_ends_it(tmp_path: Path, press: Press) -> None:
    """It gets out of the program's event loop; requests, sessions and the program's own tasks are at their end."""
    executor = one_node(tmp_path, "test.pressed", pressing(press, 7))
    complaints: list[dict[str, Any]] = []
    ended: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("beside")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        tasks.append(asyncio.create_task(beside()))
        async with executor, executor.session() as session:
            await session.send(number(1))
            await session.receive()
            requests = [asyncio.create_task(executor.submit(number(value))) for value in range(20)]
            await asyncio.gather(*requests, return_exceptions=True)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert (ended, complaints) == (["beside"], [])
    report = executor.report
    assert report is not None
    assert report.status == "interrupted"
    assert report.records.completed + report.records.cancelled == report.records.read > 0


def test_an_executor_that_was_interrupted_is_closed(tmp_path: Path) -> None:
    """Where the event loop lives on, as in a notebook, the executor is closed; it can be left and opened again."""
    executor = one_node(tmp_path, "test.pressed", pressing(_raised, 7))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(executor.__aenter__())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(executor.submit(number(7)))
        with pytest.raises(ExecutorClosedError):
            loop.run_until_complete(executor.submit(number(1)))
        loop.run_until_complete(executor.__aexit__(None, None, None))
        loop.run_until_complete(executor.__aenter__())
        assert loop.run_until_complete(executor.submit(number(1))).outputs["out"]
        loop.run_until_complete(executor.__aexit__(None, None, None))
    finally:
        loop.close()
