"""Claims about sessions through nodes that run in processes: whom a process that dies concerns, and what a chunk costs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from acceptance.claims import Figure, claim
from acceptance.processes import temporary_folder
from phonograph.audio import AudioChunk
from phonograph.engine.sessions import Session
from phonograph.errors import SessionEndedError
from phonograph.executor import Executor
from phonograph.graph.registry import Registry
from phonograph.item import Item
from phonograph.language.manifest import load_manifest
from phonograph.node import Node, Params, node

SESSIONS, CHUNKS = 100, 5
MANIFEST = """\
version: 1
name: isolated
inputs: {audio: {type: audio}}
outputs: {heard: heard}
nodes:
  heard: {type: claim.heard, input: inputs.audio, run: RUN, workers: 2}
"""


@node("claim.heard", inputs="audio", outputs={"record": "record"}, cardinality="1:N", streaming="causal")
class Heard(Node[Params]):
    """Tell how much a session has sent so far, and which process says so."""

    def start(self) -> list[int]:
        return [0]

    def process(self, item: Item, state: list[int]) -> Item:
        state[0] += item.audio.num_samples
        return item.with_payload({"record": {"samples": state[0], "process": os.getpid()}})


@claim(issue="flow", bar="each session of the process that died is told, each other has all of its results", fast=True)
def a_process_that_dies_ends_its_own_sessions_alone() -> Figure:
    """Of 100 sessions over two processes, one of which is killed, those end whose state it had, and no other."""
    with _executor("process") as executor:
        return asyncio.run(_one_killed(executor))


async def _one_killed(executor: Executor) -> Figure:
    chunk = _chunk(1600)
    async with executor:
        sessions = [executor.session() for _ in range(SESSIONS)]
        for _ in range(CHUNKS):
            heard = await asyncio.gather(*(_turn(one, chunk) for one in sessions))
        killed = heard[0]["process"]
        os.kill(killed, signal.SIGKILL)
        began = time.perf_counter()
        after = await asyncio.gather(*(_turn(one, chunk) for one in sessions), return_exceptions=True)
        took_ms = (time.perf_counter() - began) * 1e3
    told = right = 0
    for before, now in zip(heard, after, strict=True):
        if before["process"] == killed:
            told += isinstance(now, SessionEndedError) and now.reason == "worker_died"
        else:
            right += isinstance(now, dict) and now["samples"] == (CHUNKS + 1) * chunk.num_samples
    num_there = sum(one["process"] == killed for one in heard)
    text = f"{told} of {num_there} told, {right} of {SESSIONS - num_there} went on; all knew after {took_ms:.0f} ms"
    return Figure(text, (told, right) == (num_there, SESSIONS - num_there))


@claim(issue="flow", bar="stated", fast=True)
def a_chunk_s_way_through_a_process() -> Figure:
    """The way of one chunk through a node with state, unloaded: in a thread, and in a process."""
    told = []
    for num_samples in (1600, 250_000):
        taken_us = {run: asyncio.run(_way_us(run, _chunk(num_samples))) for run in ("thread", "process")}
        told.append("{} kB: {:.0f} us in a thread, {:.0f} in a process".format(num_samples * 4 // 1000, *taken_us.values()))
    return Figure("; ".join(told), met=True)


async def _way_us(run: str, chunk: AudioChunk) -> float:
    with _executor(run) as executor:
        async with executor, executor.session() as session:
            taken = []
            for _ in range(400):
                began = time.perf_counter()
                await _turn(session, chunk)
                taken.append(time.perf_counter() - began)
            return median(taken[100:]) * 1e6


async def _turn(session: Session, chunk: AudioChunk) -> dict[str, Any]:
    """What comes of one chunk."""
    await session.send(chunk)
    item = await session.receive()
    assert item is not None
    heard: dict[str, Any] = item.payload["heard"]
    return heard


def _chunk(num_samples: int) -> AudioChunk:
    return AudioChunk.of(np.full(num_samples, 0.5, np.float32), 16_000)


@contextmanager
def _executor(run: str) -> Iterator[Executor]:
    registry = Registry()
    registry.register(Heard)
    with temporary_folder() as folder:
        path = Path(folder) / "isolated.yaml"
        path.write_text(MANIFEST.replace("RUN", run), encoding="utf-8")
        yield Executor(load_manifest(path), registry=registry)
