"""Sessions through nodes in processes: they do as in threads, and a process that dies ends those whose state it had."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phonograph.audio import AudioChunk
from phonograph.engine.sessions import Session
from phonograph.errors import NodeError, SessionEndedError
from phonograph.executor import Executor
from served import served
from talking_processes import Echo, Lasts, Louder, SumNode, Sums

TEXT = """
inputs: {{record: {{type: record}}}}
outputs: {{out: work}}
nodes:
  work: {{type: {type}, input: {input}, run: process, workers: {workers}{more}}}
"""


def isolated(folder: Path, type_name: str, *, workers: int = 1, batch: str = "", more: str = "") -> Executor:
    """An executor of one node in processes."""
    read = f"{{record: {{from: inputs.record, batch: {{{batch}}}}}}}" if batch else "inputs.record"
    text = TEXT.format(type=type_name, input=read, workers=workers, more=more)
    return served(folder, text, SumNode, Echo, Sums)


def number(value: int, **more: object) -> dict[str, Any]:
    return {"record": {"number": value, **more}}


async def next_of(session: Session) -> Any:
    item = await session.receive()
    assert item is not None
    return item.payload["out"]


async def said(session: Session, value: int, **more: object) -> Any:
    """What comes of one chunk."""
    await session.send(number(value, **more))
    return await next_of(session)


def reason_of(raised: pytest.ExceptionInfo[SessionEndedError]) -> str:
    return raised.value.reason


@pytest.mark.parametrize("workers", [1, 2])
def test_each_session_has_its_state_in_one_process(tmp_path: Path, workers: int) -> None:
    """Sessions share the processes, keep to one each, and are flushed there at their end, after which nothing is left of them."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum", workers=workers) as executor:
            sessions = [executor.session() for _ in range(4)]
            for value in range(1, 4):
                found = [await said(one, value * 10**place) for place, one in enumerate(sessions)]
            assert [one["sum"] for one in found] == [6, 60, 600, 6000]
            assert len({one["pid"] for one in found}) == workers
            assert found[-1]["alive"] == 4 // workers
            for place, one in enumerate(sessions):
                await one.finish()
                items = [item async for item in one]
                assert [(item.payload["out"], item.index) for item in items] == [({"all": 6 * 10**place}, 3)]
            async with executor.session() as last:
                assert (await said(last, 1))["alive"] == 1

    asyncio.run(scenario())


def test_sessions_that_are_cancelled_or_idle_leave_nothing_in_the_process(tmp_path: Path) -> None:
    """Their states are let go of there, while others keep theirs."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum") as executor, executor.session() as kept:
            idle, cancelled = executor.session(idle_timeout=0.05), executor.session()
            for one in (kept, cancelled, idle):
                found = await said(one, 1)
            assert found["alive"] == 3
            cancelled.cancel()
            with pytest.raises(SessionEndedError) as raised:
                await idle.receive()
            assert reason_of(raised) == "idle"
            found = await said(kept, 2)
            assert (found["sum"], found["alive"]) == (3, 1)

    asyncio.run(scenario())


def test_a_process_that_dies_ends_the_sessions_whose_state_it_had(tmp_path: Path) -> None:
    """Its chunk is a dead letter; those who had a state there are told why they end; new ones begin in a fresh process."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum", workers=2) as executor:
            first, elsewhere, beside = (executor.session(name) for name in ("first", "elsewhere", "beside"))
            pids = [(await said(one, 1))["pid"] for one in (first, elsewhere, beside)]
            assert pids[0] == pids[2] != pids[1]
            await first.send(number(1, do="abort"))
            for one in (first, beside):
                with pytest.raises(SessionEndedError, match="of node 'work' was killed by SIGABRT") as raised:
                    await one.receive()
                assert reason_of(raised) == "worker_died"
            assert [(letter.node, letter.key, letter.code) for letter in first.dead_letters] == [
                ("work", "first#0001", "worker_died")
            ]
            assert not beside.dead_letters
            assert (await said(elsewhere, 1))["sum"] == 2
            async with executor.session() as fresh:
                assert (await said(fresh, 5))["sum"] == 5

    asyncio.run(scenario())


