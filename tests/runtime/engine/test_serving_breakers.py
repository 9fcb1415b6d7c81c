"""Breakers in front of requests and sessions, in simulated time."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from phonograph.errors import BadInputError, TransientError
from phonograph.executor import Executor
from phonograph.item import Item, Outcome
from phonograph.log import command_logger
from phonograph.node import Emitted, Node, Params, node
from phonograph.testing import pause, simulate
from served import ENDS, served

RECORD = {"record": "record"}
SEEDS = range(8)
CALLS: Counter[str] = Counter()

BATCH = "type: test.down_batch, input: {record: {from: inputs.record, batch: {max_items: 2, max_wait: 0s}}}"
"""A node whose probes are called alone, without having been asked before."""


class DownParams(Params, frozen=True):
    until: float = 0
    poison: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()


@node("test.down", inputs=RECORD, outputs=RECORD, streaming="causal")
class Down(Node[DownParams]):
    """Fail until a time, always on some, and never return the first time on others."""

    def process(self, item: Item, state: None) -> Item:
        CALLS[item.key] += 1
        number = item.payload["record"]["number"]
        if number in self.params.hangs and CALLS[item.key] == 1:
            pause(1000)
        if number in self.params.poison or asyncio.get_running_loop().time() < self.params.until:
            raise TransientError("down")
        return item


@node("test.down_batch", inputs=RECORD, outputs=RECORD, streaming="causal")
class DownBatch(Down):
    """The same of several."""

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted | Exception]:
        outcomes: list[Emitted | Exception] = []
        for item in items:
            try:
                outcomes.append(self.process(item, None))
            except TransientError as error:
                outcomes.append(error)
        return outcomes


def executor(folder: Path, policies: str, work: str = "type: test.down, input: inputs.record") -> Executor:
    CALLS.clear()
    log = command_logger("console", "critical", io.StringIO())
    return served(folder, f"{ENDS}nodes:\n  work: {{{work}, workers: 1, {policies}}}\n", Down, DownBatch, Apart, log=log)


def record(number: int) -> dict[str, Any]:
    return {"record": {"number": number}}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_goes_on_behind_a_chunk_that_was_held_for_too_long(tmp_path: Path, seed: int) -> None:
    """A chunk that waits for a breaker until `max_open` is given up; those behind it are worked on, and the session ends."""
    wait = "{failure_threshold: 1, reset_timeout: 60s, max_open: 5s, when_open: wait}"
    policies = f"retry: {{max_retries: 0}}, breaker: {wait}, params: {{until: 30}}"
    open_executor = executor(tmp_path, policies)

    async def main() -> list[str]:
        async with open_executor as ex, ex.session("s") as session:
            await ex.submit(record(0))
            for number in range(3):
                await session.send(record(number))
            await asyncio.sleep(100)
            await session.send(record(3))
            await session.finish()
            return [item.key async for item in session]

    assert simulate(main(), seed=seed) == ["s#0003"]
    assert open_executor.report is not None and open_executor.report.records.dead_lettered == 4


@node("test.apart", inputs=RECORD, outputs=RECORD, streaming="causal")
class Apart(Node[Params]):
    """Refuse the first chunk; fail for chunks together, always for those of `other`, and once for each."""

    def process(self, item: Item, state: None) -> Item:
        CALLS[item.key] += 1
        if item.session == "other":
            raise RuntimeError("other")
        if item.payload["record"]["number"] == 0:
            raise BadInputError("the first")
        if CALLS[item.key] == 1:
            raise TransientError("once")
        return item

    def process_batch(self, items: Sequence[Item], states: Sequence[None]) -> Sequence[Emitted | Exception]:
        if len(items) > 1:
            raise RuntimeError("together")
        return [self.process(items[0], None)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_probe_that_is_told_of_a_gap_stays_the_probe(tmp_path: Path, seed: int) -> None:
    """A chunk behind one that failed, which is let through as a probe, is tried again as such, and closes the breaker."""
    policies = "retry: {max_retries: 1}, breaker: {failure_threshold: 1, reset_timeout: 0s, when_open: shed}"
    open_executor = executor(tmp_path, policies, BATCH.replace("down_batch", "apart").replace("0s", "9s"))

    async def main() -> list[str]:
        async with open_executor as ex, ex.session("other") as other, ex.session("s") as session:
            await session.send(record(0))
            await other.send(record(0))  # the batch is full; each fails by itself, and the second opens the breaker
            await asyncio.sleep(30)
            assert (await ex.submit(record(1))).metrics.outcome is Outcome.COMPLETED
            await other.send(record(1))
            await session.send(record(1))
            await asyncio.sleep(30)
            assert (await ex.submit(record(1))).metrics.outcome is Outcome.COMPLETED
            await session.finish()
            return [item.key async for item in session]

    assert simulate(main(), seed=seed) == ["s#0001"]
    assert CALLS["s#0001"] == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_probe_that_hangs_where_batches_are_formed_is_left_behind(tmp_path: Path, seed: int) -> None:
    """A probe is called alone; when it does not come back, the others are worked on by another worker."""
    policies = "timeout: 1s, retry: {max_retries: 1}, params: {poison: [0], hangs: [1]}"
    shed = "breaker: {failure_threshold: 1, reset_timeout: 10s, when_open: shed}"
    open_executor = executor(tmp_path, f"{policies}, {shed}", BATCH)

    async def main() -> list[Outcome]:
        async with open_executor as ex:
            ends = []
            for number in range(3):
                ends.append((await ex.submit(record(number))).metrics.outcome)
                await asyncio.sleep(20)
            return ends

    assert simulate(main(), seed=seed) == [Outcome.DEAD_LETTERED, Outcome.COMPLETED, Outcome.COMPLETED]
