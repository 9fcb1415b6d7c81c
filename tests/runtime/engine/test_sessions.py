"""Sessions: chunks in, results out, each session with a state and an order of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.engine import conversation
from phonograph.errors import TransientError
from phonograph.executor import Executor
from phonograph.flow.filter import Filter
from phonograph.flow.join import Join
from phonograph.flow.merge import Merge
from phonograph.flow.order import Order
from phonograph.item import Item
from phonograph.node import Node, Params, node
from served import Gate, served
from talking import TallyNode, nothing_is_kept, number, received, tallying


@node("test.length", inputs="audio", outputs={"record": "record"})
class Length(Node[Params]):
    """Tell how long whole audio is."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"record": {"samples": item.audio.num_samples, "duration": item.attributes["duration"]}})


@node("test.twice", inputs={"record": "record"}, outputs={"record": "record"}, cardinality="1:N", streaming="causal")
class Twice(Node[Params]):
    """Give each item twice."""

    def process(self, item: Item, state: None) -> Iterator[Item]:
        for part in range(2):
            yield item.child(part, item.payload)


@pytest.mark.parametrize("workers", [1, 3])
def test_each_session_has_a_state_and_an_order_of_its_own(tmp_path: Path, workers: int) -> None:
    """What a session gets depends on its own chunks alone, in their order, and its flush comes behind all of them."""

    async def talk(executor: Executor, first: int) -> None:
        sent = list(range(first, first + 40))
        async with executor.session() as session:

            async def send() -> None:
                for value in sent:
                    await session.send(number(value))
                await session.finish()

            sending = asyncio.create_task(send())
            items = [item async for item in session]
            await sending
        assert [item.payload["out"]["so far"] for item in items[:-1]] == [sent[: count + 1] for count in range(40)]
        assert items[-1].payload["out"] == {"all": sent}
        assert [item.index for item in items] == list(range(41))
        assert [item.key for item in items] == [f"{session.id}#{count:04d}" for count in range(41)]
        assert {item.session for item in items} == {session.id}

    async def scenario() -> None:
        async with tallying(tmp_path, policies=f"workers: {workers}") as executor:
            await asyncio.gather(*(talk(executor, 1000 * number) for number in range(30)))
            assert nothing_is_kept()

    asyncio.run(scenario())