def test_a_process_that_dies_between_chunks_is_not_replaced_unnoticed(tmp_path: Path) -> None:
    """A session whose state has gone with a process that nobody called ends too, also when it only wants to finish."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum") as executor, executor.session("talk") as session:
            pid = (await said(session, 1))["pid"]
            died = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitid, os.P_PIDFD, died, os.WEXITED | os.WNOWAIT)
            os.close(died)
            await session.finish()
            with pytest.raises(SessionEndedError, match="SIGKILL") as raised:
                await session.receive()
            assert reason_of(raised) == "worker_died"
            assert [letter.key for letter in session.dead_letters] == ["talk#0001"]

    asyncio.run(scenario())


def test_stateless_nodes_go_on_in_a_fresh_process(tmp_path: Path) -> None:
    """The chunk that a process died of is a dead letter, the next one says that it is missing, and the numbers go on."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.echo") as executor, executor.session("talk") as session, executor.session() as other:
            before = [await said(session, 0), await said(other, 0)]
            await session.send(number(1, do="abort"))
            await session.send(number(2))
            item = await session.receive()
            assert item is not None
            after = item.payload["out"]
            assert (after["number"], after["gap"], item.index) == (2, True, 1)
            assert after["pid"] != before[0]["pid"] == before[1]["pid"]
            found = await said(other, 1)
            assert (found["number"], found["gap"]) == (1, False)
            assert [letter.code for letter in session.dead_letters] == ["worker_died"]
            await session.finish()
            assert [item async for item in session] == []
        assert executor.report is not None
        assert (executor.report.records.completed, executor.report.records.dead_lettered) == (4, 1)

    asyncio.run(scenario())


def test_messages_reach_nodes_in_processes(tmp_path: Path) -> None:
    """They come to the session's state; one that a process dies of ends the sessions that were there."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum") as executor, executor.session() as session, executor.session() as other:
            await said(other, 1)
            session.control({"threshold": 3})
            assert (await said(session, 1))["told"] == [{"threshold": 3}]
            session.control("sum")
            item = await session.receive()
            assert item is not None
            assert (item.payload["out"], item.index) == ({"asked": 1}, 1)
            session.control("lock")
            session.control(lambda: None)  # no function can travel that has no name
            assert (await said(session, 1))["sum"] == 2
            session.control("abort")
            for one in (session, other):
                with pytest.raises(SessionEndedError) as raised:
                    await one.receive()
                assert reason_of(raised) == "worker_died"

    asyncio.run(scenario())


def test_what_cannot_be_handed_back_fails_the_chunk(tmp_path: Path) -> None:
    """A result that no other process can be given is a dead letter, and the node begins with a fresh state."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum") as executor, executor.session("talk") as session:
            assert (await said(session, 1))["sum"] == 1
            await session.send(number(1, do="lock"))
            assert (await said(session, 5))["sum"] == 5
            assert [(letter.key, letter.code) for letter in session.dead_letters] == [("talk#0001", "node_contract")]
            await session.send(number(1, do="fail"))
            await session.finish()
            assert [item async for item in session] == []
            assert [letter.message for letter in session.dead_letters][1:] == ["RuntimeError: as told"]

    asyncio.run(scenario())


