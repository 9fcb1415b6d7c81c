"""Batches across requests and sessions: who comes together, whose state is whose, who is at fault."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from phonograph.engine.sessions import Session
from phonograph.errors import BadInputError, TransientError
from phonograph.executor import Executor
from phonograph.item import Item
from phonograph.node import Emitted, Node, Params, node
from phonograph.testing import simulate
from served import served
from talking import number, received

CALLS: list[list[tuple[str | None, int]]] = []
"""Of each call, the session and the number of each item."""

GATE = threading.Event()
STATES: list[list[int]] = []


@pytest.fixture(autouse=True)
def open_gate() -> None:
    CALLS.clear()
    STATES.clear()
    GATE.set()


def value(item: Item) -> int:
    found: int = item.payload["record"]["number"]
    return found


@node("test.sums", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Sums(Node[Params]):
    """Add up what a session has sent, and tell at the end; -1 is bad, and -2 is bad and named as such."""

    def start(self) -> list[int]:
        STATES.append([])
        return STATES[-1]

    def process_batch(self, items: Sequence[Item], states: Sequence[list[int]]) -> Sequence[Emitted | Exception]:
        CALLS.append([(item.session, value(item)) for item in items])
        assert GATE.wait(30), "nobody opened the gate"
        if any(value(item) == -1 for item in items):
            raise BadInputError("one of them is bad")
        results: list[Emitted | Exception] = []
        for item, state in zip(items, states, strict=True):
            if value(item) == -2:
                results.append(BadInputError("this one is bad"))
                continue
            state.append(value(item))
            results.append(item.with_payload({"record": sum(state)}))
        return results

    def flush(self, state: list[int]) -> None:
        return None


@node("test.doubles", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
class Doubles(Node[Params]):
    """Double a number; fail once on 13, as if it could heal."""

    has_failed = False

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
        CALLS.append([(item.session, value(item)) for item in items])
        assert GATE.wait(30), "nobody opened the gate"
        if not self.has_failed and any(value(item) == 13 for item in items):
            self.has_failed = True
            raise TransientError("not now")
        return [item.with_payload({"record": 2 * value(item)}) for item in items]


def batched(folder: Path, type_name: str, batch: str, more: str = "", **options: Any) -> Executor:
    text = f"""
inputs: {{record: {{type: record}}}}
outputs: {{out: work}}
nodes:
  work: {{type: {type_name}, input: {{record: {{from: inputs.record, batch: {{{batch}}}}}}}, workers: 1{more}}}
"""
    return served(folder, text, Sums, Doubles, **options)


def sizes() -> list[int]:
    return [len(call) for call in CALLS]


def test_requests_come_together(tmp_path: Path) -> None:
    """Each gets what came of its own; a full batch waits for nobody."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.doubles", "max_items: 4, max_wait: 1h") as executor:
            results = await asyncio.gather(*(executor.submit(number(one)) for one in range(8)))
        assert [result.outputs["out"][0].payload["out"] for result in results] == [2 * one for one in range(8)]

    asyncio.run(scenario())
    assert sizes() == [4, 4]


def test_a_request_that_nobody_joins_goes_when_it_has_waited(tmp_path: Path) -> None:
    """Nobody but the clock ends its wait."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.doubles", "max_items: 4, max_wait: 1ms") as executor:
            result = await executor.submit(number(3))
        assert result.outputs["out"][0].payload["out"] == 6

    asyncio.run(scenario())
    assert sizes() == [1]


def test_closing_lets_go_what_waits_for_company(tmp_path: Path) -> None:
    """Requests are seen through, and nobody can join them any more."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.doubles", "max_items: 4, max_wait: 1h") as executor:
            asking = [asyncio.create_task(executor.submit(number(one))) for one in range(2)]
            await asyncio.sleep(0)
        assert [(await one).outputs["out"][0].payload["out"] for one in asking] == [0, 2]

    asyncio.run(scenario())
    assert sizes() == [2]