def test_flushing_goes_through_the_graph_in_order(tmp_path: Path) -> None:
    """What a node gives at the end passes the nodes behind it as chunks do, before they are flushed themselves."""
    text = "inputs: {record: {type: record}}\noutputs: {out: last}\nnodes:\n"
    text += "  first: {type: test.tally, input: inputs.record}\n  twice: {type: test.twice, input: first}\n"
    text += "  shown: {type: test.shown, input: twice}\n  last: {type: testing.pass, input: shown}\n"

    @node("test.shown", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Shown(Node[Params]):
        """Count what comes, and tell at the end."""

        def start(self) -> list[Item]:
            return []

        def process(self, item: Item, state: list[Item]) -> Item:
            state.append(item)
            return item

        def flush(self, state: list[Item]) -> Item:
            return state[-1].with_payload({"record": len(state)})

    async def scenario() -> None:
        async with served(tmp_path, text, TallyNode, Twice, Shown) as executor, executor.session() as session:
            await session.send(number(7))
            await session.finish()
            items = [item async for item in session]
        sofar, everything = {"so far": [7], "told": []}, {"all": [7]}
        assert [item.payload["out"] for item in items] == [sofar, sofar, everything, everything, 4]
        name = session.id
        assert [item.key for item in items] == [
            *(f"{name}#0000#0000", f"{name}#0000#0001", f"{name}#0001#0000", f"{name}#0001#0001", f"{name}#0001")
        ]
        assert [item.index for item in items] == [0, 1, 2, 3, 4]

    asyncio.run(scenario())


def test_whole_audio_is_put_together_for_nodes_that_want_it(tmp_path: Path) -> None:
    """A node that is no stream gets the session's audio once, at the end, under the key of its first chunk."""
    text = "inputs: {audio: {type: audio}}\noutputs: {length: length, audio: inputs.audio}\nnodes:\n"
    text += "  length: {type: test.length, input: inputs.audio}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Length) as executor, executor.session("call") as session:
            for count in (100, 0, 60):
                await session.send(AudioChunk.of(np.zeros(count, np.float32), 16000))
            await session.finish()
            items = [item async for item in session]
        assert [(item.index, item.start_sample) for item in items if "audio" in item.payload] == [(0, 0), (1, 100), (2, 100)]
        (whole,) = (item for item in items if "length" in item.payload)
        assert (whole.key, whole.payload["length"]) == ("call#0000", {"samples": 160, "duration": 0.01})

    asyncio.run(scenario())


def test_audio_that_is_too_much_to_put_together_fails_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound nothing is kept, and each chunk becomes a dead letter that says so; what a gap had closed is given."""
    monkeypatch.setattr(conversation, "MAX_GATHERED", 4 * 150)
    text = "inputs: {audio: {type: audio}}\noutputs: {out: length}\nnodes: {length: {type: test.length, input: inputs.audio}}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Length) as executor, executor.session("call") as session:
            for rate in (16000, 8000, 16000, 16000, 16000):
                await session.send(AudioChunk.of(np.zeros(100, np.float32), rate))
            await session.finish()
            assert [payload["samples"] for payload in await received(session)] == [100, 100]
        assert [(letter.key, letter.code) for letter in session.dead_letters] == [
            *(("call#0003", "bad_input"), ("call#0004", "bad_input"))
        ]

    asyncio.run(scenario())


def test_branches_meet_chunk_by_chunk(tmp_path: Path) -> None:
    """Joins, merges and filters do for chunks what they do for records, and the end passes all of them."""
    text = "inputs: {record: {type: record}}\noutputs: {both: both.left, all: all, tally: tally}\nnodes:\n"
    text += "  split: {type: testing.pass, input: inputs.record}\n  plain: {type: testing.pass, input: split}\n"
    text += "  some: {type: flow.filter, input: split, params: {keep: attributes.wanted == true}}\n"
    text += "  both: {type: flow.join, input: {left: plain, right: some}}\n"
    text += "  all: {type: flow.merge, input: {left: plain, right: some}}\n"
    text += "  tally: {type: test.tally, input: both.right}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, TallyNode, Join, Merge, Filter) as executor, executor.session() as session:
            sending = asyncio.create_task(_send(session))
            by_output: dict[str, list[Any]] = {"both": [], "all": [], "tally": []}
            async for item in session:
                ((output, payload),) = item.payload.items()
                by_output[output].append(payload)
            await sending
        assert [payload["number"] for payload in by_output["both"]] == list(range(0, 200, 2))
        assert sorted(payload["number"] for payload in by_output["all"]) == sorted([*range(200), *range(0, 200, 2)])
        assert by_output["tally"][-1] == {"all": list(range(0, 200, 2))}

    async def _send(session: Any) -> None:
        for value in range(200):
            await session.send(number(value), attributes={"wanted": value % 2 == 0})
        await session.finish()

    asyncio.run(scenario())


def test_a_chunk_that_fails_is_a_dead_letter_and_a_gap(tmp_path: Path) -> None:
    """The session goes on with a fresh state, and the next chunk says that something is missing before it."""

    async def scenario() -> None:
        async with tallying(tmp_path) as executor, executor.session("call") as session:
            for value in (1, -2, 3):
                await session.send(number(value))
            await session.finish()
            items = [item async for item in session]
        assert [item.payload["out"].get("so far") for item in items] == [[1], [3], None]
        assert [item.discontinuity for item in items[:2]] == [False, True]
        assert [(letter.key, letter.message, letter.attempts) for letter in session.dead_letters] == [
            ("call#0001", "RuntimeError: negative", 1)
        ]
        assert session.num_failed == 1

    asyncio.run(scenario())


def test_a_chunk_that_is_tried_again_is_not_overtaken(tmp_path: Path) -> None:
    """Chunks behind one that waits for its next attempt wait too; those of other sessions do not."""
    failing = threading.Event()
    failing.set()

    @node("test.healing", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class Healing(Node[Params]):
        """Fail on the number 1 until the event is cleared."""

        def process(self, item: Item, state: None) -> Item:
            if item.payload["record"]["number"] == 1 and failing.is_set():
                raise TransientError("not yet")
            return item

    text = "inputs: {record: {type: record}}\noutputs: {out: work}\nnodes:\n"
    text += "  twice: {type: test.twice, input: inputs.record}\n"
    text += "  work: {type: test.healing, input: twice, retry: {max_retries: 100, base_delay: 1ms, max_delay: 1ms}}\n"

    async def scenario() -> None:
        async with served(tmp_path, text, Healing, Twice) as executor:
            async with executor.session() as one, executor.session() as other:
                for value in range(3):
                    await one.send(number(value))
                await other.send(number(5))
                await other.finish()
                assert [payload["number"] for payload in await received(other)] == [5, 5]
                failing.clear()
                await one.finish()
                assert [payload["number"] for payload in await received(one)] == [0, 0, 1, 1, 2, 2]
            assert one.num_failed == 0

    asyncio.run(scenario())


def test_sessions_and_requests_share_an_executor(tmp_path: Path) -> None:
    """A request of whole records starts and flushes a state of its own between the chunks of sessions."""

    async def scenario() -> None:
        async with tallying(tmp_path, policies="workers: 1") as executor, executor.session() as session:
            for value in range(20):
                await session.send(number(value))
                await session.receive()
            with pytest.raises(ValueError, match="session 'session-1' is open already"):
                executor.session("session-1")

    asyncio.run(scenario())


def test_the_end_waits_for_what_is_put_into_order(tmp_path: Path) -> None:
    """Where items wait for earlier ones of other sessions, the end of theirs does not go ahead of them."""
    gate = Gate()

    @node("test.first_waits", inputs={"record": "record"}, outputs={"record": "record"}, streaming="causal")
    class FirstWaits(Node[Params]):
        """Keep the number 0 back."""

        def process(self, item: Item, state: None) -> Item:
            if not item.payload["record"]["number"]:
                gate.pass_through()
            return item

    text = "inputs: {record: {type: record}}\noutputs: {out: tally}\nnodes:\n"
    text += "  first: {type: test.first_waits, input: inputs.record, workers: 2}\n"
    text += "  ordered: {type: flow.order, input: first}\n  tally: {type: test.tally, input: ordered}\n"

    async def scenario() -> None:
        async with (
            served(tmp_path, text, FirstWaits, Order, TallyNode) as executor,
            executor.session() as slow,
            executor.session() as quick,
        ):
            await slow.send(number(0))
            await quick.send(number(1))
            await asyncio.gather(slow.finish(), quick.finish())
            await asyncio.to_thread(gate.entered.wait, 30)
            gate.leave.set()
            assert (await received(quick))[-1] == {"all": [1]}
            assert (await received(slow))[-1] == {"all": [0]}

    asyncio.run(scenario())