def test_on_error_fail_is_told_before_the_lost_state(tmp_path: Path) -> None:
    """Where the manifest says that a failure ends the session, the session ends with that failure."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sum", more=", on_error: fail") as executor, executor.session() as session:
            await said(session, 1)
            await session.send(number(1, do="abort"))
            with pytest.raises(NodeError, match="SIGABRT"):
                await session.receive()

    asyncio.run(scenario())


def test_chunks_of_several_sessions_go_to_a_process_together(tmp_path: Path) -> None:
    """Batches form across sessions, whose states are there; one that kills the process ends those that had a state."""

    async def scenario() -> None:
        async with isolated(tmp_path, "test.sums", batch="max_items: 4, max_wait: 1h") as executor:
            sessions = [executor.session() for _ in range(4)]
            for value in (1, 2):
                for place, one in enumerate(sessions):
                    await one.send(number(value * 10**place))
                found = [await next_of(one) for one in sessions]
            assert [one["sum"] for one in found] == [3, 30, 300, 3000]
            for one in sessions:
                await one.send(number(0, do="abort" if one is sessions[2] else ""))
            for one in sessions:
                with pytest.raises(SessionEndedError) as raised:
                    await one.receive()
                assert reason_of(raised) == "worker_died"
                assert [letter.code for letter in one.dead_letters] == ["worker_died"]

    asyncio.run(scenario())


def test_whole_audio_is_put_together_in_the_process(tmp_path: Path) -> None:
    """A node gets at the end, bit for bit, what came to its process chunk by chunk from another one, beside other sessions."""
    text = "inputs: {audio: {type: audio}}\noutputs: {out: work}\nnodes:\n"
    text += "  louder: {type: test.louder, input: inputs.audio, run: process, workers: 2}\n"
    text += "  work: {type: test.lasts, input: louder, run: process, workers: 1}\n"

    async def one(executor: Executor, place: int) -> None:
        audio = np.random.default_rng(place).standard_normal((1, 40 * 20_000), np.float32)
        async with executor.session() as session:
            for start in range(0, audio.shape[1], 20_000):  # 80 kB each
                await session.send(AudioChunk(np.ascontiguousarray(audio[:, start : start + 20_000]), 16_000))
            await session.finish()
            (item,) = [item async for item in session]
            found = item.payload["out"]
            assert (found["samples"], found["content"]) == (audio.size, zlib.crc32((audio * np.float32(2)).data))
            assert found["here"] != os.getpid()

    async def scenario() -> None:
        async with served(tmp_path, text, Louder, Lasts) as executor:
            await asyncio.gather(*(one(executor, place) for place in range(2)))

    asyncio.run(scenario())


def test_a_storm_over_dying_processes_leaves_nothing(tmp_path: Path) -> None:
    """Sessions end with all that is theirs, or are told that their state has gone; every record is accounted for."""
    text = "inputs: {record: {type: record}}\noutputs: {sum: sum, echo: echo}\nnodes:\n"
    text += "  sum: {type: test.sum, input: inputs.record, run: process, workers: 2}\n"
    text += "  echo: {type: test.echo, input: inputs.record, run: process, workers: 1}\n"

    async def one(executor: Executor, place: int) -> str:
        chance = random.Random(place)
        numbers = [10 * place + value for value in range(chance.randrange(2, 20))]
        sums: list[int] = []
        async with executor.session() as session:

            async def send() -> None:
                for value in numbers:
                    await session.send(number(value, do="abort" if value == 55 else ""))
                    if chance.random() < 0.3:
                        session.control("hear")
                await session.finish()

            sending = asyncio.create_task(send())
            try:
                async for item in session:
                    sums += [item.payload["sum"]["all"]] if "all" in item.payload.get("sum", ()) else []
                    if place % 7 == 6 and chance.random() < 0.2:
                        return "left"
            except SessionEndedError as ended:
                return ended.reason
            finally:
                sending.cancel()
                await asyncio.wait((sending,))
        assert sums == [sum(numbers)]
        return "finished"

    async def scenario() -> None:
        async with served(tmp_path, text, SumNode, Echo) as executor:
            ends = await asyncio.gather(*(one(executor, place) for place in range(12)))
            assert {"finished", "worker_died"} <= set(ends) <= {"finished", "worker_died", "left"}
            async with executor.session() as last:
                await last.send(number(1))
                await last.finish()
                payloads = [item.payload async for item in last]
                assert [one["sum"]["alive"] for one in payloads if "alive" in one.get("sum", ())] == [1]
        assert executor.report is not None  # which has counted every record, or would not be there

    asyncio.run(scenario())