def test_a_bad_request_costs_the_others_of_its_batch_nothing(tmp_path: Path) -> None:
    """It is a dead letter, and they are answered."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.sums", "max_items: 4, max_wait: 1h") as executor:
            results = await asyncio.gather(*(executor.submit(number(one)) for one in (1, -1, 3, -2)))
        assert [result.outputs["out"][0].payload["out"] if result.outputs["out"] else None for result in results] == [
            *(1, None, 3, None)
        ]
        assert [len(result.dead_letters) for result in results] == [0, 1, 0, 1]

    asyncio.run(scenario())
    assert sizes() == [4, 2, 1, 1, 2]


async def talk(session: Session, values: Sequence[int]) -> list[Any]:
    async def send() -> None:
        for one in values:
            await session.send(number(one))
        await session.finish()

    sending = asyncio.create_task(send())
    found = await received(session)
    await sending
    return found


@pytest.mark.parametrize("type_name", ["test.sums", "test.doubles"])
def test_chunks_of_different_sessions_come_together(tmp_path: Path, type_name: str) -> None:
    """At most one of each session in a call, in its order, each with its own state; the first one to come waits for nobody."""

    async def scenario() -> list[list[Any]]:
        GATE.clear()
        async with batched(tmp_path, type_name, "max_items: 8, max_wait: 1h") as executor:
            sessions = [executor.session() for _ in range(4)]
            for place, session in enumerate(sessions):
                await session.send(number(10 * place))
            GATE.set()
            rest = (talk(one, range(10 * place + 1, 10 * place + 5)) for place, one in enumerate(sessions))
            return await asyncio.gather(*rest)

    found = asyncio.run(scenario())
    for place, results in enumerate(found):
        values = list(range(10 * place, 10 * place + 5))
        doubled = type_name == "test.doubles"
        assert results == [2 * one if doubled else sum(values[: count + 1]) for count, one in enumerate(values)]
    assert max(sizes()) >= 3  # one of them came first
    for call in CALLS:
        assert len({session for session, _ in call}) == len(call)


def test_a_bad_chunk_leaves_the_states_of_the_others(tmp_path: Path) -> None:
    """Its session goes on behind a gap, with a fresh state; the other one does not notice."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.sums", "max_items: 2, max_wait: 1h", run_dir=tmp_path / "run") as executor:
            one, other = executor.session(), executor.session()
            good, bad = await asyncio.gather(talk(one, [1, 2, 3, 4]), talk(other, [10, -1, 20, -2, 30]))
        assert good == [1, 3, 6, 10]
        assert bad == [10, 20, 30]

    asyncio.run(scenario())


def test_a_batch_that_is_tried_again_keeps_the_order_of_its_sessions(tmp_path: Path) -> None:
    """Their next chunks wait until it has succeeded."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.doubles", "max_items: 2, max_wait: 1h", ", retry: {base_delay: 1ms}") as executor:
            found = await asyncio.gather(talk(executor.session(), [1, 13, 3]), talk(executor.session(), [4, 5, 6]))
        assert list(found) == [[2, 26, 6], [8, 10, 12]]

    asyncio.run(scenario())


def test_a_cancelled_session_leaves_its_batch(tmp_path: Path) -> None:
    """Its chunk is not worked on, and the batch goes on without it."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.doubles", "max_items: 3, max_wait: 1h") as executor:
            request = asyncio.create_task(executor.submit(number(1)))
            session = executor.session()
            await session.send(number(2))
            for _ in range(20):  # both have joined a batch by then
                await asyncio.sleep(0)
            session.cancel()
            results = await asyncio.gather(request, executor.submit(number(3)))
            assert [result.outputs["out"][0].payload["out"] for result in results] == [2, 6]

    asyncio.run(scenario())
    assert all(value != 2 for call in CALLS for _, value in call)


def test_an_open_breaker_sheds_what_would_join(tmp_path: Path) -> None:
    """Each gets its own answer at once, and nobody waits for a batch."""
    more = ", breaker: {failure_threshold: 1, reset_timeout: 1h}"

    @node("test.broken", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Broken(Node[Params]):
        """Fail on all."""

        def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted]:
            CALLS.append([(item.session, value(item)) for item in items])
            raise RuntimeError("out of order")

    async def scenario() -> None:
        text = f"""
inputs: {{record: {{type: record}}}}
outputs: {{out: work}}
nodes:
  work: {{type: test.broken, input: {{record: {{from: inputs.record, batch: {{max_items: 2, max_wait: 1h}}}}}}, workers: 1{more}}}
"""
        async with served(tmp_path, text, Broken) as executor:
            first = await asyncio.gather(executor.submit(number(1)), executor.submit(number(2)))
            later = await executor.submit(number(3))
        codes = [letter.code for result in (*first, later) for letter in result.dead_letters]
        assert codes == ["exception", "breaker_open", "breaker_open"]

    asyncio.run(scenario())
    assert sizes() == [2, 1]


class Chunk(dict[str, int]):
    """A payload that can be watched."""


def test_a_cancelled_chunk_in_a_batch_is_not_kept(tmp_path: Path) -> None:
    """A worker with nothing to do holds none of those that were cancelled while they waited for company."""

    async def scenario() -> None:
        async with batched(tmp_path, "test.sums", "max_items: 3, max_wait: 60s") as executor:
            chunk = Chunk(number=1)
            watched = weakref.ref(chunk)
            first, *others = [executor.session() for _ in range(4)]
            for one in others:  # who has come before is waited for
                await one.send(number(2))
                assert await one.receive() is not None
            await first.send({"record": chunk})
            del chunk
            await asyncio.sleep(10)
            assert not CALLS[3:]
            first.cancel()
            for one in others[:2]:
                await one.send(number(2))
            await asyncio.sleep(10)
            assert watched() is None

    simulate(scenario(), seed=1)
