"""Claims about live sessions: thousands at once, a slow consumer, and what is left."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from phonograph.audio import AudioChunk
from phonograph.engine.sessions import Session
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, node

MANIFEST = """\
version: 1
name: live
inputs: {audio: {type: audio}}
outputs: {level: level}
nodes:
  gain: {type: claim.gain, input: inputs.audio}
  level: {type: claim.level, input: gain}
"""

SESSIONS = 10_000
CHUNKS = 5
PERIOD_S = 8.0  # in which each session sends one chunk
CHUNK = AudioChunk.of(np.full(320, 0.5, np.float32), 16_000)


@node("claim.gain", inputs="audio", outputs="audio", streaming="causal")
class Gain(Node[Params]):
    """Make audio softer."""

    def process(self, item: Item, state: None) -> Item:
        return item.with_payload({"audio": AudioChunk(item.audio.samples * np.float32(0.5), item.audio.sample_rate)})


@node("claim.level", inputs="audio", outputs={"record": "record"}, cardinality="1:N", streaming="causal")
class Level(Node[Params]):
    """Tell the mean of all audio so far, and how much there was at the end."""

    def start(self) -> list[float]:
        return [0, 0.0]

    def process(self, item: Item, state: list[float]) -> Item:
        state[0] += item.audio.num_samples
        state[1] += float(item.audio.samples.sum())
        return item.with_payload({"record": state[1] / state[0]})

    def flush(self, state: list[float]) -> Item:
        return Item(key="", ordinal=0, payload={"record": state[0]})


@claim(issue="flow", bar="all results right and in order; stated: p99, memory", fast=False)
def ten_thousand_sessions_at_once() -> Figure:
    """10 000 concurrent sessions of a light graph: p99 of a chunk's way through, memory per session."""
    with _executor() as executor:
        return asyncio.run(_many(executor))


async def _many(executor: Executor) -> Figure:
    async with executor:
        async with executor.session() as warm:  # what is made once
            await warm.send(CHUNK)
            await warm.receive()
        gc.collect()
        before = _resident_bytes()
        sessions = [executor.session() for _ in range(SESSIONS)]
        for session in sessions:
            await session.send(CHUNK)
            await session.receive()
        gc.collect()
        per_session = (_resident_bytes() - before) / SESSIONS
        began, cpu = time.perf_counter(), time.process_time()
        latencies: list[float] = []
        pacing = (_paced(session, number, latencies) for number, session in enumerate(sessions))
        right = await asyncio.gather(*pacing)
        cpu_us = (time.process_time() - cpu) / (SESSIONS * CHUNKS) * 1e6
        rate = SESSIONS * CHUNKS / (time.perf_counter() - began)
    p50, p99 = (float(quantile) * 1e3 for quantile in np.quantile(latencies, (0.5, 0.99)))
    text = (
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms at {rate:.0f} chunks/s, {cpu_us:.0f} us of processor time a chunk; "
        f"{per_session / 1e3:.1f} kB a session; {sum(right)} of {SESSIONS} right"
    )
    return Figure(text, all(right))


async def _paced(session: Session, number: int, latencies: list[float]) -> bool:
    """Send a chunk each period, spread over it, and take the result of each; whether all were right."""
    loop = asyncio.get_running_loop()
    start = loop.time() + PERIOD_S * number / SESSIONS
    right = True
    for turn in range(CHUNKS):
        await asyncio.sleep(start + turn * PERIOD_S - loop.time())
        sent = time.perf_counter()
        await session.send(CHUNK)
        item = await session.receive()
        latencies.append(time.perf_counter() - sent)
        right = right and item is not None and item.payload["level"] == 0.25 and item.index == turn + 1
    await session.finish()
    rest = [item.payload["level"] async for item in session]
    return right and rest == [CHUNK.num_samples * (CHUNKS + 1)]


@claim(issue="flow", bar="slow one: bounded by its own limits; quick one >= 0.8 x its rate without the slow one", fast=True)
def a_slow_consumer_holds_only_its_own_memory() -> Figure:
    """A session that nobody reads stops at its own bound, while another goes on as quickly as without it."""
    with _executor() as executor:
        return asyncio.run(_beside_a_slow_one(executor))


async def _beside_a_slow_one(executor: Executor) -> Figure:
    unread, in_flight, count, pairs = 8, 4, 500, 9
    async with executor:
        ratios = []
        for _ in range(pairs):
            async with executor.session() as quick:
                alone = await _rate(quick, count)
            async with executor.session(max_unread=unread, max_in_flight=in_flight) as slow, executor.session() as quick:
                sent = 0

                async def send() -> None:
                    nonlocal sent
                    while True:
                        await slow.send(CHUNK)  # of this turn, which ends with it
                        sent += 1

                sending = asyncio.create_task(send())
                ratios.append(await _rate(quick, count) / alone)
                sending.cancel()
                await asyncio.wait((sending,))
    ratio = statistics.median(ratios)
    text = (
        f"{sent} chunks of the slow session let in (bounds: {unread} unread, {in_flight} in flight); quick one at {ratio:.2f} x"
    )
    return Figure(text, sent <= unread + in_flight and ratio >= 0.8)


async def _rate(session: Session, count: int) -> float:
    """Chunks a second of processor time."""
    began = time.process_time()
    for _ in range(count):
        await session.send(CHUNK)
        await session.receive()
    return count / (time.process_time() - began)


@claim(issue="flow", bar="0 tasks, 0 threads, 0 descriptors, 0 states left", fast=True)
def nothing_is_left_of_an_executor() -> Figure:
    """Behind `async with` nothing is left of sessions finished, cancelled or left, of requests given up, or of an exception."""
    with _executor() as executor:
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        left = asyncio.run(_come_and_gone(executor))
        gc.collect()
        states = sum(type(one).__name__ in {"Kept", "Session", "Seat"} for one in gc.get_objects())
        now = threading.active_count() - threads, len(os.listdir("/proc/self/fd")) - files
    counts = (left, *now, states)
    text = "{} tasks, {} threads, {} descriptors, {} states left of 40 executors".format(*counts)
    return Figure(text, not any(counts))


async def _come_and_gone(executor: Executor) -> int:
    tasks = asyncio.all_tasks()
    for turn in range(40):
        try:
            async with executor:
                session = executor.session()
                await session.send(CHUNK)
                async with executor.session() as finished:
                    await finished.send(CHUNK)
                    await finished.finish()
                    assert len([item async for item in finished]) == 2
                async with executor.session() as broken_off:
                    await broken_off.send(CHUNK)
                    async for _ in broken_off:
                        break
                given_up = asyncio.create_task(executor.submit({"audio": CHUNK}))
                await asyncio.sleep(0)
                given_up.cancel()
                if turn % 2:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        await asyncio.wait((given_up,))
    del session, finished, broken_off, given_up
    return len(asyncio.all_tasks() - tasks)


@contextmanager
def _executor() -> Iterator[Executor]:
    registry = Registry()
    for declared in (Gain, Level):
        registry.register(declared)
    with temporary_folder() as folder:
        path = Path(folder) / "live.yaml"
        path.write_text(MANIFEST, encoding="utf-8")
        yield Executor(load_manifest(path), registry=registry)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
